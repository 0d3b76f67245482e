"""Applies people's actions: loads the record, lets the engine decide, commits with a guard. Decides nothing itself.

As in the tracker, an action that finds a newer version of the record is decided again on that version. So an answer is
true when it is given, however many coordinators and people are at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from sagastream.bus import Bus
from sagastream.clock import server_ms
from sagastream.coordinator import trail
from sagastream.coordinator.meaning import Meanings
from sagastream.coordinator.records import OPERATOR, Note, Record, Records
from sagastream.envelope import derived_id
from sagastream.errors import SagastreamError
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.advance import Advance
from sagastream.saga.definition import Saga
from sagastream.saga.repair import Act, Action, Verdict, repair
from sagastream.settings import Settings
from sagastream.transaction import OutcomeKind, Transaction, Transactor

log = structlog.get_logger(__name__)

NOTES = {
    Act.COMPENSATE: "CompensationAsked",
    Act.RETRY: "RetryAsked",
    Act.RESOLVE: "StepResolved",
    Act.ABORT: "AbortAsked",
}


class CannotRepair(SagastreamError):
    """An action could not be stored, whatever record it was decided on; the message says why."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """An action as it was decided, the record it was decided on, and the id of its note in the history."""

    saga: Saga
    record: Record
    verdict: Verdict
    id: str


class Repairs:
    """Takes people's actions on sagas of the given tables."""

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> None:
        keys = Keys(settings.key_prefix, COORDINATOR)
        self._query = bus.query
        self._meanings = Meanings(sagas)
        self._records = Records(bus, keys)
        self._transactor = Transactor(bus.writer, keys, retention=settings.ledger_retention)

    async def act(self, saga_id: str, action: Action) -> Repaired | None:
        """Take an action and return what it led to; None if there is no such saga.

        Raises: ``Undecodable`` if the record or its table cannot be read here, ``CannotRepair``, ``ServerUnavailable``:
        then the action may have been taken, and repeating it does no harm.
        """
        while True:
            now_ms = await server_ms(self._query)
            done = await self.decide(saga_id, action, now_ms)
            if done is None or done.verdict.turn is None:
                return done
            if await self._stored(done, done.verdict.turn, action, now_ms):
                return done

    async def decide(self, saga_id: str, action: Action, now_ms: int) -> Repaired | None:
        """Return what an action would lead to as the saga stands; None if there is no such saga.

        Raises: ``Undecodable`` if the record or its table cannot be read here.
        """
        record = await self._records.load(saga_id)
        if record is None:
            return None
        saga = self._meanings.of(record.progress.definition, str(record.progress.version)).saga
        id_ = derived_id(saga_id, OPERATOR, action.act, str(record.version))
        return Repaired(saga, record, repair(saga, record.progress, action, id=id_, now_ms=now_ms), id_)

    async def _stored(self, done: Repaired, turn: Advance, action: Action, now_ms: int) -> bool:
        """Store what an action led to; return False if the record has changed meanwhile."""
        (outcome,) = (await self._transactor.commit([self.transaction(done, turn, action, now_ms)])).outcomes
        if outcome.is_ok:
            log.info("saga.repaired", saga_id=turn.progress.saga_id, act=action.act, actor=action.actor)
        elif outcome.kind is not OutcomeKind.REFUSED:
            raise CannotRepair(f"the record cannot be stored: {outcome.kind}: {outcome.detail}")
        return outcome.is_ok

    def transaction(
        self, done: Repaired, turn: Advance, action: Action, now_ms: int, campaign: str = ""
    ) -> Transaction:
        """Return the transaction that stores what an action led to, with its entry in the audit trail."""
        step, kind = next(((happening.step, str(happening.kind)) for happening in turn.news), ("", ""))
        why = f"{action.why}: {done.verdict.told}" if action.act is Act.ABORT else action.why
        before = done.record.progress.last_event_id  # a person acts on what has happened so far
        note = Note(now_ms, done.id, NOTES[action.act], OPERATOR, before, step, kind, why, action.actor)
        tx = self._records.save(done.saga, done.record, turn, [note], cause=done.id, now_ms=now_ms)
        trail.record(
            tx, id=done.id, action=action.act, actor=action.actor, reason=action.reason, told=done.verdict.told,
            saga=turn.progress.saga_id, process=done.saga.name, before=done.record.status, after=turn.status,
            step=action.step, effect=action.effect or "", evidence=action.evidence, repair=campaign,
        )  # fmt: skip
        return tx
