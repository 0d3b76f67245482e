"""Every exported series says what happened, by its exact name and labels."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from sagastream import Event, series
from sagastream.coordinator.figures import Figures
from sagastream.errors import ReplyError
from sagastream.event import StepGaveUp
from sagastream.intake import Intake
from sagastream.series import PREFIX, Series
from sagastream.telemetry import Telemetry, expose
from tests.trip import (
    TRIP,
    CardCharged,
    CardDeclined,
    NoRoomLeft,
    RoomGivenBack,
    RoomHeld,
    TripBooked,
    TripCancelled,
    TripConfirmed,
)
from tests.unit.core.casts import Script, hotel
from tests.unit.core.world import World, in_virtual_time

_SAMPLE = re.compile(r"^(\w+)(\{.*\})? (\S+)$", re.MULTILINE)
BOOKED, HELD, CHARGED = TripBooked(nights=1), RoomHeld(nights=1, card="good"), CardCharged(nights=1)


class TripOrdered(Event, by="desk"):
    """What begins a trip of a newer release."""


class Told:
    """The figures of a Prometheus text, by name without the common prefix and labels."""

    def __init__(self, text: bytes) -> None:
        found = _SAMPLE.findall(text.decode())
        self.samples = {
            (name.removeprefix(PREFIX), frozenset(re.findall(r'(\w+)="([^"]*)"', labels))): float(value)
            for name, labels, value in found
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]


async def figures(world: World) -> Told:
    """Return what a coordinator exports."""
    bus = world.wire().bus
    return Told(expose(await Figures([TRIP], bus=bus, settings=world.settings).read()))


@in_virtual_time
async def test_a_process_counts_what_it_handled_repeated_and_put_away() -> None:
    """One message fails once, one always, one comes twice, and two want the last room."""
    world, script, telemetry = World(), Script(), Telemetry("hotel")
    world.call("HSET", "hotel", "rooms", "free", 2)
    failed: set[str] = set()

    def before(saga_id: str) -> None:
        if saga_id == "always" or (saga_id == "once" and not failed):
            failed.add(saga_id)
            raise RuntimeError("not now")

    script.before = before
    for saga_id in ("once", "always", "repeated"):
        world.tell(BOOKED, saga_id, id=saga_id)
    async with world.running(world.consumer(hotel(script), telemetry=telemetry)):
        await world.until(lambda: world.letters("hotel"))
        world.tell(BOOKED, "repeated", id="repeated")
        await world.quiet()
        world.call("HSET", "hotel", "rooms", "free", 1)
        world.tell(BOOKED, "first-of-two")
        world.tell(BOOKED, "second-of-two")
        await world.quiet()

    told = Told(telemetry.render())
    assert told("events_total", service="hotel", type="TripBooked") == 4
    assert told("retries_total", service="hotel") == 1 + 2
    assert told("dead_letters_total", service="hotel") == 1
    assert told("duplicates_total", service="hotel") == 1
    assert told("conflicts_total", service="hotel") == 1
    assert told("handler_seconds_count", service="hotel", type="TripBooked") == 4
    assert len(world.events("hotel", NoRoomLeft)) == 1


@in_virtual_time
async def test_entries_that_were_trimmed_are_counted_though_another_streams_group_is_gone() -> None:
    """They leave the list of what is pending with the claim that finds them: nobody would tell of them later."""
    world, counted = World(), list[int]()
    keys = world.keys.of("hotel")
    streams = [keys.events("Other"), world.keys.of("desk").events("TripBooked")]
    one, two = (
        Intake(world.wire().bus, keys, streams, consumer=name, on_trimmed=counted.append) for name in ("one", "two")
    )
    await one.open()
    world.tell(BOOKED)
    assert len(await one.new(timedelta(seconds=1))) == 1
    world.call("XTRIM", "desk", "events:TripBooked", "MAXLEN", 0)
    world.server.call("XGROUP", "DESTROY", streams[0], "hotel")
    await asyncio.sleep(10)

    with pytest.raises(ReplyError, match="NOGROUP"):
        await two.claimed(timedelta(seconds=5))

    assert counted == [1]


@in_virtual_time
async def test_entries_that_were_trimmed_while_somebody_had_them_are_counted() -> None:
    """One is missed by the consumer that comes back, one by another that takes over."""
    for ordinal in (1, 2):
        world, telemetry = World(claim_idle=timedelta(seconds=5)), Telemetry("hotel")
        wire = world.wire()
        world.tell(BOOKED)
        wire.die_before("EVALSHA")
        await world.until_dead(world.consumer(hotel(Script()), wire), wire)
        world.call("XTRIM", "desk", "events:TripBooked", "MAXLEN", 0)
        assert Told(telemetry.render())("trimmed_while_pending_total", service="hotel") == 0

        async with world.running(world.consumer(hotel(Script()), ordinal=ordinal, telemetry=telemetry)):
            await asyncio.sleep(10)

        assert Told(telemetry.render())("trimmed_while_pending_total", service="hotel") == 1
        assert world.letters("hotel") == []  # of what is gone there is nothing to put away


@in_virtual_time
async def test_what_became_of_sagas_is_exported_as_it_is_recorded() -> None:
    """One completes, one is refused, one undone, one overdue, one undo gives up; and an event comes too late."""
    world = World()
    for event in (BOOKED, HELD, CHARGED, TripConfirmed()):
        world.tell(event, "good")
    for event in (BOOKED, NoRoomLeft(reason="full"), TripCancelled()):
        world.tell(event, "refused")
    for event in (BOOKED, HELD, CardDeclined(reason="bad"), RoomGivenBack(), TripCancelled()):
        world.tell(event, "undone")
    for event in (BOOKED, HELD, CardDeclined(reason="bad"), StepGaveUp(**GAVE_UP)):
        world.append("hotel" if isinstance(event, StepGaveUp) else event.by, event.type_name(),
                     world.fields(event, "stuck", f"stuck-{event.type_name()}"))  # fmt: skip
    world.tell(BOOKED, "overdue")
    async with world.running(world.coordinator(TRIP)):
        await world.until(lambda: "timeouts|trip|hold room" in world.counts(), timedelta(minutes=5))
        world.tell(HELD, "good", id="once-more")
        await world.until(lambda: "late" in world.counts())

    told = await figures(world)
    of, held = {"business_process": "trip"}, {"business_process": "trip", "step": "hold room"}
    assert told("started_total", **of) == 5
    assert told("completed_total", **of) == told("failed_total", **of) == 1
    assert told("compensation_triggered_total", **of) == 2
    assert told("compensation_completed_total", **of) == 1
    assert told("compensation_failed_total", **held) == 1
    assert told("duration_seconds_count", **of) == 3
    assert told("steps_total", **held, status="refused") == 1
    assert told("steps_total", **held, status="done") == 3
    assert told("step_duration_seconds_count", step="confirm") == 1
    assert told("timeouts_total", **held) == 1
    assert told("late_events_total") == 1
    assert told("active", **of, status="NeedsAttention") == 1


@in_virtual_time
async def test_events_that_only_coordinators_of_a_release_that_was_taken_back_would_read_are_exported() -> None:
    """Its sagas begin with an event of their own: nobody reads it any more, so nothing of them is even parked."""
    world, newer = World(), replace(TRIP, version=2, begins_with=TripOrdered)
    await world.work(world.coordinator(TRIP, newer))
    before = await figures(world)
    world.tell(TripOrdered(), "new", definitionversion="2")
    async with world.running(world.coordinator(TRIP)):
        await asyncio.sleep(60)
    waiting = await figures(world)
    await world.work(world.coordinator(TRIP, newer))

    assert (before("parked_events"), waiting("parked_events")) == (0, 1)
    assert (await figures(world))("parked_events") == 0
    assert world.status("new") == "Started"


@in_virtual_time
async def test_events_of_a_table_that_nobody_knows_are_exported_until_somebody_takes_them() -> None:
    """Of a saga begun with such a table nothing else tells: it has no record."""
    world, newer = World(), replace(TRIP, version=2)
    before = await figures(world)
    for event in (BOOKED, HELD):
        world.tell(event, "new", definitionversion="2")
    await world.work(world.coordinator(TRIP))
    waiting = await figures(world)
    await world.work(world.coordinator(TRIP, newer))

    assert (before("parked_events"), waiting("parked_events")) == (0, 2)
    assert (await figures(world))("parked_events") == 0
    assert world.status("new") == "InProgress"


@in_virtual_time
async def test_every_declared_series_is_exported_with_its_labels() -> None:
    """By the processes that count for themselves, by a coordinator, or by the front: none is only declared."""
    world, telemetry = World(), Telemetry("hotel")
    world.tell(BOOKED)
    await world.work(world.consumer(hotel(Script()), telemetry=telemetry), world.coordinator(TRIP))
    telemetry.answered("GET", "/api/orders/{orderId}", 404, 0.1)
    telemetry.expect_webhooks(["saga.completed"])

    exported = [*Told(telemetry.render()).samples, *(await figures(world)).samples]
    found = {
        (re.sub(r"_(bucket|sum|count)$", "", name), frozenset(label for label, _ in labels) - {"le"})
        for name, labels in exported
    }

    declared = {(one.name, frozenset(one.labels)) for one in vars(series).values() if isinstance(one, Series)}
    assert declared - found == {(series.SERVICE_UP.name, frozenset(series.SERVICE_UP.labels))}
    assert found - declared == set()


GAVE_UP: dict[str, object] = {"step": "RoomHeld", "undoing": True, "reason": "no", "attempts": 3}
