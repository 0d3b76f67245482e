"""The audit trail: who did what to which saga, when and why. Speaks Redis; only ever appends.

Shape: stream ``audit`` under the coordinator's root, one entry per action that changed something, written by the script
that changed it. The engine never trims it. Fields: ``id`` (of the note in the saga's history), ``action``, ``actor``,
``reason``, ``told`` (what it led to), and where they apply ``saga``, ``process``, ``before`` and ``after`` (statuses),
``step``, ``effect``, ``evidence``, ``letter``, ``repair``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sagastream import replies
from sagastream.keys import AUDIT
from sagastream.reader import Reader
from sagastream.transaction import Transaction

MOST_SCANNED = 2000
LEAST_READ = 50  # entries read at a time, even if few are wanted: only few may fit


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its position, which tells when it was written (epoch ms, server time), and its fields."""

    position: str
    fields: Mapping[str, str]

    @property
    def at_ms(self) -> int:
        """Return when it was written."""
        return replies.taken_ms(self.position)


@dataclass(frozen=True, slots=True)
class Trace:
    """Which entries are wanted; None means any."""

    saga_id: str | None = None
    actor: str | None = None
    action: str | None = None

    def fits(self, entry: Entry) -> bool:
        """Tell whether an entry is wanted."""
        pairs = ((self.saga_id, "saga"), (self.actor, "actor"), (self.action, "action"))
        return all(wanted is None or entry.fields.get(name) == wanted for wanted, name in pairs)


def record(tx: Transaction, **fields: str) -> None:
    """Add an entry to the transaction that makes the change it describes."""
    tx.append(AUDIT, [part for name, value in fields.items() if value for part in (name, value)])


async def entries(reader: Reader, wanted: Trace, before: str | None, limit: int) -> tuple[list[Entry], str | None]:
    """Return entries before a position, the newest first, and where to go on; a short page need not be the last."""
    found: list[Entry] = []
    at = "+" if before is None else just_before(before)
    scanned, size = 0, max(limit, LEAST_READ)
    while at is not None:
        reply = await reader.command("XREVRANGE", reader.keys.key(AUDIT), at, "-", "COUNT", size)
        chunk = [Entry(*one) for one in replies.entries(reply)]
        for entry in chunk:
            if wanted.fits(entry):
                found.append(entry)
            if len(found) == limit:
                return found, entry.position
        scanned += len(chunk)
        if len(chunk) < size:
            return found, None
        if scanned >= MOST_SCANNED:
            return found, chunk[-1].position
        at = just_before(chunk[-1].position)
    return found, None


def just_before(position: str) -> str | None:
    """Return the stream position before this one, None if there can be none: the server would reject it."""
    ms, number = (int(part) for part in position.split("-"))
    if number:
        return f"{ms}-{number - 1}"
    return str(ms - 1) if ms else None  # given a whole millisecond, the server takes its last entry
