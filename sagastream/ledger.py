"""What a participant remembers per saga and handler. Owns the states and their written form; decides nothing.

Shape: hash ``ledger:<saga>``, field: the handler's name, value: state, then what is remembered, each on a line
of its own: time, type, event id, cause, payload. For an outcome that is the event it published; for ``begun``,
``gave up`` and ``unread`` the event that triggered it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sagastream.envelope import Envelope

BEGINNING = "begin"


class State(StrEnum):
    """Where one handler stands for one saga.

    ``unread``: its event does not fit the release that read it, so nothing was begun on it; another release may.
    """

    UNKNOWN = ""
    BEGUN = "begun"
    GAVE_UP = "gave up"
    UNREAD = "unread"
    DONE = "done"
    REFUSED = "refused"
    UNDONE = "undone"
    BARRED = "barred"

    @property
    def is_outcome(self) -> bool:
        """Tell whether the handler has decided; whatever else it says is opened again by the next request."""
        return self not in _OPEN


_OPEN = frozenset({State.UNKNOWN, State.BEGUN, State.GAVE_UP, State.UNREAD})


@dataclass(frozen=True, slots=True)
class Remembered:
    """A ledger entry as read; all strings are empty where nothing is remembered."""

    state: State
    time: str = ""
    type: str = ""
    id: str = ""
    cause: str = ""
    data: str = ""

    @property
    def has_event(self) -> bool:
        """Tell whether an event is remembered beside the state."""
        return bool(self.id)


class Entry(NamedTuple):
    """A change of one ledger entry, valid only while its state is the expected one.

    ``remembers`` is text, or the position that ``Transaction.tell`` returned for the event that is remembered.
    """

    saga_id: str
    handler: str
    expected: State
    becomes: State
    remembers: str | int = ""


def parse(text: str | None) -> Remembered:
    """Read a ledger entry; None is a handler that was never heard of."""
    if text is None:
        return Remembered(State.UNKNOWN)
    state, _, rest = text.partition("\n")
    if not rest:
        return Remembered(State(state))
    time, kind, id_, cause, data = rest.split("\n", 4)
    return Remembered(State(state), time, kind, id_, cause, data)


def trigger(envelope: Envelope) -> str:
    """Return the form in which a triggering event is remembered."""
    return "\n".join((envelope.time, envelope.type, envelope.id, envelope.cause, envelope.data))
