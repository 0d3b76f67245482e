"""A stranger's saga through the public API alone, and waiting for its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from sagastream import (
    DefinitionError,
    Event,
    Participant,
    Runtime,
    Saga,
    Settings,
    Status,
    Step,
    Transaction,
    UnknownSaga,
)
from sagastream.bus import connect
from sagastream.keys import COORDINATOR, Keys
from sagastream.store import WrongStore, name_store
from tests.trip import TRIP, RoomHeld, TripBooked, TripCancelled, TripConfirmed, bank, desk, hotel


class CancellationWanted(Event, by="desk"):
    reason: str


class Porter:
    """Somebody outside whom a handler calls."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[int] = asyncio.Queue()


@pytest.fixture
async def trips(server_url: str) -> AsyncIterator[Runtime]:
    """Run the trip saga with everybody at work and ten nights free."""
    settings = Settings(key_prefix="endings:", block=timedelta(milliseconds=200))
    async with Runtime(server_url, participants=[desk, hotel, bank], sagas=[TRIP], settings=settings) as runtime:
        await runtime.change(hotel, lambda tx: tx.set("rooms", {"free": 10}))
        yield runtime


async def test_a_trip_ends_wholly_done_or_wholly_undone(trips: Runtime) -> None:
    """A good card books, a bad one gives the room back, and no room is no harm."""
    wishes = [TripBooked(nights=2), TripBooked(nights=3, card="bad"), TripBooked(nights=99)]
    begun = [await trips.begin(trip, key=f"trip-{number}") for number, trip in enumerate(wishes)]

    ends = [await trips.ended(saga.saga_id) for saga in begun]

    assert ends == [Status.COMPLETED, Status.COMPENSATED, Status.FAILED]
    assert await trips.read(hotel, "rooms") == {"free": "8"}


async def test_everybody_who_waits_is_told_the_end(trips: Runtime) -> None:
    """Many callers of the same sagas each learn how theirs ended, also those who ask when it is over."""
    begun = [await trips.begin(TripBooked(nights=1, card=card), key=card) for card in ("good", "bad")]

    told = await asyncio.gather(*(trips.ended(saga.saga_id) for saga in begun * 25))
    later = [await trips.ended(saga.saga_id, patience=timedelta(0)) for saga in begun]

    assert told == ["Completed", "Compensated"] * 25
    assert later == ["Completed", "Compensated"]


async def test_patience_ends(trips: Runtime) -> None:
    """A saga nobody knows does not end, and the caller is not kept longer than asked."""
    assert await trips.ended("unknown", patience=timedelta(milliseconds=20)) is None


async def test_handlers_are_given_what_the_runtime_was_given(server_url: str) -> None:
    """By the type they name; without it nobody is made."""
    house = Participant("hotel")

    @house.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction, porter: Porter) -> RoomHeld:
        porter.calls.put_nowait(trip.nights)
        return RoomHeld(nights=trip.nights, card=trip.card)

    porter, settings = Porter(), Settings(key_prefix="given:", block=timedelta(milliseconds=200))
    with pytest.raises(DefinitionError, match="wants porter: Porter"):
        Runtime(server_url, participants=[desk, house], settings=settings)
    given = {Porter: porter}
    async with Runtime(server_url, participants=[desk, house], resources=given, settings=settings) as runtime:
        await runtime.begin(TripBooked(nights=2), key="one")
        async with asyncio.timeout(10):
            carried = await porter.calls.get()

    assert carried == 2


async def test_a_saga_is_called_off_as_long_as_its_pivot_is_not_done(server_url: str) -> None:
    """What its reason says is told as why it failed; afterwards the pivot is done, and nothing is turned back."""
    may_confirm = asyncio.Event()
    office = Participant("desk")
    office.begins(TripBooked, saga="trip", version=1)

    @office.on(TripBooked)
    async def confirm(trip: TripBooked, tx: Transaction) -> TripConfirmed:
        await may_confirm.wait()
        return TripConfirmed()

    @office.undo(TripBooked)
    async def cancel(trip: TripBooked, tx: Transaction) -> TripCancelled:
        return TripCancelled()

    table = Saga(
        "trip", version=1, begins_with=TripBooked, cancelled_by=TripCancelled, cancellation=CancellationWanted,
        steps=(Step("confirm", by="desk", done=TripConfirmed, pivot=True, within=timedelta(minutes=1)),),
    )  # fmt: skip
    settings = Settings(key_prefix="called-off:", block=timedelta(milliseconds=200))
    async with Runtime(server_url, participants=[office], sagas=[table], settings=settings) as runtime:
        begun = await runtime.begin(TripBooked(nights=1), key="1")
        wanted = CancellationWanted(reason="my dog is ill")
        states = [await runtime.bar(begun.saga_id, TripConfirmed, because=wanted) for _ in range(2)]
        may_confirm.set()
        end = await runtime.ended(begun.saga_id)

        another = await runtime.begin(TripBooked(nights=1), key="2")
        await runtime.ended(another.saga_id)
        late = await runtime.bar(another.saga_id, TripConfirmed, because=wanted)
        with pytest.raises(UnknownSaga):
            await runtime.bar("nobodys", TripConfirmed, because=wanted)

    assert (states, end, late) == (["barred", "barred"], Status.FAILED, "done")


async def test_a_handler_that_does_not_end_keeps_nobody_from_leaving(server_url: str) -> None:
    """As in a service: it is broken off after ``STOP_WITHIN``, has decided nothing, and is tried again."""
    inn, is_called = Participant("hotel"), asyncio.Event()

    @inn.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        is_called.set()
        await asyncio.sleep(3600)
        return RoomHeld(nights=trip.nights, card=trip.card)

    prompt = timedelta(milliseconds=200)
    settings = Settings(key_prefix="hanging:", block=prompt, stop_within=prompt)
    with capture_logs() as logged:
        async with asyncio.timeout(20), Runtime(server_url, participants=[desk, inn], settings=settings) as runtime:
            await runtime.begin(TripBooked(nights=1), key="1")
            await is_called.wait()

    assert [line["worker"] for line in logged if line["event"] == "worker.cancelled"] == ["hotel"]


async def test_only_who_takes_part_can_be_asked(server_url: str) -> None:
    """The error names the participant that is missing."""
    runtime = Runtime(server_url, participants=[hotel])

    with pytest.raises(DefinitionError, match="'desk' is not part"):
        await runtime.begin(TripBooked(nights=1), key="1")


async def test_who_begins_with_what_comes_from_now_on_misses_nothing_that_does(server_url: str) -> None:
    """A saga is begun the moment everybody is at work, which is when groups that never were must be there."""
    watcher, seen = Participant("watcher", begins_at="$"), asyncio.Event()

    @watcher.on(TripBooked)
    async def note(trip: TripBooked, tx: Transaction) -> None:
        seen.set()

    settings = Settings(key_prefix="from-now-on:", block=timedelta(milliseconds=200))
    cast = [desk, hotel, bank, watcher]
    async with Runtime(server_url, participants=cast, sagas=[TRIP], settings=settings) as trips:
        await trips.begin(TripBooked(nights=2), key="trip")
        await asyncio.wait_for(seen.wait(), timeout=10)


async def test_two_participants_of_one_name_are_refused() -> None:
    """They are one group: each would be given half of what only the other can do."""
    with pytest.raises(DefinitionError, match="two participants are named 'hotel'"):
        Runtime("redis://localhost", participants=[hotel, Participant("hotel")])


@pytest.mark.parametrize(
    ("cast", "told"),
    [
        ([desk, Participant("hotel"), bank], "nobody undoes 'hold room': 'hotel' has no @undo for RoomHeld"),
        ([desk, hotel, bank], None),
        ([Participant("hotel")], None),  # desk and bank may be at work elsewhere
    ],
)
async def test_what_does_not_fit_is_logged_at_the_start(cast: list[Participant], told: str | None) -> None:
    """Whoever did not ask `check` would learn it from a saga that stands still."""
    with capture_logs() as logged:
        Runtime("redis://localhost", participants=cast, sagas=[TRIP])

    problems = [line["problem"] for line in logged if line["event"] == "table.does_not_fit"]
    assert (f"saga 'trip': {told}" in problems) if told else not problems


async def test_nothing_begins_on_a_store_of_another_name(server_url: str) -> None:
    """A runtime that was sent to the wrong server leaves nothing there, and goes on once it is the right one."""
    settings = Settings(key_prefix="misled:", block=timedelta(milliseconds=200), store="shop")
    bus, keys = connect(server_url, name="test", block=timedelta(seconds=1)), Keys("misled:", COORDINATOR)
    async with Runtime(server_url, participants=[desk, hotel, bank], sagas=[TRIP], settings=settings) as trips:
        with pytest.raises(WrongStore, match="sagastream init shop"):
            await trips.begin(TripBooked(nights=2), key="trip")
        assert await bus.query.execute("KEYS", "misled:*") == []

        await name_store(bus, keys, "shop")
        await trips.change(hotel, lambda tx: tx.set("rooms", {"free": 10}))
        begun = await trips.begin(TripBooked(nights=2), key="trip")
        assert await trips.ended(begun.saga_id) is Status.COMPLETED
    await bus.close()
