"""The shop of a soak, and readings of everything in it that could grow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak import sampling
from bench.soak.growth import Growth, Sample, growth
from sagastream.bus import Connection
from sagastream.rundir import RunDir

KEEP_S = 180
RETENTION = {
    "STREAM_RETENTION": "60",
    "UNREAD_RETENTION": "60",
    "LEDGER_RETENTION": str(KEEP_S),
    "KEEP_COMPLETED": str(KEEP_S),
    "KEEP_UNDONE": str(KEEP_S),
    "KEEP_ABORTED": str(KEEP_S),
}
"""So short that after some minutes a store removes as much as it adds."""
OF_AN_ORDER = ("{order}:order", "{order}:request", "{stock}:reservation", "{payment}:payment",
               "{notification}:notification")  # fmt: skip
"""The services' own data, kept for ever: at most one key of each kind per order."""
LISTS = ("{order}:orders", "{stock}:reservations", "{payment}:payments", "{notification}:notifications")
"""Their indexes."""
OF_MANY = (*OF_AN_ORDER, "{saga}:record", "{saga}:history", "{saga}:index", "{order}:ledger", "{stock}:ledger",
           "{payment}:ledger", "{notification}:ledger")  # fmt: skip
"""The keys of which there are many."""
_REMEMBERS = {"payment-provider": 1.5}  # KiB per order: it must keep every key for ever
_SERVER = "redis"  # its memory is read from inside
_ENTRIES, _NODE = "entries of all streams", 100  # trimming removes whole nodes: a stream may keep a full one for ever
_SHARE, _LEAST_MB, _LEAST_KEYS, _LEAST_DESCRIPTORS = 0.05, 4.0, 400.0, 3.0


@dataclass
class Series:
    """Samples, by what they measure."""

    memory_mb: dict[str, list[Sample]] = field(default_factory=dict)
    descriptors: dict[str, list[Sample]] = field(default_factory=dict)
    keys: dict[str, list[Sample]] = field(default_factory=dict)
    store_mb: dict[str, list[Sample]] = field(default_factory=dict)
    orders: list[Sample] = field(default_factory=list)


class Watch:
    """Takes readings of a running shop."""

    def __init__(self, data_dir: Path, connection: Connection) -> None:
        self._run = RunDir(data_dir / "run")
        self._connection = connection
        self._streams = 0
        self.series = Series()

    async def look(self, placed: int) -> None:
        """Take one reading of everything."""
        at = asyncio.get_running_loop().time()
        self.series.orders.append(Sample(at, placed))
        for name, pid in self._pids().items():
            _note(self.series.descriptors, name, at, sampling.descriptors(pid))
            if name != _SERVER:
                _note(self.series.memory_mb, name, at, sampling.memory_mb(pid))
        found = await sampling.keys(self._connection)
        for kind in OF_MANY:
            _note(self.series.keys, kind, at, len(found.get(kind, ())))
        rest = sum(len(names) for kind, names in found.items() if kind not in (*OF_MANY, *LISTS))
        _note(self.series.keys, "all others", at, rest)
        streams = [name for kind, names in found.items() if kind.endswith((":events", ":requests")) for name in names]
        self._streams = len(streams)
        _note(self.series.keys, _ENTRIES, at, await sampling.entries(self._connection, streams))
        used = await sampling.used_mb(self._connection)
        books = [
            await sampling.size_mb(self._connection, found[kind]) for kind in (*OF_AN_ORDER, *LISTS) if kind in found
        ]
        _note(self.series.store_mb, "all", at, used)
        _note(self.series.store_mb, "the engine's", at, used - sum(books))

    def verdicts(self) -> list[Growth]:
        """Return the growth of every figure, and whether it is allowed."""
        series = self.series
        found = []
        for name, samples in series.memory_mb.items():
            remembered = _REMEMBERS.get(name, 0.0) * _added(series.orders) / 1024
            least = _LEAST_MB + remembered
            found.append(growth(f"memory of {name}", "MB", samples, share=_SHARE, least=least))
        for name, samples in series.descriptors.items():
            found.append(growth(f"descriptors of {name}", "", samples, share=0.0, least=_LEAST_DESCRIPTORS))
        for kind, samples in series.keys.items():
            if kind in OF_AN_ORDER:
                per_order = _per_order(series.orders, samples)
                found.append(growth(f"{kind} of an order", "keys", per_order, share=0.0, least=0.05))
            else:
                least = _NODE * self._streams if kind == _ENTRIES else _LEAST_KEYS
                found.append(growth(kind, "keys", samples, share=_SHARE, least=least))
        found.append(growth("memory of the store without the services' books", "MB", series.store_mb["the engine's"],
                            share=_SHARE, least=_LEAST_MB))  # fmt: skip
        return found

    def _pids(self) -> Mapping[str, int]:
        told = {name: int(self._run.read(name) or 0) for name in self._run.names()}
        return {name: pid for name, pid in told.items() if pid}


def _note(series: dict[str, list[Sample]], name: str, at: float, value: float) -> None:
    series.setdefault(name, []).append(Sample(at, value))


def _added(orders: list[Sample]) -> float:
    """Return the number of orders placed in the last two thirds of the time."""
    first = orders[len(orders) // 3]
    return orders[-1].value - first.value


def _per_order(orders: list[Sample], keys: list[Sample]) -> list[Sample]:
    placed = {sample.at_s: sample.value for sample in orders}
    return [Sample(each.at_s, each.value / max(1.0, placed[each.at_s])) for each in keys]
