"""What is played on the stage: the tables, who takes part, how a saga begins, and what must be true outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sagastream.participant import Participant
from sagastream.saga.definition import Saga
from sagastream.testing.actor import Actor
from sagastream.testing.faults import OF_CALLS, Fault, Weather

if TYPE_CHECKING:
    from sagastream.testing.stage import Stage


_USUAL = Weather()


async def _nothing(stage: Stage) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Scenario:
    """One saga or several, and the world around them.

    ``begin`` is called once per saga with its number, from 0; it begins the saga through ``Stage.begin`` or
    ``Stage.ask`` and returns its id. ``cancel`` asks, at any instant, for the saga of that number to be turned back.
    ``resources`` are what handlers take beside event and transaction, for one worker; ``Actor.outside`` makes calls
    that may fail, land late, or outlive the worker. ``lies`` yields what is untrue outside of Redis; it is asked after
    every commit.

    ``most`` is how many sagas there are at most; ``must_see`` names what a long range of seeds must have seen besides
    every possible fault, such as ``"Completed"`` or ``"step barred"``.

    Where any of these remembers something, give ``simulate`` a function that makes a new scenario for every seed.
    """

    sagas: Sequence[Saga]
    cast: Sequence[Participant]
    begin: Callable[[Stage, int], Awaitable[str]]
    prepare: Callable[[Stage], Awaitable[None]] = _nothing
    cancel: Callable[[Stage, int], Awaitable[None]] | None = None
    resources: Callable[[Actor], Mapping[type, object]] = lambda actor: {}
    lies: Callable[[Stage], Iterable[str]] = lambda stage: ()
    most: int = 3
    must_see: frozenset[str] = frozenset()
    weather: Weather = _USUAL

    def possible(self) -> frozenset[Fault]:
        """Return the kinds of faults that can happen in this scenario at all."""
        impossible = set()
        if self.cancel is None:
            impossible.add(Fault.CANCELLED)
        if not any(function.is_outside for participant in self.cast for function in participant.functions):
            impossible.update(OF_CALLS)
        return frozenset(Fault) - impossible
