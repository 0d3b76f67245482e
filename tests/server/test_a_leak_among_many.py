"""One unit leaked among a hundred thousand sagas is found, and named, in a bounded time and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

import pytest

from books.audit import SHOP
from coordinator.order_saga import ORDER
from sagastream.audit import Audited, Scene, audit
from sagastream.bus import Bus, connect
from sagastream.embedded import EmbeddedServer
from sagastream.envelope import pairs
from sagastream.settings import Settings
from tests.server.copies import STEP_MS, Original, Pipe, groups, resp
from tests.stage.order_cast import CAST
from tests.unit.audit.orders import Orders, played

pytestmark = pytest.mark.many

SAGAS = 100_002  # as many of each kind
KINDS = ("a" * 32, "b" * 32, "c" * 32)  # ids of the orders that are done, declined and short
PIECES = 10_000_000
MOST_CPU_S = 180.0  # of this process, on a machine that does other things besides
MOST_MB = 400
CHUNK = 200


class Many:
    """A shop with many orders behind it."""

    def __init__(self, url: str, settings: Settings, saga_ids: list[str]) -> None:
        self.url = url
        self.settings = settings
        self.saga_ids = saga_ids

    async def audited(self) -> Audited:
        """Audit everything, at rest."""
        bus = connect(self.url, name="audit", block=self.settings.block)
        try:
            scene = Scene(bus.query, self.settings, [ORDER], CAST, is_at_rest=True)
            return await audit(scene, [SHOP])
        finally:
            await bus.close()

    async def call(self, *command: str | int) -> None:
        """Send one command below the prefix of the shop."""
        bus: Bus = connect(self.url, name="leak", block=self.settings.block)
        try:
            await bus.query.execute(command[0], f"{self.settings.key_prefix}{command[1]}", *command[2:])
        finally:
            await bus.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Many]:
    """Copy a day of three orders until there are enough of them."""
    there = tmp_path_factory.mktemp("many")
    ways = (("CreditCard", 2), ("DeclinedCard", 1), ("CreditCard", 9))
    day = played(there, [(order_id, *way) for order_id, way in zip(KINDS, ways, strict=True)])
    with EmbeddedServer(there) as server:
        yield Many(server.url, day.settings, copied(day, server.url))


def copied(day: Orders, url: str) -> list[str]:
    """Write the copies, what they add up to, and the provider's record of them; return the done ones' sagas."""
    prefix = day.settings.key_prefix
    sagas = {order_id: day.saga(order_id) for order_id in KINDS}
    originals = [Original(day.stage.server, prefix, sagas[order_id], order_id) for order_id in KINDS]
    start_ms = time.time_ns() // 1_000_000 - SAGAS * STEP_MS - 600_000
    pipe = Pipe(url)
    for at in range(0, SAGAS, CHUNK):
        part = range(at, min(SAGAS, at + CHUNK))
        pipe.send(b"".join(originals[n % 3].copy(n, start_ms + n * STEP_MS) for n in part))
    times = SAGAS // len(KINDS)
    counts = pairs([str(part) for part in day.call("HGETALL", "{saga}:counts") or ()])  # type: ignore[union-attr]
    totals = [text for counter, value in counts.items() for text in (counter, str(int(value) * times))]
    pipe.send(resp(("HSET", f"{prefix}{{saga}}:counts", *totals)))
    level = {"available": PIECES - 2 * times, "reserved": 2 * times, "initial": PIECES, "restocked": 0}
    name = "store-1:product-1"
    pipe.send(resp(("HSET", f"{prefix}{{stock}}:level:{name}", *(str(p) for pair in level.items() for p in pair))))
    pipe.send(resp(("ZADD", f"{prefix}{{stock}}:levels", "1", name)))
    pipe.send(b"".join(map(resp, groups(day.stage.server, prefix))))
    pipe.close()
    lines = day.calls().read_text().splitlines()
    mine = {kind: [line for line in lines if sagas[order_id] in line] for kind, order_id in enumerate(KINDS)}
    with day.calls().open("w") as file:
        for number in range(SAGAS):
            saga_id = sagas[KINDS[number % 3]]
            for line in mine[number % 3]:
                file.write(line.replace(saga_id, f"{saga_id[:24]}{number:08x}") + "\n")
    return [f"{sagas[KINDS[0]][:24]}{number:08x}" for number in range(0, SAGAS, 3)]


async def test_a_leak_of_one_unit_among_a_hundred_thousand_sagas_is_found(many: Many) -> None:
    """Clean as it was copied; then one piece of one order is missing, and exactly that is told."""
    before_mb, began_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time()

    sound = await many.audited()
    took_s = time.process_time() - began_s
    number = 3 * 20_001
    order_id = f"{KINDS[0][:24]}{number:08x}"
    await many.call("HSET", f"{{stock}}:reservation:{order_id}", "pieces", '{"product-1":1}')
    leaking = await many.audited()

    assert sound.findings.differences == []
    assert sum(sound.statuses.values()) == sound.findings.tried["effects-have-events"].compared == SAGAS
    assert {(d.rule, d.saga_id) for d in leaking.findings.differences} == {
        ("stock-equals-sagas", many.saga_ids[20_001]), ("reserved-is-held", ""),
    }  # fmt: skip
    assert took_s < MOST_CPU_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb < MOST_MB


async def test_an_event_missing_among_a_hundred_thousand_sagas_is_found(many: Many) -> None:
    """The record of one saga names an event that no stream ever held."""
    saga_id = many.saga_ids[777]
    ledger = f"{{notification}}:ledger:{saga_id}"
    await many.call("HSET", ledger, "tell_twice", "done\n2026-11-01T00:00:00.000Z\nNotificationSent\nnever\nnobody\n{}")

    told = await many.audited()

    assert saga_id in {d.saga_id for d in told.findings.tried["effects-have-events"].differences}
    assert {d.saga_id for d in told.findings.differences} <= {saga_id, "", many.saga_ids[20_001]}
