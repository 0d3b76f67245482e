"""The messages to clients that follow sagas. Pure: changes in, server-sent events out, each written once for all.

**Source**: HTML Living Standard, 9.2 Server-sent events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sagastream.answers import instant
from sagastream.live.feed import START
from sagastream.replies import taken_ms
from sagastream.saga.lifecycle import Status


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filter of a client's sagas; None matches any."""

    status: Status | None = None
    process: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A saga's current state, ``text`` as in lists; all fields are empty for a removed saga."""

    process: str = ""
    status: str = ""
    text: str = ""


@dataclass(frozen=True)
class Batch:
    """The changes up to a position, by saga."""

    position: str
    changes: Mapping[str, Change]
    _written: dict[Wanted, bytes | None] = field(default_factory=dict, repr=False)

    def message(self, wanted: Wanted) -> bytes | None:
        """Return the message for clients with this filter, None if no change concerns them."""
        if wanted not in self._written:
            self._written[wanted] = self._message(wanted)
        return self._written[wanted]

    def then(self, later: Batch) -> Batch:
        """Return both batches merged; for a saga in both, the later change counts."""
        return Batch(later.position, {**self.changes, **later.changes})

    def _message(self, wanted: Wanted) -> bytes | None:
        here: list[str] = []
        gone: list[str] = []
        for saga_id, change in self.changes.items():
            if change.text and wanted.process not in (None, change.process):
                continue  # it never matched their filter: a saga keeps its process
            if change.text and wanted.status in (None, change.status):
                here.append(change.text)
            else:
                gone.append(saga_id)
        if not here and not gone:
            return None
        at = json.dumps(at_position(self.position))
        data = f'{{"at":{at},"sagas":[{",".join(here)}],"gone":{json.dumps(gone, separators=(",", ":"))}}}'
        return frame("sagas", data, self.position)


def frame(event: str, data: str, position: str = "") -> bytes:
    """Return one server-sent event; ``data`` is one line of JSON. The start position is not sent as an id."""
    id_ = f"id: {position}\r\n" if position not in ("", START) else ""
    return f"{id_}event: {event}\r\ndata: {data}\r\n\r\n".encode("utf-8", "surrogateescape")


def reset(position: str, why: str) -> bytes:
    """Return the message that tells a client to load everything again."""
    return frame("reset", json.dumps({"at": at_position(position), "why": why}), position)


def trouble(why: str) -> bytes:
    """Return the message that tells a client that its data may be stale."""
    return frame("trouble", json.dumps({"why": why}))


def at_position(position: str) -> str | None:
    """Return the instant of a position, None for the start position."""
    if position == START:
        return None
    at = instant(taken_ms(position))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
