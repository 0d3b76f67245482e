"""What may happen in the true world, each move picked by plain numbers: by Hypothesis, or by a seed.

After every move the record is held to the truth.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from sagastream.ledger import State
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Kind, Request
from sagastream.saga.repair import Act
from tests.unit.saga.calm import settle
from tests.unit.saga.lies import lies, story, wrong_asks
from tests.unit.saga.random_sagas import a_saga
from tests.unit.saga.tables import ORDER, PIVOTLESS
from tests.unit.saga.true_world import World

OUTCOMES = (State.DONE, State.REFUSED, State.GAVE_UP, State.BEGUN)
BEGINNINGS = ("on", "unheard", "in doubt", "back")
READINGS = ("all", "some", "again")
PAUSES_S = (0, 1, 31, 400, 4000)
TROUBLES = ("cancel", "land", "lose", "drop", "forget", "poison", "compensate", "retry", "resolve", "abort")
_TABLES = ((ORDER, frozenset({"charge"})), (PIVOTLESS, frozenset({"charge"})))


def table(which: int) -> tuple[Saga, frozenset[str]]:
    """Return one of endless tables, the known ones first."""
    return _TABLES[which] if which < len(_TABLES) else a_saga(random.Random(which))


class Played:
    """One saga in the true world, two coordinators, and the moves."""

    def __init__(self, which: int, upto: int, way: str) -> None:
        self.world = world = World(*table(which))
        self._marks = [0, 0]
        self._looked_at = 0
        self._ended: Status | None = None
        for name in world.names[1 : 1 + upto % len(world.saga.steps)]:
            world.perform(name, State.DONE)
        if way == "unheard":
            return
        world.read(sorted(world.unread))
        if way != "on" and (timer_ms := world.turns[-1].timer_ms) is not None:
            world.now_ms = timer_ms
            world.sweep(world.mark())
        if way == "back" and world.requests and world.requests[-1].request is Request.BAR:
            world.serve(world.requests[-1])
            world.read(sorted(world.unread))

    def handle(self, which: int, wanted: State) -> None:
        """Let a participant handle an event, one that comes again included."""
        world = self.world
        ready = [name for name in world.names if world.can_perform(name)]
        if ready:
            name = ready[-1 - which % len(ready)]
            step = world.saga.steps[world.names.index(name) - 1]
            if wanted is State.REFUSED and step.refused is None:
                wanted = State.DONE
            if wanted is State.BEGUN and name not in world.outside:
                wanted = State.GAVE_UP
            world.perform(name, wanted)

    def answer(self, back: int, *, fails: bool) -> None:
        """Let a participant answer one of the latest requests, for the first time or again."""
        if self.world.requests:
            self.world.serve(self.world.requests[-1 - back % len(self.world.requests)], fails=fails)

    def read(self, what: str, which: Sequence[int]) -> None:
        """Let a coordinator read all that is new, some of it in any order, or something again."""
        unread = sorted(self.world.unread)
        if what == "all":
            self.world.read(unread)
        elif what == "some" and unread:
            self.world.read([unread[at % len(unread)] for at in which])
        else:
            self.world.read(which)

    def wait(self, seconds: int, who: int) -> None:
        """Let time pass and a coordinator sweep; two remember how far all was read when they looked last."""
        self.world.now_ms += seconds * 1000
        self.world.sweep(self._marks[who] if who < len(self._marks) else self.world.mark())
        self._marks[who % len(self._marks)] = self.world.mark()

    def trouble(self, what: str, which: int) -> None:
        """Let something go wrong."""
        world, name = self.world, self.world.names[which % len(self.world.names)]
        if what == "cancel":
            world.cancel()
        elif what == "land":
            world.land(name)
        elif what == "lose" and world.can_lose(name):
            world.lose(name)
        elif what == "drop" and world.unread:
            world.drop(sorted(world.unread)[which % len(world.unread)])
        elif what == "forget" and world.requests:
            world.requests.pop(which % len(world.requests))
        elif what == "poison":
            world.poison()
        elif what == "resolve":
            world.resolve()
        elif what in tuple(Act):
            world.act(Act(what))

    def move(self, chance: random.Random) -> None:
        """Make one move, as a seed wants it."""
        which = chance.randrange(31)
        match chance.choice(("handle", "handle", "answer", "answer", "read", "read", "wait", "trouble")):
            case "handle":
                self.handle(which, chance.choice((State.DONE, *OUTCOMES)))
            case "answer":
                self.answer(which % 4, fails=chance.random() < 0.3)
            case "read":
                self.read(chance.choice(READINGS), [chance.randrange(31) for _ in range(chance.randint(1, 3))])
            case "wait":
                self.wait(chance.choice(PAUSES_S), which % 4)
            case _:
                self.trouble(chance.choice(("lose", "lose", "drop", "drop", *TROUBLES)), which)

    def look(self) -> None:
        """Compare what the record says, and what was asked since the last look, with the world."""
        told = list(lies(self.world, self._ended))
        assert not told, f"{told}\n{story(self.world.turns)}"
        if self._ended is None and self.world.turns and self.world.turns[-1].status.is_end:
            self._ended = self.world.turns[-1].status
        for turn in self.world.turns[self._looked_at :]:
            wrong = list(wrong_asks(self.world, turn))
            assert not wrong, f"{wrong}\n{story(self.world.turns)}"
        self._looked_at = len(self.world.turns)

    def end(self) -> None:
        """Let all come back: the saga ends, or says that it needs a person; what comes afterwards changes nothing."""
        world = self.world
        settle(world)
        self.look()
        if not world.turns:
            return
        status = world.turns[-1].status
        assert status.is_end or (status is Status.NEEDS_ATTENTION and self._needs_a_person()), story(world.turns)
        for asking in world.requests:
            world.serve(asking)
        for name in world.names[1:]:
            if world.can_perform(name):
                world.perform(name, State.DONE)
            world.land(name)
        world.cancel()
        world.read(range(len(world.published)))
        self.look()

    def _needs_a_person(self) -> bool:
        """Tell whether it cannot come right by itself: a forgotten step, a beginning never seen, a last no."""
        world = self.world
        pivot_at = world.saga.pivot_at
        after = world.names[pivot_at + 2 :] if pivot_at is not None else []
        return (
            any(ledger.is_lost for ledger in world.ledgers.values())
            or not world.progress.has(BEGINNING, Kind.DONE)
            or any(world.ledgers[name].state is State.REFUSED for name in after)
        )
