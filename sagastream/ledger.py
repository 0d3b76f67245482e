"""The ledger: what a participant remembers per saga and handler. Owns its states and format; decides nothing.

Shape: hash ``ledger:<saga>``; field: the handler's name; value: the state, then the remembered event, one line each for
time, type, event id, cause and payload. An outcome remembers the event it published; ``begun``, ``gave up`` and
``unread`` remember the event that triggered the handler.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sagastream.envelope import Envelope

BEGINNING = "begin"


class State(StrEnum):
    """The state of one handler for one saga.

    ``unread``: its event does not fit the release that read it, so nothing was begun; another release may handle it.
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
        """Tell whether the handler has decided; the next request opens any other state again."""
        return self not in _OPEN


_OPEN = frozenset({State.UNKNOWN, State.BEGUN, State.GAVE_UP, State.UNREAD})


@dataclass(frozen=True, slots=True)
class Remembered:
    """A ledger entry as read; all strings are empty if no event is remembered."""

    state: State
    time: str = ""
    type: str = ""
    id: str = ""
    cause: str = ""
    data: str = ""

    @property
    def has_event(self) -> bool:
        """Tell whether an event is remembered besides the state."""
        return bool(self.id)


class Entry(NamedTuple):
    """A change of one ledger entry, applied only if its state is the expected one.

    ``remembers`` is the text to remember, or the position that ``Transaction.tell`` returned for the event to remember.
    """

    saga_id: str
    handler: str
    expected: State
    becomes: State
    remembers: str | int = ""


def parse(text: str | None) -> Remembered:
    """Return a ledger entry as read; None stands for a handler without an entry."""
    if text is None:
        return Remembered(State.UNKNOWN)
    state, _, rest = text.partition("\n")
    if not rest:
        return Remembered(State(state))
    time, kind, id_, cause, data = rest.split("\n", 4)
    return Remembered(State(state), time, kind, id_, cause, data)


def trigger(envelope: Envelope) -> str:
    """Return the text by which a ledger entry remembers a triggering event."""
    return "\n".join((envelope.time, envelope.type, envelope.id, envelope.cause, envelope.data))
