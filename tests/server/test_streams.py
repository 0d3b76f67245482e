"""Who reads which stream and how far, by a real server: its replies as they are, and where they are not true."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import JsonValue

from sagastream import Bus, Settings, connect
from sagastream.bus import Argument, Command, Connection, Reply
from sagastream.cli.exits import DONE
from sagastream.cli.streams import list_streams
from sagastream.cli.words import parser
from sagastream.clock import server_ms
from sagastream.coordinator.readers import read_streams
from sagastream.coordinator.stream_api import stream_routes
from sagastream.coordinator.stream_views import StreamsView
from sagastream.embedded import EmbeddedServer
from sagastream.envelope import derived_id
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR, GROUPS, STREAMS, Keys
from sagastream.server_program import bundled_server, find_server
from sagastream.service import bare_app
from tests.trip import TRIP

Json = dict[str, JsonValue]


@dataclass
class Counting:
    """A connection that counts what passes."""

    real: Connection
    trips: list[int] = field(default_factory=list)

    async def execute(self, *command: Argument) -> Reply:
        self.trips.append(1)
        return await self.real.execute(*command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        self.trips.append(len(commands))
        return await self.real.pipeline(commands)


@dataclass
class Place:
    """A server with one stream that the hotel reads, and the route that tells of it."""

    bus: Bus
    keys: Keys
    client: httpx.AsyncClient
    query: Counting

    @property
    def stream(self) -> str:
        return self.keys.of("desk").events("TripBooked")

    async def run(self, *command: Argument) -> Reply:
        return await self.bus.writer.execute(*command)

    async def publish(self, *entries: str) -> None:
        for entry in entries:
            await self.run("XADD", self.stream, entry, "type", "TripBooked")

    async def read(self, count: int, consumer: str = "hotel-1") -> None:
        await self.run("XREADGROUP", "GROUP", "hotel", consumer, "COUNT", count, "STREAMS", self.stream, ">")

    async def told(self, name: str | None = None) -> Json:
        answer = await self.client.get("http://here/api/v1/streams")
        assert answer.status_code == 200, answer.text
        streams = {one["name"]: one for one in answer.json()["streams"]}
        return cast("Json", streams[name or self.stream])

    async def group(self, name: str = "hotel") -> Json:
        groups = cast("list[Json]", (await self.told())["groups"])
        return next(group for group in groups if group["name"] == name)

    async def lag(self) -> JsonValue:
        return (await self.group())["lag"]


@pytest.fixture
async def place(server_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    settings = Settings(redis_url=server_url, key_prefix=f"{derived_id(request.node.name)[:8]}:")
    bus = connect(server_url, name="test", block=timedelta(seconds=1))
    query = Counting(bus.query)

    def lifespan(_: FastAPI) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    app.include_router(stream_routes([TRIP], bus=Bus(bus.reader, bus.writer, query), settings=settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield Place(bus, Keys(settings.key_prefix, COORDINATOR), client, query)
    await bus.close()


async def test_a_stream_tells_who_reads_it_how_far_and_since_when(place: Place) -> None:
    """Unread, read and not settled, the oldest of both, and each process with what it holds."""
    now_ms = await server_ms(place.bus.query)
    await place.publish(*(f"{now_ms - age_s * 1000}-0" for age_s in (50, 40, 30, 20)))
    await place.run("XGROUP", "CREATE", place.stream, "hotel", "0")
    await place.run("XGROUP", "CREATE", place.stream, "saga", "$")
    await place.read(2)
    await place.read(1, "hotel-2")
    await place.run("XACK", place.stream, "hotel", f"{now_ms - 50_000}-0")

    told = await place.told()

    assert (told["owner"], told["length"], told["problem"]) == ("desk", 4, None)
    hotel, saga = cast("list[Json]", told["groups"])
    assert (hotel["name"], hotel["lag"], hotel["pending"], hotel["missing"]) == ("hotel", 1, 2, False)
    assert 40_000 <= cast("int", hotel["oldestPendingAgeMs"]) < 45_000
    assert 20_000 <= cast("int", hotel["oldestUnreadAgeMs"]) < 25_000
    consumers = cast("list[Json]", hotel["consumers"])
    assert [(each["name"], each["pending"]) for each in consumers] == [("hotel-1", 1), ("hotel-2", 1)]
    assert all(0 <= cast("int", each["givenAgeMs"]) < 5_000 for each in consumers)
    assert saga == {
        "name": "saga", "lag": 0, "pending": 0, "oldestPendingAgeMs": None, "oldestUnreadAgeMs": None,
        "consumers": [], "missing": False,
    }  # fmt: skip


async def test_a_reader_whose_name_is_no_text_hides_no_stream(place: Place) -> None:
    """Anybody who reaches the store can read under any name."""
    await place.publish("1-0")
    await place.run("XGROUP", "CREATE", place.stream, "hotel", "0")
    await place.run("XGROUP", "CREATE", place.stream, b"odd\xff", "0")
    await place.run("XGROUP", "CREATECONSUMER", place.stream, "hotel", b"odd\xff")

    told = await place.group()

    assert [each["name"] for each in cast("list[Json]", told["consumers"])] == ["odd\\udcff"]
    assert (await place.group("odd\\udcff"))["pending"] == 0


@pytest.mark.parametrize("program", sorted({find_server(None), bundled_server() or find_server(None)}))
async def test_when_a_consumer_asked_is_told_where_the_server_knows_and_else_is_unknown(
    program: Path, tmp_path: Path
) -> None:
    """A Redis before 7.2 knows only when it gave something: who waits in vain must not look as if it were gone."""
    with EmbeddedServer(tmp_path, program=program) as server:
        bus = connect(server.url, name="test", block=timedelta(seconds=1))
        keys = Keys("asked:", COORDINATOR)
        stream = keys.of("desk").events("TripBooked")
        await bus.writer.execute("XADD", stream, "1-0", "type", "TripBooked")
        await bus.writer.execute("XGROUP", "CREATE", stream, "hotel", "0")
        ask = ("XREADGROUP", "GROUP", "hotel", "hotel-1", "BLOCK", 300, "STREAMS", stream, ">")
        for _ in range(3):
            await bus.reader.execute(*ask)
        await bus.reader.execute("XREADGROUP", "GROUP", "hotel", "hotel-1", "STREAMS", stream, ">")
        _, streams = await read_streams(bus.query, keys, [TRIP])
        tells = "inactive" in str(await bus.query.execute("XINFO", "CONSUMERS", stream, "hotel"))
        await bus.close()

    (consumer,) = next(one for one in streams if one.name == stream).groups[0].consumers
    assert (consumer.asked_age_ms is not None) is tells
    assert consumer.asked_age_ms is None or consumer.asked_age_ms < 300
    assert consumer.given_age_ms is not None
    assert consumer.given_age_ms >= 600


async def test_a_lag_that_the_server_does_not_know_is_not_made_up(place: Place) -> None:
    """An entry deleted from the middle leaves nobody able to say how many are unread, but still since when."""
    await place.publish("1-0", "2-0", "3-0", "4-0")
    await place.run("XGROUP", "CREATE", place.stream, "hotel", "0")
    await place.read(1)
    await place.run("XDEL", place.stream, "3-0")

    some_are_unread = await place.group()
    await place.read(10)

    assert some_are_unread["lag"] is None
    assert cast("int", some_are_unread["oldestUnreadAgeMs"]) > 1_000_000
    assert await place.lag() == 0, "nothing lies behind what was read, whatever was deleted before"


async def test_entries_trimmed_before_they_were_read_are_not_counted_as_unread(place: Place) -> None:
    """The server goes on counting them in its own lag, for ever."""
    await place.publish(*(f"{at}-0" for at in range(1, 11)))
    await place.run("XGROUP", "CREATE", place.stream, "hotel", "0")
    await place.read(3)
    assert await place.lag() == 7

    await place.run("XTRIM", place.stream, "MAXLEN", 4)
    assert await place.lag() == 4
    await place.read(2)
    within = await place.group()
    await place.read(10)

    assert within["lag"] is None
    assert within["oldestUnreadAgeMs"] is not None
    assert await place.lag() == 0


async def test_a_group_that_was_lost_is_shown_as_missing(place: Place) -> None:
    """Its reader remembers it, or the publisher who once saw it."""
    released = place.keys.of("hotel").events("RoomGivenBack")
    await place.publish("1-0")
    await place.run("XADD", released, "1-0", "type", "RoomGivenBack")
    await place.run("HSET", place.keys.of("hotel").key(GROUPS), place.stream, "0")
    await place.run("HSET", place.keys.of("hotel").key(STREAMS), "events:RoomGivenBack", "books saga")

    hotel = await place.group()
    seen = cast("list[Json]", (await place.told(released))["groups"])

    assert (hotel["missing"], hotel["lag"], hotel["consumers"]) == (True, None, [])
    assert [(group["name"], group["missing"]) for group in seen] == [("books", True), ("saga", True)]


async def test_what_is_no_stream_hides_nothing(place: Place) -> None:
    """A key of another type is named with what the server says, and all other streams are still told of."""
    await place.run("SET", place.stream, "not a stream")

    told = await place.told()
    other = await place.told(place.keys.requests("hotel"))

    assert (told["length"], told["groups"]) == (0, [])
    assert "wrong kind" in str(told["problem"])
    assert (other["owner"], other["length"], other["groups"], other["problem"]) == ("saga", 0, [], None)


async def test_a_look_takes_three_round_trips_and_asks_only_what_may_have_an_answer(place: Place) -> None:
    """Whoever has read everything and holds nothing is asked no more."""
    await place.told()
    nothing_there = place.query.trips.copy()
    await place.publish("1-0")
    await place.run("XGROUP", "CREATE", place.stream, "hotel", "0")
    await place.run("XGROUP", "CREATE", place.stream, "saga", "$")
    await place.read(1)
    place.query.trips.clear()

    await place.told()

    assert nothing_there[2] == 0
    assert place.query.trips == [*nothing_there[:2], 2]  # the consumers of the hotel, and the oldest of what they hold


async def test_the_command_lists_one_line_for_each_group(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """With the same figures as the route, which is what --json prints."""
    now_ms = await server_ms(place.bus.query)
    await place.publish(f"{now_ms - 7_000}-0", f"{now_ms - 6_000}-0")
    await place.run("XGROUP", "CREATE", place.stream, "hotel", "0")
    await place.read(1)
    await place.run("HSET", place.keys.of("bank").key(GROUPS), place.stream, "0")

    words, prefix = parser().parse_args(["streams"]), place.keys.prefix
    assert await list_streams(words, place.bus, prefix, [TRIP]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert await list_streams(parser().parse_args(["streams", "--json"]), place.bus, prefix, [TRIP]) == DONE
    as_json = json.loads(capsys.readouterr().out)

    head, *rows = (line.split() for line in lines)
    assert head == ["STREAM", "LENGTH", "GROUP", "LAG", "OLDEST", "PENDING", "OLDEST", "CONSUMERS"]
    hotel, bank = (row[2:] for row in rows if row[0] == place.stream)
    assert (hotel[0], hotel[1], hotel[4], hotel[7]) == ("hotel", "1", "1", "hotel-1")
    assert (hotel[3], hotel[6]) == ("s", "s"), "both ages are told in seconds"
    assert bank == ["bank", "gone"]
    assert StreamsView.model_validate(as_json).streams
    assert as_json["streams"][-1].keys() == (await place.told()).keys()
