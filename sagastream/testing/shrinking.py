"""Reduces a failing seed to the few faults that it needs to fail. Repeats the run; changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sagastream.testing.scenario import Scenario
from sagastream.testing.stage import Stage, Untrue

Make = Callable[[int], Scenario]
MOST_PLAYS = 600
MOST_S = 60.0  # one run that does not end takes seconds


class Shrinking:
    """Leaves out sagas and faults while the seed still fails, for a limited number of runs."""

    def __init__(self, make: Make, lie: Untrue) -> None:
        self.lie = lie
        self._make = make
        self._left = MOST_PLAYS
        self._ends_at = time.monotonic() + MOST_S

    def shrunk(self) -> Untrue:
        """Return the smallest failure found; it needs every single fault that is left in it.

        This holds only if the limits of runs and time were not reached.
        """
        before = None
        while before != (before := (len(self.lie.sites), len(self.lie.began))):
            self._fewer_sagas()
            self._fewer_blows()
        return self.lie

    def _fewer_sagas(self) -> None:
        for number in list(self.lie.began):
            numbers = [one for one in self.lie.began if one != number]
            if numbers:
                self._fails(list(self.lie.sites), numbers)

    def _fewer_blows(self) -> None:
        """Leave out ever smaller parts of the faults (delta debugging)."""
        part = max(1, len(self.lie.sites) // 2)
        if self._fails([], list(self.lie.began)):
            return
        while self._left > 0:
            sites, at = list(self.lie.sites), 0
            is_smaller = False
            while at < len(sites) and self._left > 0:
                if self._fails(sites[:at] + sites[at + part :], list(self.lie.began)):
                    sites, is_smaller = list(self.lie.sites), True
                else:
                    at += part
            if part == 1 and not is_smaller:
                return
            part = max(1, part // 2)

    def _fails(self, sites: Sequence[str], sagas: Sequence[int]) -> bool:
        if self._left <= 0:
            return False
        self._left = self._left - 1 if time.monotonic() < self._ends_at else 0
        stage = Stage(self._make(self.lie.seed), seed=self.lie.seed, only=frozenset(sites), sagas=sagas)
        try:
            stage.play()
        except Untrue as lie:
            self.lie = lie
            return True
        return False
