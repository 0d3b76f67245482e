"""Who is too far behind is known soon, cheaply, and never guessed.

It is long because a server that is slow, silent, odd or back again is met in every order.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from sagastream.bus import Bus, Command
from sagastream.errors import ServerUnavailable
from sagastream.overload import Behind, Bound, Overload
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from tests.trip import RoomHeld, TripBooked

BOOKED = Bound(TripBooked, "hotel", timedelta(seconds=15))
HELD = Bound(RoomHeld, "bank", timedelta(seconds=60))
BOOKED_STREAM, HELD_STREAM = "p:{desk}:events:TripBooked", "p:{hotel}:events:RoomHeld"


class Place:
    """A server, a clock that is set by hand, and how many commands were sent."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0
        self.server = MemoryServer(lambda: int(self.seconds * 1000))
        self.sent = 0
        self.connection = MemoryConnection(self.server, before=self._count)
        bus = Bus(self.connection, self.connection, self.connection)
        self.overload = Overload([BOOKED, HELD], bus=bus, prefix="p:", clock=lambda: self.seconds)

    async def _count(self, _: Command) -> None:
        self.sent += 1

    def publish(self, stream: str) -> None:
        """Append an event, now."""
        self.server.call("XADD", stream, "*", "type", "any")

    def read(self, stream: str, group: str, count: int = 1000) -> None:
        """Let a group read, without acknowledging."""
        self.server.call("XREADGROUP", "GROUP", group, "one", "COUNT", count, "STREAMS", stream, ">")


@pytest.fixture
def place() -> Place:
    return Place()


async def test_nobody_is_behind_where_nothing_was_published(place: Place) -> None:
    """Streams that do not exist are no trouble, and nobody is told of them."""
    with capture_logs() as logged:
        assert await place.overload.worst() is None
    assert logged == []


async def test_what_is_unread_for_too_long_is_told_with_its_age(place: Place) -> None:
    """Exactly at the bound it is still in time."""
    place.server.call("XGROUP", "CREATE", BOOKED_STREAM, "hotel", "0", "MKSTREAM")
    place.publish(BOOKED_STREAM)
    place.seconds += 15
    assert await place.overload.worst() is None

    place.seconds += 0.5

    assert await place.overload.worst() == Behind(BOOKED, timedelta(seconds=15.5))


async def test_a_group_that_never_existed_has_read_nothing(place: Place) -> None:
    """A participant that was never started is as far behind as one that stopped; another group does not count."""
    place.publish(BOOKED_STREAM)
    place.server.call("XGROUP", "CREATE", BOOKED_STREAM, "saga", "0")
    place.read(BOOKED_STREAM, "saga")
    place.seconds += 20

    worst = await place.overload.worst()

    assert worst is not None
    assert worst.bound == BOOKED


async def test_only_what_is_unread_counts(place: Place) -> None:
    """Read and not yet acknowledged is being worked at, however old; the next unread entry is what matters."""
    place.server.call("XGROUP", "CREATE", BOOKED_STREAM, "hotel", "0", "MKSTREAM")
    place.publish(BOOKED_STREAM)
    place.publish(BOOKED_STREAM)
    place.read(BOOKED_STREAM, "hotel", count=1)
    place.seconds += 20
    assert await place.overload.worst() is not None

    place.read(BOOKED_STREAM, "hotel")
    place.publish(BOOKED_STREAM)
    place.seconds += 1

    assert await place.overload.worst() is None


async def test_of_several_the_one_that_exceeds_most_is_told(place: Place) -> None:
    """By how much, not how old: each has a bound of its own."""
    place.publish(HELD_STREAM)
    place.seconds += 1
    place.publish(BOOKED_STREAM)
    place.seconds += 65  # bank exceeds by 6 s, hotel by 50 s

    worst = await place.overload.worst()

    assert worst is not None
    assert (worst.bound.by, worst.age) == ("hotel", timedelta(seconds=65))


@pytest.mark.parametrize(("age", "seconds"), [(15.1, 1), (16, 1), (19.5, 5), (300, 30)])
def test_a_client_stays_away_for_as_long_as_the_bound_is_exceeded(age: float, seconds: int) -> None:
    """A second at least, half a minute at most."""
    assert Behind(BOOKED, timedelta(seconds=age)).retry_after_s == seconds


async def test_a_thousand_questions_cost_one_look(place: Place) -> None:
    """Within half a second nothing is sent; then one of all who ask looks, also when they ask at once."""
    await asyncio.gather(*(place.overload.worst() for _ in range(1000)))
    one_look = place.sent

    place.seconds += 0.4
    await place.overload.worst()
    assert place.sent == one_look

    place.seconds += 0.2
    await asyncio.gather(*(place.overload.worst() for _ in range(1000)))
    assert place.sent == 2 * one_look


async def test_nobody_waits_for_a_look_while_something_is_known(place: Place) -> None:
    """One caller's look takes long; the others are answered from the one before, until that is too old to trust."""
    await place.overload.worst()
    place.publish(BOOKED_STREAM)
    slow = asyncio.Event()

    async def wait(_: Command) -> None:
        await slow.wait()

    place.seconds += 0.5
    place.connection.before = wait
    looking = asyncio.create_task(place.overload.worst())
    await asyncio.sleep(0)
    known = await place.overload.worst()
    place.seconds += 20
    waiting = asyncio.create_task(place.overload.worst())
    await asyncio.sleep(0)

    assert (known, looking.done(), waiting.done()) == (None, False, False)
    slow.set()
    first, second = await looking, await waiting
    assert first is second
    assert first is not None


async def test_a_look_that_fails_tells_nothing_and_is_made_again(place: Place) -> None:
    """Whoever looked learns of the trouble; what was known before stays known for a while."""
    await place.overload.worst()

    async def fail(_: Command) -> None:
        raise ServerUnavailable("away")

    place.connection.before = fail
    place.seconds += 1
    with pytest.raises(ServerUnavailable):
        await place.overload.worst()
    place.connection.before = None

    assert await place.overload.worst() is None


async def test_nobody_else_waits_for_a_server_that_is_known_to_be_silent(place: Place) -> None:
    """Whoever asks while a look is long under way waits for it, or is told at once if the one before failed as well."""
    await place.overload.worst()
    answers: asyncio.Queue[str] = asyncio.Queue()

    async def wait(_: Command) -> None:
        if await answers.get() == "none":
            raise ServerUnavailable("no answer within 2 s")

    place.connection.before = wait
    place.seconds += 0.5
    asking = [asyncio.create_task(place.overload.worst())]
    await asyncio.sleep(0)
    place.seconds += 0.5
    asking.append(asyncio.create_task(place.overload.worst()))
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in asking)
    answers.put_nowait("none")
    assert [type(told) for told in await asyncio.gather(*asking, return_exceptions=True)] == [ServerUnavailable] * 2

    again = asyncio.create_task(place.overload.worst())
    await asyncio.sleep(0.01)
    place.seconds += 0.5
    with pytest.raises(ServerUnavailable):
        await asyncio.wait_for(place.overload.worst(), 1)
    for _ in range(100):
        answers.put_nowait("one")
    assert await again is None
    assert await place.overload.worst() is None


async def test_a_caller_who_gives_up_leaves_the_look_to_the_next(place: Place) -> None:
    """A client that hangs up in the middle of a look blocks nobody."""
    slow = asyncio.Event()

    async def wait(_: Command) -> None:
        await slow.wait()

    place.connection.before = wait
    looking = asyncio.create_task(place.overload.worst())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    looking.cancel()
    await asyncio.wait({looking})
    waiting = asyncio.create_task(place.overload.worst())
    slow.set()

    assert looking.cancelled()
    assert await waiting is None


async def test_a_stream_that_cannot_be_read_hides_no_other(place: Place) -> None:
    """An operator's slip or a missing right is logged, not taken for calm everywhere."""
    place.server.call("SET", BOOKED_STREAM, "no stream")
    place.publish(HELD_STREAM)
    place.seconds += 100

    with capture_logs() as logged:
        worst = await place.overload.worst()

    assert worst is not None
    assert worst.bound == HELD
    assert [line["stream"] for line in logged if line["event"] == "overload.unreadable"] == [BOOKED_STREAM]


async def test_that_somebody_is_too_far_behind_is_logged_when_it_begins_and_when_it_ends(place: Place) -> None:
    """Not at every look: orders are answered 503 meanwhile, and whoever reads the log sees from when until when."""
    place.publish(BOOKED_STREAM)
    place.server.call("XGROUP", "CREATE", BOOKED_STREAM, "hotel", "0")
    with capture_logs() as logged:
        await place.overload.worst()
        for _ in range(3):
            place.seconds += 20
            await place.overload.worst()
        place.read(BOOKED_STREAM, "hotel")
        for _ in range(3):
            place.seconds += 20
            await place.overload.worst()

    assert [(line["event"], line["behind"]) for line in logged] == [
        ("overload.begins", "hotel"),
        ("overload.ends", "hotel"),
    ]


async def test_a_server_that_answers_again_is_waited_for_again(place: Place) -> None:
    """That a look takes long once says nothing of a server that has answered since it was silent."""
    slow = asyncio.Event()

    async def fail(_: Command) -> None:
        raise ServerUnavailable("away")

    async def wait(_: Command) -> None:
        await slow.wait()

    place.connection.before = fail
    with pytest.raises(ServerUnavailable):
        await place.overload.worst()
    place.connection.before = None
    await place.overload.worst()

    place.connection.before = wait
    place.seconds += 0.5
    looking = asyncio.create_task(place.overload.worst())
    await asyncio.sleep(0.01)
    place.seconds += 0.5
    waiting = asyncio.create_task(place.overload.worst())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    slow.set()
    assert await asyncio.gather(looking, waiting) == [None, None]


async def test_a_look_that_fails_fails_for_all_who_wait_for_it(place: Place) -> None:
    """Each would look again, one after the other, and the last of a hundred be answered after minutes."""
    silent = asyncio.Event()

    async def time_out(_: Command) -> None:
        place.sent += 1
        await silent.wait()
        raise ServerUnavailable("no answer")

    place.connection.before = time_out
    asking = [asyncio.create_task(place.overload.worst()) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    silent.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert [type(answer) for answer in answers] == [ServerUnavailable] * 100
    assert place.sent == 1
