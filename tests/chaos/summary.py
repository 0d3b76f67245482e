"""What a run has shown, as text and as JSON. Pure: says what is so, and whether the run counts at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from tests.chaos.calm import Life, Verdict
from tests.chaos.faults import Fault, Kind, Sign


class Code(IntEnum):
    """With what `make chaos` ends."""

    CLEAN = 0
    UNTRUE = 1
    NOT_PLAYED = 2
    INVALID = 3
    INTERRUPTED = 130


@dataclass(frozen=True)
class Recovery:
    """How long it took from the moment a fault was lifted until an order placed afterwards was wholly done.

    Where the next fault came before that, it is the next one that was recovered from.
    """

    fault: Fault
    seconds: float


@dataclass(frozen=True)
class Summary:
    """One run. ``unrest`` is what did not come to rest, ``of_the_provider`` how often the provider itself failed."""

    seed: int
    sagas: int
    rate: float
    about: str
    ordered_s: float
    took_s: float
    faults: Sequence[Fault]
    of_the_provider: Mapping[Kind, int]
    signs: Mapping[Sign, int]
    lives: Sequence[Life | None]
    cancelled: int
    unrest: str
    verdict: Verdict

    @property
    def fired(self) -> dict[Kind, int]:
        """Return how many faults of each kind are proven."""
        struck = Counter(fault.kind for fault in self.faults if fault.count)
        return {kind: struck[kind] + self.of_the_provider.get(kind, 0) for kind in Kind}

    @property
    def outcomes(self) -> dict[str, int]:
        """Return how many sagas ended how."""
        return dict(Counter(life.status if life else "no record" for life in self.lives).most_common())

    def missing(self) -> list[str]:
        """Return what never happened and without which a run shows nothing."""
        never = [str(kind) for kind, many in self.fired.items() if not many]
        return never + [str(sign) for sign in Sign if not self.signs.get(sign)]

    def lies(self) -> list[str]:
        """Return what is not so that should be."""
        lost = sum(life is None for life in self.lives)
        return [
            *([f"{self.sagas - len(self.lives)} orders were never accepted"] if len(self.lives) != self.sagas else []),
            *([f"{lost} acknowledged orders have no saga"] if lost else []),
            *([f"not at rest: {self.unrest}"] if self.unrest else []),
            *self.verdict.differences,
            *(f"found by a coordinator: {told}" for told in self.verdict.found_meanwhile),
        ]

    def code(self) -> Code:
        """Return with what the run ends; a lie weighs more than a run that does not count."""
        if self.lies():
            return Code.UNTRUE
        return Code.INVALID if self.missing() else Code.CLEAN

    def recovery(self) -> Recovery | None:
        """Return the longest recovery; faults after which nothing more was ordered are left out."""
        done = sorted((life.began_ms, life.ended_ms) for life in self.lives
                      if life is not None and life.status == "Completed" and life.ended_ms is not None)  # fmt: skip
        last_begun = done[-1][0] if done else 0
        by_end: dict[int, Recovery] = {}
        for fault in sorted(self.faults, key=lambda fault: fault.until_ms):
            if fault.until_ms <= last_begun:
                end = min(end for began, end in done if began >= fault.until_ms)
                by_end[end] = Recovery(fault, (end - fault.until_ms) / 1000)
        return max(by_end.values(), key=lambda each: each.seconds, default=None)

    def longest(self) -> dict[str, float]:
        """Return the longest life of a saga, in seconds, by how it ended."""
        found: dict[str, float] = {}
        for life in self.lives:
            if life is not None and life.ended_ms is not None:
                lasted = (life.ended_ms - life.began_ms) / 1000
                found[life.status] = max(found.get(life.status, 0.0), lasted)
        return found

    def written(self) -> dict[str, object]:
        """Return it for programs."""
        recovery = self.recovery()
        return {
            "seed": self.seed, "sagas": self.sagas, "about": self.about, "ordersPerSecond": round(self._pace(), 1),
            "tookSeconds": round(self.took_s, 1), "faults": {str(kind): many for kind, many in self.fired.items()},
            "signs": {str(sign): self.signs.get(sign, 0) for sign in Sign}, "outcomes": self.outcomes,
            "cancelled": self.cancelled, "longestSeconds": self.longest(), "compared": self.verdict.compared,
            "unknown": dict(self.verdict.unknown), "missing": self.missing(), "lies": self.lies(),
            "longestRecoverySeconds": round(recovery.seconds, 2) if recovery else None, "code": int(self.code()),
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """Yield it as Markdown."""
        recovery = self.recovery()
        yield f"{self.sagas} orders, seed {self.seed}, {self.about}: {_WORDS[self.code()]}"
        yield ""
        yield f"- {self._pace():.1f} orders a second for {self.ordered_s:.0f} s, {self.took_s:.0f} s in all"
        ends = self.longest()
        told = (f"{many} {how}" + (f" (the longest {ends[how]:.1f} s)" if how in ends else "")
                for how, many in self.outcomes.items())  # fmt: skip
        yield f"- {', '.join(told)}; {self.cancelled} called off in time"
        if recovery is not None:
            yield (f"- longest recovery, from the end of a fault to an order placed after it and done: "
                   f"{recovery.seconds:.1f} s, after: {recovery.fault.kind} ({recovery.fault.victim})")  # fmt: skip
        unknown = ", ".join(f"{many} {why}" for why, many in self.verdict.unknown.most_common()) or "none"
        yield f"- the auditor compared {self.verdict.compared:,} things; not judged: {unknown}"
        yield ""
        yield "| fault | proven | proof |"
        yield "|---|---|---|"
        for kind, many in self.fired.items():
            yield f"| {kind} | {many} | {self._proof(kind)} |"
        yield ""
        yield "| what had to be at work | times |"
        yield "|---|---|"
        for sign in Sign:
            yield f"| {sign} | {self.signs.get(sign, 0)} |"
        for what in self.missing():
            yield f"\nINVALID: never happened: {what}"
        for lie in self.lies():
            yield f"\nUNTRUE: {lie}"

    def _pace(self) -> float:
        return len(self.lives) / self.ordered_s if self.ordered_s else 0.0

    def _proof(self, kind: Kind) -> str:
        counted = sum(fault.count for fault in self.faults if fault.kind is kind)
        return _PROOFS[kind].format(counted or self.of_the_provider.get(kind, 0))


_WORDS = {
    Code.CLEAN: "nothing differs, and the run counts",
    Code.UNTRUE: "NOT TRUE",
    Code.INVALID: "nothing differs, but the run DOES NOT COUNT",
}
_PROOFS = {
    Kind.KILL: "{} exit codes of -9",
    Kind.FREEZE: "{} times seen stopped by the system",
    Kind.PROVIDER_KILL: "{} exit codes of -9",
    Kind.REORDERED: "{} entries read after what followed from them",
    Kind.SERVER_KILL: "{} exit codes of -9, each time another run id",
    Kind.LOST: "{} replies dropped on the wire",
    Kind.RESET: "{} replies dropped on the wire",
    Kind.DELAYED: "{} replies held up on the wire",
    Kind.SCRIPT_FLUSH: "{} NOSCRIPT counted by the server",
    Kind.CLIENT_KILL: "{} connections closed by the server",
    Kind.OUT_OF_MEMORY: "{} OOM counted by the server",
    Kind.DUPLICATE: "{} entries with ids of their own",
    Kind.POISON: "{} letters",
    Kind.SILENT_PROVIDER: "{} charges in its record",
    Kind.BROKEN_PROVIDER: "{} errors in its record",
    Kind.SLOW_PROVIDER: "{} charges in its record",
}
