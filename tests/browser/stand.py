"""A coordinator's routes on a real server, and sagas stored there as the coordinator stores them, at will and at once.

Nobody performs any step: what a saga went through is told, fact by fact, with instants that lie as far back as need be.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from coordinator.app import create_service
from coordinator.order_saga import ORDER
from sagastream import keys as names
from sagastream.clock import server_ms
from sagastream.coordinator.records import Note, Record, Records
from sagastream.coordinator.snapshots import Snapshots
from sagastream.embedded import EmbeddedServer
from sagastream.envelope import derived_id
from sagastream.event import Event
from sagastream.keys import ATTEMPTS, CHANGES, COORDINATOR, LETTERS, RETRIES, Keys
from sagastream.replies import entries, taken_ms
from sagastream.saga.advance import Advance, advance, tick
from sagastream.saga.progress import Fact, Happening, Kind, Progress
from sagastream.service import Context, Service, create_app, opened_context
from sagastream.serving import address, listen, serve
from sagastream.settings import Settings
from sagastream.telemetry import Telemetry
from sagastream.transaction import Transaction, Transactor

TOKEN = "a-token-nobody-guesses"
BEGIN, STOCK, CHARGE, CONFIRM, NOTIFY = ORDER.names
Told = tuple[float, str, Kind] | tuple[float, str, Kind, str]
"""Seconds after the beginning, step, what is said of it, and the reason if there is one."""

COMPLETED: tuple[Told, ...] = (
    (0.021, STOCK, Kind.DONE),
    (0.334, CHARGE, Kind.DONE),
    (0.352, CONFIRM, Kind.DONE),
    (0.41, NOTIFY, Kind.DONE),
)
COMPENSATED: tuple[Told, ...] = (
    (0.021, STOCK, Kind.DONE),
    (0.208, CHARGE, Kind.REFUSED, "the card was declined"),
    (0.241, STOCK, Kind.UNDONE),
    (0.266, BEGIN, Kind.UNDONE),
)
FAILED: tuple[Told, ...] = (
    (0.034, STOCK, Kind.REFUSED, "9 pieces are wanted, 4 are there"),
    (0.051, BEGIN, Kind.UNDONE),
)
COMPENSATING: tuple[Told, ...] = COMPENSATED[:2]
WAITING: tuple[Told, ...] = ((0.021, STOCK, Kind.DONE),)
# The bank did not answer, the pivot was barred, and the bank does not answer to the undo either.
STUCK: tuple[Told, ...] = (
    (0.021, STOCK, Kind.DONE),
    (60.03, CHARGE, Kind.OVERDUE, "nothing was heard for 60 s"),
    (60.05, CONFIRM, Kind.BARRED),
    (132.4, CHARGE, Kind.UNDO_GAVE_UP, "the payment provider cannot be reached"),
    (132.45, STOCK, Kind.UNDONE),
    (132.47, BEGIN, Kind.UNDONE),
)


class Stand:
    """What is stored, and where it is served."""

    def __init__(self, url: str, context: Context) -> None:
        self.url = url
        self._context = context
        self._keys = Keys(context.settings.key_prefix, COORDINATOR)
        self._records = Records(context.bus, self._keys)
        self._transactor = Transactor(context.bus.writer, self._keys, retention=context.settings.ledger_retention)
        self._known: dict[str, Record] = {}

    async def count_from_now(self) -> None:
        """Have everything that is told from now on counted into every window."""
        bus = self._context.bus
        await Snapshots(bus.query, self._records.reader, self._transactor).take()

    async def operate(self, path: str, **asked: object) -> None:
        """Do something as an operator."""
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Operator": "ann"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False) as client:
            answer = await client.post(f"/api/v1/{path}", json=asked)
        assert answer.is_success, answer.text

    async def bury(self, owner: str, reason: str, fields: Mapping[str, str]) -> None:
        """Put a message away as a dead letter of its owner."""
        message = json.dumps({"stream": "nowhere", "id": "1-0", "fields": fields})
        key = Keys(self._context.settings.key_prefix, owner).key(LETTERS)
        told = ("message", message, "reason", reason, "attempts", "3")
        await self._context.bus.query.execute("XADD", key, "*", *told)

    async def fail(self, owner: str, saga_id: str, handler: str, why: str, *, failed: int, again_in_s: float) -> None:
        """Have a handler fail for a saga, as its consumer keeps it in mind until the next attempt."""
        keys, message = Keys(self._context.settings.key_prefix, owner), "nowhere|1-0"
        due_ms = await self.now_ms() + int(again_in_s * 1000)
        await self._context.bus.writer.pipeline([
            ("HSET", keys.key(names.failing(saga_id)), message, f"{handler}\n{why}"),
            ("HSET", keys.key(ATTEMPTS), message, failed),
            ("ZADD", keys.key(RETRIES), due_ms, message),
        ])  # fmt: skip

    async def succeed(self, owner: str, saga_id: str) -> None:
        """Have what failed for a saga done."""
        keys = Keys(self._context.settings.key_prefix, owner)
        gone = (names.failing(saga_id), ATTEMPTS, RETRIES)
        await self._context.bus.writer.execute("DEL", *map(keys.key, gone))

    async def tell(self, saga_id: str, *told: Told, begun_s_ago: float = 0, initiator: str = "customer-1") -> str:
        """Store a saga as the coordinator would have, one fact after the other; return its id."""
        began_ms = await self.now_ms() - int(begun_s_ago * 1000)
        for seconds, step, kind, *reason in ((0.0, BEGIN, Kind.DONE), *told):
            at_ms = began_ms + int(seconds * 1000)
            await self._commit([self._added(saga_id, initiator, at_ms, step, kind, "".join(reason))])
        return saga_id

    async def add(self, saga_id: str, step: str, kind: Kind) -> None:
        """Let something happen to a saga right now."""
        await self.add_each([(saga_id, step, kind)])

    async def add_each(self, happened: Sequence[tuple[str, str, Kind]], reason: str = "") -> None:
        """Let something happen to each of many sagas right now, in one commit; they need not have begun before."""
        now_ms = await self.now_ms()
        await self._commit([self._added(saga, "", now_ms, step, kind, reason) for saga, step, kind in happened])

    async def now_ms(self) -> int:
        """Return the server's instant (epoch ms)."""
        return await server_ms(self._context.bus.query)

    async def tell_each(self, saga_ids: Sequence[str], *told: Told, begun_s_ago: float) -> None:
        """Store many sagas that went the same way, each by one commit of all its facts."""
        began_ms = await self.now_ms() - int(begun_s_ago * 1000)
        await self._commit([self._told(saga_id, began_ms, told) for saga_id in saga_ids])

    async def let_pass(self, saga_id: str) -> None:
        """Let the coordinator look at the clock: who did not answer in time is asked again."""
        record, now_ms = self._known[saga_id], await self.now_ms()
        turn = tick(ORDER, record.progress, now_ms=now_ms)
        await self._commit([self._saved(record, turn, [], derived_id(saga_id, "tick", str(record.version)), now_ms)])

    async def read_requests(self, participant: str, consumer: str, count: int) -> None:
        """Read some of what a participant was asked, as its consumer would, and settle nothing."""
        stream = self._keys.key(names.requests(participant))
        query = self._context.bus.query
        await query.execute("XGROUP", "CREATE", stream, participant, "0")
        await query.execute("XREADGROUP", "GROUP", participant, consumer, "COUNT", count, "STREAMS", stream, ">")

    async def entries(self) -> list[tuple[int, list[str]]]:
        """Return the feed of changes as far as it is kept: the instant (epoch ms) of each entry's id, and its sagas."""
        told = entries(await self._context.bus.query.execute("XRANGE", self._keys.key(CHANGES), "-", "+"))
        return [(taken_ms(entry_id), fields["names"].split()) for entry_id, fields in told]

    def _added(
        self, saga_id: str, initiator: str, at_ms: int, step: str, kind: Kind, reason: str
    ) -> tuple[Transaction, Record]:
        record = self._known.get(saga_id) or _fresh(saga_id, initiator)
        happening, note = _happening(saga_id, step, kind, at_ms, reason, record.progress.last_event_id)
        turn = advance(ORDER, record.progress, [happening], now_ms=at_ms)
        return self._saved(record, turn, [note], note.id, at_ms)

    def _told(self, saga_id: str, began_ms: int, told: Sequence[Told]) -> tuple[Transaction, Record]:
        record, happenings, notes = _fresh(saga_id, "customer-1"), [], []
        for seconds, step, kind, *reason in ((0.0, BEGIN, Kind.DONE), *told):
            at_ms, cause = began_ms + int(seconds * 1000), notes[-1].id if notes else ""
            happening, note = _happening(saga_id, step, kind, at_ms, "".join(reason), cause)
            happenings.append(happening)
            notes.append(note)
        turn = advance(ORDER, record.progress, happenings, now_ms=notes[-1].at_ms)
        return self._saved(record, turn, notes, notes[-1].id, notes[-1].at_ms)

    def _saved(
        self, record: Record, turn: Advance, notes: list[Note], cause: str, now_ms: int
    ) -> tuple[Transaction, Record]:
        tx = self._records.save(ORDER, record, turn, notes, cause=cause, now_ms=now_ms)
        return tx, Record(turn.progress, turn.status, record.version + 1)

    async def _commit(self, changes: Sequence[tuple[Transaction, Record]]) -> None:
        receipt = await self._transactor.commit([tx for tx, _ in changes])
        assert all(outcome.is_ok for outcome in receipt.outcomes), receipt.outcomes
        self._known |= {record.progress.saga_id: record for _, record in changes}


def _fresh(saga_id: str, initiator: str) -> Record:
    return Record(Progress(saga_id, ORDER.name, ORDER.version, initiator), "", 0)


def _happening(saga_id: str, step: str, kind: Kind, at_ms: int, reason: str, cause: str) -> tuple[Happening, Note]:
    """Return what is added to a saga's progress, and to its history."""
    event, by = _event(step, kind)
    id_ = derived_id(saga_id, event, step, kind)
    return Happening(step, kind, Fact(at_ms, id_, reason)), Note(at_ms, id_, event, by, cause, step, kind, reason)


def _event(step: str, kind: Kind) -> tuple[str, str]:
    """Return by which event something is said of a step, and who publishes it."""
    by = ORDER.performers[step]
    table = {each.name: each for each in ORDER.steps}.get(step)
    done, undone, refused = (
        (ORDER.begins_with, ORDER.cancelled_by, None) if table is None else (table.done, table.undone, table.refused)
    )
    named: dict[Kind, type[Event] | None] = {Kind.DONE: done, Kind.UNDONE: undone, Kind.REFUSED: refused}
    event = named.get(kind)
    if event is not None:
        return event.type_name(), by
    return {
        Kind.BARRED: ("StepBarred", by),
        Kind.GAVE_UP: ("StepGaveUp", by),
        Kind.UNDO_GAVE_UP: ("StepGaveUp", by),
        Kind.LOST: ("LedgerLost", by),
        Kind.OVERDUE: ("StepOverdue", COORDINATOR),
    }[kind]


@asynccontextmanager
async def store(data_dir: Path) -> AsyncIterator[Context]:
    """Run a server around the block, and be connected to it as a coordinator is."""
    with EmbeddedServer(data_dir) as server:
        settings = Settings(
            redis_url=server.url, data_dir=data_dir, operator_token=SecretStr(TOKEN), block=timedelta(seconds=0.2)
        )
        async with opened_context("coordinator", server.url, settings, Telemetry("coordinator")) as context:
            yield context


@asynccontextmanager
async def stand(data_dir: Path, service: Callable[[Context], Service] = create_service) -> AsyncIterator[Stand]:
    """Serve the coordinator's routes around the block, on a server and a port of their own."""
    async with store(data_dir) as context:
        app = create_app(replace(service(context), workers=()), context)
        stop, is_ready = asyncio.Event(), asyncio.Event()
        wire = listen(context.settings, 0)
        serving = asyncio.create_task(serve(app, wire, stop, is_ready.set))
        await is_ready.wait()
        try:
            yield Stand(address(wire), context)
        finally:
            stop.set()
            await serving
