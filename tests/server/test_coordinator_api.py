"""The routes of sagas on a real server: paging, filters, one saga whole, and figures that equal the records.

It is long because all of it is asked of one office, whose sagas are written at its top.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from sagastream import Bus, Consumer, Entrance, Participant, Settings, connect
from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.figures import Figures
from sagastream.coordinator.listing import MOST_SCANNED
from sagastream.coordinator.records import Note, Record, Records
from sagastream.coordinator.tracker import Coordinator
from sagastream.embedded import EmbeddedServer
from sagastream.envelope import derived_id
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.advance import advance
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Fact, Happening, Kind, Progress
from sagastream.server_program import find_server
from sagastream.service import Worker, bare_app
from sagastream.telemetry import Telemetry, expose
from sagastream.transaction import Transaction, Transactor
from tests.trip import TRIP, RoomHeld, TripBooked, bank, desk, hotel

pytestmark = pytest.mark.server

T0 = 1_700_000_000_000
ROOM = Happening("hold room", Kind.DONE, Fact(T0 + 1, "held"))
NO_ROOM = Happening("hold room", Kind.REFUSED, Fact(T0 + 1, "full", "no room"))
CLOSED = Happening(BEGINNING, Kind.UNDONE, Fact(T0 + 2, "cancelled"))
OTHER = Saga("journey", 1, begins_with=TRIP.begins_with, steps=TRIP.steps, cancelled_by=TRIP.cancelled_by)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = find_server(None)
    with EmbeddedServer(tmp_path_factory.mktemp("server"), program=program) as server:
        yield server.url


@dataclass
class Office:
    """Stores sagas as the coordinator does, and asks its routes."""

    bus: Bus
    settings: Settings
    client: httpx.AsyncClient

    async def store(
        self, saga_id: str, at_ms: int, *further: Happening, saga: Saga = TRIP, initiator: str = ""
    ) -> None:
        await self.store_all([(saga_id, at_ms, further, saga, initiator)])

    async def store_all(self, sagas: Sequence[tuple[str, int, Sequence[Happening], Saga, str]]) -> None:
        keys = Keys(self.settings.key_prefix, COORDINATOR)
        records = Records(self.bus, keys)
        batch = [_transaction(records, *one) for one in sagas]
        transactor = Transactor(self.bus.writer, keys, retention=self.settings.ledger_retention)
        for at in range(0, len(batch), 200):
            receipt = await transactor.commit(batch[at : at + 200])
            assert all(outcome.is_ok for outcome in receipt.outcomes)

    async def ids(self, **query: str | int) -> list[str]:
        """Return the ids of all pages of a query, in the order they came."""
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await self.client.get("/states", params={**query, **cursor})).json()
            found += [saga["sagaId"] for saga in page["sagas"]]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}


def _transaction(
    records: Records, saga_id: str, at_ms: int, further: Sequence[Happening], saga: Saga, initiator: str
) -> Transaction:
    began = Happening(BEGINNING, Kind.DONE, Fact(at_ms, f"began-{saga_id}"))
    record = Record(Progress(saga_id, saga.name, saga.version, initiator), "", 0)
    turn = advance(saga, record.progress, [began, *further], now_ms=at_ms)
    notes = [Note(h.fact.at_ms, h.fact.event_id, "Happened", "test", "", h.step, h.kind) for h in turn.news]
    return records.save(saga, record, turn, notes, cause="test", now_ms=at_ms)


@pytest.fixture
async def office(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    settings = Settings(redis_url=url, key_prefix=f"{derived_id(request.node.name)[:8]}:", block=timedelta(seconds=0.2))
    bus = connect(url, name="test", block=settings.block)

    def lifespan(_: FastAPI) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    app.include_router(saga_routes([TRIP, OTHER], bus=bus, settings=settings))
    base = "http://coordinator/api/choreographedsaga"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
        yield Office(bus, settings, client)
    await bus.close()


async def until(claim: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a claim holds, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not await claim():  # noqa: ASYNC110  # another process changes what is asked
            await asyncio.sleep(0.01)


async def test_sagas_come_newest_first_and_each_once(office: Office) -> None:
    """Sagas of one millisecond are told apart by their ids, whatever the size of the page."""
    wanted = [(T0 + at // 7, f"saga-{at:03}") for at in range(40)]
    await office.store_all([(saga_id, at_ms, (), TRIP, "") for at_ms, saga_id in wanted])
    expected = [saga_id for _, saga_id in sorted(wanted, reverse=True)]

    for limit in (1, 3, 7, 39, 40, 41):
        assert await office.ids(limit=limit) == expected


async def test_a_page_stays_where_it_is_while_sagas_are_added(office: Office) -> None:
    await office.store_all([(f"saga-{at}", T0 + at, (), TRIP, "") for at in range(6)])
    first = (await office.client.get("/states", params={"limit": 2})).json()

    await office.store_all([(f"newer-{at}", T0 + 100 + at, (), TRIP, "") for at in range(5)])

    second = (await office.client.get("/states", params={"limit": 2, "cursor": first["next"]})).json()
    assert [saga["sagaId"] for saga in first["sagas"] + second["sagas"]] == ["saga-5", "saga-4", "saga-3", "saga-2"]


async def test_a_cursor_outlives_the_saga_it_names(office: Office) -> None:
    """The last saga of a page leaves the filtered status; the next page goes on where it was."""
    await office.store_all([(f"saga-{at}", T0 + at, (), TRIP, "") for at in range(4)])
    first = (await office.client.get("/states", params={"limit": 2, "status": "Started"})).json()
    keys = Keys(office.settings.key_prefix, COORDINATOR)

    await office.bus.writer.execute("ZREM", keys.key("index:status:Started:trip"), "saga-2")

    rest = await office.client.get("/states", params={"status": "Started", "cursor": first["next"]})
    assert [saga["sagaId"] for saga in rest.json()["sagas"]] == ["saga-1", "saga-0"]


async def test_every_filter_narrows_what_is_listed(office: Office) -> None:
    await office.store("going", T0, initiator="ann")
    await office.store("held", T0 + 1000, ROOM, initiator="bob")
    await office.store("failed", T0 + 2000, NO_ROOM, CLOSED, initiator="ann")
    await office.store("other", T0 + 3000, saga=OTHER, initiator="ann")

    assert await office.ids(status="Failed") == ["failed"]
    assert await office.ids(status="InProgress") == ["held"]
    assert await office.ids(businessProcess="trip") == ["failed", "held", "going"]
    assert await office.ids(businessProcess="unheard-of") == []
    assert await office.ids(initiatorId="ann") == ["other", "failed", "going"]
    assert await office.ids(initiatorId="ann", businessProcess="trip", limit=1) == ["failed", "going"]
    assert await office.ids(initiatorId="ann", status="Started", businessProcess="trip") == ["going"]
    assert await office.ids(**{"from": T0 + 1000, "to": T0 + 2000}) == ["failed", "held"]
    assert await office.ids(**{"from": "2023-11-14T22:13:22Z"}) == ["other", "failed"]
    assert await office.ids(to="2023-11-14T23:13:20+01:00") == ["going"]


async def test_a_page_stops_early_rather_than_look_at_everything(office: Office) -> None:
    """What is wanted lies far behind what is not; the cursor leads there in bounded steps."""
    many = [(f"a-{at:05}", T0 + 10 + at, (), OTHER, "ann") for at in range(MOST_SCANNED + 500)]
    await office.store_all([*many, ("wanted", T0, (), TRIP, "ann")])
    await office.store_all([(f"b-{at:05}", T0 + 10 + at, (), TRIP, "bob") for at in range(MOST_SCANNED + 600)])

    first = (await office.client.get("/states", params={"initiatorId": "ann", "businessProcess": "trip"})).json()

    assert (first["sagas"], first["next"] is None) == ([], False)
    assert await office.ids(initiatorId="ann", businessProcess="trip") == ["wanted"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "Gone"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2024-01-01T00:00:00"}, "from"),
        ({"to": "9" * 30}, "to"),
        ({"cursor": "zzz"}, "cursor"),
        ({"cursor": "ä"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"businessProcess": "No Such"}, "businessProcess"),
        ({"initiatorId": ""}, "initiatorId"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_by_name(
    office: Office, query: dict[str, str], field: str
) -> None:
    answer = await office.client.get("/states", params=query)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("window", ["yesterday", "P1M", "PT59S", "31536000", "-60", ""])
async def test_a_window_that_makes_no_sense_is_refused_with_what_would(office: Office, window: str) -> None:
    answer = await office.client.get("/statistics", params={"window": window})

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "window"
    assert "PT1" in error["detail"]


async def test_statistics_say_which_time_they_cover(office: Office) -> None:
    """All time has no beginning; a window begins at a snapshot, which the coordinator takes when it starts."""
    await office.store("before", T0)
    async with AsyncExitStack() as stack:
        await run(office, [], stack)

        async def is_known() -> bool:
            told = (await office.client.get("/statistics", params={"window": "PT1H"})).json()
            return bool(told["from"] < told["to"] and told["started"] == 0)

        await until(is_known)
        await office.store("after", T0, ROOM)
        ever = (await office.client.get("/statistics")).json()
        window = (await office.client.get("/statistics", params={"window": 3600})).json()

    assert (ever["from"], ever["started"], ever["active"]) == (None, 2, 2)
    assert (window["started"], window["active"]) == (1, 2)
    trip = next(one for one in window["processes"] if one["businessProcess"] == "trip")
    assert [step["done"] for step in trip["steps"]] == [1, 0, 0]


async def test_an_unknown_saga_is_not_found_and_a_malformed_id_refused(office: Office) -> None:
    unknown = await office.client.get("/state/nobody")
    malformed = await office.client.get("/state/no%20body")

    assert (unknown.status_code, unknown.json()["title"]) == (404, "Not Found")
    assert (malformed.status_code, malformed.json()["errors"][0]["field"]) == (422, "sagaId")


async def test_a_saga_that_nobody_has_read_of_yet_is_not_called_unknown(office: Office) -> None:
    """Who began it was told its id; who asks at once must not take it for one that never was."""
    begun = await Entrance(desk, bus=office.bus, settings=office.settings).begin(TripBooked(nights=1), key="early")
    early, never = [await office.client.get(f"/state/{saga_id}") for saga_id in (begun.saga_id, "nobody")]

    assert early.status_code == 404
    assert early.headers["retry-after"] == "1"
    assert f"no record of saga {begun.saga_id}, which desk began at 20" in early.json()["detail"]
    assert (never.json()["detail"], "retry-after" in never.headers) == ("there is no saga nobody", False)


async def test_a_saga_of_an_unknown_table_is_shown_as_far_as_it_is_known(office: Office) -> None:
    """A coordinator of an older release must still answer."""
    newer = Saga("trip", 9, begins_with=TRIP.begins_with, steps=TRIP.steps, cancelled_by=TRIP.cancelled_by)
    await office.store("newer", T0, ROOM, saga=newer)

    shown = (await office.client.get("/state/newer")).json()

    assert (shown["status"], shown["version"], shown["steps"]) == ("InProgress", 9, [])
    assert shown["waitingFor"]["what"] == "a coordinator that knows table 'trip' version 9"
    assert shown["history"][0]["at"] == "2023-11-14T22:13:20.000Z"


async def run(office: Office, participants: Sequence[Participant], stack: AsyncExitStack) -> None:
    """Run participants and a coordinator until the stack closes."""
    bus, settings = office.bus, office.settings
    workers: list[Worker] = [
        *(Consumer(one, bus=bus, settings=settings, telemetry=Telemetry(one.name)) for one in participants),
        Coordinator([TRIP, OTHER], bus=bus, settings=settings, telemetry=Telemetry(COORDINATOR)),
    ]
    stop = asyncio.Event()
    tasks = [asyncio.create_task(worker.run(stop)) for worker in workers]

    async def end() -> None:
        stop.set()
        await asyncio.gather(*tasks)

    stack.push_async_callback(end)


async def test_a_saga_says_what_fails_for_it_how_often_why_and_when_it_is_tried_again(office: Office) -> None:
    """Whom it waits for is not why it waits, and who looks at it at night must not have to read everybody's logs."""
    busy, is_mended = Participant("hotel"), asyncio.Event()

    @busy.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        if trip.card == "bad" and not is_mended.is_set():
            raise RuntimeError("the lift is stuck; call ada@example.com")
        return RoomHeld(nights=trip.nights, card=trip.card)

    entrance = Entrance(desk, bus=office.bus, settings=office.settings)
    async with AsyncExitStack() as stack:
        await run(office, [desk, busy], stack)
        stuck = (await entrance.begin(TripBooked(nights=1, card="bad"), key="stuck")).saga_id
        other = (await entrance.begin(TripBooked(nights=1), key="goes on")).saga_id
        began = datetime.now(UTC)

        async def state(saga_id: str) -> dict[str, Any]:
            shown: dict[str, Any] = (await office.client.get(f"/state/{saga_id}")).json()
            return shown

        async def has_failed_twice() -> bool:
            return any(one["failed"] == 2 for one in (await state(stuck)).get("failing", ()))

        await until(has_failed_twice)
        shown, beside = await state(stuck), await state(other)
        is_mended.set()

        async def goes_on() -> bool:
            return (await state(stuck))["waitingFor"]["who"] == "bank"

        await until(goes_on)
        afterwards = await state(stuck)

    (failing,) = shown["failing"]
    again = datetime.fromisoformat(failing.pop("again"))
    assert failing == {
        "service": "hotel", "handler": "hold_room", "failed": 2,
        "reason": "RuntimeError: the lift is stuck; call ***",
    }  # fmt: skip
    assert began < again < began + timedelta(minutes=1)
    assert (beside["failing"], afterwards["failing"]) == ([], [])


async def test_a_saga_that_ran_is_told_whole_and_counted(office: Office) -> None:
    """Steps with instants and durations, the history in order, and figures that equal the records."""
    entrance = Entrance(desk, bus=office.bus, settings=office.settings)
    rooms = Keys(office.settings.key_prefix, "hotel").key("rooms")
    await office.bus.writer.execute("HSET", rooms, "free", 3)
    async with AsyncExitStack() as stack:
        await run(office, [desk, hotel, bank], stack)
        booked = [
            await entrance.begin(TripBooked(nights=2), key="good", initiator="ann"),
            await entrance.begin(TripBooked(nights=9), key="too-many", initiator="ann"),
            await entrance.begin(TripBooked(nights=1, card="bad"), key="bad-card", initiator="bob"),
        ]
        good, too_many, bad_card = (one.saga_id for one in booked)

        async def all_ended() -> bool:
            return bool((await office.client.get("/statistics")).json()["ended"] == 3)

        await until(all_ended)

    shown = (await office.client.get(f"/state/{good}")).json()
    assert (shown["status"], shown["initiatorId"], shown["businessProcess"]) == ("Completed", "ann", "trip")
    assert [(step["name"], step["service"], step["status"]) for step in shown["steps"]] == [
        ("begin", "desk", "Done"),
        ("hold room", "hotel", "Done"),
        ("charge card", "bank", "Done"),
        ("confirm", "desk", "Done"),
    ]
    assert all(step["startedAt"] and step["endedAt"] and step["durationMs"] >= 0 for step in shown["steps"])
    assert (shown["completedAt"], shown["failedAt"]) == (shown["steps"][-1]["endedAt"], None)
    assert (shown["remainingSteps"], shown["waitingFor"]) == ([], None)
    told = [note["type"] for note in shown["history"]]
    assert (told[0], told[-1]) == ("TripBooked", "SagaCompleted")
    assert {"SagaStarted", "RoomHeld", "CardCharged", "TripConfirmed"} < set(told)

    declined = (await office.client.get(f"/state/{bad_card}")).json()
    assert (declined["status"], declined["failureReason"]) == ("Compensated", "charge card: the card is bad")
    assert [(step["status"], step["undoStatus"]) for step in declined["steps"]] == [
        ("Undone", "Undone"),
        ("Undone", "Undone"),
        ("Refused", None),
        ("Pending", None),
    ]
    assert await office.ids(status="Failed") == [too_many]

    statistics = (await office.client.get("/statistics")).json()
    assert {name: count for name, count in statistics["byStatus"].items() if count} == {
        "Completed": 1,
        "Compensated": 1,
        "Failed": 1,
    }
    assert (statistics["successRate"], statistics["compensationRate"]) == (0.333333, 0.333333)
    assert (statistics["duration"]["count"], statistics["started"]) == (3, 3)
    trip = next(one for one in statistics["processes"] if one["businessProcess"] == "trip")
    assert [(step["name"], step["done"], step["refused"], step["undone"]) for step in trip["steps"]] == [
        ("hold room", 2, 1, 1),
        ("charge card", 1, 1, 0),
        ("confirm", 1, 0, 0),
    ]

    as_json = (await office.client.get("/metrics")).json()
    samples = as_json["choreographed_saga_completed_total"]["samples"]
    assert {"labels": {"business_process": "trip"}, "value": 1} in samples
    lags = as_json["choreographed_saga_stream_lag_entries"]["samples"]
    assert {sample["value"] for sample in lags} == {0}
    assert {"saga", "hotel", "bank", "desk"} == {sample["labels"]["group"] for sample in lags}


async def test_what_is_behind_and_unfinished_shows_in_the_figures(office: Office) -> None:
    """Entries nobody read, for how long one is in hand, since when a saga is unfinished, a deadline that passed."""
    await office.store("old", T0, initiator="ann")
    await office.store("other", T0 + 1, ROOM, saga=OTHER)
    stream = Keys(office.settings.key_prefix, "desk").events("TripBooked")
    await office.bus.writer.execute("XGROUP", "CREATE", stream, "hotel", "0", "MKSTREAM")
    for id in (f"{time.time_ns() // 1_000_000 - 400_000}-0", "*", "*"):
        await office.bus.writer.execute("XADD", stream, id, "some", "thing")
    await office.bus.reader.execute("XREADGROUP", "GROUP", "hotel", "hotel-1", "COUNT", 1, "STREAMS", stream, ">")

    text = expose(await Figures([TRIP, OTHER], bus=office.bus, settings=office.settings).read()).decode()
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    prefix, at = "choreographed_saga_", f'{{group="hotel",stream="{stream}"}}'
    assert float(samples[f"{prefix}stream_lag_entries{at}"]) == 2
    assert float(samples[f"{prefix}stream_pending_entries{at}"]) == 1
    assert 400 <= float(samples[f"{prefix}stream_oldest_pending_seconds{at}"]) < 410
    assert float(samples[f'{prefix}active{{business_process="trip",status="Started"}}']) == 1
    assert float(samples[f'{prefix}active{{business_process="journey",status="InProgress"}}']) == 1
    assert float(samples[f'{prefix}active{{business_process="journey",status="Started"}}']) == 0
    assert float(samples[f"{prefix}oldest_unfinished_seconds"]) > 1000
    assert float(samples[f"{prefix}deadline_lag_seconds"]) > 1000
    assert samples[f'{prefix}started_total{{business_process="trip"}}'] == "1.0"
