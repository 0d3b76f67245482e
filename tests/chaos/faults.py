"""What can go wrong, and what proves that it did. Data, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A kind of fault; its value is what people read."""

    KILL = "a process killed"
    FREEZE = "a process stopped and continued"
    PROVIDER_KILL = "the provider killed"
    REORDERED = "events read out of order"
    SERVER_KILL = "the server killed"
    LOST = "replies lost"
    RESET = "connections reset"
    DELAYED = "replies delayed"
    SCRIPT_FLUSH = "scripts flushed"
    CLIENT_KILL = "clients killed"
    OUT_OF_MEMORY = "out of memory"
    DUPLICATE = "events put there again"
    POISON = "poison put there"
    SILENT_PROVIDER = "charged without an answer"
    BROKEN_PROVIDER = "charges answered with an error"
    SLOW_PROVIDER = "charges answered too late"


class Sign(StrEnum):
    """What must have been seen at work before a run counts: each is a defence that nothing else shows."""

    CLAIM = "entries taken over from a silent consumer"
    DUPLICATE = "duplicates recognised"
    CONFLICT = "conflicts decided again"
    BARRED = "steps barred"
    CLOSED_KEY = "keys closed at the provider"
    UNKNOWN_PAYMENT = "payments of unknown outcome"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what it struck, from when to when (epoch ms), and what was counted in proof; none is no fault."""

    kind: Kind
    victim: str
    at_ms: int
    until_ms: int
    count: int
    proof: str

    def line(self, since_ms: int) -> str:
        """Return it as a line of the log."""
        lasted = (self.until_ms - self.at_ms) / 1000
        return f"+{(self.at_ms - since_ms) / 1000:7.1f} s  {self.kind}: {self.victim}, {lasted:.1f} s; {self.proof}"
