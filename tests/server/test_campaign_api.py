"""The v1 routes by which many sagas are repaired, and what becomes of what operators write, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sagastream.coordinator.campaigner import Campaigner
from tests.processes.until import until
from tests.server.repair_counter import ANN, DONE, FOUND, STUCK, Counter, letter, opened
from tests.trip import TRIP


@pytest.fixture
async def counter(server_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Counter]:
    async with opened(server_url, request.node.name) as counter:
        yield counter


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
