"""What a living worker has in hand outside is nobody else's, however long it takes; what a silent one has, is.

It is long because each answer that a worker can miss is lost once, between the same post and mail.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from sagastream import Participant, Retry, Transaction
from sagastream.bus import Command
from sagastream.consumer import OUTSIDE
from sagastream.errors import ReplyError
from sagastream.event import StepGaveUp
from sagastream.ledger import State
from sagastream.telemetry import Telemetry
from tests.trip import CardCharged, RoomGivenBack, RoomHeld
from tests.unit.core.casts import RETRY, Gateway, Script, bank
from tests.unit.core.world import SAGA, World, in_virtual_time

IDLE = timedelta(seconds=30)


class Post:
    """Somebody outside who takes his time: ``lines`` calls at once, so many seconds for each, the first of some fail.

    Unlike a gateway it does not know what it was told already: whoever calls it twice has said it twice.
    """

    def __init__(self, *, each_s: float, lines: int = 1000, fails: int = 0) -> None:
        self.each_s = each_s
        self.calls: list[str] = []
        self._lines = asyncio.Semaphore(lines)
        self._fails = fails

    async def send(self, saga_id: str) -> None:
        """Take it, when it is its turn."""
        async with self._lines:
            self.calls.append(saga_id)
            if Counter(self.calls)[saga_id] <= self._fails:
                raise RuntimeError("try again later")
            await asyncio.sleep(self.each_s)

    @property
    def repeated(self) -> dict[str, int]:
        """Return what was sent more than once, without the attempts that were to fail."""
        return {saga_id: times for saga_id, times in Counter(self.calls).items() if times > 1 + self._fails}


def mail(retry: Retry = RETRY) -> Participant:
    """Return a participant that tells the post of everything."""
    mail = Participant("mail", retry=retry)

    @mail.on(RoomHeld, outside=True)
    async def tell_held(held: RoomHeld, tx: Transaction, post: Post) -> None:
        await post.send(tx.saga_id)

    @mail.on(RoomGivenBack, outside=True)
    async def tell_given_back(given_back: RoomGivenBack, tx: Transaction, post: Post) -> None:
        await post.send(tx.saga_id)

    return mail


@in_virtual_time
async def test_what_queues_for_its_call_longer_than_a_silent_worker_is_waited_for_is_called_once() -> None:
    """400 mails of a second each over 8 lines take most of a minute, in front of an idle second worker."""
    world, post = World(claim_idle=IDLE), Post(each_s=1, lines=8)
    for number in range(400):
        world.tell(RoomHeld(nights=1, card="good"), f"saga-{number}")
    await world.work(*(world.consumer(mail(), ordinal=n, resources={Post: post}) for n in (1, 2)))

    assert world.loop.time() > 45
    assert len(post.calls) == 400
    assert not post.repeated


@in_virtual_time
async def test_what_was_read_and_waits_for_room_is_called_once() -> None:
    """As many calls as may be are under way and hang; entries of two streams came by one read, more than a round takes.

    One worker has read them all, and is busy for minutes, before the other one begins to look for what was left.
    """
    world, post = World(claim_idle=IDLE), Post(each_s=100)
    for number in range(OUTSIDE - 100):
        world.tell(RoomHeld(nights=1, card="good"), f"first-{number}")
    busy, idle = (world.consumer(mail(), ordinal=n, resources={Post: post}) for n in (1, 2))
    async with world.running(busy):
        await world.until(lambda: len(post.calls) == OUTSIDE - 100)
        for number in range(400):
            world.tell(RoomHeld(nights=1, card="good"), f"second-{number}")
            world.tell(RoomGivenBack(), f"third-{number}")
        await world.until(lambda: len(post.calls) >= OUTSIDE)
        async with world.running(idle):
            await world.quiet()

    assert len(post.calls) == OUTSIDE - 100 + 800
    assert not post.repeated


@in_virtual_time
async def test_what_a_read_brings_beyond_a_round_is_in_the_next_one() -> None:
    """Every stream may give as much as there is room for; nobody waits until what was left over is claimed."""
    world, post = World(batch=1, claim_idle=timedelta(minutes=30)), Post(each_s=0)
    world.tell(RoomHeld(nights=1, card="good"), "one")
    world.tell(RoomGivenBack(), "two")
    async with world.running(world.consumer(mail(), resources={Post: post})):
        await world.until(lambda: len(post.calls) == 2, timedelta(seconds=5))

    assert sorted(post.calls) == ["one", "two"]


@in_virtual_time
async def test_what_is_called_while_reads_are_lost_is_not_called_again() -> None:
    """All that is pending is read again after each of them, with what the worker has in hand by then."""
    world, post = World(claim_idle=IDLE), Post(each_s=60)
    wire = world.wire()
    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(world.consumer(mail(), wire, resources={Post: post})):
        await world.until(lambda: post.calls)
        wire.lose_replies("XREADGROUP", times=3)
        await world.quiet()

    assert post.calls == [SAGA]


@pytest.mark.parametrize("arrives", [True, False])
@in_virtual_time
async def test_a_call_whose_outcome_the_server_does_not_confirm_is_settled_at_once(arrives: bool) -> None:
    """Only that commit is lost, all else goes on: nobody waits until what is pending is taken for left behind."""
    world, gateway = World(claim_idle=timedelta(minutes=30)), Gateway()
    gateway.answers.clear()
    wire = world.wire()
    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(world.consumer(bank(Script()), wire, resources={Gateway: gateway})):
        await world.until(lambda: gateway.calls)
        (wire.lose_replies if arrives else wire.lose_requests)("EVALSHA")
        gateway.answers.set()
        await world.until(lambda: not world.unsettled(), timedelta(seconds=10))

    assert len(world.events("bank", CardCharged)) == 1
    assert len(gateway.charged) == 1


@in_virtual_time
async def test_what_a_call_decided_on_what_has_changed_meanwhile_is_decided_again_at_once() -> None:
    """Its guard is refused: it does not stay with the worker until it is taken for left behind."""
    world, post = World(claim_idle=timedelta(minutes=30)), Post(each_s=1)
    mail = Participant("mail", retry=RETRY)

    @mail.on(RoomHeld, outside=True)
    async def tell_held(held: RoomHeld, tx: Transaction, post: Post) -> None:
        (told,) = await tx.read("told", "times")
        await post.send(tx.saga_id)
        tx.expect("told", "times", told)

    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(world.consumer(mail, resources={Post: post})):
        await world.until(lambda: post.calls)
        world.call("HSET", "mail", "told", "times", 1)
        await world.until(lambda: not world.unsettled(), timedelta(seconds=10))

    assert post.calls == [SAGA, SAGA]
    assert not world.letters("mail")


@in_virtual_time
async def test_what_a_dead_worker_left_is_found_behind_much_that_is_in_hand() -> None:
    """One look at what was left takes in so many entries; the next goes on where it ended."""
    world, post = World(batch=1, claim_idle=IDLE), Post(each_s=600)
    stream = world.keys.of("hotel").events("RoomHeld")
    entries = [world.tell(RoomHeld(nights=1, card="good"), f"saga-{number}") for number in range(31)]
    world.server.call("XGROUP", "CREATE", stream, "mail", 0)
    world.server.call("XREADGROUP", "GROUP", "mail", "mail-2", "STREAMS", stream, ">")
    world.server.call("XCLAIM", stream, "mail", "mail-1", 0, *entries[:-1])
    async with world.running(world.consumer(mail(), ordinal=1, resources={Post: post})):
        await world.until(lambda: len(post.calls) == 31, timedelta(minutes=3))

    assert not post.repeated


@in_virtual_time
async def test_what_waits_for_its_turn_when_the_server_fails_is_put_away_once() -> None:
    """It is read again with what was in hand, and no ledger would tell that somebody put it away."""
    world = World(batch=1)
    wire = world.wire()
    for name in ("RoomHeld", "RoomGivenBack"):
        world.append("hotel", name, {"hello": "world"})
    wire.lose_requests("EVALSHA")
    await world.work(world.consumer(mail(), wire, resources={Post: Post(each_s=0)}))

    assert len(world.letters("mail")) == 2


@in_virtual_time
async def test_a_second_attempt_that_takes_its_time_is_not_made_by_another_worker_as_well() -> None:
    """The call hangs for a minute; whoever looks meanwhile finds that somebody has it in hand."""
    world, post = World(claim_idle=IDLE), Post(each_s=60, fails=1)
    world.tell(RoomHeld(nights=1, card="good"))
    await world.work(*(world.consumer(mail(), ordinal=n, resources={Post: post}) for n in (1, 2)))

    assert world.loop.time() > 60
    assert post.calls == [SAGA, SAGA]
    assert world.call("ZCARD", "mail", "retries") == 0
    assert world.hash("mail", "attempts") == {}


@in_virtual_time
async def test_of_two_workers_that_look_at_the_same_instant_one_makes_the_attempt() -> None:
    """Both know when it is due and wake for it; both find it due before either has put it off."""
    world, post = World(claim_idle=IDLE), Post(each_s=1, fails=1)
    later = mail(Retry(attempts=3, first=timedelta(seconds=5), jitter=0.0))
    async with world.running(*(world.consumer(later, ordinal=n, resources={Post: post}) for n in (1, 2))):
        await world.quiet()
        for number in range(20):
            world.tell(RoomHeld(nights=1, card="good"), f"saga-{number}")
        await world.quiet()

    assert len(post.calls) == 40
    assert not post.repeated


@in_virtual_time
async def test_an_attempt_that_fails_late_is_made_again_when_it_is_due() -> None:
    """That it was in hand for long has put off neither the next attempt nor what was noted of it."""
    world, gateway, script = World(claim_idle=IDLE), Gateway(), Script()
    failures = iter(range(2))

    def before(saga_id: str) -> None:
        instants.append(world.loop.time())
        gateway.answers.clear()
        world.loop.call_later(61, gateway.answers.set)
        if next(failures, None) is not None:
            raise RuntimeError("not now")

    instants: list[float] = []
    script.before = before
    world.tell(RoomHeld(nights=1, card="good"))
    await world.work(*(world.consumer(bank(script), ordinal=n, resources={Gateway: gateway}) for n in (1, 2)))

    assert [round(later - sooner) for sooner, later in pairwise(instants)] == [61, 61]
    assert len(gateway.calls) == 3
    assert world.ledger("bank", "charge_card").state is State.DONE
    assert world.call("ZCARD", "bank", "retries") == 0


@in_virtual_time
async def test_a_worker_that_ends_its_calls_before_it_stops_still_has_them_in_hand() -> None:
    """It reads no more, but is not silent: another one leaves it what it has begun."""
    world, post = World(claim_idle=IDLE, stop_within=timedelta(minutes=5)), Post(each_s=100)
    world.tell(RoomHeld(nights=1, card="good"))
    stop = asyncio.Event()
    stopping = asyncio.create_task(world.consumer(mail(), ordinal=1, resources={Post: post}).run(stop))
    await world.until(lambda: post.calls)
    stop.set()
    async with world.running(world.consumer(mail(), ordinal=2, resources={Post: post})):
        await stopping
        await world.quiet()

    assert post.calls == [SAGA]


@in_virtual_time
async def test_what_a_silent_worker_has_in_hand_is_taken_by_another() -> None:
    """It is cut off from the server while its call hangs: first attempts and later ones are somebody else's then."""
    world, gateway = World(claim_idle=IDLE), Gateway()
    gateway.answers.clear()
    wire = world.wire()
    world.tell(RoomHeld(nights=1, card="good"))
    cut_off = world.consumer(bank(Script()), wire, ordinal=1, resources={Gateway: gateway})
    async with world.running(cut_off):
        await world.until(lambda: gateway.calls)
        await asyncio.sleep(100)  # it was alive for long before it fell silent
        wire.refuse_all()
        cut_at = world.loop.time()
        async with world.running(world.consumer(bank(Script()), ordinal=2, resources={Gateway: gateway})):
            await world.until(lambda: len(gateway.calls) == 2, timedelta(seconds=60))
            assert world.loop.time() - cut_at > 15
            gateway.answers.set()
            await world.quiet()
        wire.heal()
        await world.quiet()

    assert len(world.events("bank", CardCharged)) == 1


@pytest.mark.parametrize("first", [1, 2])
@in_virtual_time
async def test_a_worker_that_comes_back_and_takes_what_another_has_in_hand_does_no_harm(first: int) -> None:
    """It says that it has it in hand, and so the entry is its own again; whoever is first decides, and once."""
    world, gateways = World(claim_idle=IDLE), {1: Gateway(), 2: Gateway()}
    wires, telemetry = {1: world.wire(), 2: world.wire()}, Telemetry("bank")
    came_back, took_over = (
        world.consumer(bank(Script()), wires[n], ordinal=n, resources={Gateway: gateways[n]}, telemetry=telemetry)
        for n in (1, 2)
    )
    for gateway in gateways.values():
        gateway.answers.clear()
    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(came_back):
        await world.until(lambda: gateways[1].calls)
        wires[1].refuse_all()
        async with world.running(took_over):
            await world.until(lambda: gateways[2].calls)
            wires[1].heal()
            await asyncio.sleep(100)  # both say that they have it in hand
            gateways[first].answers.set()
            await asyncio.sleep(100)
            assert world.unsettled() == []
            gateways[3 - first].answers.set()
            await asyncio.sleep(100)

    assert [len(gateway.calls) for gateway in gateways.values()] == [1, 1]
    assert all(wire.commands("XCLAIM") for wire in wires.values())
    assert world.unsettled() == []
    assert len(world.events("bank", CardCharged)) == 1
    assert not world.events("bank", StepGaveUp)
    assert not world.letters("bank")
    assert world.call("ZCARD", "bank", "retries") == 0
    assert b'trimmed_while_pending_total{service="bank"} 0.0' in telemetry.render()


@in_virtual_time
async def test_nothing_is_said_of_what_is_not_in_hand() -> None:
    """An idle worker and one whose calls are quick send nothing for it."""
    world, post = World(claim_idle=IDLE), Post(each_s=0.1)
    wire = world.wire()
    async with world.running(world.consumer(mail(), wire, resources={Post: post})):
        for number in range(10):
            world.tell(RoomHeld(nights=1, card="good"), f"saga-{number}")
            await asyncio.sleep(7)

    assert wire.commands("XCLAIM") == []


@in_virtual_time
async def test_what_is_trimmed_while_it_is_in_hand_is_told_once() -> None:
    """Nobody else ever finds it: its claim is gone with the entry, and its holder is alive."""
    world, post = World(claim_idle=IDLE), Post(each_s=300)
    telemetry = Telemetry("mail")
    async with world.running(world.consumer(mail(), resources={Post: post}, telemetry=telemetry)):
        for saga_id in ("lost", "kept"):
            world.tell(RoomHeld(nights=1, card="good"), saga_id)
        await asyncio.sleep(1)
        world.call("XTRIM", "hotel", "events:RoomHeld", "MAXLEN", 1)
        await asyncio.sleep(100)
        told = telemetry.render()
        await asyncio.sleep(300)

    assert b'trimmed_while_pending_total{service="mail"} 1.0' in told
    assert b'trimmed_while_pending_total{service="mail"} 1.0' in telemetry.render()
    assert post.repeated == {}


@pytest.mark.parametrize("arrives", [True, False])
@in_virtual_time
async def test_a_second_attempt_is_kept_in_hand_though_a_renewal_is_not_answered(arrives: bool) -> None:
    """The server has put it off or never heard of it, and the worker was not told: it goes on saying that it has it."""
    world, post = World(claim_idle=IDLE), Post(each_s=120, fails=1)
    wire = world.wire()
    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(world.consumer(mail(), wire, ordinal=1, resources={Post: post})):
        await world.until(lambda: len(post.calls) == 2)
        (wire.lose_replies if arrives else wire.lose_requests)("EVALSHA")
        async with world.running(world.consumer(mail(), ordinal=2, resources={Post: post})):
            await world.quiet()

    assert post.calls == [SAGA, SAGA]


@pytest.mark.parametrize("code", ["OOM", "READONLY"])
@in_virtual_time
async def test_a_second_attempt_is_kept_in_hand_though_the_server_takes_no_writes_for_a_while(code: str) -> None:
    """It is full, or was demoted, while the attempt goes on: whoever makes it does not take it for somebody else's."""
    world, post = World(claim_idle=IDLE), Post(each_s=120, fails=1)
    wire = world.wire()

    async def far_away(command: Command) -> None:
        await asyncio.sleep(0.01)

    wire.bus.writer.before = far_away  # type: ignore[attr-defined]  # a memory connection
    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(world.consumer(mail(), wire, ordinal=1, resources={Post: post})):
        await world.until(lambda: len(post.calls) == 2)
        world.server.refuses = lambda name: ReplyError(code, "no writes") if name in (b"ZADD", b"HSET") else None
        await asyncio.sleep(15)
        world.server.refuses = None
        async with world.running(world.consumer(mail(), ordinal=2, resources={Post: post})):
            await world.quiet()

    assert post.calls == [SAGA, SAGA]


@in_virtual_time
async def test_a_second_attempt_is_not_made_beside_itself_after_the_server_took_no_writes_for_long() -> None:
    """Its lease is over by then, and whoever finds it due is the worker that still makes it."""
    world, post = World(claim_idle=IDLE), Post(each_s=120, fails=1)
    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(world.consumer(mail(), resources={Post: post})):
        await world.until(lambda: len(post.calls) == 2)
        world.server.refuses = lambda name: ReplyError("OOM", "no writes") if name in (b"ZADD", b"HSET") else None
        await asyncio.sleep(60)
        world.server.refuses = None
        await world.quiet()

    assert post.calls == [SAGA, SAGA]
    assert world.call("ZCARD", "mail", "retries") == 0


@in_virtual_time
async def test_an_attempt_that_was_taken_and_whose_fetching_is_not_answered_is_made_at_once() -> None:
    """The server went away between the taking and the fetching: whoever took it does not keep it from everybody."""
    world, post = World(claim_idle=IDLE), Post(each_s=1, fails=1)
    wire = world.wire()
    wire.lose_replies("XCLAIM")
    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(world.consumer(mail(), wire, resources={Post: post})):
        await world.until(lambda: len(post.calls) == 2)

    assert world.loop.time() < 5


@in_virtual_time
async def test_an_attempt_that_was_taken_in_an_answer_that_is_lost_is_made_at_once() -> None:
    """Nobody has it in hand: it must not wait until the lease that nobody knows of is over."""
    world, post = World(claim_idle=IDLE), Post(each_s=0, fails=1)
    wire = world.wire()
    world.tell(RoomHeld(nights=1, card="good"))
    async with world.running(world.consumer(mail(), wire, ordinal=1, resources={Post: post})):
        await world.until(lambda: world.call("ZCARD", "mail", "retries") == 1)
        failed_at = world.loop.time()
        wire.lose_replies("EVALSHA")
        await world.until(lambda: len(post.calls) == 2)

    assert world.loop.time() - failed_at < 5
    assert world.call("ZCARD", "mail", "retries") == 0
