"""What is really so, beside what the coordinator knows: the ledgers and effects of one saga's participants.

A model of DESIGN 5 in plain values: what each ledger answers in each state, which effects exist, which events were
published and which requests made. The engine under test is the real one; everything may come late, again, or never.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sagastream.ledger import State
from sagastream.saga import lifecycle
from sagastream.saga.advance import Advance, advance, tick
from sagastream.saga.attention import Effect, open_items
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Fact, Happening, Kind, Progress, Request
from sagastream.saga.repair import Act, Action, repair
from tests.unit.saga.tables import T0

TOLD = {State.DONE: Kind.DONE, State.REFUSED: Kind.REFUSED, State.UNDONE: Kind.UNDONE, State.BARRED: Kind.BARRED}
ONLY_AFTER = (Kind.DONE, Kind.REFUSED, Kind.UNDONE)  # each proves that the step before was done
OPEN = frozenset({State.UNKNOWN, State.BEGUN, State.GAVE_UP})


@dataclass(frozen=True, slots=True)
class Asking:
    """A request on its way, with the proof it carries."""

    step: str
    request: Request
    seen: str | None


@dataclass
class Ledger:
    """One participant's entry about one step, and whether the step has an effect in the world.

    A call to the outside that was begun may land at any time, unless its key is closed.
    """

    state: State = State.UNKNOWN
    has_effect: bool = False
    is_closed: bool = False
    was_done: bool = False
    is_lost: bool = False


@dataclass
class World:
    """One saga, its ledgers and its record. Every method is one atomic commit of somebody."""

    saga: Saga
    outside: frozenset[str] = frozenset()
    now_ms: int = T0
    published: list[Happening] = field(default_factory=list)
    unread: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    requests: list[Asking] = field(default_factory=list)
    turns: list[Advance] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = [BEGINNING, *(step.name for step in self.saga.steps)]
        self.ledgers = {name: Ledger() for name in self.names}
        self.progress = Progress("saga-1", self.saga.name, self.saga.version)
        self._become(BEGINNING, State.DONE)

    # --- the participants

    def can_perform(self, name: str) -> bool:
        """Tell whether a message that triggers this step may arrive: the step before it was done once."""
        before = self.names[self.names.index(name) - 1]
        return name != BEGINNING and self.ledgers[before].was_done and not self.ledgers[name].is_lost

    def perform(self, name: str, outcome: State) -> None:
        """Let a participant handle a step's triggering event; what its ledger knows already is not done again."""
        ledger = self.ledgers[name]
        if ledger.state not in OPEN:
            return
        if outcome is State.GAVE_UP:
            self._gave_up(name, undoing=False)
        elif outcome is State.BEGUN:
            ledger.state = State.BEGUN
        elif outcome is State.DONE and not (ledger.is_closed and not ledger.has_effect):
            self._become(name, State.DONE)
        elif outcome is State.REFUSED and not ledger.has_effect:
            ledger.is_closed = True
            self._become(name, State.REFUSED)

    def may_still_happen(self, name: str) -> bool:
        """Tell whether a message under way could still make a step take effect."""
        at = self.names.index(name)
        if self.ledgers[name].state not in OPEN or self.ledgers[name].is_lost:
            return False
        return self.can_perform(name) or (at > 1 and self.may_still_happen(self.names[at - 1]))

    def land(self, name: str) -> None:
        """Let a call of a begun step take effect outside, whoever made it and whether he still lives."""
        ledger = self.ledgers[name]
        if name in self.outside and ledger.state in (State.BEGUN, State.GAVE_UP) and not ledger.is_closed:
            ledger.has_effect = True

    def serve(self, asking: Asking, *, fails: bool = False) -> None:
        """Let a participant answer a request, for the first time or again."""
        ledger, name = self.ledgers[asking.step], asking.step
        if asking.request is Request.RETRY:
            if ledger.state in (State.GAVE_UP, State.BEGUN) and not fails:
                self.perform(name, State.DONE)
            elif ledger.state not in OPEN:
                self._tell(name, TOLD[ledger.state])
        elif ledger.state is State.UNKNOWN and asking.seen is not None:
            self._tell(name, Kind.LOST)
        elif ledger.state is State.REFUSED:
            self._tell(name, Kind.BARRED)
        elif fails and (ledger.state in OPEN or asking.request is Request.UNDO) and ledger.state is not State.BARRED:
            self._gave_up(name, undoing=True)
        elif ledger.state in OPEN:
            ledger.is_closed = True
            is_done_outside = ledger.has_effect and ledger.state is not State.UNKNOWN
            self._become(name, State.DONE if is_done_outside else State.BARRED)
            if asking.request is Request.UNDO and ledger.state is State.DONE:
                self._become(name, State.UNDONE)
        elif ledger.state is State.DONE and asking.request is Request.UNDO:
            self._become(name, State.UNDONE)
        else:
            self._tell(name, TOLD[ledger.state])

    def cancel(self) -> None:
        """Ask for the saga to be turned back; who begins it and judges it bars the pivot in the same commit."""
        if self.saga.cancellation is None:
            return
        if self.saga.pivot_at is not None and self.saga.steps[self.saga.pivot_at].by == self.saga.begun_by:
            pivot = self.saga.steps[self.saga.pivot_at].name
            judge = self.ledgers[pivot]
            if judge.state not in (State.UNKNOWN, State.GAVE_UP) or judge.is_lost or pivot in self.outside:
                return
            self._become(pivot, State.BARRED)
        self._publish(BEGINNING, Kind.CANCELLED)

    def can_lose(self, name: str) -> bool:
        """Tell whether a ledger may forget a step: only what the record can prove to have happened can be missed."""
        if name == BEGINNING or self.ledgers[name].state is not State.DONE:
            return False
        later = self.names[self.names.index(name) + 1 :]
        return self.progress.has(name, Kind.DONE) or any(self.progress.has(step, *ONLY_AFTER) for step in later)

    def lose(self, name: str) -> None:
        """Let a ledger forget a step whose effect is still there."""
        self.ledgers[name].state = State.UNKNOWN
        self.ledgers[name].is_lost = True

    def poison(self) -> None:
        """Let something arrive under this saga's name that nobody can read."""
        self._publish(BEGINNING, Kind.POISONED)

    def drop(self, at: int) -> None:
        """Let an event be lost before a coordinator reads it, though others may have; it can only be told again."""
        if at in self.unread:
            self.unread.discard(at)
            self.dropped.add(at)

    # --- the coordinators

    def read(self, which: Iterable[int]) -> Advance | None:
        """Let a coordinator fold some of what was published into the record, for the first time or again."""
        picked = [at for at in which if at < len(self.published) and at not in self.dropped]
        if not picked:
            return None
        self.unread -= set(picked)
        return self._took(advance(self.saga, self.progress, [self.published[at] for at in picked], now_ms=self.now_ms))

    def mark(self) -> int:
        """Return the instant up to which all that was published is read and stored."""
        return min((self.published[at].fact.at_ms - 1 for at in self.unread), default=self.now_ms)

    def sweep(self, read_ms: int) -> Advance | None:
        """Let a coordinator look whether time ran out, by what it knew to be read some time ago."""
        timer_ms = self.turns[-1].timer_ms if self.turns else None
        if timer_ms is None or timer_ms > read_ms:
            return None
        return self._took(tick(self.saga, self.progress, now_ms=read_ms))

    # --- a person

    def act(self, act: Act) -> Advance | None:
        """Let a person act on the saga, as far as it may be done."""
        if not self.turns:
            return None
        return self._acted(Action(act, "ann", "so it shall be"))

    def resolve(self) -> Advance | None:
        """Let a person see to a step that is open, and state of it what is so then."""
        for item in open_items(self.saga, self.progress):
            ledger = self.ledgers[item.step]
            if Effect.DONE in item.effects and ledger.was_done and ledger.has_effect:
                return self._acted(Action(Act.RESOLVE, "ann", "seen", item.step, Effect.DONE, "its books"))
            if item.effects == (Effect.DONE,) and ledger.state is State.REFUSED:
                ledger.has_effect = True
                return self._acted(Action(Act.RESOLVE, "ann", "done by hand", item.step, Effect.DONE, "its books"))
            if Effect.UNDONE in item.effects and ledger.is_lost:
                ledger.has_effect = False
                return self._acted(Action(Act.RESOLVE, "ann", "undone by hand", item.step, Effect.UNDONE, "its books"))
        return None

    def _acted(self, action: Action) -> Advance | None:
        verdict = repair(self.saga, self.progress, action, id=f"act-{len(self.turns)}", now_ms=self.now_ms)
        return self._took(verdict.turn) if verdict.turn is not None else None

    # --- inside

    def _took(self, turn: Advance) -> Advance:
        self.progress = turn.progress
        self.turns.append(turn)
        for ask in turn.asks:
            self.requests.append(Asking(ask.step, ask.request, lifecycle.proof(self.saga, turn.progress, ask.step)))
        return turn

    def _become(self, name: str, state: State) -> None:
        ledger = self.ledgers[name]
        ledger.state = state
        # What a ledger has forgotten it neither undoes nor knows to be there.
        ledger.has_effect = state is State.DONE or (ledger.is_lost and ledger.has_effect)
        ledger.was_done = ledger.was_done or state is State.DONE
        ledger.is_closed = ledger.is_closed or state is not State.DONE
        self._tell(name, TOLD[state])

    def _gave_up(self, name: str, *, undoing: bool) -> None:
        if not undoing:
            self.ledgers[name].state = State.GAVE_UP
        self._publish(name, Kind.UNDO_GAVE_UP if undoing else Kind.GAVE_UP)

    def _tell(self, name: str, kind: Kind) -> None:
        """Publish an outcome; told again, it is the same event at its first instant."""
        first = next((h for h in self.published if (h.step, h.kind) == (name, kind)), None)
        if first is not None:
            self.unread.add(len(self.published))
            self.published.append(first)
        else:
            self._publish(name, kind)

    def _publish(self, name: str, kind: Kind) -> None:
        self.now_ms += 1
        fact = Fact(self.now_ms, f"{name}-{kind}-{len(self.published)}".replace(" ", "-"), f"because {kind}")
        self.unread.add(len(self.published))
        self.published.append(Happening(name, kind, fact))
