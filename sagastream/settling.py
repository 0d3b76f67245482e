"""Settle messages: decide, commit, and decide again on fresh reads after a conflict, until each has its fate."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog
from pydantic import ValidationError

from sagastream.clock import ServerClock
from sagastream.dead_letters import put_away
from sagastream.deciding import Deciding
from sagastream.errors import CannotApply, Forgotten, Misfit, SagastreamError, ServerUnavailable, Undecodable
from sagastream.event import RetryRequested
from sagastream.ledger import State
from sagastream.masking import masked
from sagastream.participant import Handler, Participant
from sagastream.retries import Retries
from sagastream.retry import Retry
from sagastream.telemetry import Telemetry
from sagastream.together import all_of
from sagastream.tracebacks import line_of
from sagastream.transaction import Outcome, OutcomeKind, Receipt, Transaction
from sagastream.work import Fate, Work

log = structlog.get_logger(__name__)

ROUNDS = 50  # decisions refused by the handler's own guards, before that counts as a failed attempt

Commit = Callable[[Sequence[Transaction]], Awaitable[Receipt]]


class HandlerDisagrees(SagastreamError):
    """A handler's guards keep refusing its decisions, though they are made on fresh reads."""


class HandlerCancelled(SagastreamError):
    """A handler did not catch the cancellation of a task it awaited."""


class HandlerExited(SagastreamError):
    """A handler, or code it calls, raised ``SystemExit``."""


class NeverEnded(SagastreamError):
    """A message was delivered too often without being settled: handling it may end the process."""


class Torn(CannotApply):
    """The server applied only part of a handler's changes; another attempt would apply that part twice."""


class Settling:
    """Settles messages of one participant: gives each its fate."""

    def __init__(
        self,
        participant: Participant,
        deciding: Deciding,
        retries: Retries,
        clock: ServerClock,
        telemetry: Telemetry,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._participant = participant
        self._deciding = deciding
        self._retries = retries
        self._clock = clock
        self._telemetry = telemetry
        self._chance = chance
        self._foreseen: dict[str, int] = {}  # message → attempt noted here in advance, its end not yet noted

    async def foresee(self, work: Work, commit: Commit) -> None:
        """Note an attempt as failed before it is made, because it may end this process.

        No handler runs any more after the last attempt, nor for a retry request, which the coordinator repeats by
        itself.

        Raises: ``ServerUnavailable``.
        """
        name = work.message.name
        if self._foreseen.get(name) == work.earlier:  # noted by this very process: the server failed, not the handler
            work.earlier -= 1
        often = NeverEnded(f"taken up {work.deliveries} times and never settled: handling it may end the process")
        tried = self._participant.undos.get(work.request.step) if work.is_undoing and work.request else work.handler
        if isinstance(work.request, RetryRequested) or self._policy(tried).is_exhausted(work.earlier):
            work.problem, work.tried = often, tried
            work.earlier = max(0, work.earlier - 1)  # the last noted attempt is the one that fails now
            return
        tx = self._deciding.nothing(work)
        handler = tried.name if tried else work.envelope.type
        self._retries.foreseen(
            tx, name, work.earlier + 1, handler=handler, why=_said(often), chance=self._chance()
        )  # fmt: skip
        work.is_foreseen = True
        self._foreseen[name] = work.earlier + 1
        (outcome,) = (await commit([tx])).outcomes
        if not outcome.is_ok:
            log.error("event.stuck", saga_id=work.envelope.saga_id, error=outcome.detail)

    async def round(self, works: Sequence[Work], commit: Commit) -> tuple[list[Work], list[Work]]:
        """Decide and commit once; return the works that have ended, and those to be decided again.

        Raises: ``ServerUnavailable``; whether anything was applied is unknown then, and all works are still pending.
        """
        decisions = await all_of(self.decide(work) for work in works)
        return await self.conclude(list(zip(works, decisions, strict=True)), commit)

    async def conclude(
        self, decided: Sequence[tuple[Work, Transaction | None]], commit: Commit
    ) -> tuple[list[Work], list[Work]]:
        """Commit the decisions; return the works that have ended, and those to be decided again.

        Raises: ``ServerUnavailable``; whether anything was applied is unknown then, and all works are still pending.
        """
        ended = [work for work, tx in decided if tx is None]
        elsewhere = [*ended]
        again: list[Work] = []
        batch = [(work, tx) for work, tx in decided if tx is not None]
        if batch:
            receipt = await commit([tx for _, tx in batch])
            if receipt.now_ms:
                self._clock.observe(receipt.now_ms)
            for (work, tx), outcome in zip(batch, receipt.outcomes, strict=True):
                if outcome.kind is OutcomeKind.REFUSED:
                    work.refused_by = tx.guard(outcome.detail)
                is_over = self._is_over(work, outcome)
                (ended if is_over else again).append(work)
                if is_over and not outcome.is_ok:
                    elsewhere.append(work)
        # A message that failed before needs no retry once its step was decided otherwise, such as by an undo.
        for work in elsewhere:
            if work.is_noted and work.fate is Fate.SETTLED:
                await self._retries.forget([work.message.name], saga_id=work.envelope.saga_id)
        for work in ended:
            self._foreseen.pop(work.message.name, None)
        return ended, again

    async def decide(self, work: Work) -> Transaction | None:
        """Return the transaction to commit for this message, None if none is needed; never raise a handler's error."""
        try:
            if work.problem is not None:
                if work.is_ledger_broken:
                    return self._bury(work, work.problem)
                raise work.problem
            if work.conflicts > ROUNDS:
                often = f"decided {work.conflicts} times, refused each time"
                raise HandlerDisagrees(f"{often}, the last time by {work.refused_by}")
            tx = await self._deciding.decide(work)
        except ServerUnavailable:
            raise
        except Exception as error:  # a handler may raise anything: it is tried again, then buried
            return self._failed(work, error)
        except SystemExit as exit:  # not caught, it would end each process that takes the message
            return self._failed(work, HandlerExited(f"SystemExit: {exit}").with_traceback(exit.__traceback__))
        except asyncio.CancelledError:
            if _is_being_stopped():
                raise
            # A task that the handler awaited was cancelled, not the handler: that must not end this worker.
            return self._failed(work, HandlerCancelled("what it waited for was cancelled"))
        if work.is_noted and work.fate is Fate.SETTLED and tx is not None:
            self._retries.settled(tx, work.message.name)
        return tx

    def _failed(self, work: Work, error: Exception) -> Transaction | None:
        """Note a failed attempt, or make the message a dead letter if it was the last one."""
        work.has_failed = True
        tried = work.tried or work.handler
        about = {"saga_id": work.envelope.saga_id, "type": work.envelope.type, "attempt": work.attempts}
        if tried is not None and (tried is work.tried or work.request is None):  # else there may be none to name
            about |= {"handler": f"{self._participant.name}.{tried.name}", "at": line_of(tried.function, error)}
        if isinstance(work.request, RetryRequested):
            log.warning("retry.failed", **about, error=_said(error))
            work.fate = Fate.SETTLED  # the coordinator requests it again, at its own pace
            return None
        policy = self._policy(tried)
        is_hopeless = isinstance(error, Undecodable | Torn) and not isinstance(error, Misfit)
        if is_hopeless or policy.is_exhausted(work.attempts):
            log.error("event.buried", **about, error=_said(error))
            return self._bury(work, error)
        log.warning("event.failed", **about, error=_said(error))
        work.fate = Fate.WAITS
        tx = self._deciding.nothing(work)
        wait = policy.wait(work.attempts, self._chance())
        handler = tried.name if tried else work.envelope.type
        self._retries.failed(tx, work.message.name, work.attempts, wait, handler=handler, why=_said(error)[:500])
        return tx

    def _policy(self, handler: Handler | None) -> Retry:
        return handler.retry if handler else self._participant.retry

    def _bury(self, work: Work, error: Exception) -> Transaction:
        work.fate = Fate.BURIED
        why = _said(error)
        if work.handler is None and work.request is None:
            tx = self._deciding.nothing(work)  # only another release knows which step this is
        elif isinstance(error, Forgotten):
            tx = self._deciding.lost(work, why)
        else:
            tx = self._deciding.give_up(work, why)
        put_away(tx, work.message, reason=why, attempts=work.attempts)
        self._retries.settled(tx, work.message.name)
        return tx

    def _is_over(self, work: Work, outcome: Outcome) -> bool:
        if outcome.is_ok:
            self._count(work)
            if work.fate is Fate.GOES_ON and work.request is None:
                work.known = State.BEGUN
            return work.fate is not Fate.GOES_ON
        match outcome.kind:
            case OutcomeKind.IS:
                return self._was_decided(work, outcome)
            case OutcomeKind.REFUSED:
                self._telemetry.conflict()
                work.conflicts += 1
            case _ if work.fate is Fate.BURIED and not work.is_ledger_broken:
                work.is_ledger_broken = True
            case _ if work.fate in (Fate.WAITS, Fate.BURIED):
                log.error("event.stuck", saga_id=work.envelope.saga_id, error=outcome.detail)
                self._retries.leave(work.message.name)
                work.fate = Fate.WAITS
                return True
            case _:
                kind = Torn if outcome.kind is OutcomeKind.TORN else CannotApply
                work.problem = kind(f"{outcome.kind}: {outcome.detail}")
        return False

    def _was_decided(self, work: Work, outcome: Outcome) -> bool:
        """Note the state found in the ledger in place of the expected one; tell whether that settles the message."""
        work.known = outcome.state
        if work.request is None and work.known.is_outcome:
            self._telemetry.duplicate()
            work.fate = Fate.SETTLED
            return True
        self._telemetry.conflict()
        return False

    def _count(self, work: Work) -> None:
        if work.fate is Fate.SETTLED:
            self._telemetry.event_handled(work.envelope.type, work.took_s)
        elif work.fate is Fate.BURIED:
            self._telemetry.buried()
        elif work.fate is Fate.WAITS:
            self._telemetry.retried()


def _is_being_stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _said(error: Exception) -> str:
    # An error may contain any text, and the result is published.
    name, text = type(error).__name__, _misfits(error) if isinstance(error, ValidationError) else str(error)
    return masked((f"{name}: {text}" if text else name).encode("utf-8", "replace").decode())


def _misfits(error: ValidationError) -> str:
    """Return, in one line, what does not fit, without the values, which may be personal data."""
    wrong = error.errors(include_input=False, include_url=False)
    told = ((".".join(map(str, one["loc"])), one["msg"]) for one in wrong)
    return f"{error.title} " + "; ".join(f"{where}: {what}" if where else what for where, what in told)
