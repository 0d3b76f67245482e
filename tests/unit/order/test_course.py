"""How an order's saga is shown to whoever placed it, from the record the coordinator wrote."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest

from coordinator.order_saga import ORDER as TABLE
from sagastream.coordinator.records import Note, Record, Records
from sagastream.keys import COORDINATOR, Keys
from sagastream.saga.advance import advance
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Fact, Happening, Kind, Progress
from sagastream.transaction import Transactor
from tests.unit.slot import NOW_MS

from .shop import Shop
from .test_order_requests import ORDER

STOCK = Happening("reserve stock", Kind.DONE, Fact(NOW_MS + 20, "e2"))
PAID = Happening("charge payment", Kind.DONE, Fact(NOW_MS + 40, "e3"))
DECLINED = Happening("charge payment", Kind.REFUSED, Fact(NOW_MS + 40, "e3", "the card was declined"))
LATE = Happening("charge payment", Kind.OVERDUE, Fact(NOW_MS + 90_000, "e3"))
CONFIRMED = Happening("confirm order", Kind.DONE, Fact(NOW_MS + 60, "e4"))
TOLD = Happening("notify customer", Kind.DONE, Fact(NOW_MS + 80, "e5"))
RELEASED = Happening("reserve stock", Kind.UNDONE, Fact(NOW_MS + 60, "e6"))
CLOSED = Happening(BEGINNING, Kind.UNDONE, Fact(NOW_MS + 80, "e7"))


async def coordinate(shop: Shop, saga_id: str, *turns: Sequence[Happening]) -> None:
    """Write what the coordinator writes when it sees these, turn by turn."""
    keys = Keys(shop.settings.key_prefix, COORDINATOR)
    records = Records(shop.bus, keys)
    transactor = Transactor(shop.connection, keys, retention=shop.settings.ledger_retention)
    began = Happening(BEGINNING, Kind.DONE, Fact(NOW_MS, "e1"))
    record = Record(Progress(saga_id, TABLE.name, TABLE.version, "customer-1"), "", 0)
    for turn in ([began], *turns):
        moved = advance(TABLE, record.progress, turn, now_ms=max(one.fact.at_ms for one in turn))
        notes = [
            Note(one.fact.at_ms, one.fact.event_id, "Happened", "somebody", "", one.step, one.kind, one.fact.reason)
            for one in moved.news
        ]
        at_ms = max(one.fact.at_ms for one in turn)
        transaction = records.save(TABLE, record, moved, notes, cause="test", now_ms=at_ms)
        assert (await transactor.commit([transaction])).outcomes[0].is_ok
        record = await records.load(saga_id) or record


@pytest.mark.parametrize(
    ("turns", "status", "current"),
    [
        ([], "Started", "reserve stock"),
        ([[STOCK]], "InProgress", "charge payment"),
        ([[STOCK], [PAID]], "InProgress", "confirm order"),
        ([[STOCK], [PAID], [CONFIRMED]], "InProgress", "notify customer"),
        ([[STOCK], [PAID], [CONFIRMED], [TOLD]], "Completed", None),
        ([[STOCK], [LATE]], "InProgress", "confirm order"),  # it is asked to be barred
        ([[STOCK], [LATE], [PAID], [CONFIRMED]], "InProgress", "notify customer"),  # and answers that it is done
        ([[STOCK], [DECLINED]], "Compensating", "reserve stock"),
        ([[STOCK], [DECLINED], [RELEASED]], "Compensating", "begin"),
        ([[STOCK], [DECLINED], [RELEASED], [CLOSED]], "Compensated", None),
    ],
)
async def test_the_current_step_is_the_one_that_is_being_done_or_undone(
    shop: Shop, client: httpx.AsyncClient, turns: list[list[Happening]], status: str, current: str | None
) -> None:
    """Forward the first that is not done, backward the one that was asked and has not answered."""
    placed = (await client.post("/api/orders/choreographed-saga", json=ORDER)).json()
    await coordinate(shop, placed["sagaId"], *turns)

    shown = (await client.get(f"/api/orders/{placed['orderId']}/saga")).json()

    assert (shown["orderId"], shown["sagaId"]) == (placed["orderId"], placed["sagaId"])
    assert (shown["status"], shown["currentStep"]) == (status, current)


async def test_the_history_tells_step_status_message_and_instant(shop: Shop, client: httpx.AsyncClient) -> None:
    """In the order it happened; what concerns the whole saga has no step."""
    placed = (await client.post("/api/orders/choreographed-saga", json=ORDER)).json()
    await coordinate(shop, placed["sagaId"], [STOCK], [DECLINED], [RELEASED], [CLOSED])

    history = (await client.get(f"/api/orders/{placed['orderId']}/saga")).json()["history"]

    assert [(entry["step"], entry["status"]) for entry in history] == [
        ("begin", "Done"),
        (None, "Started"),
        ("reserve stock", "Done"),
        ("charge payment", "Refused"),
        ("reserve stock", "Asked"),
        (None, "Compensating"),
        ("reserve stock", "Undone"),
        ("begin", "Asked"),
        ("begin", "Undone"),
        (None, "Compensated"),
    ]
    assert history[3] == {
        "step": "charge payment",
        "status": "Refused",
        "message": "Happened by somebody: the card was declined",
        "timestamp": "2023-11-14T22:13:20.040Z",
    }


async def test_a_settled_order_is_shown_how_its_saga_went(shop: Shop, client: httpx.AsyncClient) -> None:
    """As long as the record is kept, whether the order is settled or not; what was heard late stands where it was."""
    placed = (await client.post("/api/orders/choreographed-saga", json=ORDER)).json()
    await coordinate(shop, placed["sagaId"], [PAID], [STOCK], [CONFIRMED], [TOLD])
    await shop.confirm(placed["orderId"], placed["sagaId"], 29999)

    answer = await client.get(f"/api/orders/{placed['orderId']}/saga")

    assert (answer.status_code, answer.json()["status"]) == (200, "Completed")
    steps = ["begin", "reserve stock", "charge payment", "confirm order", "notify customer"]
    assert [entry["step"] for entry in answer.json()["history"] if entry["step"]] == steps


async def test_an_order_the_coordinator_has_not_heard_of_is_started(client: httpx.AsyncClient) -> None:
    """Its saga was begun with it; there is only nothing to tell yet."""
    placed = (await client.post("/api/orders/choreographed-saga", json=ORDER)).json()

    shown = (await client.get(f"/api/orders/{placed['orderId']}/saga")).json()

    assert (shown["status"], shown["currentStep"], shown["history"]) == ("Started", "reserve stock", [])


async def test_what_is_no_longer_kept_is_not_made_up(shop: Shop, client: httpx.AsyncClient) -> None:
    """A settled order outlives the record of its saga; how that ended in detail is then unknown."""
    placed = (await client.post("/api/orders/choreographed-saga", json=ORDER)).json()
    await shop.confirm(placed["orderId"], placed["sagaId"], 29999)

    gone = await client.get(f"/api/orders/{placed['orderId']}/saga")
    unknown = await client.get("/api/orders/nothing/saga")

    assert (gone.status_code, unknown.status_code) == (404, 404)
    assert "no longer kept" in gone.json()["detail"]


async def test_what_a_newer_coordinator_notes_is_shown_all_the_same(shop: Shop, client: httpx.AsyncClient) -> None:
    """A kind of note this release has never heard of does not hide the others."""
    placed = (await client.post("/api/orders/choreographed-saga", json=ORDER)).json()
    await coordinate(shop, placed["sagaId"])
    key = Keys(shop.settings.key_prefix, COORDINATOR).key(f"history:{placed['sagaId']}")
    shop.server.call("RPUSH", key, f'{{"at":{NOW_MS + 5},"type":"SagaAdopted","source":"saga","kind":"adopted"}}')

    history = (await client.get(f"/api/orders/{placed['orderId']}/saga")).json()["history"]

    assert [(entry["status"], entry["message"]) for entry in history[2:]] == [("Noted", "SagaAdopted by saga")]
