"""One message that is being settled. Holds what is known about it; decides nothing."""

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
    """The state of a message once its next transaction is applied."""

    SETTLED = auto()
    GOES_ON = auto()
    WAITS = auto()
    BURIED = auto()


@dataclass(slots=True)
class Work:
    """A message, its handler, and how far it has come.

    ``request`` is the coordinator's request, None for an event that goes forward. ``known`` is the ledger state that
    the next commit expects. ``earlier`` counts the failed attempts before this one. Deciding again is no new attempt:
    ``conflicts`` counts how often that happened, ``refused_by`` is the latest guard that caused it. ``problem`` is why
    nothing can be decided. ``deliveries`` is how often the message was delivered, if that was too often.
    ``is_foreseen``: this attempt was noted as failed in advance. ``is_ledger_broken``: the ledger cannot even store
    that the step gave up. ``is_undone_outside``: the undo calls something other than Redis. ``tried`` is the function
    that ran last: handler, undo or close; ``took_s`` is how long it took.
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
        """Tell whether the handler may call something other than Redis, so that no other message may wait for it."""
        return self.handler is not None and self.handler.is_outside

    @property
    def may_wait_outside(self) -> bool:
        """Tell whether any decision about the message may wait for an outside call."""
        return self.is_outside or self.is_undone_outside

    @property
    def waits_outside(self) -> bool:
        """Tell whether the next decision may wait for an outside call."""
        if self.request is not None:
            return self.may_wait_outside
        return self.is_outside and self.known is State.BEGUN

    @property
    def is_noted(self) -> bool:
        """Tell whether attempts of the message are noted in Redis, to be removed when it is settled."""
        return self.is_foreseen or self.earlier > 0

    @property
    def attempts(self) -> int:
        """Return how many attempts have failed so far."""
        return self.earlier + self.has_failed

    @property
    def is_undoing(self) -> bool:
        """Tell whether the message requests to undo or bar a step."""
        return isinstance(self.request, UndoRequested | BarRequested)


def recognise(participant: Participant, message: Message, attempts: int) -> Work:
    """Return the work of a message: its envelope, and its handler or request.

    A message that this participant does not handle is work too: while two releases run side by side, a process of the
    other one may make the next attempt, and the coordinator must get an answer in the end.

    Raises: ``Undecodable`` if the message is no event.
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
    """Return a decoded payload.

    Raises: ``Undecodable`` naming the fault; ``Misfit`` if the fault is a field.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if not where:
            raise Undecodable(f"{kind.type_name()} payload: {first['msg']}") from None
        raise Misfit(f"{kind.type_name()} {where}: {_MISFITS.get(first['type'], first['msg'])}") from None
