"""The subject of a simulation: the tables, the participants, how a saga begins, and what must be true outside Redis."""

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
    """One saga or several, and their surroundings.

    ``begin`` is called once per saga with its number, from 0; it begins the saga through ``Stage.begin`` or
    ``Stage.ask`` and returns its id. ``cancel`` requests, at any instant, that the saga of that number is undone.
    ``resources`` are the further arguments of handlers, for one worker; ``Actor.outside`` makes calls
    that may fail, land late, or outlive the worker. ``lies`` yields what is untrue outside of Redis; it is called after
    every commit.

    ``most`` is the maximum number of sagas; ``must_see`` names what a long range of seeds must have seen besides
    every possible fault, such as ``"Completed"`` or ``"step barred"``.

    If any of these keeps state, give ``simulate`` a function that makes a new scenario for every seed.
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
        """Return the kinds of faults that can happen in this scenario."""
        impossible = set()
        if self.cancel is None:
            impossible.add(Fault.CANCELLED)
        if not any(function.is_outside for participant in self.cast for function in participant.functions):
            impossible.update(OF_CALLS)
        return frozenset(Fault) - impossible
