"""One message on its way to being settled. Holds what is known about it; does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from pydantic import ValidationError

from sagastream.envelope import Envelope, decode
from sagastream.errors import Misfit, NotOurs, SagastreamError, Undecodable
from sagastream.event import REQUESTS, BarRequested, Event, StepRequest, UndoRequested
from sagastream.intake import Message
from sagastream.ledger import State
from sagastream.participant import Handler, Participant

_MISFITS = {"extra_forbidden": "this release knows no such field", "missing": "this release needs that field"}
E = TypeVar("E", bound=Event)


class Fate(Enum):
    """What becomes of a message once its next transaction is applied."""

    SETTLED = auto()
    GOES_ON = auto()
    WAITS = auto()
    BURIED = auto()


@dataclass(slots=True)
class Work:
    """A message, what handles it, and how far it has come.

    ``request`` is what the coordinator asks, None for an event that goes forward. ``known`` is the ledger state
    that the next commit expects. ``earlier`` attempts failed before this one, which is one however often it is
    decided again: ``conflicts`` times, the last time because of the guard ``refused_by``. ``problem`` is why
    nothing can be decided. ``deliveries``: how often it was given out, if that was too often. ``is_foreseen``: it
    was noted as failed before. ``is_ledger_broken``: not even that it gave up can be remembered.
    ``is_undone_outside``: its undo calls something that is not Redis. ``tried`` is what was last run for it: its
    handler, or a way to undo or close the step; ``took_s`` is what that needed.
    """

    message: Message
    envelope: Envelope
    handler: Handler | None
    request: StepRequest | None = None
    known: State = State.UNKNOWN
    fate: Fate = Fate.SETTLED
    earlier: int = 0
    has_failed: bool = False
    deliveries: int = 0
    conflicts: int = 0
    refused_by: str = ""
    problem: SagastreamError | None = None
    is_ledger_broken: bool = False
    is_foreseen: bool = False
    is_undone_outside: bool = False
    is_in_background: bool = False
    tried: Handler | None = None
    took_s: float | None = None

    @property
    def is_outside(self) -> bool:
        """Tell whether deciding may call something that is not Redis, so that nobody must wait for it."""
        return self.handler is not None and self.handler.is_outside

    @property
    def may_wait_outside(self) -> bool:
        """Tell whether any decision about it may wait for the world outside."""
        return self.is_outside or self.is_undone_outside

    @property
    def waits_outside(self) -> bool:
        """Tell whether the next decision may wait for the world outside."""
        if self.request is not None:
            return self.may_wait_outside
        return self.is_outside and self.known is State.BEGUN

    @property
    def is_noted(self) -> bool:
        """Tell whether anything is kept of its attempts, to be forgotten when it is settled."""
        return self.is_foreseen or self.earlier > 0

    @property
    def attempts(self) -> int:
        """Return how many attempts have failed by now."""
        return self.earlier + self.has_failed

    @property
    def is_undoing(self) -> bool:
        """Tell whether the message asks for a step not to be, rather than to be."""
        return isinstance(self.request, UndoRequested | BarRequested)


def recognise(participant: Participant, message: Message, attempts: int) -> Work:
    """Find out what a message is and who handles it.

    What nobody here performs is work too: while releases stand side by side the next attempt may be made by another,
    and whoever asks must be told in the end.

    Raises: ``Undecodable`` for what is no event.
    """
    envelope = decode(message.flat)
    asked = REQUESTS.get(envelope.type)
    if asked is None:
        handler = participant.handlers.get(envelope.type)
        unknown = None if handler else NotOurs(f"{participant.name} has no handler for {envelope.type[:80]!r}")
        return Work(message, envelope, handler, earlier=attempts, problem=unknown)
    request = payload(asked, envelope.data)
    if participant.ledger_field(request.step) is None:
        problem = NotOurs(f"{participant.name} performs no step that says done by {request.step[:80]!r}")
        return Work(message, envelope, None, request, earlier=attempts, problem=problem)
    undo = participant.undos.get(request.step)
    return Work(
        message, envelope, participant.performing(request.step), request, earlier=attempts,
        is_undone_outside=undo is not None and undo.is_outside,
    )  # fmt: skip


def payload(kind: type[E], data: str) -> E:
    """Decode a payload.

    Raises: ``Undecodable`` naming what is wrong; ``Misfit`` if it is a field.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if not where:
            raise Undecodable(f"{kind.type_name()} payload: {first['msg']}") from None
        raise Misfit(f"{kind.type_name()} {where}: {_MISFITS.get(first['type'], first['msg'])}") from None
