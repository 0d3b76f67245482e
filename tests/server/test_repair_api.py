"""The v1 routes of sagas on a real server: found by what their records tell, and repaired by whoever has the token.

It is long because finding, repairing one or many, and dead letters are asked for at one counter, opened at its top.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from sagastream import Bus, Settings, connect
from sagastream.coordinator.campaign_api import campaign_routes
from sagastream.coordinator.campaigner import Campaigner
from sagastream.coordinator.letter_api import letter_routes
from sagastream.coordinator.records import Note, Record, Records
from sagastream.coordinator.repair_api import repair_routes, trail_routes
from sagastream.envelope import Envelope, derived_id, pairs
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.advance import advance
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Fact, Happening, Kind, Progress
from sagastream.service import bare_app
from sagastream.transaction import Transactor
from tests.processes.until import until
from tests.trip import TRIP

TOKEN = "a-token-nobody-guesses"
ANN = {"Authorization": f"Bearer {TOKEN}", "X-Operator": "ann"}
WHY = {"reason": "the customer called"}
DONE = (("hold room", Kind.DONE), ("charge card", Kind.DONE), ("confirm", Kind.DONE))
BACK = (*DONE[:2], ("confirm", Kind.BARRED))


@dataclass
class Counter:
    """Stores sagas, and asks the routes about them."""

    bus: Bus
    settings: Settings
    client: httpx.AsyncClient
    now_ms: int

    @property
    def keys(self) -> Keys:
        return Keys(self.settings.key_prefix, COORDINATOR)

    async def store(self, saga_id: str, *facts: tuple[str, Kind], begun_s_ago: int = 0) -> None:
        """Store a saga as the coordinator does, its facts a millisecond apart."""
        at_ms = self.now_ms - begun_s_ago * 1000
        told = ((BEGINNING, Kind.DONE), *facts)
        happenings = [
            Happening(step, kind, Fact(at_ms + n, f"{saga_id}-{n}", f"because of {kind}"))
            for n, (step, kind) in enumerate(told)
        ]
        record = Record(Progress(saga_id, "trip", 1, "cust-1"), "", 0)
        turn = advance(TRIP, record.progress, happenings, now_ms=at_ms + len(told))
        notes = [Note(h.fact.at_ms, h.fact.event_id, "Happened", "test", "", h.step, h.kind) for h in turn.news]
        records = Records(self.bus, self.keys)
        transactor = Transactor(self.bus.writer, self.keys, retention=self.settings.ledger_retention)
        tx = records.save(TRIP, record, turn, notes, cause="test", now_ms=at_ms)
        assert (await transactor.commit([tx])).outcomes[0].is_ok

    async def found(self, **query: str | int) -> list[str]:
        """Return what a query finds, page by page."""
        ids, cursor = [], {}
        while True:
            page = (await self.client.get("/api/v1/sagas", params={**query, **cursor})).json()
            ids += [saga["sagaId"] for saga in page["sagas"]]
            if page["next"] is None:
                return ids
            cursor = {"cursor": page["next"]}

    async def post(self, path: str, **body: object) -> httpx.Response:
        """Act as ann."""
        return await self.client.post(path, headers=ANN, json={**WHY, **body})

    async def asked(self, participant: str) -> list[str]:
        """Return what the coordinator asked a participant."""
        reply = await self.bus.query.execute("XRANGE", self.keys.requests(participant), "-", "+")
        assert isinstance(reply, list)
        return [pairs([str(v) for v in entry[1]])["type"] for entry in reply]  # type: ignore[index,union-attr]  # XRANGE


@pytest.fixture
async def counter(server_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Counter]:
    settings = Settings(
        redis_url=server_url,
        key_prefix=f"{derived_id('repair', request.node.name)[:8]}:",
        block=timedelta(seconds=0.2),
        operator_token=SecretStr(TOKEN),
    )
    bus = connect(server_url, name="test", block=settings.block)

    def lifespan(_: FastAPI) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    app = bare_app("coordinator", lifespan, is_open=lambda: True, always=())
    app.include_router(repair_routes([TRIP], bus=bus, settings=settings))
    app.include_router(campaign_routes([TRIP], bus=bus, settings=settings))
    app.include_router(letter_routes([TRIP], bus=bus, settings=settings))
    app.include_router(trail_routes(bus=bus, settings=settings))
    time = await bus.query.execute("TIME")
    assert isinstance(time, list)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        yield Counter(bus, settings, client, int(str(time[0])) * 1000)
    await bus.close()


async def test_sagas_are_found_by_the_step_they_wait_at_their_age_and_whether_they_are_stuck(counter: Counter) -> None:
    await counter.store("fresh")
    await counter.store("held", DONE[0], begun_s_ago=10)
    await counter.store("refund", *BACK, ("charge card", Kind.UNDO_GAVE_UP), begun_s_ago=600)
    await counter.store("done", *DONE, begun_s_ago=700)

    assert await counter.found() == ["fresh", "held", "refund", "done"]
    assert await counter.found(step="charge card") == ["held"]
    assert await counter.found(step="hold room") == ["fresh", "refund"]
    assert await counter.found(olderThan=300) == ["refund", "done"]
    assert await counter.found(olderThan=300, to=counter.now_ms - 650_000) == ["done"]
    assert await counter.found(stuck="true") == ["refund"]
    assert await counter.found(stuck="false", status="Started") == ["fresh"]
    assert await counter.found(why="KEEPS FAILING") == ["refund"]
    assert await counter.found(step="hold room", limit=1) == ["fresh", "refund"]


async def test_sagas_are_found_by_what_their_ids_begin_with_and_by_having_no_end(counter: Counter) -> None:
    """What has not ended is found among any number of sagas that have, and what is stuck never is one of these."""
    await counter.store("aa-open", DONE[0], begun_s_ago=30)
    await counter.store("ab-done", *DONE, ("tell customer", Kind.DONE), begun_s_ago=20)
    await counter.store("b-stuck", *BACK, ("charge card", Kind.UNDO_GAVE_UP), begun_s_ago=600)

    assert await counter.found(id="a") == ["ab-done", "aa-open"]
    assert await counter.found(id="aa") == ["aa-open"]
    assert await counter.found(id="cust") == ["ab-done", "aa-open", "b-stuck"]
    assert await counter.found(id="open") == []
    assert await counter.found(unfinished="true") == ["aa-open", "b-stuck"]
    assert await counter.found(unfinished="true", businessProcess="trip", initiatorId="cust-1") == [
        "aa-open",
        "b-stuck",
    ]
    assert await counter.found(unfinished="true", id="b") == ["b-stuck"]
    assert (await counter.post("/api/v1/repairs/preview", action="retry", filter={"id": "b"})).json()["count"] == 1


@pytest.mark.parametrize("limit", [1, 2, 200])
async def test_what_is_stuck_for_longest_comes_first_where_that_is_asked_for(counter: Counter, limit: int) -> None:
    """Also page by page, whether indexes answer or records, and where several began at once."""
    for number, ago in enumerate((600, 900, 700, 700, 800)):
        await counter.store(f"stuck-{number}", *STUCK, begun_s_ago=ago)
    await counter.store("fresh")

    oldest = ["stuck-1", "stuck-4", "stuck-2", "stuck-3", "stuck-0"]
    assert await counter.found(stuck="true", order="oldest", limit=limit) == oldest
    assert await counter.found(stuck="true", limit=limit) == oldest[::-1]
    assert await counter.found(order="oldest", limit=limit, status="NeedsAttention") == oldest
    assert await counter.found(order="oldest", limit=limit) == [*oldest, "fresh"]
    older = {"olderThan": 650, "from": counter.now_ms - 850_000}
    assert await counter.found(stuck="true", order="oldest", limit=limit, **older) == oldest[1:4]
    assert (await counter.client.get("/api/v1/sagas", params={"order": "longest"})).status_code == 422


async def test_a_search_that_looks_into_records_goes_on_where_it_stopped(counter: Counter) -> None:
    """Whatever the size of its pages, each saga is found once."""
    for number in range(23):
        await counter.store(f"saga-{number:02}", *DONE[: number % 2], begun_s_ago=number // 3)
    expected = sorted(
        (f"saga-{n:02}" for n in range(23) if n % 2), key=lambda i: (-(int(i[-2:]) // 3), i), reverse=True
    )

    for limit in (1, 2, 5, 11, 12, 200):
        assert await counter.found(step="charge card", limit=limit) == expected


async def test_a_saga_is_shown_whole(counter: Counter) -> None:
    await counter.store("held", DONE[0])

    shown = (await counter.client.get("/api/v1/sagas/held")).json()

    assert (shown["sagaId"], shown["status"], shown["waitingFor"]["step"]) == ("held", "InProgress", "charge card")
    assert len(shown["steps"]) == 4
    assert shown["history"]
    assert shown["waitingFor"]["asked"] == 0
    assert (await counter.client.get("/api/v1/sagas/nobody")).status_code == 404


async def test_an_operator_turns_a_saga_back(counter: Counter) -> None:
    """The answer says what happens now; wanting it twice is answered in peace."""
    await counter.store("held", DONE[0])

    first = await counter.post("/api/v1/sagas/held/compensate")
    second = await counter.post("/api/v1/sagas/held/compensate", actor="bob")

    told = first.json()
    assert (first.status_code, told["changed"], told["actor"], told["action"]) == (202, True, "ann", "compensate")
    assert (told["saga"]["waitingFor"]["who"], told["saga"]["waitingFor"]["step"]) == ("desk", "confirm")
    assert (second.status_code, second.json()["changed"], second.json()["id"]) == (200, False, None)
    assert await counter.asked("desk") == ["BarRequested"]
    history = (await counter.client.get("/api/v1/sagas/held")).json()["history"]
    (note,) = [note for note in history if note["type"] == "CompensationAsked"]
    assert (note["actor"], note["reason"], note["id"]) == ("ann", "the customer called", told["id"])


@pytest.mark.parametrize("act", ["compensate", "retry", "abort"])
async def test_a_completed_saga_is_left_as_it_is(counter: Counter, act: str) -> None:
    await counter.store("done", *DONE)

    answer = await counter.post(f"/api/v1/sagas/done/{act}")

    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert (answer.json()["because"], answer.json()["sagaStatus"]) == ("ended", "Completed")
    assert (await counter.client.get("/api/v1/sagas/done")).json()["status"] == "Completed"


async def test_what_is_open_is_asked_again_each_time(counter: Counter) -> None:
    await counter.store("refund", *BACK, ("charge card", Kind.UNDO_GAVE_UP), begun_s_ago=600)

    answers = [await counter.post("/api/v1/sagas/refund/retry") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] != answers[1].json()["id"]
    assert "bank is asked to undo 'charge card'" in answers[0].json()["told"]
    assert await counter.asked("bank") == ["UndoRequested"] * 3


@pytest.mark.parametrize(
    ("headers", "body", "status", "said"),
    [
        ({"X-Operator": "ann"}, WHY, 401, "OPERATOR_TOKEN"),
        ({"Authorization": "Bearer wrong"}, {}, 401, "OPERATOR_TOKEN"),
        ({"Authorization": ANN["Authorization"]}, WHY, 422, "who does it"),
        (ANN, {}, 422, "reason"),
        (ANN, {"reason": ""}, 422, "reason"),
        (ANN, {"reason": " \n"}, 422, "reason"),
        (ANN, {"reason": "x" * 501}, 422, "reason"),
        (ANN, {**WHY, "actor": "\n"}, 422, "actor"),
        (ANN, {**WHY, "other": 1}, 422, "other"),
        ({**ANN, "X-Operator": "x" * 65}, WHY, 422, "X-Operator"),
    ],
)
@pytest.mark.parametrize("act", ["compensate", "retry"])
async def test_who_and_why_must_be_told(
    counter: Counter, act: str, headers: dict[str, str], body: dict[str, object], status: int, said: str
) -> None:
    await counter.store("held", DONE[0])

    answer = await counter.client.post(f"/api/v1/sagas/held/{act}", headers=headers, json=body)

    assert answer.status_code == status
    assert said.casefold() in answer.text.casefold()
    assert await counter.asked("desk") == []
    assert "Asked" not in (await counter.client.get("/api/v1/sagas/held")).text


async def test_there_is_nothing_to_do_about_a_saga_that_is_not(counter: Counter) -> None:
    assert (await counter.post("/api/v1/sagas/nobody/retry")).status_code == 404


STUCK = (*BACK, ("charge card", Kind.UNDO_GAVE_UP), ("hold room", Kind.UNDONE), (BEGINNING, Kind.UNDONE))
FOUND = {"step": "charge card", "effect": "undone", "evidence": "their statement, ticket 4711"}


async def test_a_saga_that_needs_attention_says_what_is_open_and_what_would_close_it(counter: Counter) -> None:
    """In one call: why, on whom, since when, until when, what next."""
    await counter.store("stuck", *STUCK, begun_s_ago=600)

    shown = (await counter.client.get("/api/v1/sagas/stuck")).json()

    (item,) = shown["open"]
    assert (shown["status"], item["step"], item["service"]) == ("NeedsAttention", "charge card", "bank")
    assert item["problem"] == "undoing it keeps failing: because of undo gave up"
    assert (item["answer"], item["stateable"]) == ("CardRefunded or StepBarred", ["undone"])
    assert item["since"] < item["again"]
    assert item["closedBy"] == [
        "CardRefunded or StepBarred from bank",
        "retry: it is asked again at once",
        "resolve: evidence that it is undone",
        "abort: it is left as it is",
    ]
    assert shown["waitingFor"]["who"] == "bank"


async def test_evidence_closes_what_nobody_answers_for_any_more(counter: Counter) -> None:
    await counter.store("stuck", *STUCK, begun_s_ago=600)

    answer = await counter.post("/api/v1/sagas/stuck/resolve", **FOUND)
    again = await counter.post("/api/v1/sagas/stuck/resolve", **FOUND)

    assert (answer.status_code, answer.json()["saga"]["status"]) == (200, "Compensated")
    assert (again.status_code, again.json()["because"]) == (409, "ended")
    shown = (await counter.client.get("/api/v1/sagas/stuck")).json()
    assert (shown["status"], shown["open"], shown["waitingFor"]) == ("Compensated", [], None)
    (note,) = [note for note in shown["history"] if note["type"] == "StepResolved"]
    assert (note["kind"], note["step"], note["actor"]) == ("stated undone", "charge card", "ann")
    assert note["reason"] == "the customer called (evidence: their statement, ticket 4711)"
    step = next(step for step in shown["steps"] if step["name"] == "charge card")
    assert (step["status"], step["undoStatus"], step["eventIds"]["statedUndone"]) == ("Undone", "Undone", note["id"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**FOUND, "effect": "done"}, 409),
        ({**FOUND, "step": "hold room"}, 409),
        ({**FOUND, "step": "no such"}, 409),
        ({**FOUND, "effect": "gone"}, 422),
        ({**FOUND, "evidence": " "}, 422),
        ({"step": "charge card", "effect": "undone"}, 422),
    ],
)
async def test_what_is_not_open_or_has_no_evidence_is_not_stated(
    counter: Counter, body: dict[str, object], status: int
) -> None:
    await counter.store("stuck", *STUCK, begun_s_ago=600)

    answer = await counter.post("/api/v1/sagas/stuck/resolve", **body)

    assert answer.status_code == status
    assert (await counter.client.get("/api/v1/sagas/stuck")).json()["status"] == "NeedsAttention"


async def test_an_aborted_saga_says_who_closed_it_why_and_what_it_left(counter: Counter) -> None:
    await counter.store("stuck", *STUCK[:-2], begun_s_ago=600)

    answer = await counter.post("/api/v1/sagas/stuck/abort")

    assert (answer.status_code, answer.json()["saga"]["status"]) == (200, "Aborted")
    assert answer.json()["saga"]["failedAt"] is not None
    shown = (await counter.client.get("/api/v1/sagas/stuck")).json()
    assert shown["leftOpen"] == ["begin: done", "hold room: done", "charge card: done, undo gave up"]
    (note,) = [note for note in shown["history"] if note["type"] == "AbortAsked"]
    assert "charge card: done, undo gave up" in note["reason"]
    reply = await counter.bus.query.execute("XRANGE", counter.keys.events("SagaAborted"), "-", "+")
    assert isinstance(reply, list)
    (event,) = [pairs([str(v) for v in entry[1]])["data"] for entry in reply]  # type: ignore[index,union-attr]  # XRANGE
    assert json.loads(event) == {"reason": "the customer called", "actor": "ann", "openEffects": shown["leftOpen"]}
    assert await counter.bus.query.execute("ZSCORE", counter.keys.key("timers"), "stuck") is None


@pytest.mark.parametrize("cursor", ["0-0", "\u0663-0", "1", "-"])
async def test_a_position_that_no_page_gave_is_refused(counter: Counter, cursor: str) -> None:
    """The server knows nothing before the first entry, and no digits but ours."""
    answer = await counter.client.get("/api/v1/audit", params={"cursor": cursor}, headers=ANN)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def test_the_trail_tells_who_did_what_and_why_and_only_what_changed_something(counter: Counter) -> None:
    """The newest first, page by page, by saga, actor and action; only for operators."""
    await counter.store("stuck", *STUCK, begun_s_ago=600)
    await counter.store("held", DONE[0])
    await counter.store("done", *DONE)
    await counter.post("/api/v1/sagas/stuck/retry")
    await counter.post("/api/v1/sagas/done/compensate")
    await counter.post("/api/v1/sagas/held/compensate", actor="bob")
    await counter.post("/api/v1/sagas/held/compensate")
    await counter.post("/api/v1/sagas/stuck/resolve", **FOUND)

    async def told(**query: str | int) -> list[tuple[str, str, str]]:
        found, cursor = [], {}
        while True:
            page = (await counter.client.get("/api/v1/audit", params={**query, **cursor}, headers=ANN)).json()
            found += [(entry["action"], entry["sagaId"], entry["actor"]) for entry in page["entries"]]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    every = [("resolve", "stuck", "ann"), ("compensate", "held", "bob"), ("retry", "stuck", "ann")]
    for limit in (1, 2, 3, 200):
        assert await told(limit=limit) == every
    assert await told(sagaId="stuck", limit=1) == [every[0], every[2]]
    assert await told(actor="bob") == [every[1]]
    assert await told(action="retry") == [every[2]]
    newest = (await counter.client.get("/api/v1/audit", params={"limit": 1}, headers=ANN)).json()["entries"][0]
    assert (newest["before"], newest["after"], newest["evidence"]) == (
        "NeedsAttention", "Compensated", "their statement, ticket 4711",
    )  # fmt: skip
    assert (newest["reason"], newest["effect"], newest["businessProcess"]) == ("the customer called", "undone", "trip")
    assert (await counter.client.get("/api/v1/audit")).status_code == 401


async def letter(counter: Counter, owner: str, number: int, type_: str = "TripBooked", data: str = "{}") -> str:
    """Put a letter away as its owner does, and return its id."""
    event = Envelope(
        id=f"event-{owner}", source="desk", type=type_, subject="s", saga_id="stuck", cause="", initiator="",
        definition="trip", definition_version="1", data=data, time="2026-01-31T12:00:00.000Z",
    )  # fmt: skip
    whole = {"stream": "the-stream", "id": "1-0", "fields": pairs(event.fields())}
    told = ("message", json.dumps(whole), "reason", "KeyError: 'nights'", "attempts", "5", "saga", "stuck")
    id_ = f"{counter.now_ms}-{number}"
    return str(await counter.bus.writer.execute("XADD", counter.keys.of(owner).key("letters"), id_, *told))


async def test_dead_letters_are_listed_shown_replayed_with_other_data_and_dropped(counter: Counter) -> None:
    """For operators only, for they hold what customers sent; each deed stands in the audit trail."""
    first = await letter(counter, "hotel", 1)
    second = await letter(counter, "bank", 2, "RoomHeld")
    await letter(counter, "saga", 3)

    async def listed(**query: str | int) -> list[tuple[str, str]]:
        page = (await counter.client.get("/api/v1/dead-letters", params=query, headers=ANN)).json()
        return [(one["owner"], one["fate"]) for one in page["letters"]]

    assert await listed() == [("saga", "open"), ("bank", "open"), ("hotel", "open")]
    assert await listed(owner="bank") == [("bank", "open")]
    assert await listed(owner="nobody") == await listed(sagaId="other") == []
    shown = (await counter.client.get(f"/api/v1/dead-letters/hotel/{first}", headers=ANN)).json()
    assert (shown["type"], shown["reason"], shown["attempts"]) == ("TripBooked", "KeyError: 'nights'", 5)
    assert (shown["stream"], shown["message"]["id"], shown["fate"]) == ("the-stream", "event-hotel", "open")

    unfit = await counter.post(f"/api/v1/dead-letters/hotel/{first}/replay", data={"nights": "many"})
    replayed = await counter.post(f"/api/v1/dead-letters/hotel/{first}/replay", data={"nights": 1})
    again = await counter.post(f"/api/v1/dead-letters/hotel/{first}/replay")
    dropped = await counter.post(f"/api/v1/dead-letters/bank/{second}/drop")

    assert (unfit.status_code, unfit.json()["errors"][0]["field"]) == (422, "data")
    assert (replayed.status_code, replayed.json()["fate"], replayed.json()["dealtBy"]) == (200, "replayed", "ann")
    assert json.loads(replayed.json()["replayedData"])["nights"] == 1
    assert replayed.json()["message"]["data"] == "{}"
    assert (again.status_code, "replayed by ann" in again.text) == (409, True)
    assert (dropped.status_code, dropped.json()["fate"]) == (200, "dropped")
    assert await counter.asked("hotel") == ["TripBooked"]
    assert await listed() == [("saga", "open")]
    assert await listed(fate="dropped") == [("bank", "dropped")]
    trail = (await counter.client.get("/api/v1/audit", headers=ANN)).json()["entries"]
    assert [(entry["action"], entry["letter"]) for entry in trail] == [
        ("letter dropped", f"bank {second}"), ("letter replayed", f"hotel {first}"),
    ]  # fmt: skip
    for path in ("", f"/hotel/{first}"):
        assert (await counter.client.get(f"/api/v1/dead-letters{path}")).status_code == 401
    assert (await counter.post("/api/v1/dead-letters/hotel/1-1/drop")).status_code == 404
    assert (await counter.post(f"/api/v1/dead-letters/nobody/{first}/drop")).status_code == 404


async def test_a_letter_is_masked_until_it_is_asked_for_as_it_was_sent(counter: Counter) -> None:
    """Whoever edits it does so unmasked: what is masked is neither replayed nor taken for what was said."""
    sent = {"reason": "ada@example.com paid with\n4111 1111 1111 1111"}
    id_ = await letter(counter, "saga", 1, "NoRoomLeft", json.dumps(sent))
    place = f"/api/v1/dead-letters/saga/{id_}"

    async def shown(**query: str) -> dict[str, Any]:
        told: dict[str, Any] = (await counter.client.get(place, params=query, headers=ANN)).json()
        return told

    masked = (await shown())["message"]["data"]
    whole = (await shown(unmasked="true"))["message"]["data"]
    assert (json.loads(masked), json.loads(whole)) == ({"reason": "*** paid with\n***"}, sent)
    assert (await counter.client.get(place, params={"unmasked": "true"})).status_code == 401

    refused = await counter.post(f"{place}/replay", data=json.loads(masked))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "data")
    assert "unmasked=true" in refused.json()["errors"][0]["detail"]
    assert await counter.asked("saga") == []

    mended = {"reason": f"{sent['reason']}, in advance"}
    replayed = await counter.post(f"{place}/replay", data=mended)
    assert json.loads(replayed.json()["replayedData"]) == {"reason": "*** paid with\n***, in advance"}
    reply = await counter.bus.query.execute("XRANGE", counter.keys.requests("saga"), "-", "+")
    assert isinstance(reply, list)
    (told,) = [pairs([str(v) for v in entry[1]]) for entry in reply]  # type: ignore[index,union-attr]  # XRANGE
    assert json.loads(told["data"]) == mended
    assert json.loads((await shown(unmasked="true"))["replayedData"]) == mended
    assert "ada@" not in json.dumps(await shown())


async def test_a_letter_of_bytes_that_are_no_text_is_shown_and_dropped_and_hides_no_other(counter: Counter) -> None:
    """Anybody who reaches the store can put such a message on a stream; what was never an event is a letter then."""
    fields = {"type": "Odd\udcff", "data": "\udcfe", "correlationid": "stuck"}
    told = ("message", json.dumps({"stream": "s", "id": "1-0", "fields": fields}), "reason", b"bad \xff byte")
    await counter.bus.writer.execute("XADD", counter.keys.of("hotel").key("letters"), "5-1", *told)
    await letter(counter, "bank", 2)

    listed = await counter.client.get("/api/v1/dead-letters", headers=ANN)
    shown = [
        await counter.client.get(f"/api/v1/dead-letters/hotel/5-1{how}", headers=ANN) for how in ("", "?unmasked=1")
    ]
    replayed = await counter.post("/api/v1/dead-letters/hotel/5-1/replay")
    dropped = await counter.post("/api/v1/dead-letters/hotel/5-1/drop")
    trail = await counter.client.get("/api/v1/audit", headers=ANN)

    assert [one["owner"] for one in listed.json()["letters"]] == ["bank", "hotel"]
    assert [one.json()["message"]["data"] for one in shown] == ["\\udcfe"] * 2
    assert (listed.json()["letters"][1]["type"], shown[0].json()["reason"]) == ("Odd\\udcff", "bad \\udcff byte")
    assert (replayed.status_code, dropped.status_code, dropped.json()["fate"]) == (409, 200, "dropped")
    assert "Odd" in trail.json()["entries"][0]["told"]


MANY: dict[str, Any] = {"action": "abort", "filter": {"step": "charge card"}}


async def test_whatever_an_operator_writes_is_masked_where_it_is_kept(counter: Counter) -> None:
    """A reason becomes the saga's own, which anybody may read and webhooks carry outside; so does evidence."""
    said, kept = "ada@example.com paid with 4111 1111 1111 1111", "*** paid with ***"
    await counter.store("back", *DONE[:1])
    await counter.store("stated", *STUCK, begun_s_ago=600)
    await counter.store("stuck", *DONE[:1])
    id_ = await letter(counter, "hotel", 1)

    turned = await counter.post("/api/v1/sagas/back/compensate", reason=said)
    stated = await counter.post("/api/v1/sagas/stated/resolve", **{**FOUND, "evidence": said})
    dropped = await counter.post(f"/api/v1/dead-letters/hotel/{id_}/drop", reason=said)
    begun = await counter.post("/api/v1/repairs", **{**MANY, "atMost": 1, "reason": said})

    shown = [(await counter.client.get(f"/api/v1/sagas/{saga_id}")).text for saga_id in ("back", "stated", "stuck")]
    trail = (await counter.client.get("/api/v1/audit", headers=ANN)).text
    for text in (turned.text, stated.text, dropped.text, begun.text, *shown, trail):
        assert not [each for each in ("ada@", "4111") if each in text]
    assert [kept in text for text in (*shown, trail)] == [True] * 4


async def ended(counter: Counter, repair_id: str) -> dict[str, object]:
    """Return a repair once it has ended."""

    async def ask() -> dict[str, object]:
        shown: dict[str, object] = (await counter.client.get(f"/api/v1/repairs/{repair_id}", headers=ANN)).json()
        return shown if shown["endedAt"] else {}

    return await until(ask, "the repair ends")


async def test_many_sagas_are_previewed_repaired_looked_at_and_stopped(counter: Counter) -> None:
    """No more than the preview told, and none that was not counted there."""
    for number in range(5):
        await counter.store(f"stuck-{number}", *STUCK, begun_s_ago=600)
    await counter.store("held", DONE[0], begun_s_ago=600)

    preview = await counter.post("/api/v1/repairs/preview", **MANY)
    begun = await counter.post("/api/v1/repairs", **MANY, atMost=3, perSecond=100)
    campaigner = Campaigner([TRIP], bus=counter.bus, settings=counter.settings)
    stop = asyncio.Event()
    running = asyncio.create_task(campaigner.run(stop))
    shown = await ended(counter, begun.json()["id"])
    stop.set()
    await running

    assert (preview.json()["count"], preview.json()["exact"], len(preview.json()["sample"])) == (5, True, 5)
    assert preview.json()["sample"][0]["would"] == "changed"
    assert "left as it was: charge card: done, undo gave up" in preview.json()["sample"][0]["told"]
    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    assert (shown["state"], shown["visited"], shown["changed"]) == ("done", 3, 3)
    assert len(await counter.found(status="Aborted")) == 3
    listed = (await counter.client.get("/api/v1/repairs", headers=ANN)).json()
    assert [one["id"] for one in listed] == [begun.json()["id"]]
    second = (await counter.post("/api/v1/repairs", **MANY, atMost=3)).json()
    stopped = await counter.post(f"/api/v1/repairs/{second['id']}/stop")
    assert (stopped.json()["state"], stopped.json()["why"]) == ("stopped", "ann: the customer called")
    assert (await counter.post("/api/v1/repairs/0123456789abcdef/stop")).status_code == 404
    assert (await counter.client.get("/api/v1/repairs")).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {**MANY, "atMost": 0},
        MANY,
        {**MANY, "atMost": 1, "filter": {"status": "Completed"}},
        {**MANY, "atMost": 1, "perSecond": 1000},
        {**MANY, "atMost": 1, "stopAtErrorRate": 2},
        {**MANY, "atMost": 1, "action": "resolve"},
        {**MANY, "atMost": 1, "evidence": "none"},
        {**MANY, "atMost": 1, "filter": {"unheard": 1}},
    ],
)
async def test_a_repair_of_many_that_makes_no_sense_is_refused(counter: Counter, body: dict[str, Any]) -> None:
    answer = await counter.post("/api/v1/repairs", **body)

    assert answer.status_code == 422
    assert (await counter.client.get("/api/v1/repairs", headers=ANN)).json() == []


@pytest.mark.parametrize("cursor", ["0-0", "0-5", "5-0", "999999999999999-9999999999"])
async def test_a_cursor_that_nothing_lies_before_is_the_end(counter: Counter, cursor: str) -> None:
    """Also the first position there is, before which the server refuses to go."""
    trail = await counter.client.get("/api/v1/audit", params={"cursor": cursor}, headers=ANN)
    if cursor.startswith("0-"):
        assert trail.status_code == 422  # nothing is written down in the year 1970
        trail = await counter.client.get("/api/v1/audit", params={"cursor": "1-0"}, headers=ANN)
    letters = await counter.client.get("/api/v1/dead-letters", params={"cursor": f"{cursor}.a"}, headers=ANN)

    assert (trail.status_code, trail.json()) == (200, {"entries": [], "next": None})
    assert (letters.status_code, letters.json()) == (200, {"letters": [], "next": None})
