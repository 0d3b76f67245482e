"""The scenes to measure: each runs a shop and returns durations. Judges nothing but its own comparisons."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bench.latencies import drain
from bench.latencies.disorder import Disorder
from bench.latencies.shop import Store
from bench.latencies.spans import between
from bench.latencies.steady import Steady
from bench.latencies.stuck import stick
from bench.times import Times
from coordinator.order_saga import order_saga
from sagastream.saga.lifecycle import Status

UNDO_MS, DUE_MS, RATIO = 10.0, 50.0, 1.5
WARM_S = 3.0
GOOD = {"CreditCard": 1.0}
SHORT = 0.05  # factor on deadlines that are to expire: 3 s for a charge
LONG = 100.0  # factor that rules out automatic retries
_TOO_SLOW_S = "8"
_CHARGE = "charge payment"


@dataclass(frozen=True, slots=True)
class Found:
    """One figure: its times, the load meanwhile, and the bound on its p99 or on its ratio to another figure."""

    times: Times
    load: float
    bound_ms: float | None = None
    beside: Times | None = None
    note: str = ""

    @property
    def p99(self) -> float:
        """Return the time within which 99 of 100 were done."""
        return self.times.percentile(0.99)

    @property
    def ratio(self) -> float | None:
        """Return the ratio to the figure it is compared with."""
        return None if self.beside is None else self.p99 / max(1.0, self.beside.percentile(0.99))

    @property
    def is_kept(self) -> bool:
        """Tell whether the bound is kept; a figure without samples keeps none."""
        if not self.times.ms:
            return False
        if self.ratio is not None:
            return self.ratio <= RATIO
        return self.bound_ms is None or self.p99 < self.bound_ms


@dataclass(frozen=True, slots=True)
class Asked:
    """The load: orders a second and their duration; the number of stuck sagas, and how many a second are drained."""

    rate: float
    seconds: float
    stuck: int
    per_second: float
    rounds: int


async def refusals_and_deadlines(asked: Asked, store: Store) -> list[Found]:
    """Decline every tenth card, and let every twentieth charge exceed its deadline."""
    async with store.shop(SHORT, PAYMENT_TIMEOUT="20", PROVIDER_SLOW=_TOO_SLOW_S):
        steady = Steady(store.bus, {"CreditCard": 0.85, "DeclinedCard": 0.1, "SlowProvider": 0.05})
        await steady.run(asked.rate, WARM_S)
        placed = await steady.run(asked.rate, asked.seconds)
        load = os.getloadavg()[0]
        await store.calm()
    streams = store.streams
    refused = await streams.first(streams.events("payment", "PaymentFailed"))
    undoing = await streams.first(streams.requests("stock"), "UndoRequested")
    reserved = await streams.first(streams.events("stock", "StockReserved"))
    barring = await streams.first(streams.requests("order"), "BarRequested")
    within = next(step.within for step in order_saga(SHORT).steps if step.name == _CHARGE)
    within_ms = round(within.total_seconds() * 1000)
    declined, slow = _paid_by(placed, "DeclinedCard"), _paid_by(placed, "SlowProvider")
    return [
        Found(between("refusal → first undo request", refused, undoing, declined), load, UNDO_MS),
        Found(between("due instant → time-out told", reserved, barring, slow, plus_ms=within_ms), load, DUE_MS),
    ]


async def disorder(asked: Asked, store: Store) -> list[Found]:
    """Measure with and without disorder, alternating; sagas touched by the disorder are not counted."""
    plain: set[str] = set()
    beside: set[str] = set()
    load, told = 0.0, ""
    async with store.shop(1.0):
        steady = Steady(store.bus, GOOD)
        await steady.run(asked.rate, WARM_S)
        for _ in range(asked.rounds):
            plain |= (await steady.run(asked.rate, asked.seconds / asked.rounds)).keys()
            await store.calm()
            upset, stop = Disorder(store.bus, shuffled=0.2, poison=0.01), asyncio.Event()
            task = asyncio.create_task(upset.run(stop))
            placed = await steady.run(asked.rate, asked.seconds / asked.rounds)
            load = os.getloadavg()[0]
            stop.set()
            await task
            beside |= placed.keys() - upset.touched
            told = f"{upset.told_again} told again, {upset.poisoned} torn in the last round"
            await asyncio.sleep(WARM_S)
    alone = await _whole(store, "without disorder", plain)
    return [
        Found(alone, load),
        Found(await _whole(store, "untouched, beside 20 % told again in any order and 1 % torn", beside), load,
              beside=alone, note=told),
    ]  # fmt: skip


async def draining(asked: Asked, store: Store) -> list[Found]:
    """Measure fresh orders alone, while all stuck sagas are drained, and afterwards."""
    await stick(store.url, asked.stuck, LONG)
    async with store.shop(LONG) as shop:
        steady = Steady(store.bus, GOOD, first=asked.stuck)
        await steady.run(asked.rate, WARM_S)
        alone = (await steady.run(asked.rate, asked.seconds)).keys()
        begun = asyncio.get_running_loop().time()
        repair = await drain.begin_retry(shop.http, most=asked.stuck, per_second=asked.per_second)
        ending = asyncio.create_task(drain.ended(shop.http, repair, within_s=60 + 2 * asked.stuck / asked.per_second))
        during: set[str] = set()
        while not ending.done():
            during |= (await steady.run(asked.rate, 1.0)).keys()
        drained, load = await ending, os.getloadavg()[0]
        took = asyncio.get_running_loop().time() - begun
        afterwards = (await steady.run(asked.rate, asked.seconds)).keys()
        await store.calm()
        left = await store.many(Status.NEEDS_ATTENTION)
    note = f"{drained.changed} of {asked.stuck} asked again in {took:.0f} s, {drained.state}; {left} left"
    before = await _whole(store, "fresh orders alone", alone)
    return [
        Found(before, load),
        Found(await _whole(store, "while stuck ones are drained", during), load, beside=before, note=note),
        Found(await _whole(store, "afterwards", afterwards), load),
    ]


SCENES = {"undo": refusals_and_deadlines, "disorder": disorder, "drain": draining}


async def _whole(store: Store, kind: str, only: Collection[str]) -> Times:
    """Return the durations of these sagas, from the order to the announcement of completion."""
    streams = store.streams
    created = await streams.first(streams.events("order", "OrderCreated"))
    completed = await streams.first(streams.events("saga", "SagaCompleted"))
    return between(kind, created, completed, only)


def _paid_by(placed: Mapping[str, str], method: str) -> list[str]:
    return [saga_id for saga_id, by in placed.items() if by == method]
