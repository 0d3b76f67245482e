"""A server that takes no writes is trouble of the server's, never of the message's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from sagastream.bus import Bus, Command
from sagastream.errors import ServerUnavailable
from sagastream.keys import Keys
from sagastream.ledger import Entry, State
from sagastream.reader import Reader
from sagastream.transaction import OutcomeKind, Transaction, Transactor

TROUBLES: list[tuple[str, Command, Command]] = [
    ("out of memory", ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    ("a replica", ("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    (
        "without replicas",
        ("CONFIG", "SET", "min-replicas-to-write", "1"),
        ("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
    ("forbidden to us", ("ACL", "SETUSER", "default", "-eval", "-evalsha"), ("ACL", "SETUSER", "default", "+@all")),
]


@asynccontextmanager
async def trouble(bus: Bus, begins: Command, ends: Command) -> AsyncIterator[None]:
    """Bring the server into a state in which it takes no writes, and out again."""
    await bus.query.execute(*begins)
    try:
        yield
    finally:
        await bus.query.execute(*ends)


@pytest.mark.parametrize(("begins", "ends"), [t[1:] for t in TROUBLES], ids=[t[0] for t in TROUBLES])
async def test_a_server_that_takes_no_writes_is_unavailable(
    bus: Bus, keys: Keys, begins: Command, ends: Command
) -> None:
    """Nothing of the batch is written or judged, and the same batch is applied once it takes writes again."""
    reader, transactor = Reader(bus.query, keys), Transactor(bus.writer, keys, retention=timedelta(days=1))

    def batch() -> list[Transaction]:
        made = []
        for number in range(3):
            tx = Transaction(reader, saga_id=f"saga-{number}", key="", now_ms=0)
            tx.tally("counts", {"n": 1})
            tx.increase("level", "n", 1)
            tx.entry = Entry(f"saga-{number}", "reserve", State.UNKNOWN, State.DONE)
            made.append(tx)
        return made

    async with trouble(bus, begins, ends):
        with pytest.raises(ServerUnavailable):
            await transactor.commit(batch())
        assert await reader.read_all("level") == {}
    receipt = await transactor.commit(batch())

    assert all(outcome.is_ok for outcome in receipt.outcomes)
    assert await reader.read_all("level") == {"n": "3"}
    assert await reader.read_all("counts") == {"n": "3"}


AT_THE_END: list[tuple[str, Callable[[Transaction], object]]] = [
    ("a tally", lambda tx: tx.tally("k", {"n": 1})),
    ("a sorted set", lambda tx: tx.schedule("k", "m", 1)),
    ("a mention", lambda tx: tx.mention("k", "saga-1", most=10)),
]
ALONE: list[tuple[str, Callable[[Transaction], object]]] = [
    *AT_THE_END,
    ("a counter", lambda tx: tx.increase("k", "n", 1)),
]


@pytest.mark.parametrize("declare", [a[1] for a in ALONE], ids=[a[0] for a in ALONE])
@pytest.mark.parametrize(("begins", "ends"), [t[1:] for t in TROUBLES], ids=[t[0] for t in TROUBLES])
async def test_a_server_that_takes_no_writes_is_unavailable_to_what_is_written_alone(
    bus: Bus, keys: Keys, begins: Command, ends: Command, declare: Callable[[Transaction], object]
) -> None:
    """A transaction of nothing else is not to blame either, be it written at the end of the call or before.

    What it renews would be taken for lost.
    """
    tx = Transaction(Reader(bus.query, keys), saga_id="", key="", now_ms=0)
    declare(tx)

    async with trouble(bus, begins, ends):
        with pytest.raises(ServerUnavailable):
            await Transactor(bus.writer, keys, retention=timedelta(days=1)).commit([tx])


async def test_a_handler_that_may_not_write_somewhere_is_torn_and_says_so(bus: Bus, keys: Keys) -> None:
    """Only an access rule can fail a write half way; the outcome names it instead of hiding it."""
    name, root = f"user-{keys.prefix.rstrip(':')}", keys.root
    await bus.query.execute(
        "ACL", "SETUSER", name, "on", "nopass", "+@all", f"%RW~{root}:a*", f"%R~{root}:*", f"~{root}"
    )
    await bus.writer.execute("AUTH", name, "any")
    tx = Transaction(Reader(bus.query, keys), saga_id="", key="", now_ms=0)
    tx.set("allowed", {"n": 1})
    tx.set("forbidden", {"n": 1})

    (outcome,) = (await Transactor(bus.writer, keys, retention=timedelta(days=1)).commit([tx])).outcomes

    assert outcome.kind is OutcomeKind.TORN
    assert "access" in outcome.detail


UNREAD: list[tuple[str, Callable[[Transaction], object]]] = [
    ("a field", lambda tx: tx.expect("hidden", "f", None)),
    ("a counter", lambda tx: tx.increase("hidden", "n", 1)),
    ("a tally", lambda tx: tx.tally("hidden", {"n": 1})),
]


@pytest.mark.parametrize("declare", [u[1] for u in UNREAD], ids=[u[0] for u in UNREAD])
async def test_a_handler_that_may_not_read_what_it_guards_is_told_so_and_nothing_is_written(
    bus: Bus, keys: Keys, declare: Callable[[Transaction], object]
) -> None:
    """What an access rule hides is not taken for a key of another type: who looks for the cause would not find it."""
    name, root = f"user-{keys.prefix.rstrip(':')}", keys.root
    await bus.query.execute("ACL", "SETUSER", name, "on", "nopass", "+@all", f"%RW~{root}:a*", f"~{root}")
    await bus.writer.execute("AUTH", name, "any")
    reader = Reader(bus.query, keys)
    tx = Transaction(reader, saga_id="", key="", now_ms=0)
    tx.set("allowed", {"n": 1})
    declare(tx)

    (outcome,) = (await Transactor(bus.writer, keys, retention=timedelta(days=1)).commit([tx])).outcomes

    assert outcome.kind is OutcomeKind.MALFORMED
    assert "access" in outcome.detail
    assert await reader.read_all("allowed") == {}


async def test_who_asks_for_what_may_not_be_written_at_the_end_of_a_call_is_torn(bus: Bus, keys: Keys) -> None:
    """Sorted sets, tallies and mentions are written once per call: those beside them are not to blame."""
    name, root = f"user-{keys.prefix.rstrip(':')}", keys.root
    await bus.query.execute(
        "ACL", "SETUSER", name, "on", "nopass", "+@all", f"%RW~{root}:a*", f"%R~{root}:*", f"~{root}"
    )
    await bus.writer.execute("AUTH", name, "any")
    reader = Reader(bus.query, keys)
    batch = [Transaction(reader, saga_id="", key="", now_ms=0) for _ in range(6)]
    batch[0].schedule("allowed:timers", "m", 1)
    batch[1].schedule("timers", "m", 1)
    batch[2].set("allowed", {"n": 1})
    batch[3].tally("counts", {"n": 1})
    batch[4].mention("changes", "saga-1", most=10)
    batch[5].tally("allowed:counts", {"n": 1})

    outcomes = (await Transactor(bus.writer, keys, retention=timedelta(days=1)).commit(batch)).outcomes

    assert [outcome.kind for outcome in outcomes] == [
        OutcomeKind.OK,
        OutcomeKind.TORN,
        OutcomeKind.OK,
        OutcomeKind.TORN,
        OutcomeKind.TORN,
        OutcomeKind.OK,
    ]
    assert await reader.read_all("allowed:counts") == {"n": "1"}


@pytest.mark.parametrize("declare", [e[1] for e in AT_THE_END], ids=[e[0] for e in AT_THE_END])
async def test_who_asks_for_what_may_not_be_written_is_torn_also_where_another_gives_its_key_a_life(
    bus: Bus, keys: Keys, declare: Callable[[Transaction], object]
) -> None:
    """It is to be written before the key gets a life; whoever wants that is torn, and so is who was there before."""
    name, root = f"user-{keys.prefix.rstrip(':')}", keys.root
    await bus.query.execute(
        "ACL", "SETUSER", name, "on", "nopass", "+@all", f"%RW~{root}:a*", f"%R~{root}:*", f"~{root}"
    )
    await bus.writer.execute("AUTH", name, "any")
    batch = [Transaction(Reader(bus.query, keys), saga_id="", key="", now_ms=0) for _ in range(3)]
    declare(batch[0])
    batch[1].expire("k", timedelta(days=1))
    batch[2].set("allowed", {"n": 1})

    outcomes = (await Transactor(bus.writer, keys, retention=timedelta(days=1)).commit(batch)).outcomes

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.TORN, OutcomeKind.TORN, OutcomeKind.OK]
