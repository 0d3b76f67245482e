"""Repairs of many sagas: paced, each saga visited once whoever dies, stopped when they do not help.

It is long because every way in which a repair can be disturbed is played on the same stuck trips, made at its top.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from sagastream import keys as names
from sagastream.bus import Command
from sagastream.coordinator.campaign import Campaign, Count, Plan, State
from sagastream.coordinator.campaigner import Campaigner
from sagastream.coordinator.campaigns import MOST_COUNTED, Campaigns
from sagastream.coordinator.finding import Finding, Search
from sagastream.coordinator.listing import Filter, Listing, Page
from sagastream.coordinator.repair import Repaired, Repairs
from sagastream.envelope import pairs
from sagastream.errors import Undecodable
from sagastream.event import StepBarred, StepGaveUp
from sagastream.keys import COORDINATOR, OPEN_CAMPAIGNS
from sagastream.pages import Position
from sagastream.saga.attention import Effect
from sagastream.saga.lifecycle import Status
from sagastream.saga.repair import Act, Action
from tests.trip import TRIP, CardCharged, CardRefunded, RoomHeld, TripBooked
from tests.unit.core.world import Wire, World, in_virtual_time

RETRY = Action(Act.RETRY, "ann", "the bank is open again")
ABORT = Action(Act.ABORT, "ann", "written off")
REFUNDED = Action(Act.RESOLVE, "ann", "the bank says so", "charge card", Effect.UNDONE, "statement 7")
OWNERS = {"CardCharged": "bank", "RoomHeld": "hotel"}


async def stuck(world: World, count: int, *, prefix: str = "trip", step: str = "CardCharged") -> list[str]:
    """Have so many sagas that need attention: the undo of their charge, or of another step, gave up."""
    ids = [f"{prefix}-{number:03}" for number in range(count)]
    for saga_id in ids:
        for event in (TripBooked(nights=2), RoomHeld(nights=2, card="good"), CardCharged(nights=2)):
            world.tell(event, saga_id, id=f"{event.type_name()}-{saga_id}")
        gave_up = StepGaveUp(step=step, undoing=True, reason="closed", attempts=3)
        for by, told in (("desk", StepBarred(step="TripConfirmed")), (OWNERS[step], gave_up)):
            world.append(by, told.type_name(), world.fields(told, saga_id, f"{told.type_name()}-{saga_id}"))
    await world.work(world.coordinator(TRIP))
    return ids


def campaigns(world: World) -> Campaigns:
    return Campaigns([TRIP], bus=world.wire().bus, settings=world.settings)


async def begun(world: World, action: Action = RETRY, *, most: int = 1000, per_second: float = 10,
                step: str | None = None, stop_at: float = 0.1) -> Campaign:  # fmt: skip
    search = Search(Filter(Status.NEEDS_ATTENTION, to_ms=world.now_ms()), step=step)
    return await campaigns(world).begin(Plan(action, search, most, per_second, stop_at), world.now_ms())


def campaigner(world: World, ordinal: int = 1, wire: Wire | None = None) -> Campaigner:
    settings = world.settings.model_copy(update={"consumer": ordinal})
    return Campaigner([TRIP], bus=(wire or world.wire()).bus, settings=settings)


async def ended(world: World, campaign: Campaign) -> Campaign:
    """Wait for the end of a campaign."""
    while True:
        found = await campaigns(world).find(campaign.id)
        assert found is not None
        if found.state is not State.RUNNING:
            return found
        await asyncio.sleep(0.1)


@asynccontextmanager
async def driven(world: World, *drivers: Campaigner) -> AsyncIterator[None]:
    async with world.running(*(drivers or (campaigner(world),))):
        yield


def acted(world: World, saga_id: str, what: str = "RetryAsked") -> list[int]:
    """Return the instants at which an operator acted on a saga."""
    return [note["at"] for note in world.history(saga_id) if note["type"] == what]


def trail(world: World) -> list[dict[str, str]]:
    entries = world.call("XRANGE", COORDINATOR, "audit", "-", "+")
    assert isinstance(entries, list)
    return [pairs([str(value) for value in entry[1]]) for entry in entries]  # type: ignore[index,union-attr]  # XRANGE


@in_virtual_time
async def test_a_preview_counts_and_says_what_would_happen_and_changes_nothing() -> None:
    world = World()
    await stuck(world, 23)
    before = dict(world.hash(COORDINATOR, "record:trip-000"))

    found = await campaigns(world).preview(RETRY, Search(Filter(Status.NEEDS_ATTENTION)))
    hopeless = await campaigns(world).preview(
        Action(Act.RESOLVE, "ann", "why not", "hold room", Effect.DONE, "none"), Search(Filter(Status.NEEDS_ATTENTION))
    )

    assert (found.count, found.is_exact, len(found.sample)) == (23, True, 10)
    assert {what for _, what, _ in found.sample} == {Count.CHANGED}
    assert "bank is asked to undo 'charge card'" in found.sample[0][2]
    assert {what for _, what, _ in hopeless.sample} == {Count.REFUSED}
    assert world.hash(COORDINATOR, "record:trip-000") == before
    assert trail(world) == []


class Endless(Listing):
    """A list of sagas without an end, of which none fits; ``looked_at`` counts them."""

    def __init__(self) -> None:
        self.looked_at = 0

    async def page(self, wanted: Filter, after: Position | None, limit: int, *, oldest_first: bool = False) -> Page:
        """Return a page on which there is nothing."""
        self.looked_at += limit
        return Page((), Position(-self.looked_at, "trip"))


@in_virtual_time
async def test_a_preview_looks_into_a_bounded_number_of_sagas() -> None:
    """However few fit: whoever asked waits for the answer."""
    world, endless = World(), Endless()
    shown = campaigns(world)
    shown.finding = Finding([TRIP], endless)

    found = await shown.preview(RETRY, Search(Filter(Status.NEEDS_ATTENTION), why="nobody said that"))

    assert (found.count, found.is_exact) == (0, False)
    assert endless.looked_at <= 1.1 * MOST_COUNTED


@in_virtual_time
async def test_every_saga_is_visited_once_at_the_pace_that_was_set() -> None:
    """And each visit, like the beginning and the end, stands in the audit trail under the repair's id."""
    world = World()
    ids = await stuck(world, 40)
    campaign = await begun(world, per_second=10)
    async with driven(world):
        done = await ended(world, campaign)

    assert (done.state, done.visited, done.count(Count.CHANGED)) == (State.DONE, 40, 40)
    assert world.call("ZCARD", COORDINATOR, OPEN_CAMPAIGNS) == 0, "it is looked at no more"
    instants = sorted(at for saga_id in ids for at in acted(world, saga_id))
    assert len(instants) == 40
    assert 3800 <= instants[-1] - instants[0] <= 4500
    assert all(sum(at <= other < at + 1000 for other in instants) <= 11 for at in instants)
    assert {saga_id for saga_id in ids if world.hash(COORDINATOR, f"record:{saga_id}")["version"]} == set(ids)
    assert Counter(entry["action"] for entry in trail(world)) == {
        "repair begun: retry": 1,
        "retry": 40,
        "repair done": 1,
    }
    assert {entry["repair"] for entry in trail(world)} == {campaign.id}


@in_virtual_time
async def test_a_slow_pace_is_kept_however_many_could_drive() -> None:
    """Between two visits lies more time than whoever drives may be silent for."""
    world = World()
    ids = await stuck(world, 5)
    campaign = await begun(world, per_second=0.02)
    async with driven(world, *(campaigner(world, ordinal) for ordinal in (1, 2, 3))):
        done = await ended(world, campaign)

    instants = sorted(at for saga_id in ids for at in acted(world, saga_id))
    assert (done.state, len(instants)) == (State.DONE, 5)
    assert min(later - earlier for earlier, later in pairwise(instants)) > 49_000


@pytest.mark.parametrize("cut", ["before", "after"])
@in_virtual_time
async def test_another_goes_on_where_the_driver_died(cut: str) -> None:
    """Killed before or after a visit was stored: no saga is left out and none is visited twice."""
    world, wire = World(), None
    ids = await stuck(world, 12)
    campaign = await begun(world, per_second=100)
    wire = world.wire()
    seen = 0

    def dies(command: object) -> str | None:
        nonlocal seen
        assert isinstance(command, (list, tuple))
        seen += command[0] in ("EVAL", "EVALSHA")
        return "dead" if seen == 5 else None

    if cut == "before":
        wire.on_way_there = dies  # type: ignore[assignment]  # looks at commands only
    else:
        wire.on_way_back = dies  # type: ignore[assignment]
    first = campaigner(world, 1, wire)
    task = asyncio.create_task(first.run(asyncio.Event()))
    await wire.is_dead.wait()
    async with driven(world, campaigner(world, 2)):
        done = await ended(world, campaign)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (done.state, done.visited) == (State.DONE, 12)
    assert [len(acted(world, saga_id)) for saga_id in ids] == [1] * 12


@pytest.mark.parametrize("changes", [True, False], ids=["what is changed", "what is refused"])
@pytest.mark.parametrize("other", [2, 1], ids=["another", "its own successor"])
@in_virtual_time
async def test_two_drivers_who_both_believe_to_drive_visit_no_saga_twice(other: int, changes: bool) -> None:
    """The first is frozen for longer than it holds the repair, and thaws; the successor even has its name.

    What is changed is guarded by its own record as well, what is not is counted by the repair alone.
    """
    world = World()
    ids = await stuck(world, 30, step="CardCharged" if changes else "RoomHeld")
    campaign = await begun(world, RETRY if changes else REFUNDED, per_second=2, stop_at=1.0)
    go, wire = asyncio.Event(), world.wire()
    seen = 0

    async def freezes(command: object) -> None:
        nonlocal seen
        assert isinstance(command, (list, tuple))
        seen += command[0] in ("EVAL", "EVALSHA")
        if seen == 6:
            await go.wait()

    wire.bus.writer.before = freezes  # type: ignore[attr-defined]  # a memory connection
    async with driven(world, campaigner(world, 1, wire), campaigner(world, other)):
        await world.until(lambda: seen == 6)
        await asyncio.sleep(10.5)
        go.set()
        done = await ended(world, campaign)

    assert (done.state, done.visited) == (State.DONE, 30)
    assert [len(acted(world, saga_id)) for saga_id in ids] == [int(changes)] * 30


@in_virtual_time
async def test_it_stops_where_it_may_not_do_what_it_is_to_do() -> None:
    """After twenty visits a share of refusals means something; the reason is told."""
    world = World()
    await stuck(world, 60)
    hopeless = Action(Act.RESOLVE, "ann", "why not", "hold room", Effect.DONE, "none")
    campaign = await begun(world, hopeless, per_second=100)
    async with driven(world):
        done = await ended(world, campaign)

    assert (done.state, done.count(Count.REFUSED), done.visited) == (State.STOPPED, 20, 20)
    assert "of 20 visits 20 failed" in done.why
    assert "is not open" in done.problem
    assert trail(world)[-1]["action"] == "repair stopped"


async def visited_with(world: World, refused: int) -> Campaign:
    """Visit 22 of 26 sagas of which as many can only be refused; they come first, for they began last."""
    for _ in range(5):
        world.call("XADD", "bank", "letters", "*", "reason", "long ago")
    await stuck(world, 26 - refused)
    await asyncio.sleep(1)
    await stuck(world, refused, prefix="other", step="RoomHeld")
    campaign = await begun(world, REFUNDED, most=22, per_second=100)
    async with driven(world):
        return await ended(world, campaign)


@in_virtual_time
async def test_as_many_failures_as_may_be_stop_nothing_nor_do_letters_from_before() -> None:
    """A tenth may fail, and two of twenty do; dead letters that were there at the start are nobody's fault."""
    done = await visited_with(World(), refused=2)

    assert (done.state, done.why) == (State.DONE, "as many were visited as the preview told")
    assert (done.visited, done.count(Count.CHANGED), done.count(Count.REFUSED)) == (22, 20, 2)


@in_virtual_time
async def test_one_failure_more_than_may_be_stops_it_and_the_last_one_is_told() -> None:
    done = await visited_with(World(), refused=3)

    assert (done.state, done.visited) == (State.STOPPED, 20)
    assert done.why.startswith("of 20 visits 3 failed (0 of them as new dead letters); the last problem: other-")
    assert done.why.endswith(done.problem)


@in_virtual_time
async def test_it_stops_when_what_it_asks_for_ends_as_new_dead_letters() -> None:
    """Asking again is no failure; that the undo fails again is."""
    world = World()
    await stuck(world, 60)
    campaign = await begun(world, per_second=100)

    async def fails() -> None:
        while True:
            await asyncio.sleep(0.05)
            world.call("XADD", "bank", "letters", "*", "reason", "closed")

    failing = asyncio.create_task(fails())
    async with driven(world):
        done = await ended(world, campaign)
    failing.cancel()

    assert done.state is State.STOPPED
    assert 20 <= done.visited < 60
    assert "new dead letters" in done.why


@in_virtual_time
async def test_an_operator_stops_it() -> None:
    """After the saga it is at; who and why is told, and what has ended stays as it is."""
    world = World()
    ids = await stuck(world, 50)
    campaign = await begun(world, per_second=10)
    async with driven(world):
        await world.until(lambda: sum(len(acted(world, saga_id)) for saga_id in ids) >= 5)
        stopped = await campaigns(world).stop(campaign.id, "bob", "it does not help")
        visited = sum(len(acted(world, saga_id)) for saga_id in ids)
        await asyncio.sleep(5)
        again = await campaigns(world).stop(campaign.id, "eve", "me too")

    assert stopped is not None
    assert (stopped.state, stopped.why) == (State.STOPPED, "bob: it does not help")
    assert again == stopped
    assert sum(len(acted(world, saga_id)) for saga_id in ids) == visited < 50


@in_virtual_time
async def test_no_more_are_visited_than_the_preview_told() -> None:
    world = World()
    ids = await stuck(world, 10)
    campaign = await begun(world, ABORT, most=4, per_second=100)
    async with driven(world):
        done = await ended(world, campaign)

    assert (done.state, done.visited) == (State.DONE, 4)
    assert Counter(world.status(saga_id) for saga_id in ids) == {"Aborted": 4, "NeedsAttention": 6}


@in_virtual_time
async def test_only_what_is_wanted_is_visited_and_what_ended_meanwhile_is_no_failure() -> None:
    """Sagas that begin later, or wait at another step, are left alone."""
    world = World()
    await stuck(world, 3)
    campaign = await begun(world, ABORT, step="hold room", per_second=100)
    other = await begun(world, ABORT, step="charge card", per_second=100)
    await asyncio.sleep(1)
    later = await stuck(world, 2, prefix="later")
    async with driven(world):
        done = await ended(world, campaign)
        nothing = await ended(world, other)

    assert (done.visited, nothing.visited) == (3, 0)
    assert {world.status(saga_id) for saga_id in later} == {"NeedsAttention"}


@in_virtual_time
async def test_what_has_gone_on_since_it_was_found_is_left_alone() -> None:
    """Some sagas are looked up at a time; at a slow pace the last of them may long have helped itself."""
    world = World()
    ids = await stuck(world, 2)
    campaign = await begun(world, ABORT, per_second=0.1)
    async with world.running(world.coordinator(TRIP)), driven(world):
        await world.until(lambda: "Aborted" in map(world.status, ids))
        (other,) = [saga_id for saga_id in ids if world.status(saga_id) != "Aborted"]
        world.tell(CardRefunded(), other)
        done = await ended(world, campaign)

    assert world.status(other) == "Compensating"
    assert (done.state, done.count(Count.CHANGED), done.count(Count.UNCHANGED)) == (State.DONE, 1, 1)
    assert done.problem == ""


@in_virtual_time
async def test_what_is_removed_before_its_visit_is_no_failure() -> None:
    """Its retention is over, and there is nothing to be done to it."""
    world = World()
    ids = await stuck(world, 2)
    campaign = await begun(world, ABORT, per_second=0.1)
    async with driven(world):
        await world.until(lambda: "Aborted" in map(world.status, ids))
        (other,) = [saga_id for saga_id in ids if world.status(saga_id) != "Aborted"]
        world.call("DEL", COORDINATOR, f"record:{other}")
        done = await ended(world, campaign)

    assert (done.state, done.count(Count.CHANGED), done.count(Count.UNCHANGED)) == (State.DONE, 1, 1)
    assert done.problem == ""


@in_virtual_time
async def test_a_visit_that_can_never_be_stored_is_of_one_saga_only() -> None:
    """Somebody wrote over the history of a saga: it is counted as failed, and left as it is."""
    world = World()
    ids = await stuck(world, 3)
    world.call("DEL", COORDINATOR, f"history:{ids[1]}")
    world.call("SET", COORDINATOR, f"history:{ids[1]}", "x")
    campaign = await begun(world, ABORT)
    async with asyncio.timeout(60), driven(world):
        done = await ended(world, campaign)

    assert [world.status(saga_id) for saga_id in ids] == ["Aborted", "NeedsAttention", "Aborted"]
    assert (done.visited, done.count(Count.CHANGED), done.count(Count.FAILED)) == (3, 2, 1)
    assert done.problem.startswith(f"{ids[1]}: malformed")


@in_virtual_time
async def test_who_stops_the_process_does_not_wait_for_the_next_visit_of_a_slow_repair() -> None:
    """Nor is that visit made sooner for it; whoever drives next makes it."""
    world = World()
    ids = await stuck(world, 3)
    await begun(world, per_second=0.02)
    async with asyncio.timeout(60):
        async with driven(world):
            await world.until(lambda: any(acted(world, saga_id) for saga_id in ids))
            await asyncio.sleep(1)
            stopped_ms = world.now_ms()

    assert world.now_ms() - stopped_ms < 1000
    assert sum(len(acted(world, saga_id)) for saga_id in ids) == 1


@in_virtual_time
async def test_what_goes_on_while_its_visit_is_stored_is_left_alone() -> None:
    """The commit is refused, and what is decided anew is decided on what the saga is by then."""
    world = World()
    (saga_id,) = await stuck(world, 1)
    campaign, wire, coordinator = await begun(world, ABORT), world.wire(), world.coordinator(TRIP)
    go = asyncio.Event()

    async def waits(command: Command) -> None:
        if b"AbortAsked" in bytes(command[-1] if isinstance(command[-1], bytes) else b""):
            world.tell(CardRefunded(), saga_id)
            await go.wait()

    wire.bus.writer.before = waits  # type: ignore[attr-defined]  # a memory connection
    async with world.running(coordinator), driven(world, campaigner(world, wire=wire)):
        await world.until(lambda: world.status(saga_id) == "Compensating")
        go.set()
        done = await ended(world, campaign)

    assert world.status(saga_id) == "Compensating"
    assert (done.count(Count.CHANGED), done.count(Count.UNCHANGED)) == (0, 1)


@in_virtual_time
async def test_another_goes_on_though_the_clock_was_put_back_since_the_driver_died() -> None:
    """It says to be held until an hour from now, which nobody ever claims."""
    world = World()
    ids = await stuck(world, 12)
    campaign = await begun(world, per_second=10)
    task = asyncio.create_task(campaigner(world, 1).run(asyncio.Event()))
    await world.until(lambda: any(acted(world, saga_id) for saga_id in ids))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.clock_step_ms = -3_600_000
    async with driven(world, campaigner(world, 2)):
        async with asyncio.timeout(30):
            done = await ended(world, campaign)

    assert (done.state, done.visited) == (State.DONE, 12)
    assert [len(acted(world, saga_id)) for saga_id in ids] == [1] * 12


@in_virtual_time
async def test_nothing_is_repaired_on_another_store() -> None:
    """What is open there is for its own coordinators, who may stand for another shop."""
    world = World()
    ids = await stuck(world, 2)
    async with driven(world):
        await asyncio.sleep(2)
        born = str(world.call("HGET", COORDINATOR, "store", "born"))
        world.call("HSET", COORDINATOR, "store", "born", "another")
        campaign = await begun(world, ABORT)
        await asyncio.sleep(60)
        assert {world.status(saga_id) for saga_id in ids} == {"NeedsAttention"}
        world.call("HSET", COORDINATOR, "store", "born", born)
        done = await ended(world, campaign)

    assert done.count(Count.CHANGED) == 2


@in_virtual_time
async def test_server_trouble_interrupts_a_repair_and_nothing_is_lost() -> None:
    world = World()
    ids = await stuck(world, 20)
    campaign = await begun(world, per_second=50)
    wire = world.wire()
    async with driven(world, campaigner(world, 1, wire)):
        await world.until(lambda: sum(len(acted(world, saga_id)) for saga_id in ids) >= 5)
        wire.refuse_all()
        await asyncio.sleep(20)
        wire.heal()
        done = await ended(world, campaign)

    assert (done.state, done.visited) == (State.DONE, 20)
    assert [len(acted(world, saga_id)) for saga_id in ids] == [1] * 20


@in_virtual_time
async def test_an_error_nobody_foresaw_is_of_one_saga_only() -> None:
    """A mistake of the engine itself must neither hold up the others nor keep a campaign running for ever."""
    world = World()
    await stuck(world, 3)
    right = Repairs.decide

    async def wrong(repairs: Repairs, saga_id: str, action: Action, now_ms: int) -> Repaired | None:
        if saga_id == "trip-001":
            raise ZeroDivisionError("nobody foresaw this")
        return await right(repairs, saga_id, action, now_ms)

    campaign = await begun(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Repairs, "decide", wrong)
        async with asyncio.timeout(60), driven(world):
            found = await ended(world, campaign)

    assert (found.visited, found.count(Count.CHANGED), found.count(Count.FAILED)) == (3, 2, 1)
    assert [len(acted(world, f"trip-00{at}")) for at in range(3)] == [1, 0, 1]


@in_virtual_time
async def test_an_error_nobody_foresaw_while_sagas_are_looked_for_stops_the_repair() -> None:
    """Without a saga to blame there is nothing to go on with: it says so, instead of running for ever."""
    world = World()
    await stuck(world, 25)
    right = Finding.page

    async def wrong(finding: Finding, search: Search, at: Position | None, *rest: int) -> Page:
        if at is not None:
            raise ZeroDivisionError("nobody foresaw this")
        return await right(finding, search, at, *rest)

    campaign = await begun(world)
    with pytest.MonkeyPatch.context() as patch, capture_logs() as logged:
        patch.setattr(Finding, "page", wrong)
        async with asyncio.timeout(60), driven(world):
            found = await ended(world, campaign)

    assert (found.state, found.visited) == (State.STOPPED, 10)
    assert found.why == "ZeroDivisionError when sagas were looked for; the log of the coordinator says more"
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["repair.failed"]


@in_virtual_time
async def test_who_fails_once_another_has_gone_on_with_a_repair_does_not_stop_it() -> None:
    """It was frozen for longer than the repair was held for it; what it meets then is its own trouble."""
    world = World()
    await stuck(world, 25)
    right, campaign = Finding.page, await begun(world)
    key = names.campaign(campaign.id)

    async def frozen(finding: Finding, search: Search, at: Position | None, *rest: int) -> Page:
        if at is None:
            return await right(finding, search, at, *rest)
        world.call("HSET", COORDINATOR, key, "by", "saga-2", "until_ms", world.now_ms() + 10_000)
        raise ZeroDivisionError("nobody foresaw this")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finding, "page", frozen)
        async with driven(world):
            await asyncio.sleep(5)
    assert world.call("HGET", COORDINATOR, key, "state") == "running"
    async with asyncio.timeout(60), driven(world, campaigner(world, 2)):
        found = await ended(world, campaign)

    assert (found.state, found.visited) == (State.DONE, 25)


@in_virtual_time
async def test_a_repair_that_was_stopped_at_its_last_saga_is_not_said_to_have_been_done() -> None:
    """A person was faster than the coordinator, whose commit is refused."""
    world = World()
    await stuck(world, 1)
    campaign, wire = await begun(world), world.wire()

    def is_stopped_before(command: Command) -> None:
        if b"repair done" in bytes(command[-1] if isinstance(command[-1], bytes) else b""):
            world.call("HSET", COORDINATOR, names.campaign(campaign.id), "state", State.STOPPED)

    wire.on_way_there = is_stopped_before
    with capture_logs() as logged:
        async with driven(world, campaigner(world, wire=wire)):
            shown = await ended(world, campaign)

    told = [entry["event"] for entry in logged if entry.get("repair") == campaign.id]
    assert shown.state is State.STOPPED
    assert told == ["repair.interrupted"]


@pytest.mark.parametrize("lacks", [None, "cursor"])
@in_virtual_time
async def test_a_repair_that_cannot_be_read_here_holds_up_no_other(lacks: str | None) -> None:
    """Such as one of a later release, seen by a coordinator of this one: it waits for somebody who knows it."""
    world = World()
    ids = await stuck(world, 1)
    later, known = await begun(world, per_second=1), await begun(world)
    plan = {**json.loads(str(world.call("HGET", COORDINATOR, names.campaign(later.id), "plan"))), "every": "day"}
    if lacks is None:
        plan["action"]["act"] = "postpone"
        world.call("HSET", COORDINATOR, names.campaign(later.id), "plan", json.dumps(plan))
    else:
        world.call("HDEL", COORDINATOR, names.campaign(later.id), lacks)

    with capture_logs() as logged:
        async with driven(world):
            async with asyncio.timeout(60):
                done = await ended(world, known)
            listed = await campaigns(world).latest(10)
            await asyncio.sleep(3600)

    assert (done.state, done.count(Count.CHANGED)) == (State.DONE, len(ids))
    assert [campaign.id for campaign in listed] == [known.id]
    assert world.call("HGET", COORDINATOR, names.campaign(later.id), "state") == "running"
    assert [later.id in line["error"] for line in logged if line["event"] == "repair.cannot_be_read"] == [True] * 2
    with pytest.raises(Undecodable, match=later.id):
        await campaigns(world).find(later.id)


@in_virtual_time
async def test_a_repair_that_finds_nothing_for_long_ends_with_its_coordinator() -> None:
    """It looks through all sagas of a status for the few that fit; who stops the process does not wait for that."""
    world = World()
    await begun(world)
    pages = 0

    async def endless(*_: object) -> Page:
        nonlocal pages
        pages += 1
        await asyncio.sleep(0.1)
        return Page((), Position(world.now_ms(), "trip"), 1000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finding, "page", endless)
        async with asyncio.timeout(60), driven(world):
            await world.until(lambda: pages == 3)

    assert pages <= 4
