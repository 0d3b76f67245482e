"""The audit that never ends: one coordinator at a time, a share of the time, and figures that all export alike."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from structlog.testing import capture_logs

from sagastream import series
from sagastream.audit import Audit, Difference, Findings, Rule, Scene
from sagastream.audit.auditor import HOLD, STRETCH, Auditor
from sagastream.audit.results import CONTINUOUS
from sagastream.bus import Bus, Command
from sagastream.errors import ServerUnavailable
from sagastream.keys import COORDINATOR
from sagastream.testing.memory_connection import MemoryConnection
from tests.trip import TRIP, TripBooked
from tests.unit.audit.audits import auditor, exported
from tests.unit.audit.trips import EVERYBODY, Trips, played
from tests.unit.core.world import in_virtual_time


@in_virtual_time
async def test_what_ended_is_audited_in_the_next_round_and_every_rule_is_exported() -> None:
    """Nothing is wrong: every rule at zero, the round's instant, and as many sagas as have ended."""
    trips = await played()

    async def compare(scene: Scene, findings: Findings) -> None:
        findings.holds("odd")

    assert await auditor(trips, Audit((Rule("odd", "books are even", "mend it"),), compare)).round()

    assert await exported(trips, series.AUDIT_DIFFERENCES) == dict.fromkeys((*CONTINUOUS, "odd"), 0)
    assert await exported(trips, series.AUDIT_AT) == {"": trips.world.now_ms() / 1000}
    assert await exported(trips, series.AUDITED) == {"": 9}


@in_virtual_time
async def test_an_event_that_a_server_which_went_back_in_time_has_lost_proves_nothing() -> None:
    """It was met on the old primary, its record is looked for on the new one: nothing is there that could be mended."""
    trips = await played()
    stream = next(name for name in trips.world.streams() if name.endswith(":events:RoomHeld"))
    _, fields = trips.entries(stream)[0]
    fields[fields.index("correlationid") + 1] = "lost"
    entry = str(trips.server.call("XADD", stream, "*", *fields))
    trips.server.call("XGROUP", "SETID", stream, COORDINATOR, entry)
    await asyncio.sleep(60)

    async def takes_over(command: Command) -> None:
        if any("record:lost" in str(word) for word in command):
            trips.server.call("XDEL", stream, entry)

    connection = MemoryConnection(trips.server, before=takes_over)
    bus = Bus(connection, connection, connection)
    assert await Auditor([TRIP], bus=bus, settings=trips.world.settings).round()

    found = await exported(trips, series.AUDIT_DIFFERENCES)
    assert found["events-have-effects"] == 0


@in_virtual_time
async def test_one_coordinator_audits_and_another_goes_on_when_it_dies() -> None:
    """Where nothing was under way nothing is judged twice, and nothing is missed."""
    trips = await played()
    first, second = auditor(trips), auditor(trips, ordinal=2)

    assert await first.round()
    assert not await second.round()
    await asyncio.sleep(HOLD.total_seconds() + 1)
    trips.call("HSET", "saga", f"record:{trips.ids['done']}", "status", "Failed")
    assert await second.round()
    assert not await first.round()

    assert await exported(trips, series.AUDITED) == {"": 9}


@in_virtual_time
async def test_a_round_of_one_that_was_overtaken_changes_nothing() -> None:
    """It was away for longer than it may hold the audit, and another has concluded meanwhile."""
    trips = await played()
    other = auditor(trips, ordinal=2)
    awake = asyncio.Event()

    async def compare(scene: Scene, findings: Findings) -> None:
        await awake.wait()
        findings.differs(Difference("late", "nothing", "x", "y"))

    frozen = auditor(trips, Audit((Rule("late", "late", "late"),), compare))
    asleep = asyncio.create_task(frozen.round())
    await asyncio.sleep(HOLD.total_seconds() + 1)
    assert await other.round()
    awake.set()

    assert not await asleep
    assert "late" not in await exported(trips, series.AUDIT_DIFFERENCES)


@in_virtual_time
async def test_what_a_long_round_has_found_is_kept_from_time_to_time() -> None:
    """Where one takes longer than any coordinator lives nobody would ever come round."""
    trips = await played()
    async with trips.world.running(*(trips.world.consumer(each) for each in EVERYBODY), trips.world.coordinator(TRIP)):
        for number in range(30):
            trips.ids[f"{number}"] = await trips.begin(f"{number}", TripBooked(nights=1))
            await asyncio.sleep(30)
    trips.call("HSET", "saga", f"record:{trips.ids['3']}", "status", "Failed")

    async def slowly(command: Command) -> None:
        await asyncio.sleep(STRETCH.total_seconds() / 200)

    connection = MemoryConnection(trips.server, before=slowly)
    bus = Bus(connection, connection, connection)
    settings = trips.world.settings.model_copy(update={"audit_share": 1.0})
    judged, came_round = [], 0.0
    for _ in range(20):
        assert await Auditor([TRIP], bus=bus, settings=settings).round()  # and lives no longer
        judged.append((await exported(trips, series.AUDITED))[""])
        came_round = (await exported(trips, series.AUDIT_AT))[""]
        if came_round:
            break

    assert 0 < judged[0] < 39
    assert came_round, judged
    assert judged[-1] >= 39
    assert any((await exported(trips, series.AUDIT_DIFFERENCES)).values())


async def slow_round(trips: Trips) -> tuple[list[Command], float]:
    """Audit where every command takes ten milliseconds; return what was sent, and how many seconds it took."""
    sent: list[Command] = []

    async def slowly(command: Command) -> None:
        sent.append(command)
        await asyncio.sleep(0.01)

    connection, loop = MemoryConnection(trips.server, before=slowly), asyncio.get_running_loop()
    bus = Bus(connection, connection, connection)
    began_at = loop.time()
    assert await Auditor([TRIP], bus=bus, settings=trips.world.settings).round()
    return sent, loop.time() - began_at


@in_virtual_time
async def test_it_takes_only_its_share_of_the_time() -> None:
    """A tenth of the time is worked."""
    trips = await played()

    sent, took_s = await slow_round(trips)

    assert took_s > 0.01 * len(sent) * 8


@in_virtual_time
async def test_what_differs_is_looked_at_again_together_and_within_its_share() -> None:
    """Fifty that differ must not mean that every stream is read fifty times each round, without a rest."""
    trips = await played()
    for saga_id in trips.ids.values():
        trips.call("ZADD", "saga", "timers", 10**14, saga_id)
    await auditor(trips).round()
    found = await exported(trips, series.AUDIT_DIFFERENCES)
    assert found["timer-while-running"] > 3

    sent, took_s = await slow_round(trips)

    streams = Scene(MemoryConnection(trips.server), trips.world.settings, [TRIP], EVERYBODY).streams()
    assert sum(command[0] == "XRANGE" for command in sent) <= 3 * len(streams)  # the walk, and one look at all of them
    assert took_s > 0.01 * len(sent) * 8


@in_virtual_time
async def test_what_keeps_it_from_auditing_is_logged_once_and_shown_for_as_long_as_it_does() -> None:
    """A store that takes no writes for a night would say so every ten seconds."""
    trips, trouble, shown = await played(), "", []

    async def refuse(_: Command) -> None:
        if trouble:
            raise ServerUnavailable(trouble)

    connection = MemoryConnection(trips.server, before=refuse)
    bus = Bus(connection, connection, connection)
    watching = Auditor([TRIP], bus=bus, settings=trips.world.settings)
    with capture_logs() as logged:
        for why in ("it is full", "it is full", "it is a replica", "", "it is full"):
            trouble = why
            await watching.round_safely()
            shown.append(watching.describe()["trouble"])

    said = [line["error"] for line in logged if line["event"] == "audit.interrupted"]
    assert said == ["it is full", "it is a replica", "it is full"]
    assert shown == ["it is full", "it is full", "it is a replica", None, "it is full"]


@in_virtual_time
async def test_it_can_be_turned_off() -> None:
    """`AUDIT_EVERY=0` leaves no trace."""
    trips = await played()
    stop = asyncio.Event()
    running = asyncio.create_task(auditor(trips, audit_every=timedelta(0)).run(stop))
    await asyncio.sleep(60)
    stop.set()
    await running

    assert await exported(trips, series.AUDIT_AT) == {"": 0}


@in_virtual_time
async def test_a_missing_end_is_found_though_nothing_told_that_it_ended() -> None:
    """A saga whose terminal event was never published is looked up by its record after a while."""
    trips = await played()
    watching = auditor(trips)
    trips.unpublish("saga", "SagaCompleted", "done")

    await watching.round()
    await asyncio.sleep(700)
    await watching.round()

    assert (await exported(trips, series.AUDIT_DIFFERENCES))["one-end"] == 1
