"""A consumer that loses replies, dies, meets others and a server in trouble: one effect, and nothing is lost.

It is long because every way in which a consumer can be disturbed is played on the same hotel, opened at its top.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from sagastream import Participant, Transaction
from sagastream.bus import Command
from sagastream.consumer import OUTSIDE
from sagastream.event import StepGaveUp, UndoRequested
from sagastream.ledger import State
from tests.trip import CardCharged, RoomGivenBack, RoomHeld, TripBooked
from tests.unit.core.casts import RETRY, Gateway, Script, bank, free, hotel, with_rooms
from tests.unit.core.world import World, in_virtual_time


def book(world: World, sagas: int = 1, nights: int = 2) -> None:
    """Book so many trips."""
    for number in range(sagas):
        world.tell(TripBooked(nights=nights), f"saga-{number}", id=f"booked-{number}")


@pytest.mark.parametrize("command", ["XREADGROUP", "EVAL", "EVALSHA", "XACK", "HMGET", "ZMSCORE", "ZRANGE", "XGROUP"])
@in_virtual_time
async def test_whatever_reply_is_lost_there_is_one_effect(command: str) -> None:
    """Every command is lost on its way back, three times; the entries are found in the own pending list."""
    world = with_rooms()
    wire = world.wire()
    book(world, sagas=20)
    wire.lose_replies(command, times=3)
    consumer = world.consumer(hotel(Script()), wire)
    async with world.running(consumer):
        await world.until(consumer.is_ready)
        await world.quiet()
        book(world, sagas=25)
        await world.quiet()

    assert free(world) == "50"
    assert len({event["id"] for event in world.events("hotel", RoomHeld)}) == 25
    assert len(world.events("hotel", RoomHeld)) == 25
    assert not world.letters("hotel")
    assert not world.events("hotel", StepGaveUp)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("command", ["XREADGROUP", "HMGET", "EVALSHA", "XACK"])
@in_virtual_time
async def test_wherever_a_worker_dies_its_successor_finishes_with_one_effect(command: str, when: str) -> None:
    """Killed before or after any command, then started again under the same name."""
    world = with_rooms()
    await world.work(world.consumer(hotel(Script())))  # the script is known, so that EVALSHA is what commits
    world.tell(TripBooked(nights=1), "warm-up")
    await world.work(world.consumer(hotel(Script())))
    book(world, sagas=10)
    wire = world.wire()
    wire.die_before(command) if when == "before" else wire.die_after(command)

    await world.until_dead(world.consumer(hotel(Script()), wire), wire)
    await world.work(world.consumer(hotel(Script())))

    assert free(world) == "79"
    assert len(world.events("hotel", RoomHeld)) == 11


@pytest.mark.parametrize("sagas", [10, 1200], ids=["a few", "more than one read brings"])
@in_virtual_time
async def test_what_was_under_way_at_a_crash_comes_first_at_the_next_start(sagas: int) -> None:
    """A worker started again under its name takes up what it had in hand, long before another would claim it."""
    world = with_rooms(2 * sagas, claim_idle=timedelta(minutes=30), batch=4 * sagas)
    book(world, sagas=sagas)
    wire = world.wire()
    wire.die_after("XREADGROUP")
    await world.until_dead(world.consumer(hotel(Script()), wire), wire)
    assert world.in_hand() == sagas

    async with world.running(world.consumer(hotel(Script()))):
        await world.until(lambda: not world.unsettled(), timedelta(seconds=5))

    assert free(world) == "0"
    assert len(world.events("hotel", RoomHeld)) == sagas


@in_virtual_time
async def test_what_a_dead_worker_left_is_claimed_by_another() -> None:
    """Nobody has to start it again: after ``claim_idle`` its entries are somebody else's."""
    world = with_rooms(claim_idle=timedelta(seconds=30))
    book(world, sagas=10)
    wire = world.wire()
    wire.die_after("XREADGROUP")
    await world.until_dead(world.consumer(hotel(Script()), wire, ordinal=1), wire)
    assert world.in_hand() == 10
    died_at = world.loop.time()

    await world.work(world.consumer(hotel(Script()), ordinal=2))

    assert free(world) == "80"
    assert world.loop.time() - died_at < 60


@in_virtual_time
async def test_two_workers_that_race_on_one_message_have_one_effect() -> None:
    """Both have read everything before either commits: the second finds the ledger decided."""
    world = with_rooms()
    script = Script()
    book(world, sagas=10)
    slow = world.wire()
    hold = asyncio.Event()

    async def held(command: Command) -> None:
        if command[0] in ("EVALSHA", "EVAL"):
            await hold.wait()

    slow.bus.writer.before = held  # type: ignore[attr-defined]  # a memory connection
    frozen = world.consumer(hotel(script), slow, ordinal=1)
    async with world.running(frozen):
        await world.until(lambda: len(script.calls) == 10)
        await asyncio.sleep(31)
        async with world.running(world.consumer(hotel(script), ordinal=2)):
            await world.quiet()
            hold.set()
            await world.quiet()

    assert len(script.calls) == 20
    assert free(world) == "80"
    assert len(world.events("hotel", RoomHeld)) == 10


@in_virtual_time
async def test_server_trouble_is_no_attempt() -> None:
    """The server is away for an hour: nothing is buried, nothing is counted, and all goes on by itself."""
    world, gateway = with_rooms(), Gateway()
    wires = [world.wire(), world.wire()]
    workers = [
        world.consumer(hotel(Script()), wires[0]),
        world.consumer(bank(Script()), wires[1], resources={Gateway: gateway}),
    ]
    async with world.running(*workers):
        await world.quiet()
        for wire in wires:
            wire.refuse_all()
        book(world, sagas=10)
        await asyncio.sleep(3600)
        assert not any(worker.is_ready() for worker in workers)
        for wire in wires:
            wire.heal()
        await world.quiet()
        assert all(worker.is_ready() for worker in workers)

    assert free(world) == "80"
    assert len(gateway.charged) == 10
    for owner in ("hotel", "bank"):
        assert not world.letters(owner)
        assert world.hash(owner, "attempts") == {}


@in_virtual_time
async def test_trouble_in_the_middle_of_an_outside_call_is_no_attempt() -> None:
    """The gateway answers while the server is away; the step is repeated under the same key."""
    world, gateway = World(), Gateway()
    wire = world.wire()
    gateway.answers.clear()
    world.tell(RoomHeld(nights=2, card="good"))
    async with world.running(world.consumer(bank(Script()), wire, resources={Gateway: gateway})):
        await world.until(lambda: gateway.calls)
        wire.refuse_all()
        gateway.answers.set()
        await asyncio.sleep(60)
        wire.heal()
        await world.quiet()

    assert world.ledger("bank", "charge_card").state is State.DONE
    assert len(gateway.charged) == 1
    assert world.hash("bank", "attempts") == {}


@in_virtual_time
async def test_a_lost_group_is_made_again_from_the_beginning() -> None:
    """Never from ``$``: what was there is read again, and the ledger knows it."""
    world, script = with_rooms(), Script()
    participant = hotel(script)
    participant.begins_at = "$"
    async with world.running(world.consumer(participant)):
        await world.quiet()
        book(world, sagas=3)
        await world.quiet()
        world.server.call("XGROUP", "DESTROY", world.keys.of("desk").events("TripBooked"), "hotel")
        book(world, sagas=5)
        await world.quiet()
        await world.until(lambda: len(world.events("hotel", RoomHeld)) == 5)

    assert free(world) == "90"
    assert len(world.events("hotel", RoomHeld)) == 5


@in_virtual_time
async def test_a_new_group_begins_where_the_participant_says() -> None:
    """One that never existed before does not mail every old customer."""
    world = with_rooms()
    book(world, sagas=3)
    participant = hotel(Script())
    participant.begins_at = "$"
    async with world.running(world.consumer(participant)):
        await asyncio.sleep(1)
        world.tell(TripBooked(nights=1), "new")
        await asyncio.sleep(1)

    assert free(world) == "99"


@in_virtual_time
async def test_workers_that_start_together_on_a_new_store_are_in_nobodys_way() -> None:
    """All of them find no group and make it; for all but one it is there by then."""
    world = with_rooms()
    wires = [world.wire() for _ in range(3)]

    async def slowly(command: Command) -> None:
        if command[0] == "XGROUP":
            await asyncio.sleep(0.1)

    for wire in wires:
        wire.bus.writer.before = slowly  # type: ignore[attr-defined]  # a memory connection
    with capture_logs() as logs:
        async with world.running(*(world.consumer(hotel(Script()), wire, ordinal=n) for n, wire in enumerate(wires))):
            await asyncio.sleep(1)
            book(world, sagas=3)
            await world.quiet()

    assert free(world) == "94"
    assert [line["event"] for line in logs if line["log_level"] != "info"] == []


@in_virtual_time
async def test_a_server_that_was_emptied_is_not_taken_for_a_new_one() -> None:
    """Group and registry are gone: the consumer stops consuming and says why."""
    world = with_rooms()
    consumer = world.consumer(hotel(Script()))
    async with world.running(consumer):
        await world.quiet()
        for key in world.server.call("KEYS", "*"):  # type: ignore[union-attr]  # KEYS answers a list
            world.server.call("DEL", str(key))
        await asyncio.sleep(30)
        assert not consumer.is_ready()
        assert "is this the right server" in str(consumer.describe()["trouble"])

    assert world.streams() == []


@in_virtual_time
async def test_a_clean_stop_finishes_the_batch() -> None:
    """What was read is committed and acknowledged; nothing is left for the next start."""
    world, script = with_rooms(), Script()
    book(world, sagas=50)
    stop = asyncio.Event()
    script.before = lambda saga_id: stop.set()

    await world.consumer(hotel(script)).run(stop)

    assert free(world) == "0"
    assert world.unsettled() == []


@pytest.mark.parametrize("stops_first", [False, True], ids=["at work", "in its last batch"])
@in_virtual_time
async def test_an_error_nobody_foresaw_ends_the_worker_and_whoever_runs_it_is_told(stops_first: bool) -> None:
    """It is a fault of the library's: what is in hand stays pending, and no end without a word looks like a stop."""
    world, stop = with_rooms(), asyncio.Event()
    wire = world.wire()

    async def breaks(command: Command) -> None:
        if command[0] == "EVALSHA":
            if stops_first:
                stop.set()
            await asyncio.sleep(1)
            raise RuntimeError("of all things")

    wire.bus.writer.before = breaks  # type: ignore[attr-defined]  # a memory connection
    consumer = world.consumer(hotel(Script()), wire)
    book(world)
    with pytest.raises(RuntimeError, match="of all things"):
        await consumer.run(stop)

    assert not consumer.is_ready()
    assert world.in_hand() == 1


@in_virtual_time
async def test_a_stop_is_clean_though_the_server_has_just_gone() -> None:
    """What is committed and could not be acknowledged any more comes again, and the ledger knows it."""
    world, stop = with_rooms(), asyncio.Event()
    wire = world.wire()

    def goes(command: Command) -> None:
        if command[0] == "EVAL":
            stop.set()
            wire.refuse_all()

    wire.on_way_back = goes
    book(world)
    await world.consumer(hotel(Script()), wire).run(stop)
    assert world.in_hand() == 1

    await world.work(world.consumer(hotel(Script())))

    assert free(world) == "98"
    assert len(world.events("hotel", RoomHeld)) == 1


@in_virtual_time
async def test_a_stop_while_idle_does_not_wait_for_the_block() -> None:
    """The blocking read is given up at once."""
    world = with_rooms(block=timedelta(seconds=60))
    stop = asyncio.Event()
    running = asyncio.create_task(world.consumer(hotel(Script())).run(stop))
    await asyncio.sleep(5)
    stop.set()
    await running

    assert world.loop.time() < 6


@in_virtual_time
async def test_a_stop_gives_calls_to_the_outside_their_time_and_no_more() -> None:
    """A gateway that answers is waited for, one that does not is left; its step is still begun."""
    world, gateway = World(stop_within=timedelta(seconds=10)), Gateway()
    gateway.answers.clear()
    world.tell(RoomHeld(nights=2, card="good"))
    stop = asyncio.Event()
    running = asyncio.create_task(world.consumer(bank(Script()), resources={Gateway: gateway}).run(stop))
    await world.until(lambda: gateway.calls)
    stopped_at = world.loop.time()
    stop.set()
    await running

    assert 10 <= world.loop.time() - stopped_at < 11
    assert world.ledger("bank", "charge_card").state is State.BEGUN
    assert world.unsettled()


@in_virtual_time
async def test_a_slow_gateway_holds_nobody_up() -> None:
    """While one call waits, the messages after it are settled."""
    world, gateway = World(), Gateway()
    gateway.answers.clear()
    async with world.running(world.consumer(bank(Script()), resources={Gateway: gateway})):
        world.tell(RoomHeld(nights=2, card="good"), "slow")
        await world.until(lambda: gateway.calls)
        world.tell(RoomHeld(nights=2, card="bad"), "quick")
        await world.until(lambda: world.ledger("bank", "charge_card", "quick").state is State.REFUSED)
        assert world.ledger("bank", "charge_card", "slow").state is State.BEGUN
        gateway.answers.set()
        await world.quiet()


@in_virtual_time
async def test_two_hundred_orders_for_fifty_pieces_do_not_fight() -> None:
    """One counter in one batch: exactly fifty get one, and everybody is decided in the second round."""
    world = with_rooms(50, batch=400)
    script = Script()
    book(world, sagas=200, nights=1)
    await world.work(world.consumer(hotel(script)))
    states = [world.ledger("hotel", "hold_room", f"saga-{n}").state for n in range(200)]

    assert states.count(State.DONE) == 50
    assert states.count(State.REFUSED) == 150
    assert len(script.calls) == 200 + 150
    assert free(world) == "0"


@in_virtual_time
async def test_what_a_batch_costs_does_not_grow_with_the_batch() -> None:
    """One acknowledgement with the next read, one pipeline of reads, one script call: for 1 as for 200."""
    costs = []
    for size in (1, 200):
        world = with_rooms(1000, batch=400)
        wire = world.wire()
        async with world.running(world.consumer(hotel(Script()), wire)):
            await world.quiet()
            book(world, sagas=1)
            await world.quiet()  # the script is known from here on
            calls, sent = wire.calls, len(wire.sent)
            for number in range(size):
                world.tell(TripBooked(nights=1), f"measured-{number}")
            await world.quiet()
            costs.append((wire.calls - calls, Counter(str(command[0]) for command in wire.sent[sent:])))
        assert len(world.events("hotel", RoomHeld)) == size + 1

    assert costs[0] == (3, {"XREADGROUP": 1, "HMGET": 1, "EVALSHA": 1, "XACK": 1})
    assert costs[1] == (3, {"XREADGROUP": 1, "HMGET": 200, "EVALSHA": 1, "XACK": 1})


@in_virtual_time
async def test_an_undo_that_calls_outside_holds_nobody_up() -> None:
    """Also where the step itself stays within Redis."""
    world, open_ = with_rooms(), asyncio.Event()
    slow = Participant("hotel", retry=RETRY)

    @slow.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        return RoomHeld(nights=trip.nights, card="good")

    @slow.undo(RoomHeld, outside=True)
    async def give_room_back(held: RoomHeld, tx: Transaction) -> RoomGivenBack:
        await open_.wait()
        return RoomGivenBack()

    world.tell(TripBooked(nights=1), "undone")
    await world.work(world.consumer(slow))
    async with world.running(world.consumer(slow)):
        world.ask("hotel", UndoRequested(step="RoomHeld"), "undone")
        await asyncio.sleep(1)
        world.tell(TripBooked(nights=1), "quick")
        await world.until(lambda: world.ledger("hotel", "hold_room", "quick").state is State.DONE, timedelta(seconds=5))
        open_.set()
        await world.quiet()

    assert world.ledger("hotel", "hold_room", "undone").state is State.UNDONE


@in_virtual_time
async def test_what_ends_outside_while_the_worker_stops_is_acknowledged() -> None:
    """Else it comes again at the next start, though it was decided."""
    world, open_ = with_rooms(), asyncio.Event()
    slow = Participant("hotel", retry=RETRY)

    @slow.on(TripBooked, outside=True)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        await open_.wait()
        return RoomHeld(nights=trip.nights, card="good")

    world.tell(TripBooked(nights=1))
    stop = asyncio.Event()
    working = asyncio.create_task(world.consumer(slow).run(stop))
    await asyncio.sleep(1)
    stop.set()
    await asyncio.sleep(0.5)
    open_.set()
    await working

    assert world.ledger("hotel", "hold_room").state is State.DONE
    assert world.unsettled() == []


@in_virtual_time
async def test_a_read_of_a_handler_that_the_server_does_not_answer_is_no_attempt() -> None:
    """More often than a message has attempts, and only the reads: the commits would go through."""
    world = with_rooms()
    wire = world.wire()
    losses = iter(range(RETRY.attempts + 3))

    def lose(command: Command) -> str | None:
        is_handlers = command[0] == "HMGET" and str(command[1]).endswith(":rooms")
        return "lost" if is_handlers and next(losses, None) is not None else None

    wire.on_way_back = lose
    book(world)
    await world.work(world.consumer(hotel(Script()), wire))

    assert world.ledger("hotel", "hold_room", "saga-0").state is State.DONE
    assert not world.letters("hotel")


async def cancelled() -> None:
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone


async def exited() -> None:
    sys.exit("no such room")


HANDLERS_END: dict[Callable[[], Awaitable[None]], str] = {
    cancelled: "HandlerCancelled: what it waited for was cancelled",
    exited: "HandlerExited: SystemExit: no such room",
}


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize(("how", "reason"), HANDLERS_END.items())
@in_virtual_time
async def test_a_handler_that_is_cancelled_or_exits_has_failed_like_any_other(
    how: Callable[[], Awaitable[None]], reason: str, outside: bool
) -> None:
    """A pool that is closed cancels who waits for it, and whatever a handler calls may call ``sys.exit``.

    It stops no worker, nor the next one that would take the message up; it is tried again, then buried.
    """
    world, calls = World(), list[str]()
    hotel = Participant("hotel", retry=RETRY)

    @hotel.on(TripBooked, outside=outside)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        calls.append(tx.saga_id)
        if tx.saga_id == "ends":
            await how()
        return RoomHeld(nights=trip.nights, card=trip.card)

    worker = world.consumer(hotel)
    async with world.running(worker):
        world.tell(TripBooked(nights=1), "ends")
        await world.quiet()
        world.tell(TripBooked(nights=1), "sound")
        await world.quiet()
        assert worker.is_ready()

    assert calls == ["ends"] * RETRY.attempts + ["sound"]
    assert world.ledger("hotel", "hold_room", "ends").state is State.GAVE_UP
    assert world.ledger("hotel", "hold_room", "sound").state is State.DONE
    assert world.letters("hotel")[0]["reason"] == reason


@in_virtual_time
async def test_a_stop_waits_no_longer_where_no_more_calls_may_be_under_way() -> None:
    """As many calls as may be hang for ever, and more is to be read: the worker stops in its time all the same."""
    world, gateway = World(stop_within=timedelta(seconds=10)), Gateway()
    gateway.answers.clear()
    for number in range(OUTSIDE + 100):
        world.tell(RoomHeld(nights=2, card="good"), f"saga-{number}")
    stop = asyncio.Event()
    running = asyncio.create_task(world.consumer(bank(Script()), resources={Gateway: gateway}).run(stop))
    await world.until(lambda: len(gateway.calls) >= OUTSIDE)
    await asyncio.sleep(5)
    stopped_at = world.loop.time()
    stop.set()
    await asyncio.wait_for(running, 3600)

    assert 10 <= world.loop.time() - stopped_at < 11


def slow_hotel(until: asyncio.Event, *, outside: bool = False) -> Participant:
    """Open a hotel that holds no room before something has happened."""
    inn = Participant("hotel")

    @inn.on(TripBooked, outside=outside)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        await until.wait()
        return RoomHeld(nights=trip.nights, card=trip.card)

    return inn


@pytest.mark.parametrize("outside", [False, True])
@in_virtual_time
async def test_a_handler_that_does_not_end_is_told_unless_it_waits_outside(outside: bool) -> None:
    """It holds up everybody behind it; a call to the outside holds up nobody, however long it takes."""
    ends = asyncio.Event()
    inn = slow_hotel(ends, outside=outside)

    @inn.on(CardCharged)
    async def note(charged: CardCharged, tx: Transaction) -> None:
        """Be no trouble to anybody."""

    world = with_rooms()
    hanging = world.consumer(inn)
    with capture_logs() as logged:
        async with world.running(hanging):
            await world.until(hanging.is_ready)
            book(world)
            world.tell(CardCharged(nights=1), "saga-0")
            await asyncio.sleep(25)
            assert hanging.is_ready()

            await asyncio.sleep(10)
            trouble = None if outside else "handling TripBooked has not ended for 35 s; nothing else is read meanwhile"
            assert (hanging.is_ready(), hanging.describe()["trouble"]) == (outside, trouble)

            await asyncio.sleep(60)  # it is told once, however long it lasts
            ends.set()
            await world.quiet()
            assert (hanging.is_ready(), hanging.describe()["trouble"]) == (True, None)
    told = [(line["log_level"], line["handlers"]) for line in logged if line["event"] == "consumer.held_up"]
    assert told == ([] if outside else [("warning", "hotel.hold_room")])
    assert len(world.events("hotel", RoomHeld)) == 1


@in_virtual_time
async def test_no_handler_is_told_of_for_as_long_as_the_whole_process_was_stopped() -> None:
    """Frozen, or on a machine that was suspended: the handler could not end. What it needs afterwards counts."""
    ends = asyncio.Event()
    world = with_rooms()
    worker = world.consumer(slow_hotel(ends))
    with capture_logs() as logged:
        async with world.running(worker):
            await world.until(worker.is_ready)
            book(world)
            await asyncio.sleep(5)
            world.loop.stand_still(3600)
            is_ready = [worker.is_ready()]  # asked before anybody else comes to its turn
            await asyncio.sleep(10)
            is_ready.append(worker.is_ready())
            told = len(logged)

            await asyncio.sleep(25)
            is_ready.append(worker.is_ready())
            ends.set()
            await world.quiet()
            is_ready.append(worker.is_ready())
    assert is_ready == [True, True, False, True]
    assert [line["event"] for line in logged[:told]] == []
    assert [line["handlers"] for line in logged if line["event"] == "consumer.held_up"] == ["hotel.hold_room"]
