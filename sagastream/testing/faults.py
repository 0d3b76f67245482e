"""The kinds of faults in a simulation, and where a seed lets each of them happen. Draws; injects nothing itself.

Each seed has only some kinds of faults ("swarm testing": combinations vary more than if every seed had
all kinds), each at a frequency of its own. Every single fault has a name, its *site*, so that a run can be repeated
without some of them: ``stock-1.57`` is the fault at the 57th command of that worker, ``step.300`` the fault
between two steps of the event loop.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from sagastream.bus import Command


class Fault(StrEnum):
    """A kind of fault."""

    KILLED_BEFORE = "killed before a command"
    KILLED_AFTER = "killed between a command and its reply"
    KILLED_ANYWHERE = "killed at any await"
    PAUSED = "paused at any await, back later as if nothing had been"
    LOST_COMMAND = "command lost"
    LOST_REPLY = "reply lost"
    DELAYED = "commands and replies delayed"
    SHUFFLED = "streams delivered in another order"
    REPEATED = "event published again"
    POISONED = "event that cannot be read"
    RESTARTED = "server restarted, its scripts forgotten"
    REFUSING = "server refuses to write"
    CLOCK_STEPPED = "clock of the server stepped"
    LEDGER_LOST = "ledger lost"
    HANDLER_FAILED = "handler raised"
    CALL_FAILED = "call to the outside failed"
    CALL_UNANSWERED = "answer from the outside lost"
    CALL_LATE = "call to the outside landed late"
    CANCELLED = "saga cancelled"
    OPERATED = "operator stepped in"


# Faults at a worker's commands, whose frequency the seed chooses; the others are planned or have their own chances.
AT_COMMANDS = (
    Fault.KILLED_BEFORE,
    Fault.KILLED_AFTER,
    Fault.LOST_COMMAND,
    Fault.LOST_REPLY,
    Fault.PAUSED,
)
PLANNED = (
    Fault.KILLED_ANYWHERE,
    Fault.PAUSED,
    Fault.REPEATED,
    Fault.POISONED,
    Fault.RESTARTED,
    Fault.REFUSING,
    Fault.CLOCK_STEPPED,
    Fault.LEDGER_LOST,
    Fault.OPERATED,
)
OF_CALLS = (Fault.CALL_FAILED, Fault.CALL_UNANSWERED, Fault.CALL_LATE)
_IDLE = frozenset(
    {"XGROUP", "XAUTOCLAIM", "TIME", "ZRANGE", "HGETALL", "HSET", "HSETNX", "XINFO", "XPENDING", "ZMSCORE", "XTRIM"}
)
_BUSY = 40  # times as likely as at an idle worker's command is a fault at a command that is part of a decision


@dataclass(frozen=True)
class Weather:
    """The limits of the faults; instants and durations in virtual seconds.

    No fault begins after ``storm``; from then on everything runs, so that every saga must end.
    """

    storms_s: tuple[float, ...] = (15.0, 45.0, 100.0)
    absences_s: tuple[float, ...] = (0.1, 3.0, 30.0, 100.0)
    pauses_s: tuple[float, ...] = (0.5, 6.0, 20.0, 45.0, 120.0)
    delays_s: tuple[float, ...] = (0.001, 0.004, 0.02, 0.3)
    late_s: tuple[float, ...] = (0.05, 1.0, 20.0, 75.0)
    between_blows: tuple[int, ...] = (600, 2000, 6000)
    kinds: float = 0.45


class Storm:
    """The faults of one run: the kinds it has, and those that have happened so far.

    ``only``: the sites at which faults may happen; None for all.
    """

    def __init__(self, seed: int, weather: Weather, only: frozenset[str] | None = None) -> None:
        self.seed = seed
        self.weather = weather
        self.only = only
        self.fired: Counter[Fault] = Counter()
        self.sites: dict[str, Fault] = {}
        self.is_over = False
        chance = self.chance("storm")
        share = weather.kinds * chance.choice((1.0, 1.0, 0.3, 2.2))
        rare = {Fault.LEDGER_LOST: share / 3}  # it leaves a saga that only a person can close, which hides other faults
        self.kinds = frozenset(kind for kind in Fault if chance.random() < rare.get(kind, share))
        self.ends_at = chance.choice(weather.storms_s)
        self.between_blows = chance.choice(weather.between_blows)
        self.at_commands = tuple(kind for kind in AT_COMMANDS if kind in self.kinds)
        self.delay = chance.choice((0.03, 0.1, 0.3)) if Fault.DELAYED in self.kinds else 0.0
        self.handler_fails = chance.choice((0.05, 0.4, 0.85)) if Fault.HANDLER_FAILED in self.kinds else 0.0
        self.call_fails = {kind: chance.choice((0.05, 0.3, 0.7)) for kind in OF_CALLS if kind in self.kinds}

    def chance(self, of: str) -> random.Random:
        """Return the random generator of one part of the run; no other part draws from it."""
        return random.Random(f"{self.seed}:{of}")  # makes a run repeatable; no secret depends on it

    def strikes(self, fault: Fault, site: str) -> bool:
        """Tell whether a fault may happen at a site, and count it if so."""
        if self.is_over or (self.only is not None and site not in self.only):
            return False
        self.fired[fault] += 1
        self.sites[site] = fault
        return True


class Luck:
    """The faults of one worker, over all of its lives."""

    def __init__(self, storm: Storm, name: str) -> None:
        self.name = name
        self._storm = storm
        self._chance = storm.chance(name)
        self._delays = storm.chance(f"{name} delays")
        self._until = self._gap()
        self._commands = self._calls = self._tries = 0

    def passes(self, command: Command) -> bool:
        """Tell whether a command is an idle worker's and meets no fault; count it if so."""
        if self._until > 1 and _is_idle(command):
            self._commands += 1
            self._until -= 1
            return True
        return False

    def at_command(self, command: Command) -> tuple[Fault | None, float, float]:
        """Return the fault at the worker's next command, and the delays of the command and of its reply.

        There is nearly always no fault. **Units**: seconds.
        """
        self._commands += 1
        storm = self._storm
        if _is_idle(command):
            self._until -= 1
            there = back = 0.0
        else:
            self._until -= _BUSY
            there, back = (self._delay(), self._delay()) if storm.delay else (0.0, 0.0)
        if self._until > 0 or not storm.at_commands:
            return None, there, back
        self._until = self._gap()
        fault = self._chance.choice(storm.at_commands)
        return (fault if storm.strikes(fault, f"{self.name}.{self._commands}") else None), there, back

    def _delay(self) -> float:
        if self._delays.random() >= self._storm.delay:
            return 0.0
        seconds = self._delays.choice(self._storm.weather.delays_s)
        return seconds if self._storm.strikes(Fault.DELAYED, "delays") else 0.0

    def is_shuffled(self) -> bool:
        """Tell whether the streams of one delivery arrive in another order."""
        storm = self._storm
        return (
            Fault.SHUFFLED in storm.kinds and self._delays.random() < 0.5 and storm.strikes(Fault.SHUFFLED, "shuffled")
        )

    def at_call(self) -> dict[Fault, bool]:
        """Return which faults happen to the next call that leaves the process."""
        self._calls += 1
        drawn = {fault: self._chance.random() < chance for fault, chance in self._storm.call_fails.items()}
        site = f"{self.name}.call{self._calls}"
        return {fault: is_drawn and self._storm.strikes(fault, site) for fault, is_drawn in drawn.items()}

    def handler_fails(self) -> bool:
        """Tell whether the next run of a handler raises."""
        if not self._storm.handler_fails:
            return False
        self._tries += 1
        is_drawn = self._chance.random() < self._storm.handler_fails
        return is_drawn and self._storm.strikes(Fault.HANDLER_FAILED, f"{self.name}.try{self._tries}")

    def pause(self) -> float:
        """Return how long a pause lasts, in seconds."""
        return self.choose(self._storm.weather.pauses_s)

    def choose(self, durations: tuple[float, ...]) -> float:
        """Choose one of some durations."""
        return self._chance.choice(durations) * self._chance.uniform(0.5, 1.0)

    def _gap(self) -> int:
        return 1 + int(self._chance.expovariate(1 / self._storm.between_blows))


def _is_idle(command: Command) -> bool:
    return command[0] in _IDLE or (command[0] == "XREADGROUP" and command[-1] != ">")
