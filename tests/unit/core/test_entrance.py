"""A saga is begun once per key, and a step is barred or done, never both.

It is long because beginning and barring meet each other, and every lost answer, at one entrance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sagastream import Conflict, Entrance, Event, Participant, Transaction, UnknownSaga
from sagastream.bus import Command
from sagastream.errors import CannotApply, DefinitionError, ServerUnavailable, TooLarge
from sagastream.event import StepBarred, UndoRequested
from sagastream.keys import COORDINATOR
from sagastream.ledger import State
from sagastream.store import WrongStore
from tests.trip import TRIP, CardCharged, TripBooked, TripCancelled, TripConfirmed
from tests.unit.core.casts import Script, desk
from tests.unit.core.world import Wire, World, in_virtual_time


class CancellationWanted(Event, by="desk"):
    """A person turned up at the desk."""


def count(tx: Transaction) -> None:
    """Count a beginning."""
    tx.increase("trips", "begun", 1)


@in_virtual_time
async def test_the_same_key_begins_the_same_saga_once() -> None:
    """Asked again, and a hundred times at once, in one process and in another."""
    world = World()
    here, there = world.entrance(desk(Script())), world.entrance(desk(Script()))
    asked = [e.begin(TripBooked(nights=2), key="request-17", change=count) for e in (here, there) for _ in range(50)]
    answers = await asyncio.gather(*asked)

    assert len({answer.saga_id for answer in answers}) == 1
    assert len({answer.event_id for answer in answers}) == 1
    assert sum(not answer.repeated for answer in answers) == 1
    assert len(world.events("desk", TripBooked)) == 1
    assert world.hash("desk", "trips") == {"begun": "1"}


@in_virtual_time
async def test_a_change_of_what_is_the_librarys_is_refused_and_nothing_begun() -> None:
    world = World()
    entrance = world.entrance(desk(Script()))

    def rude(tx: Transaction) -> None:
        tx.set("store", {"name": "mine"})

    with pytest.raises(DefinitionError, match="'store' is a key of the library's"):
        await entrance.begin(TripBooked(nights=2), key="request-17", change=rude)
    with pytest.raises(DefinitionError, match="'store' is a key of the library's"):
        await entrance.change(rude)

    assert world.events("desk", TripBooked) == []
    assert "name" not in world.hash("desk", "store")


@in_virtual_time
async def test_different_keys_begin_different_sagas_in_few_calls() -> None:
    """A hundred concurrent requests go out together."""
    world = World()
    wire = world.wire()
    entrance = world.entrance(desk(Script()), wire)
    answers = await asyncio.gather(*(entrance.begin(TripBooked(nights=2), key=f"request-{n}") for n in range(100)))

    assert len({answer.saga_id for answer in answers}) == 100
    assert wire.calls <= 3


@in_virtual_time
async def test_a_beginning_whose_answer_was_lost_happened_once() -> None:
    """The entrance repeats it; the ledger knows."""
    world = World()
    wire = world.wire()
    wire.lose_replies("EVALSHA", times=1)
    wire.on_way_back = _lose_scripts(2)
    begun = await world.entrance(desk(Script()), wire).begin(TripBooked(nights=2), key="k", change=count)

    assert len(world.events("desk", TripBooked, begun.saga_id)) == 1
    assert world.hash("desk", "trips") == {"begun": "1"}


def _lose_scripts(times: int) -> Callable[[Command], str | None]:
    left = [None] * times

    def verdict(command: Command) -> str | None:
        if command[0] in ("EVAL", "EVALSHA") and left:
            left.pop()
            return "lost"
        return None

    return verdict


@in_virtual_time
async def test_a_server_that_stays_away_is_reported_soon() -> None:
    """Within about a second, so that a request can be answered 503."""
    world = World()
    wire = world.wire()
    wire.refuse_all()
    with pytest.raises(ServerUnavailable):
        await world.entrance(desk(Script()), wire).begin(TripBooked(nights=2), key="k")

    assert 0.5 < world.loop.time() < 2


@in_virtual_time
async def test_a_server_that_answers_nobody_is_waited_for_once() -> None:
    """Each further attempt would take as long, and those behind it wait for all of them."""
    world = World()
    wire = world.wire()
    entrance = world.entrance(desk(Script()), wire)
    await entrance.begin(TripBooked(nights=2), key="first")
    wire.on_way_there = lambda command: "late"
    since = world.loop.time()
    with pytest.raises(ServerUnavailable):
        await entrance.begin(TripBooked(nights=2), key="k")

    assert world.loop.time() - since == pytest.approx(5)


@pytest.mark.parametrize("key", ["two\nlines", "naïve ☕ key", "x" * 1000, "", "\udcff"])
@in_virtual_time
async def test_any_text_is_a_key(key: str) -> None:
    """Keys come from outside; whatever they hold, the saga can be begun, read by others, and undone."""
    world = World()
    begun = await world.entrance(desk(Script())).begin(TripBooked(nights=2), key=key)
    world.ask("desk", UndoRequested(step="TripBooked", seen=begun.event_id), begun.saga_id)
    await world.work(world.consumer(desk(Script())), world.coordinator(TRIP))

    assert world.ledger("desk", "begin", begun.saga_id).state is State.UNDONE
    assert len(world.events("desk", TripCancelled)) == 1
    assert world.status(begun.saga_id)
    assert not world.letters("desk")
    assert not world.letters("saga")


@in_virtual_time
async def test_a_guard_that_does_not_hold_begins_nothing() -> None:
    """The caller is told which guard, reads again and decides again."""
    world = World()
    with pytest.raises(Conflict, match="refused by expect of 'open' in 'trips'"):
        await world.entrance(desk(Script())).begin(
            TripBooked(nights=2), key="k", change=lambda tx: tx.expect("trips", "open", "yes")
        )

    assert not world.events("desk", TripBooked)


async def begun(world: World) -> str:
    """Begin a saga and return its id."""
    return (await world.entrance(desk(Script())).begin(TripBooked(nights=2), key="k")).saga_id


async def bar(entrance: Entrance, saga_id: str) -> State:
    """Bar the confirmation because somebody wants to cancel."""
    return await entrance.bar(
        saga_id, TripConfirmed, because=CancellationWanted(), change=lambda tx: tx.increase("trips", "cancelled", 1)
    )


@pytest.mark.parametrize("faster", ["bar", "confirm"])
@in_virtual_time
async def test_of_a_bar_and_a_confirmation_at_the_same_instant_one_wins(faster: str) -> None:
    """Both have read a ledger that knows nothing; whoever commits second finds it decided."""
    world, slow = World(), asyncio.Event()
    saga_id = await begun(world)
    held, script = world.wire(), Script()
    both = {"bar": world.wire(), "confirm": world.wire()}
    both["confirm" if faster == "bar" else "bar"] = held
    _hold_scripts(held, slow)
    entrance = world.entrance(desk(Script()), both["bar"])
    async with world.running(world.consumer(desk(script), both["confirm"])):
        await world.quiet()
        world.tell(CardCharged(nights=2), saga_id)
        barring = asyncio.create_task(bar(entrance, saga_id))
        await world.until(lambda: len(script.calls) == 1)
        await asyncio.sleep(0.5)
        slow.set()
        state = await barring
        await world.quiet()

    was_barred = faster == "bar"
    assert state is (State.BARRED if was_barred else State.DONE)
    assert world.hash("desk", "trips") == ({"cancelled": "1"} if was_barred else {"confirmed": "1"})
    assert bool(world.events("desk", StepBarred)) is was_barred
    assert bool(world.events("desk", CancellationWanted)) is was_barred
    assert bool(world.events("desk", TripConfirmed)) is not was_barred


def _hold_scripts(wire: Wire, until: asyncio.Event) -> None:
    async def before(command: Command) -> None:
        if command[0] in ("EVAL", "EVALSHA"):
            await until.wait()

    wire.bus.writer.before = before  # type: ignore[attr-defined]  # a memory connection


@in_virtual_time
async def test_a_bar_whose_answer_was_lost_is_one_bar() -> None:
    """The repetition finds its own."""
    world = World()
    saga_id = await begun(world)
    wire = world.wire()
    wire.on_way_back = _lose_scripts(2)
    state = await bar(world.entrance(desk(Script()), wire), saga_id)

    assert state is State.BARRED
    assert len(world.events("desk", StepBarred)) == 1
    assert world.hash("desk", "trips") == {"cancelled": "1"}


@in_virtual_time
async def test_a_bar_of_an_unknown_saga_is_refused() -> None:
    """A ledger that knows no beginning bars nothing."""
    world = World()
    with pytest.raises(UnknownSaga):
        await bar(world.entrance(desk(Script())), "nobody")

    assert not world.events("desk", StepBarred)


@in_virtual_time
async def test_a_bar_of_a_step_that_others_perform_is_refused() -> None:
    """A bar in this ledger would forbid nothing there, and whoever asked would believe that it did."""
    world = World()
    saga_id = await begun(world)
    with pytest.raises(DefinitionError, match="desk performs no step that says CardCharged"):
        await world.entrance(desk(Script())).bar(saga_id, CardCharged, because=CancellationWanted())

    assert not world.events("desk", StepBarred)


@in_virtual_time
async def test_two_steps_of_one_participant_are_barred_under_different_ids() -> None:
    """An event id says which fact it is; two facts never share one."""
    world = World()
    clerk = Participant("desk")
    clerk.begins(TripBooked, saga="trip", version=1)

    @clerk.on(CardCharged)
    async def confirm(charged: CardCharged, tx: Transaction) -> TripConfirmed:
        return TripConfirmed()

    @clerk.on(CancellationWanted)
    async def close(wanted: CancellationWanted, tx: Transaction) -> TripCancelled:
        return TripCancelled()

    entrance = world.entrance(clerk)
    saga_id = (await entrance.begin(TripBooked(nights=2), key="k")).saga_id
    for step in (TripConfirmed, TripCancelled):
        assert await entrance.bar(saga_id, step, because=CancellationWanted()) is State.BARRED
    world.ask("desk", UndoRequested(step="TripConfirmed"), saga_id)
    await world.work(world.consumer(clerk))

    told = [(event["id"], event["data"]) for event in world.events("desk", StepBarred)]
    assert len(told) == 3
    assert len(set(told)) == 2
    assert len({id_ for id_, _ in told}) == 2


@in_virtual_time
async def test_a_bar_that_meets_a_step_giving_up_bars_it_all_the_same() -> None:
    """Giving up is no outcome, so it cannot be the answer."""
    world, slow = World(), asyncio.Event()
    saga_id = await begun(world)
    wire = world.wire()
    _hold_scripts(wire, slow)
    barring = asyncio.create_task(bar(world.entrance(desk(Script()), wire), saga_id))
    await asyncio.sleep(0.1)
    world.call("HSET", "desk", f"ledger:{saga_id}", "confirm", "gave up\nt\nCardCharged\ni\nc\n{}")
    slow.set()

    assert await barring is State.BARRED
    assert world.ledger("desk", "confirm", saga_id).state is State.BARRED


@in_virtual_time
async def test_an_undeclared_beginning_is_a_mistake_of_the_program() -> None:
    """It is said before anything is sent."""
    world = World()
    with pytest.raises(DefinitionError, match="declares no saga that begins with TripConfirmed"):
        await world.entrance(desk(Script())).begin(TripConfirmed(), key="k")


@in_virtual_time
async def test_nothing_begins_on_a_store_of_another_name() -> None:
    """Whoever was sent to the wrong server leaves nothing there, and begins once it has the name it must have."""
    world = World(store="shop")
    entrance = world.entrance(desk(Script()))

    with pytest.raises(WrongStore, match="sagastream init shop"):
        await entrance.begin(TripBooked(nights=2), key="request-17", change=count)
    with pytest.raises(WrongStore):
        await entrance.change(count)
    assert world.server.call("KEYS", "*") == []

    world.call("HSET", COORDINATOR, "store", "name", "shop")
    await entrance.begin(TripBooked(nights=2), key="request-17", change=count)
    assert len(world.events("desk", TripBooked)) == 1


@in_virtual_time
async def test_nothing_begins_on_a_store_that_came_in_the_place_of_ours() -> None:
    """After every trouble it is looked again: the server may have come back empty."""
    world = World()
    wire = world.wire()
    await world.work(world.consumer(desk(Script())))
    entrance = world.entrance(desk(Script()), wire)
    await entrance.begin(TripBooked(nights=2), key="request-17")
    wire.refuse_all()
    with pytest.raises(ServerUnavailable):
        await entrance.begin(TripBooked(nights=2), key="request-18")
    world.server.call("FLUSHALL")
    wire.heal()

    with pytest.raises(WrongStore, match="is this the right server"):
        await entrance.begin(TripBooked(nights=2), key="request-18")
    assert world.server.call("KEYS", "*") == []


@in_virtual_time
async def test_nothing_begins_on_an_empty_store_that_came_back_between_two_requests() -> None:
    """No request met any trouble: the server was back before the next one. What it took, nobody would read."""
    world = World()
    await world.work(world.consumer(desk(Script())))
    entrance = world.entrance(desk(Script()))
    await entrance.begin(TripBooked(nights=2), key="request-17")
    world.server.call("FLUSHALL")

    with pytest.raises(WrongStore, match="is this the right server"):
        await entrance.begin(TripBooked(nights=2), key="request-18", change=count)
    with pytest.raises(WrongStore, match="is this the right server"):
        await entrance.change(count)
    assert world.server.call("KEYS", "*") == []


@in_virtual_time
async def test_a_guard_that_does_not_hold_is_a_conflict_on_the_right_store() -> None:
    world = World()
    await world.work(world.consumer(desk(Script())))
    entrance = world.entrance(desk(Script()))

    with pytest.raises(Conflict):
        await entrance.change(lambda tx: tx.at_least("trips", "begun", 1))

    await entrance.change(count)
    assert world.hash("desk", "trips") == {"begun": "1"}


@in_virtual_time
async def test_what_can_never_be_applied_is_not_to_be_decided_again() -> None:
    """No guard refused it: whoever reads again and decides again would do so for ever."""
    world = World()
    world.call("SET", "desk", "trips", "no hash")
    entrance = world.entrance(desk(Script()))

    with pytest.raises(CannotApply, match="not a hash: trips"):
        await entrance.change(count)
    with pytest.raises(CannotApply, match="not a hash: trips"):
        await entrance.begin(TripBooked(nights=2), key="k", change=count)
    saga_id = await begun(world)
    with pytest.raises(CannotApply, match="not a hash: trips"):
        await bar(entrance, saga_id)


@in_virtual_time
async def test_a_bar_outlasts_an_answer_that_is_lost_before_it() -> None:
    """Its stream is made known first; a server that is back at once has not stayed away."""
    world = World()
    saga_id = await begun(world)
    wire = world.wire()
    wire.lose_replies("HSETNX", times=2)

    assert await bar(world.entrance(desk(Script()), wire), saga_id) is State.BARRED


@in_virtual_time
async def test_no_saga_begins_whose_events_nobody_would_read() -> None:
    """Every event of a saga names its initiator, and readers bury what is longer than any name."""
    world = World()
    entrance = world.entrance(desk(Script()))

    with pytest.raises(TooLarge, match="the initiator has 1025 characters, more than 1024"):
        await entrance.begin(TripBooked(nights=2), key="k", initiator="x" * 1025)

    assert world.events("desk", TripBooked) == []
    begun = await entrance.begin(TripBooked(nights=2), key="k", initiator="x" * 1024)
    assert not begun.repeated
    await world.work(world.coordinator(TRIP))
    assert world.status(begun.saga_id) == "Started"
    assert world.letters(COORDINATOR) == []
