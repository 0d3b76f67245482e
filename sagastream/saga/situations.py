"""Every situation of a saga, each reached by the shortest story that leads there. Pure; for the reference and tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sagastream.event import Event, LedgerLost, StepBarred, StepGaveUp
from sagastream.saga.advance import Advance, advance, tick
from sagastream.saga.attention import Effect
from sagastream.saga.definition import BEGINNING, Saga, Step
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Fact, Happening, Kind, Progress
from sagastream.saga.repair import Act, Action, Verdict, repair

_START_MS = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that may be reported about a saga: an event, or that its time has run out (``TIME``).

    ``is_general`` means that an event of this type may concern any step.
    """

    name: str
    step: str
    kind: Kind
    is_general: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.step})" if self.is_general else self.name

    def happening(self, at_ms: int) -> Happening:
        """Return the occurrence as it would reach the coordinator; repeated, it is the same event."""
        return Happening(self.step, self.kind, Fact(at_ms, f"{self.step}-{self.kind}".replace(" ", "-"), "…"))


TIME = Occurrence("its time runs out", "", Kind.OVERDUE)


@dataclass(frozen=True, slots=True)
class Situation:
    """The state of a saga after a story; ``timer_ms`` is when the coordinator looks at it again."""

    title: str
    story: tuple[Occurrence, ...]
    progress: Progress
    status: Status | None
    now_ms: int
    timer_ms: int | None

    def then(self, saga: Saga, occurrence: Occurrence) -> Advance | None:
        """Return what one more occurrence leads to; None for ``TIME`` if nothing is waited for any more."""
        if occurrence == TIME:
            return None if self.timer_ms is None else tick(saga, self.progress, now_ms=self.timer_ms)
        return advance(saga, self.progress, [occurrence.happening(self.now_ms)], now_ms=self.now_ms)

    def if_asked(self, saga: Saga, action: Action) -> Verdict:
        """Return what a person's action leads to."""
        return repair(saga, self.progress, action, id=f"{action.act}-{action.step}", now_ms=self.now_ms)

    def after(self, turn: Advance, what: Occurrence | Action) -> Situation:
        """Return the situation after an occurrence or action that led to this turn."""
        now_ms = self.timer_ms if what == TIME and self.timer_ms is not None else self.now_ms
        story = (*self.story, what) if isinstance(what, Occurrence) else self.story
        return Situation(self.title, story, turn.progress, turn.status, now_ms, turn.timer_ms)


def occurrences(saga: Saga) -> Iterator[Occurrence]:
    """Yield everything that may be reported about a saga of this table."""
    yield Occurrence(saga.begins_with.type_name(), BEGINNING, Kind.DONE)
    yield from _about(BEGINNING, (saga.cancelled_by, Kind.UNDONE), (saga.cancellation, Kind.CANCELLED))
    for step in saga.steps:
        yield _done(step)
        yield from _about(step.name, (step.refused, Kind.REFUSED), (step.undone, Kind.UNDONE))
        yield _general(StepGaveUp.type_name(), step.name, Kind.GAVE_UP)
    for name in _askable(saga):
        for kind in _ANSWERS:
            undoing = ", undoing" if kind is Kind.UNDO_GAVE_UP else ""
            yield _general(f"{_ANSWERS[kind].type_name()}{undoing}", name, kind)
    yield Occurrence("an event nobody can read", BEGINNING, Kind.POISONED)
    yield TIME


def actions(saga: Saga) -> Iterator[Action]:
    """Yield everything a person may want to do about a saga of this table."""
    for act in Act:
        if act is not Act.RESOLVE:
            yield Action(act, "a person", "…")
    for name in saga.names:
        yield from (Action(Act.RESOLVE, "a person", "…", name, effect, "…") for effect in Effect)


def situations(saga: Saga) -> Iterator[Situation]:
    """Yield the situations of a saga of this table, from nothing known to every end, without repetition."""
    seen: set[str] = set()
    for title, story in _stories(saga):
        situation = _told(saga, title, story)
        known = repr((situation.progress.facts, situation.progress.asks))
        if known not in seen:
            seen.add(known)
            yield situation


def _told(saga: Saga, title: str, story: Sequence[Occurrence]) -> Situation:
    """Return the situation after a story, whose occurrences are simultaneous unless time runs out between them."""
    now = Situation(title, (), Progress("saga", saga.name, saga.version), None, _START_MS, None)
    for occurrence in story:
        turn = now.then(saga, occurrence)
        if turn is not None:
            now = now.after(turn, occurrence)
    return now


_Story = tuple[Occurrence, ...]
_Stories = Iterator[tuple[str, _Story]]
_Told = dict[tuple[str, Kind], Occurrence]
_ANSWERS: dict[Kind, type[Event]] = {Kind.BARRED: StepBarred, Kind.UNDO_GAVE_UP: StepGaveUp, Kind.LOST: LedgerLost}


def _about(name: str, *kinds: tuple[type[Event] | None, Kind]) -> Iterator[Occurrence]:
    return (Occurrence(event.type_name(), name, kind) for event, kind in kinds if event is not None)


def _done(step: Step) -> Occurrence:
    return Occurrence(step.done.type_name(), step.name, Kind.DONE)


def _general(event: str, step: str, kind: Kind) -> Occurrence:
    return Occurrence(event, step, kind, is_general=True)


def _askable(saga: Saga) -> list[str]:
    """Return the steps that may be asked to undo or bar."""
    upto = saga.steps if saga.pivot_at is None else saga.steps[: saga.pivot_at + 1]
    return [*([BEGINNING] if saga.cancelled_by is not None else []), *(step.name for step in upto)]


def _stories(saga: Saga) -> _Stories:
    told = {(one.step, one.kind): one for one in occurrences(saga)}
    forward = tuple(told[name, Kind.DONE] for name in saga.names)
    yield "nothing is known", ()
    yield "an event came before its beginning", forward[1:2]
    yield "its beginning was never seen", (forward[1], TIME)
    yield "it has begun", forward[:1]
    for at, step in enumerate(saga.steps):
        yield f"{step.name} is done", forward[: at + 2]
    if (saga.steps[0].name, Kind.UNDONE) in told:
        undone = told[saga.steps[0].name, Kind.UNDONE]
        yield f"every step is done, and {undone.step} is undone", (*forward, undone)
    yield "an event of it cannot be read", (forward[0], told[BEGINNING, Kind.POISONED])
    yield from _refused(saga, told, forward)
    doubts = list(_doubts(saga, told, forward))
    yield from doubts
    if saga.pivot is not None:
        yield from _judged(told, saga.pivot, *doubts[0])
    for title, doubt in dict.fromkeys((doubts[0], doubts[-1])):
        yield from _turned_back(saga, told, title, doubt)
    yield from _after_pivot(saga, told, forward)
    yield "a person closed it", (forward[0], Occurrence(Act.ABORT, BEGINNING, Kind.ABORTED))


def _refused(saga: Saga, told: _Told, forward: _Story) -> _Stories:
    """Yield each refusal before or at the pivot, and the end of the saga after the first of them."""
    ends = False
    for at, step in enumerate(saga.steps):
        if step.refused is not None and not saga.is_after_pivot(at):
            story = (*forward[: at + 1], told[step.name, Kind.REFUSED])
            yield f"{step.name} is refused", story
            if not ends:
                undone = [told.get((name, Kind.UNDONE)) for name in reversed(_askable(saga)[: at + 1])]
                yield f"{step.name} is refused, and that closed", (*story, *(one for one in undone if one is not None))
            ends = True


def _doubts(saga: Saga, told: _Told, forward: _Story) -> _Stories:
    """Yield the ways in which it may become uncertain how far a saga came; the last has the most steps done."""
    upto = len(saga.steps) if saga.pivot_at is None else saga.pivot_at + 1
    first, last = saga.steps[0].name, saga.steps[upto - 1].name
    yield f"{first} is overdue", (forward[0], TIME)
    yield f"{first} gave up", (forward[0], told[first, Kind.GAVE_UP])
    if (BEGINNING, Kind.CANCELLED) in told:
        yield "it is cancelled", (forward[0], told[BEGINNING, Kind.CANCELLED])
    if upto > 1:
        yield f"{last} is overdue", (*forward[:upto], TIME)


def _judged(told: _Told, judge: str, title: str, doubt: _Story) -> _Stories:
    """Yield the possible answers of the pivot's participant."""
    yield f"{title}, the bar of {judge} gave up", (*doubt, told[judge, Kind.UNDO_GAVE_UP])
    yield f"{title}, the ledger of {judge} was lost", (*doubt, told[judge, Kind.LOST])
    yield f"{title}, but {judge} is done", (*doubt, told[judge, Kind.DONE])
    yield f"{judge} is both barred and done", (*doubt, told[judge, Kind.BARRED], told[judge, Kind.DONE])


def _turned_back(saga: Saga, told: _Told, title: str, doubt: _Story) -> _Stories:
    """Yield each stage from a doubt to the end of compensation, and every place where compensation may be stuck."""
    if saga.pivot is not None:
        doubt, title = (*doubt, told[saga.pivot, Kind.BARRED]), f"{title}, {saga.pivot} is barred"
        yield title, doubt
    known = {one.step for one in doubt if one.kind is Kind.DONE}
    steps = [name for name in reversed(_askable(saga)) if (name, Kind.UNDONE) in told]
    settled = doubt
    for at, name in enumerate(steps):
        if name in known:
            rest = tuple(told[older, Kind.UNDONE] for older in steps[at + 1 :])
            for kind, what in (
                (Kind.UNDO_GAVE_UP, f"the undo of {name} gave up"),
                (Kind.LOST, f"{name} was forgotten"),
            ):
                yield f"{title}, {what}", (*settled, told[name, kind])
                yield f"{title}, {what}, all older ones are undone", (*settled, told[name, kind], *rest)
        settled = (*settled, told[name, Kind.UNDONE if name in known else Kind.BARRED])
        yield f"{title}, {', '.join(steps[: at + 1])} {settled[-1].kind}", settled


def _after_pivot(saga: Saga, told: _Told, forward: _Story) -> _Stories:
    for at, step in enumerate(saga.steps):
        if saga.is_after_pivot(at):
            for kind in (Kind.GAVE_UP, Kind.REFUSED):
                if (step.name, kind) in told:
                    yield f"{step.name}, after the pivot, {kind}", (*forward[: at + 1], told[step.name, kind])
            yield f"{step.name}, after the pivot, is overdue", (*forward[: at + 1], TIME)
        elif at < (saga.pivot_at or 0):
            rest = (one for one in forward if one.step != step.name)
            yield f"the pivot is done, {step.name} was not heard of in time", (*rest, TIME)
