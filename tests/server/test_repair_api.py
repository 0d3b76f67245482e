"""The v1 routes of sagas on a real server: found by what their records tell, repaired by whoever has the token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from sagastream.envelope import pairs
from sagastream.saga.progress import Kind
from tests.server.repair_counter import ANN, BACK, DONE, FOUND, STUCK, WHY, Counter, opened


@pytest.fixture
async def counter(server_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Counter]:
    async with opened(server_url, request.node.name) as counter:
        yield counter


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
