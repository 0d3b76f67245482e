"""Runs many seeds of one scenario, one by one or in several processes; shrinks and raises the first failure.

A range of seeds in which a kind of fault never happened proves nothing about it: the report names such faults.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib import import_module

from sagastream.errors import SagastreamError
from sagastream.testing.scenario import Scenario
from sagastream.testing.shrinking import Make, Shrinking
from sagastream.testing.stage import Stage, Untrue

ENOUGH = 1_000  # seeds after which every possible kind of fault must have happened
_PART = 40


@dataclass
class Report:
    """The result of a range of seeds. ``seen`` counts faults, statuses and states of steps.

    ``raised`` counts exceptions of handlers, by handler, line and error, without the injected ones.
    """

    seeds: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    wanted: set[str] = field(default_factory=set)
    lying: list[int] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def missing(self) -> list[str]:
        """Return what should have happened and never did."""
        return sorted(what for what in self.wanted if not self.seen[what])

    @property
    def is_valid(self) -> bool:
        """Tell whether everything that can happen did; too few seeds count as valid."""
        return self.seeds < ENOUGH or not self.missing

    def add(self, other: Report) -> None:
        """Add the result of other seeds."""
        self.seeds += other.seeds
        self.ends.update(other.ends)
        self.seen.update(other.seen)
        self.raised.update(other.raised)
        self.wanted |= other.wanted
        self.lying += other.lying
        self.cpu_s += other.cpu_s


def simulate(scenario: Scenario | Make, *, seeds: int | Sequence[int] = 1_000) -> Report:
    """Run a scenario under this many seeds, with faults injected.

    ``scenario`` may be a function that makes one for a seed, for scenarios that keep state.

    Raises: ``Untrue`` for the first seed that fails, shrunk to the faults it needs, with its timeline.
    """
    make = _maker(scenario)
    report = Report()
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        report.add(played(make, [seed]))
        if report.lying:
            raise shrunk(make, seed)
    return report


def played(make: Make, seeds: Sequence[int]) -> Report:
    """Run seeds until one of them fails; never raise."""
    report, began = Report(), time.process_time()
    for seed in seeds:
        scenario = make(seed)
        stage = Stage(scenario, seed=seed)
        try:
            report.ends.update(stage.play().values())
        except Untrue:
            report.lying.append(seed)
        report.seeds += 1
        report.seen.update(stage.outcome())
        report.raised.update(stage.raised)
        report.wanted |= {str(fault) for fault in scenario.possible()} | scenario.must_see
        if report.lying:
            break
    report.cpu_s = time.process_time() - began
    return report


def shrunk(make: Make, seed: int) -> Untrue:
    """Return the failure of a seed with as few sagas and faults as it needs."""
    try:
        Stage(make(seed), seed=seed).play()
    except Untrue as lie:
        return Shrinking(make, lie).shrunk()
    raise SagastreamError(f"seed {seed} does not lie here: is something outside of the play different?")


def played_by(target: str, seeds: Sequence[int]) -> Report:
    """Run seeds of the scenario named ``module:name``; for use in other processes."""
    return played(found(target), seeds)


def in_processes(target: str, seeds: Sequence[int], jobs: int) -> Iterator[Report]:
    """Run seeds in separate processes; yield a report per part, in any order, until one has a failure."""
    parts = [seeds[at : at + _PART] for at in range(0, len(seeds), _PART)]
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start)
    try:
        for future in as_completed([pool.submit(played_by, target, part) for part in parts]):
            report = future.result()
            yield report
            if report.lying:
                return
    finally:
        pool.shutdown(cancel_futures=True)


def found(target: str) -> Make:
    """Return the scenario named ``module:name``, or the function of that name that makes one."""
    module, _, name = target.partition(":")
    return _maker(getattr(import_module(module), name))


def _maker(scenario: Scenario | Make) -> Make:
    if isinstance(scenario, Scenario):
        return lambda seed: scenario
    make: Callable[[int], Scenario] = scenario
    return make


def _start() -> None:
    gc.collect()
    gc.freeze()  # imported objects stay: the collector need not examine them again and again
