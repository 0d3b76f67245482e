"""The counter at which operators ask for sagas, repairs and dead letters: the v1 routes on a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from sagastream import Bus, Settings, connect
from sagastream.coordinator.campaign_api import campaign_routes
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
from tests.trip import TRIP

TOKEN = "a-token-nobody-guesses"
ANN = {"Authorization": f"Bearer {TOKEN}", "X-Operator": "ann"}
WHY = {"reason": "the customer called"}
DONE = (("hold room", Kind.DONE), ("charge card", Kind.DONE), ("confirm", Kind.DONE))
BACK = (*DONE[:2], ("confirm", Kind.BARRED))
STUCK = (*BACK, ("charge card", Kind.UNDO_GAVE_UP), ("hold room", Kind.UNDONE), (BEGINNING, Kind.UNDONE))
FOUND = {"step": "charge card", "effect": "undone", "evidence": "their statement, ticket 4711"}


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


@asynccontextmanager
async def opened(server_url: str, named: str) -> AsyncIterator[Counter]:
    """Open a counter with a store of its own on a server."""
    settings = Settings(
        redis_url=server_url,
        key_prefix=f"{derived_id('repair', named)[:8]}:",
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
