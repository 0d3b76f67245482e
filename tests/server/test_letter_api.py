"""The v1 routes of dead letters on a real server: listed, shown, handed over once more and dropped."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sagastream.envelope import pairs
from tests.server.repair_counter import ANN, Counter, letter, opened


@pytest.fixture
async def counter(server_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Counter]:
    async with opened(server_url, request.node.name) as counter:
        yield counter


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
