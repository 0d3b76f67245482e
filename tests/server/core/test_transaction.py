"""The transaction script on real servers: each operation, each guard, and nothing by halves.

It is long because every operation is tried against every type, and beside every other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import cast

import pytest

from sagastream.bus import Argument, Bus, Connection, Reply
from sagastream.clock import server_ms
from sagastream.envelope import Envelope, epoch_ms, pairs
from sagastream.errors import ReplyError
from sagastream.keys import Keys
from sagastream.ledger import Entry, State, parse
from sagastream.operands import LARGEST
from sagastream.reader import Reader
from sagastream.transaction import Outcome, OutcomeKind, Transaction, Transactor

DAY = timedelta(days=1)
Declare = Callable[[Transaction], object]


class Desk:
    """Declares transactions of one owner and commits them on the server under test."""

    def __init__(self, bus: Bus, keys: Keys) -> None:
        self.bus = bus
        self.keys = keys
        self.reader = Reader(bus.query, keys)
        self.transactor = Transactor(bus.writer, keys, retention=DAY)

    def transaction(self, *declare: Declare, entry: Entry | None = None) -> Transaction:
        """Return a transaction with everything declared."""
        tx = Transaction(self.reader, saga_id="saga-1", key="saga-1.reserve", now_ms=0)
        tx.entry = entry
        for operation in declare:
            operation(tx)
        return tx

    async def commit(self, *declare: Declare, entry: Entry | None = None) -> Outcome:
        """Commit one transaction and return what became of it."""
        return (await self.commit_all(self.transaction(*declare, entry=entry)))[0]

    async def commit_all(self, *batch: Transaction) -> list[Outcome]:
        """Commit transactions in one call."""
        return (await self.transactor.commit(batch)).outcomes

    async def call(self, command: str, key: str, *arguments: str | int) -> Reply:
        """Send a command about a key of the owner."""
        return await self.bus.query.execute(command, self.keys.key(key), *arguments)

    async def calls(self, command: str) -> int:
        """Return how often the server was given a command so far, by anybody."""
        told = str(await self.bus.query.execute("INFO", "commandstats"))
        (line,) = [line for line in told.splitlines() if line.startswith(f"cmdstat_{command}:")] or ["calls=0,"]
        return int(line.partition("calls=")[2].partition(",")[0])

    async def everything(self) -> dict[str, Reply]:
        """Return all keys of the owner with a fingerprint of what they hold."""
        found = await self.bus.query.execute("KEYS", f"{self.keys.prefix}*")
        assert isinstance(found, list)
        return {str(key): await self.bus.query.execute("DUMP", str(key)) for key in found}


@pytest.fixture
def desk(bus: Bus, keys: Keys) -> Desk:
    """Return a desk whose owner has no keys yet."""
    return Desk(bus, keys)


def envelope(id: str = "event-1", data: str = "{}", time: str = "") -> Envelope:
    """Return an event as a handler's is published."""
    return Envelope(
        id=id, source="stock", type="StockReserved", subject="order-1", saga_id="saga-1", cause="cause-1",
        initiator="customer-1", definition="order", definition_version="1", data=data, time=time,
    )  # fmt: skip


def published_and_remembered(data: str) -> Declare:
    """Publish an event, and let the ledger answer with it from then on."""

    def declare(tx: Transaction) -> None:
        tx.entry = Entry("saga-1", "reserve", State.UNKNOWN, State.DONE, tx.publish(envelope(data=data)))

    return declare


async def test_an_event_is_written_as_its_envelope_says(desk: Desk) -> None:
    """The script names what it is sent in the order of ``Envelope.fields()``, on whatever stream."""
    event = Envelope(*(f"{name}-of-it" for name in Envelope._fields))

    await desk.commit(lambda tx: tx.publish(event), lambda tx: tx.tell("requests:stock", event))

    for stream in (f"events:{event.type}", "requests:stock"):
        found = await desk.call("XRANGE", stream, "-", "+")
        assert isinstance(found, list)
        ((_, written),) = found  # type: ignore[misc]  # a reply may be anything
        assert written == event.fields()


async def test_every_operation_writes_what_it_says(desk: Desk) -> None:
    """One transaction with one of each kind."""
    await desk.call("HSET", "old", "gone", "x", "kept", "y")
    await desk.call("SET", "removed", "x")
    await desk.call("ZADD", "queue", 5, "taken", 1_800_000_000_124, "moved")

    outcome = await desk.commit(
        lambda tx: tx.expect("old", "kept", "y"),
        lambda tx: tx.expect("old", "absent", None),
        lambda tx: tx.set("level", {"name": "bolt", "available": 7, "is_open": True}),
        lambda tx: tx.at_least("count", "n", 0),
        lambda tx: tx.increase("count", "n", 5),
        lambda tx: tx.decrease("count", "n", 2),
        lambda tx: tx.unset("old", "gone"),
        lambda tx: tx.tally("tally", {"a|b": 2, "c": 3}),
        lambda tx: tx.remove("removed"),
        lambda tx: tx.push("list", "one", "two"),
        lambda tx: tx.schedule("queue", "put", 1_800_000_000_123),
        lambda tx: tx.schedule("queue", "moved", 1_800_000_000_125, instead_of=1_800_000_000_124),
        lambda tx: tx.unschedule("queue", "taken"),
        lambda tx: tx.expire("level", timedelta(minutes=1)),
        lambda tx: tx.publish(envelope()),
        lambda tx: tx.keep("old", "past", since_ms=0, life=DAY),
        lambda tx: tx.mention("news", "saga-1", most=10),
        lambda tx: tx.append("log", ["what", "said", "by", "whom"]),
    )

    assert outcome == Outcome(OutcomeKind.OK)
    assert await desk.reader.read_all("level") == {"name": "bolt", "available": "7", "is_open": "True"}
    assert await desk.reader.read_all("count") == {"n": "3"}
    assert await desk.reader.read_all_each(["old", "none", "count"]) == [{"kept": "y"}, {}, {"n": "3"}]
    assert await desk.reader.read_all("tally") == {"a|b": "2", "c": "3"}
    assert await desk.call("EXISTS", "removed") == 0
    assert await desk.call("LRANGE", "list", 0, -1) == ["one", "two"]
    assert await desk.call("ZRANGE", "queue", 0, -1, "WITHSCORES") == [
        "put", "1800000000123", "moved", "1800000000125",
    ]  # fmt: skip
    lives_ms = await desk.call("PTTL", "level")
    assert isinstance(lives_ms, int)
    assert 0 < lives_ms <= 60_000
    assert await desk.call("XLEN", "events:StockReserved") == 1
    ((_, kept),) = await desk.call("XRANGE", "past", "-", "+")  # type: ignore[misc, union-attr]  # the one entry
    assert kept == ["hash", "kept\ny"]
    assert await mentioned(desk, "news") == ["saga-1"]
    ((_, logged),) = await desk.call("XRANGE", "log", "-", "+")  # type: ignore[misc, union-attr]  # the one entry
    assert logged == ["what", "said", "by", "whom"]


async def mentioned(desk: Desk, stream: str) -> list[str]:
    """Return what each entry of a stream mentions."""
    entries = await desk.call("XRANGE", stream, "-", "+")
    assert isinstance(entries, list)
    return [str(entry[1][1]) for entry in entries]  # type: ignore[index]  # id and fields


async def test_what_the_transactions_of_a_call_mention_is_one_entry(desk: Desk) -> None:
    """Only what was applied is mentioned, and a call that applies nothing says nothing."""
    await desk.call("SET", "text", "x")

    def mentioning(name: str, *declare: Declare, stream: str = "news") -> Transaction:
        return desk.transaction(lambda tx: tx.mention(stream, name, most=10), *declare)

    refused = await desk.commit_all(mentioning("nobody", lambda tx: tx.expect("a", "b", "c")))
    outcomes = await desk.commit_all(
        mentioning("one"),
        mentioning("two", lambda tx: tx.at_least("a", "b", 1)),
        mentioning("three"),
        mentioning("four", stream="text"),
        mentioning("five", stream="other"),
    )

    assert [outcome.kind for outcome in refused] == [OutcomeKind.REFUSED]
    assert [outcome.kind for outcome in outcomes] == [
        OutcomeKind.OK,
        OutcomeKind.REFUSED,
        OutcomeKind.OK,
        OutcomeKind.MALFORMED,
        OutcomeKind.OK,
    ]
    assert await mentioned(desk, "news") == ["one three"]
    assert await mentioned(desk, "other") == ["five"]


async def test_mentions_are_kept_up_to_about_a_bound(desk: Desk) -> None:
    """The server drops whole nodes of a hundred entries, so some more may be there."""
    for number in range(350):
        await desk.commit(lambda tx, number=number: tx.mention("news", f"saga-{number}", most=100))  # type: ignore[misc]  # a default of a lambda

    told = await mentioned(desk, "news")

    assert told[-1] == "saga-349"
    assert 100 <= len(told) <= 200


def test_a_name_with_a_blank_cannot_be_mentioned(desk: Desk) -> None:
    for name in ("", "two names", "line\nbreak"):
        with pytest.raises(ValueError, match="without blanks"):
            desk.transaction(lambda tx, name=name: tx.mention("news", name, most=10))  # type: ignore[misc]  # a default of a lambda


async def test_a_hash_is_kept_once_per_period_with_what_the_call_has_counted_so_far(desk: Desk) -> None:
    """Also one that is not there yet, and one with more counters than Lua could unpack."""
    now_ms = await server_ms(desk.bus.query)

    def keeping(since_ms: int) -> Transaction:
        return desk.transaction(lambda tx: tx.keep("counts", "past", since_ms=since_ms, life=DAY))

    first = await desk.commit_all(keeping(now_ms), keeping(now_ms))
    later = await desk.commit_all(
        *(desk.transaction(lambda tx, at=at: tx.tally("counts", {f"{at}-{n}": n for n in range(2000)}))  # type: ignore[misc]  # a default of a lambda
          for at in range(5)),
        keeping(2 * now_ms),
    )  # fmt: skip
    entries = await desk.call("XRANGE", "past", "-", "+")

    assert [outcome.kind for outcome in first] == [OutcomeKind.OK, OutcomeKind.REFUSED]
    assert {outcome.kind for outcome in later} == {OutcomeKind.OK}
    assert isinstance(entries, list)
    told = [str(entry[1][1]) for entry in entries]  # type: ignore[index]  # id and fields
    assert told[0] == ""
    assert pairs(told[1].split("\n")) == {f"{at}-{n}": str(n) for at in range(5) for n in range(2000)}
    assert now_ms <= int(str(entries[0][0]).partition("-")[0])  # type: ignore[index]  # id and fields


async def test_what_was_kept_goes_when_its_life_is_over(desk: Desk) -> None:
    await desk.call("XADD", "past", "1000-0", "hash", "old")
    await desk.commit(lambda tx: tx.keep("counts", "past", since_ms=2000, life=DAY))

    assert await desk.call("XLEN", "past") == 1


async def test_what_was_kept_at_the_very_beginning_of_a_period_is_of_that_period(desk: Desk) -> None:
    await desk.call("XADD", "past", "2000-0", "hash", "first")

    again = await desk.commit(lambda tx: tx.keep("counts", "past", since_ms=2000, life=100 * 365 * DAY))
    next_ = await desk.commit(lambda tx: tx.keep("counts", "past", since_ms=2001, life=100 * 365 * DAY))

    assert [again.kind, next_.kind] == [OutcomeKind.REFUSED, OutcomeKind.OK]


async def test_an_event_gets_the_servers_time_and_keeps_the_one_it_has(desk: Desk) -> None:
    """New events are stamped once for the whole call; an event told again keeps its instant."""
    before = await server_ms(desk.bus.query)
    receipt = await desk.transactor.commit(
        [
            desk.transaction(lambda tx: tx.publish(envelope("new"))),
            desk.transaction(lambda tx: tx.publish(envelope("again", time="2020-01-01T00:00:00.000Z"))),
        ]
    )
    entries = await desk.call("XRANGE", "events:StockReserved", "-", "+")

    assert isinstance(entries, list)
    new, again = (pairs([str(v) for v in entry[1]]) for entry in entries if isinstance(entry, list) and entry[1])  # type: ignore[union-attr]
    assert before <= epoch_ms(new["time"]) == receipt.now_ms <= await server_ms(desk.bus.query)
    assert again["time"] == "2020-01-01T00:00:00.000Z"


GUARDS: list[tuple[str, Declare, bool]] = [
    ("a field has its value", lambda tx: tx.expect("level", "name", "bolt"), True),
    ("a field has another value", lambda tx: tx.expect("level", "name", "nut"), False),
    ("an absent field has a value", lambda tx: tx.expect("level", "colour", "red"), False),
    ("a present field is absent", lambda tx: tx.expect("level", "name", None), False),
    ("an absent field is absent", lambda tx: tx.expect("level", "colour", None), True),
    ("a field of an absent key is absent", lambda tx: tx.expect("nowhere", "name", None), True),
    ("a counter is exactly enough", lambda tx: tx.at_least("level", "available", 5), True),
    ("a counter is not enough", lambda tx: tx.at_least("level", "available", 6), False),
    ("an absent counter is zero", lambda tx: tx.at_least("nowhere", "available", 0), True),
    ("an absent counter is not one", lambda tx: tx.at_least("nowhere", "available", 1), False),
    ("a counter is emptied", lambda tx: tx.decrease("level", "available", 5), True),
    ("a counter would fall below zero", lambda tx: tx.decrease("level", "available", 6), False),
    ("nothing is taken from a counter", lambda tx: tx.decrease("level", "available", 0), True),
    ("nothing is taken from an absent counter", lambda tx: tx.decrease("nowhere", "n", 0), True),
    ("an absent counter would fall below zero", lambda tx: tx.decrease("nowhere", "n", 1), False),
    ("a counter below zero would fall", lambda tx: tx.decrease("level", "owed", 1), False),
    ("nothing is taken from a counter below zero", lambda tx: tx.decrease("level", "owed", 0), True),
    ("a counter below zero rises", lambda tx: tx.increase("level", "owed", 1), True),
    ("the lowest counter rises", lambda tx: tx.increase("level", "lowest", 1), True),
]


@pytest.mark.parametrize(("guard", "holds"), [g[1:] for g in GUARDS], ids=[g[0] for g in GUARDS])
async def test_a_guard_holds_or_nothing_is_written(desk: Desk, guard: Declare, holds: bool) -> None:
    """A refused guard is named by its position, wherever the writes stand."""
    await desk.call("HSET", "level", "name", "bolt", "available", 5, "owed", -3, "lowest", -LARGEST)
    before = await desk.everything()

    outcome = await desk.commit(
        lambda tx: tx.set("written", {"a": "1"}), guard, lambda tx: tx.push("list", "x"),
        lambda tx: tx.publish(envelope()),
    )  # fmt: skip

    assert outcome == (Outcome(OutcomeKind.OK) if holds else Outcome(OutcomeKind.REFUSED, "2"))
    assert (await desk.everything() == before) is not holds


def test_a_guard_that_did_not_hold_is_named_and_no_value(desk: Desk) -> None:
    """By its position among the operations, however many values each of them has."""
    tx = desk.transaction(
        lambda tx: tx.set("level", {"a": "1", "b": "2"}), lambda tx: tx.schedule("timers", "m", 2, instead_of=1),
        lambda tx: tx.remove("gone"), lambda tx: tx.publish(envelope()), lambda tx: tx.decrease("level", "n", 1),
    )  # fmt: skip

    assert [tx.guard("2"), tx.guard("5")] == ["schedule in 'timers'", "decrease of 'n' in 'level'"]


async def test_two_lines_of_one_counter_are_summed(desk: Desk) -> None:
    """Two lines that would each pass alone do not pass together; what comes in between is counted too."""
    await desk.call("HSET", "level", "available", 5)

    too_many = await desk.commit(
        lambda tx: tx.decrease("level", "available", 3), lambda tx: tx.decrease("level", "available", 3)
    )
    with_more = await desk.commit(
        lambda tx: tx.decrease("level", "available", 3),
        lambda tx: tx.increase("level", "available", 2),
        lambda tx: tx.decrease("level", "available", 3),
    )

    assert too_many == Outcome(OutcomeKind.REFUSED, "2")
    assert with_more.is_ok
    assert await desk.reader.read_all("level") == {"available": "1"}


async def test_a_later_transaction_of_a_call_sees_the_earlier_ones(desk: Desk) -> None:
    """Fifty pieces for two hundred, all in one call: exactly fifty are taken."""
    await desk.call("HSET", "level", "available", 50)

    outcomes = await desk.commit_all(
        *(desk.transaction(lambda tx: tx.decrease("level", "available", 1)) for _ in range(200))
    )

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK] * 50 + [OutcomeKind.REFUSED] * 150
    assert await desk.reader.read_all("level") == {"available": "0"}


async def test_a_duplicate_is_recognised_before_its_guards(desk: Desk) -> None:
    """The second attempt at a debit that emptied the counter is told that it is done, not that there is too little."""
    await desk.call("HSET", "level", "available", 5)
    take: tuple[Declare, ...] = (lambda tx: tx.decrease("level", "available", 5), published_and_remembered('{"n":5}'))

    first = await desk.commit(*take)
    second = await desk.commit(*take)

    assert (first, second) == (Outcome(OutcomeKind.OK), Outcome(OutcomeKind.IS, State.DONE))
    assert await desk.call("XLEN", "events:StockReserved") == 1


async def test_a_duplicate_is_recognised_within_a_call_also_where_the_ledger_was_removed_before(desk: Desk) -> None:
    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.remove("ledger:saga-1")),
        desk.transaction(lambda tx: tx.increase("level", "n", 1), published_and_remembered("{}")),
        desk.transaction(lambda tx: tx.increase("level", "n", 1), published_and_remembered("{}")),
    )

    assert outcomes == [Outcome(OutcomeKind.OK), Outcome(OutcomeKind.OK), Outcome(OutcomeKind.IS, State.DONE)]
    assert await desk.reader.read_all("level") == {"n": "1"}


async def test_the_ledger_remembers_the_published_event(desk: Desk) -> None:
    """State, instant, type, id, cause and payload can be read back, line feeds in the payload included."""
    data = '{"note":"one\\ntwo"}\n{"raw":"line"}'

    await desk.commit(lambda tx: tx.set("level", {"a": "1", "b": "2"}), published_and_remembered(data))
    (text,) = await desk.reader.read("ledger:saga-1", "reserve")
    told = parse(text)

    assert (told.state, told.type, told.id, told.cause, told.data) == (
        State.DONE, "StockReserved", "event-1", "cause-1", data,
    )  # fmt: skip
    lives_ms = await desk.call("PTTL", "ledger:saga-1")
    assert isinstance(lives_ms, int)
    assert 0 < lives_ms <= DAY // timedelta(milliseconds=1)


TYPES = {"hash": ("HSET", "f", "v"), "list": ("RPUSH", "v"), "zset": ("ZADD", 1, "m"), "string": ("SET", "v"),
         "set": ("SADD", "v"), "stream": ("XADD", "*", "f", "v")}  # fmt: skip
WANTS: list[tuple[str, str, Declare]] = [
    ("expect", "hash", lambda tx: tx.expect("k", "f", None)),
    ("at_least", "hash", lambda tx: tx.at_least("k", "n", 0)),
    ("set", "hash", lambda tx: tx.set("k", {"a": "1"})),
    ("unset", "hash", lambda tx: tx.unset("k", "a")),
    ("increase", "hash", lambda tx: tx.increase("k", "n", 1)),
    ("decrease", "hash", lambda tx: tx.decrease("k", "n", 0)),
    ("tally", "hash", lambda tx: tx.tally("k", {"n": 1})),
    ("push", "list", lambda tx: tx.push("k", "v")),
    ("schedule", "zset", lambda tx: tx.schedule("k", "m", 1)),
    ("reschedule", "zset", lambda tx: tx.schedule("k", "m", 1, instead_of=1)),
    ("unschedule", "zset", lambda tx: tx.unschedule("k", "m")),
    ("publish", "stream", lambda tx: tx.tell("k", envelope())),
    ("append", "stream", lambda tx: tx.append("k", ["a", "b"])),
    ("keep", "hash", lambda tx: tx.keep("k", "past", since_ms=0, life=DAY)),
    ("keep in", "stream", lambda tx: tx.keep("counts", "k", since_ms=0, life=DAY)),
]
MALFORMED: list[tuple[str, tuple[str | int, ...], Declare]] = [
    (f"{name} of a {kind}", TYPES[kind], operation)
    for name, wanted, operation in WANTS
    for kind in TYPES
    if kind != wanted
] + [
    (f"{name} of {value!r}", ("HSET", "n", value), operation)
    for name, operation in (
        ("at_least", lambda tx: tx.at_least("k", "n", 1)),
        ("increase", lambda tx: tx.increase("k", "n", 1)),
        ("decrease", lambda tx: tx.decrease("k", "n", 1)),
        ("tally", lambda tx: tx.tally("k", {"n": 1})),
    )
    for value in ("", "x", "1.5", "007", "-0", "-", "+1", " 1", "1 ", "0x1", "1e3", "1\n", "1\0",
                  "9" * 16, "-" + "9" * 16, "9" * 30)
]  # fmt: skip


@pytest.mark.parametrize(("made", "operation"), [m[1:] for m in MALFORMED], ids=[m[0] for m in MALFORMED])
async def test_what_cannot_be_applied_leaves_nothing_written(
    desk: Desk, made: tuple[str | int, ...], operation: Declare
) -> None:
    """A wrong type or a counter that is no integer is found before anything is written, in any position."""
    command, *arguments = made
    await desk.call(str(command), "k", *arguments)
    before = await desk.everything()
    others: tuple[Declare, ...] = (lambda tx: tx.set("a", {"x": "1"}), lambda tx: tx.push("b", "x"))

    outcomes = [
        await desk.commit(operation, *others),
        await desk.commit(others[0], operation, others[1]),
        await desk.commit(*others, operation),
        await desk.commit(*others, operation, entry=Entry("saga-1", "reserve", State.UNKNOWN, State.DONE)),
    ]

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.MALFORMED] * 4
    assert [outcome.detail.split()[0] for outcome in outcomes] == ["1", "2", "3", "3"]
    assert await desk.everything() == before


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "hash"])
async def test_a_ledger_of_another_type_leaves_nothing_written(desk: Desk, kind: str) -> None:
    """Even the ledger itself is checked first."""
    command, *arguments = TYPES[kind]
    await desk.call(str(command), "ledger:saga-1", *arguments)
    before = await desk.everything()

    outcome = await desk.commit(
        lambda tx: tx.set("a", {"x": "1"}), entry=Entry("saga-1", "reserve", State.UNKNOWN, State.DONE)
    )

    assert outcome.kind is OutcomeKind.MALFORMED
    assert await desk.everything() == before


async def test_what_is_no_event_cannot_be_remembered(desk: Desk) -> None:
    """Nothing is written then: a repeated request could never be answered."""
    outcomes = [
        await desk.commit(
            lambda tx: tx.set("a", {"x": "1"}), entry=Entry("saga-1", "reserve", State.UNKNOWN, State.DONE, position)
        )
        for position in (0, 1, 99)
    ]

    assert outcomes == [Outcome(OutcomeKind.MALFORMED, "0 what is remembered is no event")] * 3
    assert await desk.everything() == {}


SETTLING: list[tuple[str, Declare, int]] = [
    ("another counter rises", lambda tx: tx.increase("k", "other", 1), 0),
    ("the counter rises", lambda tx: tx.increase("k", "n", 3), 3),
    ("the counter falls", lambda tx: tx.decrease("k", "n", 2), -2),
    ("the hash is to vanish", lambda tx: tx.expire("k", DAY), 0),
    ("the hash is kept", lambda tx: tx.keep("k", "past", since_ms=0, life=DAY), 0),
]


@pytest.mark.parametrize(("before", "adds"), [s[1:] for s in SETTLING], ids=[s[0] for s in SETTLING])
async def test_a_tally_counts_on_what_its_own_transaction_has_written_before(
    desk: Desk, before: Declare, adds: int
) -> None:
    """What was read of the counters when all was checked is forgotten by then."""
    await desk.call("HSET", "k", "n", 5, "m", 7, "o", 9)

    outcome = await desk.commit(
        lambda tx: tx.tally("k", {"n": 1}), before, lambda tx: tx.tally("k", {"n": 1}),
        lambda tx: tx.tally("k", {"m": 1}), lambda tx: tx.tally("k", {"o": 1, "n": 1}),
    )  # fmt: skip

    assert outcome == Outcome(OutcomeKind.OK)
    assert (await desk.reader.read("k", "n", "m", "o")) == [str(8 + adds), "8", "10"]


async def test_what_was_mentioned_goes_with_the_stream_that_is_removed(desk: Desk) -> None:
    """What is written once per call must not be written to what the key has become meanwhile."""
    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.mention("k", "saga-1", most=10)),
        desk.transaction(lambda tx: tx.remove("k")),
        desk.transaction(lambda tx: tx.push("k", "v")),
    )

    assert outcomes == [Outcome(OutcomeKind.OK)] * 3
    assert await desk.call("LRANGE", "k", 0, -1) == ["v"]


AT_ODDS: list[tuple[str, tuple[Declare, ...]]] = [
    (
        "a field is written, tallied and counted beside",
        (lambda tx: tx.set("k", {"a": "x"}), lambda tx: tx.tally("k", {"a": 1}), lambda tx: tx.increase("k", "b", 1)),
    ),
    ("a new key is two things", (lambda tx: tx.push("k", "v"), lambda tx: tx.set("k", {"a": "1"}))),
    ("a new stream is a hash", (lambda tx: tx.append("k", ["a", "b"]), lambda tx: tx.increase("k", "n", 1))),
    ("a new set is tallied", (lambda tx: tx.schedule("k", "m", 1), lambda tx: tx.tally("k", {"n": 1}))),
    ("a new tally is a list", (lambda tx: tx.tally("k", {"n": 1}), lambda tx: tx.push("k", "v"))),
    ("a new counter is a list", (lambda tx: tx.increase("k", "n", 1), lambda tx: tx.push("k", "v"))),
    ("a new hash is a list", (lambda tx: tx.set("k", {"a": "1"}), lambda tx: tx.push("k", "v"))),
    ("a ledger is pushed to", (lambda tx: tx.push("ledger:saga-1", "v"),)),
    ("a counter is set to a word", (lambda tx: tx.set("k", {"n": "x"}), lambda tx: tx.increase("k", "n", 1))),
    ("a counter is set after its guard", (lambda tx: tx.decrease("c", "n", 5), lambda tx: tx.set("c", {"n": 1}))),
    ("a counter is removed under its guard", (lambda tx: tx.remove("c"), lambda tx: tx.decrease("c", "n", 5))),
    ("a counter is unset under its guard", (lambda tx: tx.unset("c", "n"), lambda tx: tx.decrease("c", "n", 5))),
    ("a counter is unset with another", (lambda tx: tx.unset("c", "m", "n"), lambda tx: tx.decrease("c", "n", 5))),
]


@pytest.mark.parametrize("earlier", [(), (lambda tx: tx.remove("k"),)], ids=["alone", "after another"])
@pytest.mark.parametrize("declare", [a[1] for a in AT_ODDS], ids=[a[0] for a in AT_ODDS])
async def test_a_transaction_at_odds_with_itself_leaves_nothing_written(
    desk: Desk, declare: tuple[Declare, ...], earlier: tuple[Declare, ...]
) -> None:
    """What would fail half way because of the transaction's own writes is refused before the first of them.

    Also where an earlier one of the call has made sure that a key is not there.
    """
    await desk.call("HSET", "c", "n", 5)
    before = await desk.everything()
    entry = Entry("saga-1", "reserve", State.UNKNOWN, State.DONE)

    *_, outcome = await desk.commit_all(
        desk.transaction(*earlier), desk.transaction(lambda tx: tx.set("a", {"x": "1"}), *declare, entry=entry)
    )

    assert outcome.kind is OutcomeKind.MALFORMED
    assert await desk.everything() == before


async def test_what_writes_a_counter_outright_that_its_transaction_counts_is_named_by_its_position(desk: Desk) -> None:
    outcome = await desk.commit(
        lambda tx: tx.push("list", "v"), lambda tx: tx.decrease("c", "n", 0), lambda tx: tx.set("c", {"n": 1})
    )

    assert outcome == Outcome(OutcomeKind.MALFORMED, "3 writes what it counts: c")


async def test_a_field_may_say_what_a_counter_beside_it_is_called(desk: Desk) -> None:
    outcome = await desk.commit(lambda tx: tx.set("c", {"unit": "n"}), lambda tx: tx.increase("c", "n", 1))

    assert outcome == Outcome(OutcomeKind.OK)
    assert await desk.reader.read_all("c") == {"unit": "n", "n": "1"}


FIRST: list[tuple[str, Declare]] = [
    ("removed", lambda tx: tx.remove("k")),
    ("asked for a field", lambda tx: tx.expect("k", "f", None)),
    ("asked for a counter", lambda tx: tx.at_least("k", "n", 0)),
    ("emptied", lambda tx: tx.unset("k", "f")),
    ("looked for a member", lambda tx: tx.unschedule("k", "m")),
    ("refused", lambda tx: tx.decrease("k", "n", 1)),
]
SECOND: list[tuple[str, Declare, str]] = [
    ("a tally", lambda tx: tx.tally("k", {"n": 1}), "hash"),
    ("a counter", lambda tx: tx.increase("k", "n", 1), "hash"),
    ("a list", lambda tx: tx.push("k", "v"), "list"),
    ("a sorted set", lambda tx: tx.schedule("k", "m", 1), "zset"),
    ("a stream", lambda tx: tx.mention("k", "saga-1", most=10), "stream"),
    ("fields", lambda tx: tx.set("k", {"f": "v"}), "hash"),
    ("an event", lambda tx: tx.tell("k", envelope()), "stream"),
    ("an entry", lambda tx: tx.append("k", ["a", "b"]), "stream"),
    ("what is kept", lambda tx: tx.keep("counts", "k", since_ms=0, life=DAY), "stream"),
]


@pytest.mark.parametrize("second", [s[1:] for s in SECOND], ids=[s[0] for s in SECOND])
@pytest.mark.parametrize("first", [f[1] for f in FIRST], ids=[f[0] for f in FIRST])
async def test_a_key_that_a_transaction_has_left_absent_may_become_anything(
    desk: Desk, first: Declare, second: tuple[Declare, str]
) -> None:
    """A call remembers what it found of a key; that it was not there says nothing about what it is to be.

    What it has become is remembered from then on.
    """
    becomes, kind = second
    another: Declare = (lambda tx: tx.set("k", {"f": "v"})) if kind == "list" else (lambda tx: tx.push("k", "v"))

    *_, outcome, otherwise = await desk.commit_all(
        desk.transaction(first),
        desk.transaction(becomes),
        desk.transaction(lambda tx: tx.set("a", {"x": "1"}), another),
    )

    assert (outcome.kind, otherwise.kind) == (OutcomeKind.OK, OutcomeKind.MALFORMED)
    assert await desk.call("TYPE", "k") == kind
    assert await desk.call("EXISTS", "a") == 0


async def test_a_hash_that_was_emptied_may_become_anything_in_the_same_call(desk: Desk) -> None:
    await desk.call("HSET", "k", "f", "v")

    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.set("k", {"f": "w"})),
        desk.transaction(lambda tx: tx.unset("k", "f")),
        desk.transaction(lambda tx: tx.push("k", "v")),
    )

    assert outcomes == [Outcome(OutcomeKind.OK)] * 3
    assert await desk.call("LRANGE", "k", 0, -1) == ["v"]


NOT_EVEN_SENT: list[tuple[str, Declare]] = [
    ("a score of no number", lambda tx: tx.schedule("z", "m", 10**30)),
    ("a text that is no text", lambda tx: tx.set("k", {"f": "\ud800"})),
    ("a member that is nothing", lambda tx: tx.schedule("z", None, 1)),  # type: ignore[arg-type]  # on purpose
    ("a value that is nothing", lambda tx: tx.push("k", None)),  # type: ignore[arg-type]  # on purpose
    ("a half", lambda tx: tx.increase("k", "n", 0.5)),  # type: ignore[arg-type]  # on purpose
    ("a negative amount", lambda tx: tx.increase("k", "n", -1)),
    ("too large an amount", lambda tx: tx.increase("k", "n", LARGEST + 1)),
    ("too large a tally", lambda tx: tx.tally("k", {"n": 10**17})),
    ("no fields at all", lambda tx: tx.set("k", {})),
    ("too many values", lambda tx: tx.push("k", *("v" for _ in range(5001)))),
    ("a key that is nothing", lambda tx: tx.set(None, {"f": "v"})),  # type: ignore[arg-type]  # on purpose
    ("a key that is many", lambda tx: tx.set(["k"], {"f": "v"})),  # type: ignore[arg-type]  # on purpose
    ("a field that is nothing", lambda tx: tx.increase("k", None, 1)),  # type: ignore[arg-type]  # on purpose
    ("a key that is too large", lambda tx: tx.remove(2**64)),  # type: ignore[arg-type]  # on purpose
    ("a field that is an object", lambda tx: tx.increase("k", object(), 1)),  # type: ignore[arg-type]  # on purpose
    ("a tally of a truth", lambda tx: tx.tally("k", {"n": True})),
    ("a truth taken away", lambda tx: tx.decrease("good", "n", True)),
    ("a value that is a truth", lambda tx: tx.push("k", True)),  # type: ignore[arg-type]  # on purpose
    ("a field that is a truth", lambda tx: tx.unset("k", True)),  # type: ignore[arg-type]  # on purpose
    ("a name that is a truth", lambda tx: tx.set("k", {True: "v"})),  # type: ignore[arg-type]  # on purpose
    ("a mention of a truth", lambda tx: tx.mention("s", "saga-1", most=True)),
    ("a name without its value", lambda tx: tx.append("s", ["name"])),
    ("a guard of nothing", lambda tx: tx.expect("k", None, None)),  # type: ignore[arg-type]  # on purpose
]


@pytest.mark.parametrize("declare", [n[1] for n in NOT_EVEN_SENT], ids=[n[0] for n in NOT_EVEN_SENT])
async def test_nonsense_from_a_handler_harms_only_itself(desk: Desk, declare: Declare) -> None:
    """It is refused when declared or found malformed at the commit; its neighbours of the call are applied."""
    bad = desk.transaction(lambda tx: tx.set("bad", {"x": "1"}))
    try:
        declare(bad)
    except (TypeError, ValueError):
        return
    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.increase("good", "n", 1)),
        bad,
        desk.transaction(lambda tx: tx.increase("good", "n", 1)),
    )

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK, OutcomeKind.MALFORMED, OutcomeKind.OK]
    assert await desk.reader.read_all("good") == {"n": "2"}
    assert await desk.reader.read_all("bad") == {}


class Colour(str, Enum):  # noqa: UP042  # a StrEnum prints as its text, and many have none
    """What prints as its name and is another text."""

    RED = "red"


class Size(int, Enum):
    """What prints as its name and is a number."""

    LARGE = 3


async def test_a_member_of_an_enumeration_is_stored_as_what_it_is(desk: Desk) -> None:
    """Not as what it prints; otherwise a guard on what was stored would never hold."""
    await desk.commit(
        lambda tx: tx.set("bolt", {"colour": Colour.RED, "size": Size.LARGE}),
        lambda tx: tx.increase("bolt", "n", Size.LARGE),
    )

    guarded = await desk.commit(lambda tx: tx.expect("bolt", "colour", Colour.RED))

    assert await desk.reader.read_all("bolt") == {"colour": "red", "size": "3", "n": "3"}
    assert guarded == Outcome(OutcomeKind.OK)


async def test_a_large_number_is_stored_digit_by_digit(desk: Desk) -> None:
    """Lua has only numbers that would round it."""
    large = 2**60 + 1

    await desk.commit(lambda tx: tx.push("list", large), lambda tx: tx.set("hash", {large: large}))  # type: ignore[arg-type,dict-item]  # on purpose

    assert await desk.call("LRANGE", "list", 0, -1) == [str(large)]
    assert await desk.reader.read_all("hash") == {str(large): str(large)}


async def test_one_bad_transaction_takes_no_other_with_it(desk: Desk) -> None:
    """A malformed, a refused and an unknown operation stand among good ones, each with its own outcome."""
    await desk.call("SET", "text", "x")
    unknown = desk.transaction()
    unknown._values += ("explode", "k", 0)

    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.increase("good", "n", 1)),
        desk.transaction(lambda tx: tx.set("text", {"a": "1"})),
        unknown,
        desk.transaction(lambda tx: tx.decrease("good", "n", 9)),
        desk.transaction(lambda tx: tx.increase("good", "n", 1)),
    )

    assert [o.kind for o in outcomes] == [
        OutcomeKind.OK,
        OutcomeKind.MALFORMED,
        OutcomeKind.MALFORMED,
        OutcomeKind.REFUSED,
        OutcomeKind.OK,
    ]
    assert outcomes[1].detail == "1 not a hash: text"
    assert await desk.reader.read_all("good") == {"n": "2"}


class Picky:
    """A connection to a server that refuses a call as a whole for something in it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, *command: Argument) -> Reply:
        """Refuse what is said to be odd."""
        if b"odd" in cast(bytes, command[-1]):
            raise ReplyError("ERR", "no odd ones")
        return await self._connection.execute(*command)


async def test_where_the_server_refuses_a_call_only_the_one_that_is_to_blame_is_malformed(desk: Desk) -> None:
    """The others are applied, and the server's time is told."""
    before = await server_ms(desk.bus.query)
    transactor = Transactor(cast(Connection, Picky(desk.bus.writer)), desk.keys, retention=DAY)

    receipt = await transactor.commit(
        [desk.transaction(lambda tx, name=name: tx.increase(name, "n", 1)) for name in ("good", "odd", "good")]  # type: ignore[misc]  # a default of a lambda
    )

    assert [outcome.kind for outcome in receipt.outcomes] == [OutcomeKind.OK, OutcomeKind.MALFORMED, OutcomeKind.OK]
    assert receipt.now_ms >= before
    assert await desk.reader.read_all("good") == {"n": "2"}


async def test_counters_stay_within_fifteen_digits(desk: Desk) -> None:
    """The largest value can be reached exactly and not passed; nothing is rounded."""
    reached = await desk.commit(lambda tx: tx.increase("c", "n", LARGEST - 1), lambda tx: tx.increase("c", "n", 1))
    passed = await desk.commit(lambda tx: tx.increase("c", "n", 1))
    emptied = await desk.commit(lambda tx: tx.decrease("c", "n", LARGEST))

    assert (reached.kind, passed.kind, emptied.kind) == (OutcomeKind.OK, OutcomeKind.MALFORMED, OutcomeKind.OK)
    assert await desk.reader.read_all("c") == {"n": "0"}


async def test_tallies_of_a_call_are_all_counted(desk: Desk) -> None:
    """Many transactions add to the same counters; only those that are applied count."""
    await desk.call("HSET", "counts", "started", 7)

    outcomes = await desk.commit_all(
        *(desk.transaction(lambda tx: tx.tally("counts", {"started": 1, "steps": 2})) for _ in range(100)),
        desk.transaction(
            lambda tx: tx.tally("counts", {"started": 1000}), lambda tx: tx.expect("counts", "started", "no")
        ),
    )

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK] * 100 + [OutcomeKind.REFUSED]
    assert await desk.reader.read_all("counts") == {"started": "107", "steps": "200"}


async def test_what_was_counted_goes_with_the_hash_that_is_removed(desk: Desk) -> None:
    """Whoever counts afterwards begins anew, in the same call as well."""
    await desk.call("HSET", "again", "n", 5)

    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.tally("again", {"n": 1}), lambda tx: tx.tally("gone", {"n": 1})),
        desk.transaction(lambda tx: tx.remove("again"), lambda tx: tx.remove("gone")),
        desk.transaction(lambda tx: tx.tally("again", {"n": 2})),
    )

    assert outcomes == [Outcome(OutcomeKind.OK)] * 3
    assert await desk.reader.read_all("again") == {"n": "2"}
    assert await desk.call("EXISTS", "gone") == 0


async def test_a_tally_that_is_to_vanish_has_a_life(desk: Desk) -> None:
    """It is written before its key gets a life: what is not there gets none."""
    await desk.commit(lambda tx: tx.tally("counts", {"n": 1}), lambda tx: tx.expire("counts", DAY))

    ttl = await desk.call("PTTL", "counts")
    assert isinstance(ttl, int)
    assert ttl > 0


async def test_a_stream_that_is_to_vanish_has_a_life_from_its_first_mention(desk: Desk) -> None:
    """What is mentioned is written once per call, but before its stream gets a life."""
    await desk.commit(lambda tx: tx.mention("news", "saga-1", most=10), lambda tx: tx.expire("news", DAY))

    ttl = await desk.call("PTTL", "news")
    assert isinstance(ttl, int)
    assert ttl > 0
    assert await mentioned(desk, "news") == ["saga-1"]


async def test_what_a_call_does_to_a_sorted_set_is_done_one_after_the_other(desk: Desk) -> None:
    """It is written in one piece at the end; guards and later transactions see it all the same."""
    await desk.call("ZADD", "timers", 1, "old", 2, "stays", 3, "goes")

    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.schedule("timers", "new", 5)),
        desk.transaction(lambda tx: tx.schedule("timers", "new", 6, instead_of=5)),
        desk.transaction(lambda tx: tx.schedule("timers", "new", 7, instead_of=5)),
        desk.transaction(lambda tx: tx.unschedule("timers", "goes")),
        desk.transaction(lambda tx: tx.schedule("timers", "goes", 8, instead_of=3)),
        desk.transaction(lambda tx: tx.unschedule("timers", "old"), lambda tx: tx.schedule("timers", "old", 9)),
        desk.transaction(lambda tx: tx.schedule("timers", "brief", 9), lambda tx: tx.unschedule("timers", "brief")),
    )

    assert [outcome.is_ok for outcome in outcomes] == [True, True, False, True, False, True, True]
    assert await desk.call("ZRANGE", "timers", 0, -1, "WITHSCORES") == ["stays", "2", "new", "6", "old", "9"]


async def test_a_sorted_set_can_expire_be_removed_and_come_again_in_one_call(desk: Desk) -> None:
    """What is still to be written is written before its key gets a life, and forgotten with a key that is removed."""
    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.schedule("brief", "m", 1), lambda tx: tx.expire("brief", DAY)),
        desk.transaction(lambda tx: tx.schedule("gone", "m", 1), lambda tx: tx.remove("gone")),
        desk.transaction(lambda tx: tx.unschedule("never", "m"), lambda tx: tx.set("never", {"is": "a hash"})),
        desk.transaction(lambda tx: tx.schedule("again", "m", 1), lambda tx: tx.remove("again")),
        desk.transaction(lambda tx: tx.schedule("again", "n", 2)),
        desk.transaction(lambda tx: tx.push("again", "m")),
    )

    assert [outcome.is_ok for outcome in outcomes] == [True] * 2 + [False] + [True] * 2 + [False]
    ttl = await desk.call("PTTL", "brief")
    assert isinstance(ttl, int)
    assert ttl > 0
    assert await desk.call("EXISTS", "gone") == 0
    assert await desk.call("ZRANGE", "again", 0, -1) == ["n"]


async def test_many_members_of_a_sorted_set_are_written_in_few_commands(desk: Desk) -> None:
    """The server takes longer over a command than over a member."""
    before = await desk.calls("zadd")
    await desk.commit_all(
        *(desk.transaction(lambda tx, at=at: tx.schedule("timers", f"m{at}", at)) for at in range(1200))
    )

    assert await desk.call("ZCARD", "timers") == 1200
    assert await desk.calls("zadd") - before == 3  # pairs, a thousand words at a time


async def test_a_tallied_key_cannot_become_something_else_in_the_same_call(desk: Desk) -> None:
    """Tallies are written last; a neighbour must not make them fail after everything else is written."""
    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.tally("counts", {"n": 1}), lambda tx: tx.push("first", "once")),
        desk.transaction(lambda tx: tx.push("counts", "v")),
        desk.transaction(lambda tx: tx.set("counts", {"n": "x"})),
    )

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.OK, OutcomeKind.MALFORMED, OutcomeKind.OK]
    assert await desk.call("LRANGE", "first", 0, -1) == ["once"]


async def test_what_is_written_outright_after_it_was_tallied_in_the_same_call_stands(desk: Desk) -> None:
    """What a later transaction has set, removed or counted, the tally of an earlier one does not bring back."""
    await desk.call("HSET", "counts", "set", 5, "unset", 5, "counted", 5)

    outcomes = await desk.commit_all(
        desk.transaction(lambda tx: tx.tally("counts", {"set": 1})),
        desk.transaction(lambda tx: tx.set("counts", {"set": "x"})),
        desk.transaction(lambda tx: tx.tally("counts", {"unset": 1})),
        desk.transaction(lambda tx: tx.unset("counts", "unset")),
        desk.transaction(lambda tx: tx.tally("counts", {"counted": 1})),
        desk.transaction(lambda tx: tx.decrease("counts", "counted", 2)),
    )

    assert outcomes == [Outcome(OutcomeKind.OK)] * 6
    assert await desk.reader.read_all("counts") == {"set": "x", "counted": "4"}


async def test_a_forgotten_script_is_sent_again(desk: Desk) -> None:
    """After SCRIPT FLUSH, a restart or a fail-over the commit works as before."""
    await desk.commit(lambda tx: tx.increase("c", "n", 1))
    await desk.bus.writer.execute("SCRIPT", "FLUSH")

    outcome = await desk.commit(lambda tx: tx.increase("c", "n", 1))

    assert outcome.is_ok
    assert await desk.reader.read_all("c") == {"n": "2"}


async def test_bytes_that_are_no_text_pass_through(desk: Desk) -> None:
    """What came undecodable from a stream can be put away as it was."""
    raw = b"\xff\xfe\x00ok".decode("utf-8", "surrogateescape")

    await desk.commit(lambda tx: tx.set("k", {raw: raw}), lambda tx: tx.push("l", raw))

    assert await desk.reader.read_all("k") == {raw: raw}
    assert await desk.call("LRANGE", "l", 0, -1) == [raw]
