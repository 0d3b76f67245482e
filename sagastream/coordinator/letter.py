"""A dead letter as its owner stored it, and what became of it since. Reads stream entries; decides nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sagastream.envelope import ID


class Dealt(StrEnum):
    """What became of a letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a letter is: its owner, and its position in the owner's stream, which tells when it was dead-lettered."""

    ms: int
    number: int
    owner: str

    @property
    def id(self) -> str:
        """Return the position as the stream writes it."""
        return f"{self.ms}-{self.number}"

    @classmethod
    def of(cls, id: str, owner: str) -> Place:
        """Return the place of a letter by its id."""
        ms, _, number = id.partition("-")
        return cls(int(ms), int(number), owner)

    @property
    def order(self) -> tuple[int, int, str]:
        """Return the key by which letters are sorted, the newest last."""
        return self.ms, self.number, self.owner


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that could not be handled, and what became of it since.

    ``dealt`` holds who dealt with it, why, when and with which data; ``saga_status`` is the present status of its saga,
    None if no saga is known.
    """

    place: Place
    reason: str
    attempts: int
    stream: str
    entry: str
    fields: Mapping[str, str]
    fate: Dealt = Dealt.OPEN
    dealt: Mapping[str, str] | None = None
    saga_status: str | None = None

    @property
    def saga_id(self) -> str:
        """Return the id of the saga that the message names, empty if it names none or an invalid one."""
        told = self.fields.get("correlationid", "")
        return told if ID.fullmatch(told) else ""


def read_letter(owner: str, position: str, told: Mapping[str, str]) -> Letter:
    """Return the letter in an entry of its owner's stream."""
    try:
        whole = _mapping(json.loads(told.get("message", "{}")))
    except (ValueError, RecursionError):
        whole = {}
    attempts = told.get("attempts", "")
    return Letter(
        place=Place.of(position, owner),
        reason=told.get("reason", ""),
        attempts=int(attempts) if attempts.isdecimal() else 0,
        stream=str(whole.get("stream", "")),
        entry=str(whole.get("id", "")),
        fields={str(name): str(value) for name, value in _mapping(whole.get("fields")).items()},
    )


def _mapping(told: object) -> dict[str, object]:
    return told if isinstance(told, dict) else {}
