"""DESIGN 5, the ledger: each outcome, asked for again, undone, barred, closed, forgotten.

It is long because each outcome of the ledger meets each request about it; whoever changes one must see all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from sagastream import Participant, Transaction
from sagastream.bus import Command
from sagastream.envelope import Envelope
from sagastream.event import (
    BarRequested,
    LedgerLost,
    RetryRequested,
    StepBarred,
    StepGaveUp,
    StepRequest,
    UndoRequested,
)
from sagastream.ledger import State
from tests.trip import (
    CardCharged,
    CardRefunded,
    NoRoomLeft,
    RoomGivenBack,
    RoomHeld,
    TripBooked,
    TripCancelled,
    TripConfirmed,
)
from tests.unit.core.casts import RETRY, Gateway, Script, bank, desk, free, hotel, with_rooms
from tests.unit.core.world import SAGA, Wire, World, in_virtual_time


def failing(times: int) -> Script:
    """Return a script that raises so many times."""
    script = Script()

    def before(saga_id: str) -> None:
        if len(script.calls) <= times:
            raise RuntimeError("not now")

    script.before = before
    return script


@in_virtual_time
async def test_a_step_that_was_done_is_done_once() -> None:
    """The same event three times: one room, one answer."""
    world, script = World(), Script()
    world.call("HSET", "hotel", "rooms", "free", 10)
    for _ in range(3):
        world.tell(TripBooked(nights=2), id="booked-1")

    await world.work(world.consumer(hotel(script)))
    world.tell(TripBooked(nights=2), id="booked-1")
    await world.work(world.consumer(hotel(script)))

    assert free(world) == "8"
    assert len(world.events("hotel", RoomHeld)) == 1
    assert world.ledger("hotel", "hold_room").state is State.DONE


@in_virtual_time
async def test_a_step_is_done_once_although_its_handler_was_renamed_meanwhile() -> None:
    """The old name stays the ledger's, and the key of what is called outside."""
    world, keys = World(), []
    world.call("HSET", "hotel", "rooms", "free", 10)
    world.tell(TripBooked(nights=2), id="booked-1")
    await world.work(world.consumer(hotel(Script())))
    renamed = Participant("hotel")

    @renamed.on(TripBooked, name="hold_room")
    async def reserve(trip: TripBooked, tx: Transaction) -> RoomHeld:
        keys.append(tx.key)
        tx.decrease("rooms", "free", trip.nights)
        return RoomHeld(nights=trip.nights, card=trip.card)

    world.tell(TripBooked(nights=2), id="booked-1")
    world.tell(TripBooked(nights=1), "another")
    await world.work(world.consumer(renamed))

    assert free(world) == "7"
    assert set(keys) == {f"{SAGA}.hold_room", "another.hold_room"}
    assert [event["correlationid"] for event in world.events("hotel", RoomHeld)] == [SAGA, "another"]


@pytest.mark.parametrize(
    "key", ["letters", "retries", "store", "attempts", "groups", "streams", "ledger:x", "events:X"]
)
@in_virtual_time
async def test_a_handler_that_writes_what_is_the_librarys_is_refused(key: str) -> None:
    """Whatever else it wants is not done either, and its message is put away as any other that cannot be handled."""
    world, rude = World(), Participant("hotel", retry=RETRY)

    @rude.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        tx.increase("rooms", "held", trip.nights)
        tx.remove(key)
        return RoomHeld(nights=trip.nights, card=trip.card)

    world.tell(TripBooked(nights=2), id="booked-1")
    async with world.running(world.consumer(rude)):
        await world.until(lambda: world.letters("hotel") != [])

    (letter,) = world.letters("hotel")
    assert f"{key!r} is a key of the library's" in letter["reason"]
    assert world.hash("hotel", "rooms") == {}
    assert not world.events("hotel", RoomHeld)


@in_virtual_time
async def test_a_field_may_be_called_as_what_the_library_keeps() -> None:
    """Only keys are the library's."""
    world, polite = World(), Participant("hotel", retry=RETRY)

    @polite.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        tx.set("rooms", {"letters": 1})
        return RoomHeld(nights=trip.nights, card=trip.card)

    world.tell(TripBooked(nights=2), id="booked-1")
    await world.work(world.consumer(polite))

    assert world.hash("hotel", "rooms") == {"letters": "1"}
    assert world.letters("hotel") == []


def keeps(tx: Transaction) -> None:
    """Keep a hash where the library keeps letters: what is older than the life it names would go, read or not."""
    tx.keep("rooms", "letters", since_ms=0, life=timedelta(milliseconds=1))


def tells(tx: Transaction) -> None:
    """Publish an event, which a handler may, and tell it on the stream of letters, where nobody could read it."""
    told = Envelope(
        id="told-1", source="hotel", type="RoomSeen", subject="", saga_id=tx.saga_id, cause="", initiator="",
        definition="trip", definition_version="1", data="{}",
    )  # fmt: skip
    tx.publish(told)
    tx.tell("letters", told)


@pytest.mark.parametrize("does", [keeps, tells])
@in_virtual_time
async def test_a_handler_that_writes_a_stream_of_the_librarys_is_refused(does: Callable[[Transaction], None]) -> None:
    """The key is not the first thing that such an operation names, or one that others of its kind may name."""
    world, rude = World(), Participant("hotel", retry=RETRY)

    @rude.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        does(tx)
        return RoomHeld(nights=trip.nights, card=trip.card)

    world.tell(TripBooked(nights=2), id="booked-1")
    async with world.running(world.consumer(rude)):
        await world.until(lambda: world.letters("hotel") != [])

    (letter,) = world.letters("hotel")
    assert "'letters' is a key of the library's" in letter["reason"]
    assert not world.events("hotel", RoomHeld)


@in_virtual_time
async def test_a_refusal_is_decided_once() -> None:
    """The second telling finds enough rooms, but the refusal stands."""
    world = with_rooms(1)
    world.tell(TripBooked(nights=2), id="booked-1")
    await world.work(world.consumer(hotel(Script())))
    world.call("HSET", "hotel", "rooms", "free", 10)
    world.tell(TripBooked(nights=2), id="booked-1")
    await world.work(world.consumer(hotel(Script())))

    assert free(world) == "10"
    assert len(world.events("hotel", NoRoomLeft)) == 1
    assert not world.events("hotel", RoomHeld)


@in_virtual_time
async def test_an_event_has_the_same_id_on_every_attempt() -> None:
    """Ids are derived from the cause: two worlds that never met publish the same one."""
    ids = []
    for _ in range(2):
        world = with_rooms(10)
        world.tell(TripBooked(nights=2), id="booked-1")
        await world.work(world.consumer(hotel(Script())))
        ids += [event["id"] for event in world.events("hotel", RoomHeld)]

    assert len(ids) == 2
    assert len(set(ids)) == 1


@in_virtual_time
async def test_a_step_that_gave_up_is_opened_again_by_the_next_telling() -> None:
    """Giving up is not an outcome."""
    world, script = World(), failing(3)
    world.call("HSET", "hotel", "rooms", "free", 10)
    world.tell(TripBooked(nights=2), id="booked-1")
    await world.work(world.consumer(hotel(script)))
    assert world.ledger("hotel", "hold_room").state is State.GAVE_UP
    world.tell(TripBooked(nights=2), id="booked-1")
    await world.work(world.consumer(hotel(script)))

    assert world.ledger("hotel", "hold_room").state is State.DONE
    assert free(world) == "8"


@in_virtual_time
async def test_a_step_that_gave_up_is_opened_again_by_the_coordinators_request() -> None:
    """The event that triggered it is kept in the ledger; nothing has to be published again."""
    world, script = World(), failing(3)
    world.call("HSET", "hotel", "rooms", "free", 10)
    world.tell(TripBooked(nights=2), id="booked-1")
    await world.work(world.consumer(hotel(script)))
    for _ in range(2):
        world.ask("hotel", RetryRequested(step="RoomHeld"))
        await world.work(world.consumer(hotel(script)))

    assert world.ledger("hotel", "hold_room").state is State.DONE
    assert free(world) == "8"
    told = world.events("hotel", RoomHeld)
    assert len({event["id"] for event in told}) == 1


@in_virtual_time
async def test_a_retry_of_what_never_arrived_waits_for_it() -> None:
    """Nothing was given up, so there is nothing to repeat."""
    world = World()
    world.ask("hotel", RetryRequested(step="RoomHeld"))
    await world.work(world.consumer(hotel(Script())))

    assert world.ledger("hotel", "hold_room").state is State.UNKNOWN
    assert not world.letters("hotel")


@in_virtual_time
async def test_an_undo_before_its_step_bars_it_and_announces_no_undo() -> None:
    """No room is announced as given back that never was held; the step arriving later is refused."""
    world, script = World(), Script()
    world.call("HSET", "hotel", "rooms", "free", 10)
    world.ask("hotel", UndoRequested(step="RoomHeld"))
    await world.work(world.consumer(hotel(script)))
    world.tell(TripBooked(nights=2))
    await world.work(world.consumer(hotel(script)))

    assert world.ledger("hotel", "hold_room").state is State.BARRED
    assert len(world.events("hotel", StepBarred)) == 1
    assert not world.events("hotel", RoomGivenBack)
    assert not world.events("hotel", RoomHeld)
    assert free(world) == "10"


@in_virtual_time
async def test_an_undo_in_one_batch_with_its_step_goes_first() -> None:
    """Requests to undo commit before forward steps, whatever the order of the streams."""
    world = with_rooms(10)
    world.tell(TripBooked(nights=2))
    world.ask("hotel", UndoRequested(step="RoomHeld"))
    await world.work(world.consumer(hotel(Script())))

    assert world.ledger("hotel", "hold_room").state is State.BARRED
    assert free(world) == "10"


@pytest.mark.parametrize("request_type", [UndoRequested, BarRequested])
@in_virtual_time
async def test_a_repeated_request_is_answered_by_the_stored_confirmation(
    request_type: type[UndoRequested | BarRequested],
) -> None:
    """A confirmation that was lost for the asker comes again: same id, same instant, no second effect."""
    world, script = World(), Script()
    world.call("HSET", "hotel", "rooms", "free", 10)
    world.tell(TripBooked(nights=2))
    await world.work(world.consumer(hotel(script)))
    world.ask("hotel", UndoRequested(step="RoomHeld"))
    await world.work(world.consumer(hotel(script)))
    for _ in range(2):
        world.ask("hotel", request_type(step="RoomHeld"))
        await world.work(world.consumer(hotel(script)))

    told = world.events("hotel", RoomGivenBack)
    assert len(told) == 3
    assert len({(event["id"], event["time"], event["data"]) for event in told}) == 1
    assert free(world) == "10"
    assert script.calls == [SAGA, f"undo {SAGA}"]


@in_virtual_time
async def test_a_bar_of_what_was_done_publishes_that_it_was_done() -> None:
    """The pivot's ledger is the judge: it says again, under the same id, that it was too late."""
    world = World()
    world.tell(CardCharged(nights=2))
    await world.work(world.consumer(desk(Script())))
    world.ask("desk", BarRequested(step="TripConfirmed"))
    await world.work(world.consumer(desk(Script())))

    told = world.events("desk", TripConfirmed)
    assert len(told) == 2
    assert len({(event["id"], event["time"]) for event in told}) == 1
    assert not world.events("desk", StepBarred)
    assert world.hash("desk", "trips") == {"confirmed": "1"}


@in_virtual_time
async def test_a_barred_pivot_stays_barred() -> None:
    """Whoever comes later is told the same; the step never happens."""
    world = World()
    world.ask("desk", BarRequested(step="TripConfirmed"))
    await world.work(world.consumer(desk(Script())))
    world.tell(CardCharged(nights=2))
    world.ask("desk", BarRequested(step="TripConfirmed"))
    await world.work(world.consumer(desk(Script())))

    assert len({event["id"] for event in world.events("desk", StepBarred)}) == 1
    assert len(world.events("desk", StepBarred)) == 2
    assert not world.events("desk", TripConfirmed)
    assert world.hash("desk", "trips") == {}


@in_virtual_time
async def test_a_refused_step_that_is_asked_answers_that_it_will_never_be() -> None:
    """There is nothing to undo, and no refund is announced."""
    world = World()
    world.tell(TripBooked(nights=2))
    await world.work(world.consumer(hotel(Script())))
    for _ in range(2):
        world.ask("hotel", UndoRequested(step="RoomHeld", seen="somebody-saw-a-later-refusal"))
        await world.work(world.consumer(hotel(Script())))

    assert len({event["id"] for event in world.events("hotel", StepBarred)}) == 1
    assert not world.events("hotel", RoomGivenBack)
    assert world.ledger("hotel", "hold_room").state is State.REFUSED


@in_virtual_time
async def test_a_step_that_gave_up_is_barred_when_it_is_to_be_undone() -> None:
    """It never committed anything."""
    world = World()
    world.tell(TripBooked(nights=2))
    await world.work(world.consumer(hotel(failing(99))))
    world.ask("hotel", UndoRequested(step="RoomHeld"))
    await world.work(world.consumer(hotel(Script())))

    assert world.ledger("hotel", "hold_room").state is State.BARRED


@pytest.mark.parametrize(
    ("seen", "age", "is_lost"),
    [
        (None, timedelta(0), False),
        ("event-9", timedelta(0), True),
        (None, timedelta(days=6), False),
        (None, timedelta(days=8), True),
    ],
    ids=["never seen", "seen", "old", "older than the ledger"],
)
@in_virtual_time
async def test_a_ledger_that_should_know_a_step_says_that_it_was_lost(
    seen: str | None, age: timedelta, is_lost: bool
) -> None:
    """Never and lost are told apart; what was lost is not barred, for it may have an effect."""
    world = World()
    began = world.now_ms() - age // timedelta(milliseconds=1)
    world.ask("hotel", UndoRequested(step="RoomHeld", seen=seen, began=began))
    await world.work(world.consumer(hotel(Script())))

    assert bool(world.events("hotel", LedgerLost)) is is_lost
    assert bool(world.events("hotel", StepBarred)) is not is_lost
    assert world.ledger("hotel", "hold_room").state is (State.UNKNOWN if is_lost else State.BARRED)


@in_virtual_time
async def test_the_beginning_is_undone_like_any_step() -> None:
    """Its ledger entry was written when it was begun, over HTTP included."""
    world = World()
    begun = await world.entrance(desk(Script())).begin(TripBooked(nights=2), key="request-17")
    for _ in range(2):
        world.ask("desk", UndoRequested(step="TripBooked", seen=begun.event_id), begun.saga_id)
        await world.work(world.consumer(desk(Script())))

    assert world.ledger("desk", "begin", begun.saga_id).state is State.UNDONE
    assert len({event["id"] for event in world.events("desk", TripCancelled)}) == 1


@pytest.mark.parametrize(
    ("left", "call"),
    [
        (None, RoomHeld(nights=2, card="good")),
        (State.GAVE_UP, RoomHeld(nights=2, card="good")),
        (State.GAVE_UP, RetryRequested(step="CardCharged")),
        (State.UNREAD, RoomHeld(nights=2, card="good")),
        (State.UNREAD, RetryRequested(step="CardCharged")),
    ],
)
@in_virtual_time
async def test_an_outside_step_is_begun_before_it_runs_and_done_after(
    left: State | None, call: RetryRequested | RoomHeld
) -> None:
    """While the gateway is silent the ledger says begun, and by what: whoever is to undo it must find what to close."""
    world, gateway = World(), Gateway()
    gateway.answers.clear()
    if left is not None:
        _begin(world, left)
    if isinstance(call, RetryRequested):
        world.ask("bank", call)
    else:
        world.tell(call, id="held-1")

    async with world.running(world.consumer(bank(Script()), resources={Gateway: gateway})):
        await world.until(lambda: gateway.calls)
        begun = world.ledger("bank", "charge_card")
        gateway.answers.set()
        await world.quiet()

    assert (begun.state, begun.id, begun.type) == (State.BEGUN, "held-1", "RoomHeld")
    assert world.ledger("bank", "charge_card").state is State.DONE
    assert gateway.charged == {f"{SAGA}.charge_card": 2}


@in_virtual_time
async def test_a_begun_step_of_a_dead_worker_is_repeated_with_the_same_key() -> None:
    """It is never answered from the ledger; the gateway recognises the key."""
    world, gateway = World(), Gateway()
    gateway.answers.clear()
    world.tell(RoomHeld(nights=2, card="good"))
    wire = world.wire()
    dying = world.until_dead(world.consumer(bank(Script()), wire, resources={Gateway: gateway}), wire)
    async with world.running(_Killer(world, lambda: gateway.calls, wire)):
        await dying
    gateway.answers.set()
    await world.work(world.consumer(bank(Script()), resources={Gateway: gateway}))

    assert gateway.calls == [f"charge {SAGA}.charge_card"] * 2
    assert len(gateway.charged) == 1
    assert world.ledger("bank", "charge_card").state is State.DONE
    assert len(world.events("bank", CardCharged)) == 1


class _Killer:
    """Cuts a wire as soon as a claim holds."""

    def __init__(self, world: World, claim: Callable[[], object], wire: Wire) -> None:
        self._world, self._claim, self._wire = world, claim, wire

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the claim and cut."""
        await self._world.until(self._claim)
        self._wire.is_dead.set()


@pytest.mark.parametrize("has_landed", [True, False])
@in_virtual_time
async def test_a_begun_step_is_closed_before_it_is_undone(has_landed: bool) -> None:
    """What the gateway took is refunded, what it did not take is barred; nothing lands afterwards."""
    world, key = World(), f"{SAGA}.charge_card"
    gateway = await _asked_about_what_was_begun(world, UndoRequested(step="CardCharged"), has_landed=has_landed)
    await gateway.charge(key, 2)

    assert gateway.calls[0] == f"close {key}"
    assert gateway.kept == []
    assert world.ledger("bank", "charge_card").state is (State.UNDONE if has_landed else State.BARRED)
    assert bool(world.events("bank", CardRefunded)) is has_landed
    assert bool(world.events("bank", CardCharged)) is has_landed
    assert bool(world.events("bank", StepBarred)) is not has_landed
    assert gateway.calls.count(f"refund {key}") == int(has_landed)


@pytest.mark.parametrize("has_landed", [True, False])
@in_virtual_time
async def test_a_begun_step_that_is_to_be_barred_is_closed_and_stays_done_if_it_was(has_landed: bool) -> None:
    """Its ledger judges which way the saga goes: what was taken is not given back."""
    world, key = World(), f"{SAGA}.charge_card"
    gateway = await _asked_about_what_was_begun(world, BarRequested(step="CardCharged"), has_landed=has_landed)

    assert gateway.calls == [f"close {key}"]
    assert world.ledger("bank", "charge_card").state is (State.DONE if has_landed else State.BARRED)
    told = world.events("bank", CardCharged if has_landed else StepBarred)
    assert len({event["id"] for event in told}) == 1


@in_virtual_time
async def test_a_begun_step_that_nothing_can_close_is_put_away_and_stays_begun() -> None:
    """To bar it would leave what may have been taken; the letter says what is missing."""
    world, careless = World(), bank(Script())
    careless.closes.clear()
    _begin(world)
    world.ask("bank", UndoRequested(step="CardCharged"))
    await world.work(world.consumer(careless, resources={Gateway: Gateway()}))

    (letter,) = world.letters("bank")
    assert letter["reason"] == "DefinitionError: bank calls outside for CardCharged but declares no way to close it"
    assert world.ledger("bank", "charge_card").state is State.BEGUN
    assert len(world.events("bank", StepGaveUp)) == 1


def _begin(world: World, state: State = State.BEGUN) -> None:
    """Let the ledger say that the charge was begun, or what else it may say of a charge that is not decided."""
    told = (state, "2026-01-01T00:00:00.000Z", "RoomHeld", "held-1", "c", '{"nights":2,"card":"good"}')
    world.call("HSET", "bank", f"ledger:{SAGA}", "charge_card", "\n".join(told))


async def _asked_about_what_was_begun(world: World, request: StepRequest, *, has_landed: bool) -> Gateway:
    """Ask twice about a charge that was begun; return the gateway, which took it or did not."""
    gateway = Gateway()
    _begin(world)
    if has_landed:
        gateway.charged[f"{SAGA}.charge_card"] = 2
    for _ in range(2):
        world.ask("bank", request)
        await world.work(world.consumer(bank(Script()), resources={Gateway: gateway}))
    return gateway


@in_virtual_time
async def test_an_undo_that_meets_its_running_step_leaves_no_money_behind() -> None:
    """The worker waits for a silent gateway when the undo comes: close, refund, and its late answer changes nothing."""
    world, gateway = World(), Gateway()
    gateway.answers.clear()
    world.tell(RoomHeld(nights=2, card="good"))

    async with world.running(world.consumer(bank(Script()), resources={Gateway: gateway})):
        await world.until(lambda: gateway.calls)
        world.ask("bank", UndoRequested(step="CardCharged"))
        await world.until(lambda: world.ledger("bank", "charge_card").state is State.UNDONE)
        gateway.answers.set()
        await world.quiet()

    assert gateway.kept == []
    assert world.ledger("bank", "charge_card").state is State.UNDONE
    assert len(world.events("bank", CardCharged)) == 1


@in_virtual_time
async def test_an_outside_step_that_gave_up_is_closed_too() -> None:
    """Its last call may have landed although nobody heard of it."""
    world, gateway = World(), Gateway()
    world.tell(RoomHeld(nights=2, card="good"))
    await world.work(world.consumer(bank(failing(99)), resources={Gateway: gateway}))
    assert world.ledger("bank", "charge_card").state is State.GAVE_UP
    world.ask("bank", UndoRequested(step="CardCharged"))
    await world.work(world.consumer(bank(Script()), resources={Gateway: gateway}))

    assert world.ledger("bank", "charge_card").state is State.UNDONE
    assert gateway.kept == []
    assert len(world.events("bank", StepGaveUp)) == 1


@in_virtual_time
async def test_an_outside_step_whose_event_cannot_be_read_is_barred_for_it_was_never_begun() -> None:
    """Nothing was called, so there is nothing to close; asking to close it with what cannot be read would never end."""
    world, gateway = World(), Gateway()
    unreadable = world.fields(RoomHeld(nights=2, card="good"), SAGA, "held-1") | {"data": "{"}
    world.append("hotel", "RoomHeld", unreadable)
    await world.work(world.consumer(bank(Script()), resources={Gateway: gateway}))
    assert world.ledger("bank", "charge_card").state is State.UNREAD
    world.ask("bank", UndoRequested(step="CardCharged"))
    await world.work(world.consumer(bank(Script()), resources={Gateway: gateway}))

    assert world.ledger("bank", "charge_card").state is State.BARRED
    assert len(world.events("bank", StepBarred)) == 1
    assert len(world.events("bank", StepGaveUp)) == 1, "the event was given up, its undo was not"
    assert gateway.calls == []


@pytest.mark.parametrize("has_given_up", [False, True])
@in_virtual_time
async def test_an_event_that_cannot_be_read_takes_nothing_from_the_step_it_is_about(has_given_up: bool) -> None:
    """A step that was begun on a sound event is closed with that event, whatever else came under its name."""
    world, gateway = World(), Gateway()
    world.tell(RoomHeld(nights=2, card="good"), id="held-1")
    async with world.running(world.consumer(bank(failing(99)), resources={Gateway: gateway})):
        wanted = State.GAVE_UP if has_given_up else State.BEGUN
        await world.until(lambda: world.ledger("bank", "charge_card").state is wanted)
        unreadable = world.fields(RoomHeld(nights=2, card="good"), SAGA, "held-2") | {"data": "{"}
        world.append("hotel", "RoomHeld", unreadable)
        await world.until(lambda: world.call("XLEN", "bank", "letters") == 1 + has_given_up)

    assert world.ledger("bank", "charge_card").id == "held-1"
    world.ask("bank", UndoRequested(step="CardCharged"))
    await world.work(world.consumer(bank(Script()), resources={Gateway: gateway}))

    assert world.ledger("bank", "charge_card").state is State.UNDONE
    assert gateway.kept == []


@in_virtual_time
async def test_an_undo_that_gives_up_leaves_the_step_done_and_can_be_asked_again() -> None:
    """The coordinator hears of it; the next request tries anew."""
    world, script = World(), Script()
    world.call("HSET", "hotel", "rooms", "free", 10)
    world.tell(TripBooked(nights=2))
    await world.work(world.consumer(hotel(script)))
    script.before = lambda saga_id: _raise()
    world.ask("hotel", UndoRequested(step="RoomHeld"))
    await world.work(world.consumer(hotel(script)))
    assert world.ledger("hotel", "hold_room").state is State.DONE
    (gave_up,) = world.events("hotel", StepGaveUp)
    script.before = lambda saga_id: None
    world.ask("hotel", UndoRequested(step="RoomHeld"))
    await world.work(world.consumer(hotel(script)))

    assert '"undoing":true' in gave_up["data"]
    assert world.ledger("hotel", "hold_room").state is State.UNDONE
    assert free(world) == "10"


def _raise() -> None:
    raise RuntimeError("not now")


@in_virtual_time
async def test_a_ledger_is_called_lost_only_if_it_still_knows_nothing_when_that_is_said() -> None:
    """Another worker commits the step between the reading and the saying: it is undone, not lost."""
    world, go = World(), asyncio.Event()
    world.call("HSET", "hotel", "rooms", "free", 10)
    world.ask("hotel", UndoRequested(step="RoomHeld", seen="event-9"))
    wire = world.wire()

    async def held(command: Command) -> None:
        if command[0] in ("EVAL", "EVALSHA"):
            await go.wait()

    wire.bus.writer.before = held  # type: ignore[attr-defined]  # a memory connection
    async with world.running(world.consumer(hotel(Script()), wire)):
        await asyncio.sleep(1)
        done = "done\n2026-01-01T00:00:00.000Z\nRoomHeld\nevent-9\nc\n" + RoomHeld(nights=2, card="x").payload()
        world.call("HSET", "hotel", f"ledger:{SAGA}", "hold_room", done)
        go.set()
        await world.quiet()

    assert not world.events("hotel", LedgerLost)
    assert world.ledger("hotel", "hold_room").state is State.UNDONE
