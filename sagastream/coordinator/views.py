"""The views of sagas. Pure: a record in, an answer out. **Source**: CONTRACT A, "State of a saga"."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from sagastream.answers import Answer, Moment, instant, moment
from sagastream.coordinator import examples
from sagastream.coordinator.failing import Failing
from sagastream.coordinator.listing import Page, Stored
from sagastream.coordinator.records import read_json
from sagastream.masking import legible
from sagastream.saga import lifecycle, standing, waiting
from sagastream.saga.attention import Effect, Open, left_open, open_items
from sagastream.saga.definition import Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.outlook import next_turn
from sagastream.saga.progress import Progress
from sagastream.saga.standing import StepStatus, UndoStatus


class WaitView(Answer):
    """Whom a saga waits for. At ``until`` the coordinator does ``next``; null: only a person can help.

    In lists ``next`` is null: ask for the saga itself. If ``asked`` is above one, an answer has not come in time.
    """

    who: str
    step: str | None
    what: str
    why: str
    since: Moment
    until: Moment | None
    asked: int = Field(0, description="how often the coordinator has asked for it")
    next: str | None = Field(description="what is done at `until` if nothing is heard by then, in words for people")


class StepView(Answer):
    """One step. ``startedAt`` is when the step before it was done; ``eventIds`` are by kind of fact."""

    name: str
    service: str
    status: StepStatus
    started_at: Moment | None
    ended_at: Moment | None
    duration_ms: int | None
    event_ids: dict[str, str]
    error: str | None
    undo_status: UndoStatus | None


class NoteView(Answer):
    """One line of a saga's history."""

    at: Moment
    type: str
    source: str
    id: str
    cause: str | None = None
    step: str | None = None
    kind: str | None = None
    reason: str | None = None
    actor: str | None = None


class OpenView(Answer):
    """One thing that keeps a saga from ending by itself.

    ``answer`` is the event by which ``service`` would close it; the service is asked again at ``again``. Both are null
    if nobody is asked. ``stateable`` is what an operator may state about the step, with evidence, to close it.
    """

    step: str
    service: str
    problem: str
    since: Moment
    answer: str | None
    again: Moment | None
    stateable: list[Effect]
    closed_by: list[str] = Field(description="what would close it, in words for people")


class FailingView(Answer):
    """A handler that failed for this saga and is retried at ``again``, or is being retried right now."""

    service: str
    handler: str
    failed: int = Field(description="how many times so far")
    reason: str = Field(description="of the last time")
    again: Moment


class SagaView(Answer):
    """A saga at a glance. ``failedAt`` is when it ended in any status but completed."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SAGA]})

    saga_id: str
    business_process: str
    version: int
    initiator_id: str | None
    status: Status
    started_at: Moment | None
    completed_at: Moment | None
    failed_at: Moment | None
    duration_ms: int | None
    failure_reason: str | None
    remaining_steps: list[str]
    waiting_for: WaitView | None


class StateView(SagaView):
    """A saga with every step and its whole history.

    ``failing`` lists what failed and is retried; ``open`` what keeps a saga that needs attention from ending;
    ``leftOpen`` how an aborted saga left its steps.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.STATE]})

    failing: list[FailingView]
    open: list[OpenView]
    left_open: list[str]
    steps: list[StepView]
    history: list[NoteView]


class PageView(Answer):
    """Sagas, newest first; ``next`` is the cursor of the next page. A page may be short although more follow."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.PAGE]})

    sagas: list[SagaView]
    next: str | None = Field(description="the cursor of what follows; null at the end")


def page(found: Page, table: Callable[[Progress], Saga | None]) -> PageView:
    """Return a page; ``table`` returns the table a saga began with, None if it is unknown here."""
    return PageView(
        sagas=[glance(stored, table(stored.record.progress), is_one_of_many=True) for stored in found.sagas],
        next=found.next.cursor() if found.next is not None else None,
    )


def glance(stored: Stored, saga: Saga | None, *, is_one_of_many: bool = False) -> SagaView:
    """Return a saga at a glance; ``saga`` is None if its table is unknown here.

    With ``is_one_of_many`` the view lacks ``next``, which takes a turn of the engine for each saga.
    """
    progress, status = stored.record.progress, Status(stored.record.status)
    began, ended = progress.began_ms, stored.ended_ms if status.is_end else None
    return SagaView(
        saga_id=progress.saga_id,
        business_process=progress.definition,
        version=progress.version,
        initiator_id=legible(progress.initiator) or None,
        status=status,
        started_at=moment(began),
        completed_at=moment(ended) if status is Status.COMPLETED else None,
        failed_at=moment(ended) if status is not Status.COMPLETED else None,
        duration_ms=ended - began if ended is not None and began is not None else None,
        failure_reason=_failure(stored, saga),
        remaining_steps=standing.remaining(saga, progress) if saga and not status.is_end else [],
        waiting_for=_waiting(stored, saga, is_one_of_many) if not status.is_end else None,
    )


def state(stored: Stored, saga: Saga | None, history: Iterable[str], failing: Iterable[Failing] = ()) -> StateView:
    """Return everything about a saga."""
    progress = stored.record.progress
    return StateView(
        **dict(glance(stored, saga)),
        failing=[_failing(one) for one in failing],
        open=[_open(item) for item in open_items(saga, progress)] if saga else [],
        left_open=list(left_open(saga, progress)) if saga and stored.record.status == Status.ABORTED else [],
        steps=[_step(one) for one in standing.standings(saga, stored.record.progress)] if saga else [],
        history=sorted((_note(read_json(note)) for note in history), key=lambda note: note.at),
    )


def _failing(one: Failing) -> FailingView:
    return FailingView(
        service=one.participant,
        handler=one.handler,
        failed=one.failed,
        reason=legible(one.reason),
        again=instant(one.again_ms),
    )


def _failure(stored: Stored, saga: Saga | None) -> str | None:
    if saga is None or stored.record.status == Status.COMPLETED:
        return None
    return lifecycle.reason(saga, stored.record.progress) or None


def _waiting(stored: Stored, saga: Saga | None, is_one_of_many: bool) -> WaitView:
    progress = stored.record.progress
    if saga is None:
        table = f"{progress.definition!r} version {progress.version}"
        return WaitView(
            who="coordinator", step=None, what=f"a coordinator that knows table {table}",
            why="this one does not", since=instant(progress.last_ms), until=None,
            next="nothing here: a person must start one that knows it",
        )  # fmt: skip
    wait = waiting.held_by(saga, progress)
    ask = progress.asks.get(wait.step)
    return WaitView(
        who=wait.who, step=wait.step or None, what=wait.what, why=wait.why,
        since=instant(wait.since_ms), until=moment(wait.until_ms), asked=ask.times if ask is not None else 0,
        next=None if is_one_of_many else next_turn(saga, progress, wait),
    )  # fmt: skip


def _open(item: Open) -> OpenView:
    closed_by = [f"{item.answer} from {item.service}"] if item.answer is not None else []
    closed_by += ["retry: it is asked again at once"] if item.again_ms is not None else []
    closed_by += [f"resolve: evidence that it is {effect}" for effect in item.effects]
    return OpenView(
        step=item.step, service=item.service, problem=item.problem, since=instant(item.since_ms), answer=item.answer,
        again=moment(item.again_ms), stateable=list(item.effects), closed_by=[*closed_by, "abort: it is left as it is"],
    )  # fmt: skip


def _step(one: standing.Standing) -> StepView:
    is_timed = one.started_ms is not None and one.ended_ms is not None
    return StepView(
        name=one.name,
        service=one.service,
        status=one.status,
        started_at=moment(one.started_ms),
        ended_at=moment(one.ended_ms),
        duration_ms=max(0, (one.ended_ms or 0) - (one.started_ms or 0)) if is_timed else None,
        event_ids={_camel(kind): event_id for kind, event_id in one.event_ids.items()},
        error=one.error,
        undo_status=one.undo,
    )


def _note(told: dict[str, str | int]) -> NoteView:
    rest = {name: legible(str(value)) for name, value in told.items() if name != "at"}
    return NoteView(
        at=instant(int(told["at"])), type=rest.get("type", ""), source=rest.get("source", ""), id=rest.get("id", ""),
        cause=rest.get("cause"), step=rest.get("step"), kind=rest.get("kind"), reason=rest.get("reason"),
        actor=rest.get("actor"),
    )  # fmt: skip


def _camel(words: str) -> str:
    return to_camel(words.replace(" ", "_"))
