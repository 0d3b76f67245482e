"""The command `doctor` on a real server: everything that can be wrong is planted once, and told with what helps.

It is long because of the table of what is planted, one row a finding.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from sagastream import Runtime, Settings
from sagastream.audit.auditor import Auditor
from sagastream.bus import Argument, Bus, Command, Connection, Reply, connect
from sagastream.cli import main
from sagastream.cli.doctoring import doctor
from sagastream.cli.exits import DONE, UNWELL
from sagastream.cli.words import parser
from sagastream.coordinator.api import saga_routes
from sagastream.coordinator.snapshots import PACES
from sagastream.doctor import CHECKS, Finding, Patient, Verdict, examine, permissions, server, worst
from sagastream.embedded import EmbeddedServer
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.keys import COORDINATOR, WEBHOOKS, Keys, snapshots
from sagastream.replies import listed
from sagastream.saga.shape import shape
from tests.processes.until import until
from tests.trip import TRIP, TripBooked, bank, desk, hotel

SETTINGS = Settings(key_prefix="ill:", block=timedelta(milliseconds=50))
KEYS = Keys(SETTINGS.key_prefix, COORDINATOR)
HOTEL, BANK = KEYS.of("hotel"), KEYS.of("bank")
CAST = [desk, hotel, bank]
AGO, LATELY, JUST, SOON = "@ago", "@lately", "@just", "@soon"  # instants, reckoned back from when something is planted
SINCE_MS = {AGO: 3_600_000, LATELY: 150_000, JUST: 30_000, SOON: -3_000}
MENDS: list[Command] = [
    ("ACL", "SETUSER", "default", "~*", "+@all"), ("CONFIG", "RESETSTAT"), *(("CONFIG", "SET", *words) for words in [
        ("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction"), ("maxmemory", "0"),
        ("min-replicas-to-write", "0"),
    ]),
]  # fmt: skip
ROOM = HOTEL.events("RoomHeld")
ORDERED = KEYS.of("desk").events("TripOrdered")
ENDED = KEYS.events("SagaCompleted")
SHAPE = json.dumps(shape(TRIP))


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server whose settings may be spoilt."""
    with EmbeddedServer(tmp_path_factory.mktemp("ill")) as server:
        yield server.url


@asynccontextmanager
async def booked(url: str) -> AsyncIterator[Runtime]:
    """Run the trip saga on an emptied server, with one trip that was booked and a first round of the audit."""
    runtime = Runtime(url, participants=CAST, sagas=[TRIP], settings=SETTINGS)
    await runtime.bus.writer.execute("FLUSHALL")
    async with runtime:
        await runtime.change(hotel, lambda tx: tx.set("rooms", {"free": 10}))
        begun = await runtime.begin(TripBooked(nights=1), key="first")
        assert await runtime.ended(begun.saga_id)
        assert await Auditor([TRIP], bus=runtime.bus, settings=SETTINGS).round()
        yield runtime


@pytest.fixture(scope="module")
def left_behind(own_server: str) -> list[Command]:
    """Return what puts back everything such a run leaves behind."""

    async def leave() -> list[Command]:
        async with booked(own_server):
            pass
        bus = connect(own_server, name="test", block=timedelta(seconds=1))
        names = [str(name) for name in cast("list[Reply]", await bus.query.execute("KEYS", "*"))]
        dumped = await bus.query.pipeline([("DUMP", name) for name in names])
        await bus.close()
        return [("RESTORE", name, 0, str(dump)) for name, dump in zip(names, dumped, strict=True)]

    return asyncio.run(leave())


@pytest.fixture
async def rested(own_server: str, left_behind: list[Command]) -> AsyncIterator[Patient]:
    """Yield such a server on which nobody works any more: what is planted stays as it is. It is mended afterwards."""
    bus = connect(own_server, name="test", block=timedelta(seconds=1))
    for command in [*MENDS, ("FLUSHALL",), *left_behind]:
        await bus.query.execute(*command)
    yield Patient(bus, SETTINGS, [TRIP], CAST)
    for command in MENDS:
        await bus.query.execute(*command)
    await bus.close()


async def look(patient: Patient, check: str) -> list[Finding]:
    """Return what one check finds that is not as it must be."""
    return [one for one in await CHECKS[check](patient) if one.verdict is not Verdict.OK]


async def test_where_nothing_is_wrong_every_check_says_so(own_server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each check at least, and the exit code of success."""
    async with booked(own_server) as trips:
        code = await doctor(parser().parse_args(["doctor"]), trips.bus, SETTINGS, [TRIP], CAST)
        left = await trips.bus.query.execute("EXISTS", KEYS.key("doctor"))

    told = capsys.readouterr().out.splitlines()
    assert (code, left) == (DONE, 0), told
    assert {line[9:].split("  ")[0] for line in told[:-1]} >= {
        "server", "persistence", "memory", "writes", "clock", "store", "permissions", "trimming", "retries",
        "dead letters", "tables", "parked", "deadlines", "sagas", "audit", "groups hotel", "work hotel", "groups saga",
        "work saga",
    }  # fmt: skip
    assert [line[:8].strip() for line in told[:-1]] == ["ok"] * (len(told) - 1)
    assert told[-1] == "nothing is wrong"


def begun_anew(at_ms: str) -> list[Command]:
    """Return what leaves one entry of an instant on the stream the bank reads."""
    return [("DEL", ROOM), ("XADD", ROOM, f"{at_ms}-1", "any", "thing"), ("XGROUP", "CREATE", ROOM, "bank", "0")]


SNAPSHOTS = [KEYS.key(snapshots(pace.name)) for pace in PACES]
NEVER_AUDITED: list[Command] = [
    ("DEL", KEYS.key("auditor"), *SNAPSHOTS), ("XADD", SNAPSHOTS[0], f"{AGO}-1", "hash", "orders:started\n1"),
]  # fmt: skip
IN_HAND: Command = ("XREADGROUP", "GROUP", "bank", "bank-1", "STREAMS", ROOM, ">")

PLANTED: list[tuple[str, Verdict, str, list[Command]]] = [
    ("persistence", Verdict.PROBLEM, "no append-only file", [("CONFIG", "SET", "appendonly", "no")]),
    ("persistence", Verdict.WARNING, "appendfsync no", [("CONFIG", "SET", "appendfsync", "no")]),
    ("memory", Verdict.PROBLEM, "allkeys-lru may evict", [("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")]),
    ("memory", Verdict.WARNING, "MB are used", [("CONFIG", "SET", "maxmemory", "1mb")]),
    ("memory", Verdict.PROBLEM, "keys were evicted since", [
        ("CONFIG", "SET", "maxmemory-policy", "volatile-ttl"), ("SET", "ill:passing", "1", "EX", 1000),
        ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"),
        ("CONFIG", "SET", "maxmemory-policy", "noeviction"),
    ]),
    ("writes", Verdict.PROBLEM, "it refuses writes", [("CONFIG", "SET", "maxmemory", "1")]),
    ("writes", Verdict.PROBLEM, "it refuses writes", [("CONFIG", "SET", "min-replicas-to-write", "1")]),
    ("writes", Verdict.PROBLEM, "it refuses writes", [("ACL", "SETUSER", "default", "-evalsha", "-eval")]),
    ("permissions", Verdict.PROBLEM, "may not XTRIM under 'ill:{hotel}'", [("ACL", "SETUSER", "default", "-xtrim")]),
    ("permissions", Verdict.PROBLEM, "may not EVALSHA, EVAL", [
        ("ACL", "SETUSER", "default", "resetkeys", "~ill:{saga}*"),
    ]),
    ("store", Verdict.PROBLEM, "format 9, this version knows 1", [("HSET", KEYS.key("store"), "format", 9)]),
    ("store", Verdict.PROBLEM, "no coordinator has ever run here", [("DEL", KEYS.key("store"))]),
    ("groups", Verdict.PROBLEM, "no group on 1 of", [("XGROUP", "DESTROY", ROOM, "bank")]),
    ("groups", Verdict.PROBLEM, "streams were never read", [
        ("XGROUP", "DELCONSUMER", stream, "bank", "bank-1") for stream in (ROOM, KEYS.requests("bank"))
    ]),
    ("work", Verdict.PROBLEM, f"1 pending, the oldest for 60 min on {ROOM}: bank-1 has not settled it", [
        *begun_anew(AGO), IN_HAND,
    ]),
    ("work", Verdict.PROBLEM, f"the oldest for 60 min on {ROOM}: it failed 3 times and will be retried", [
        *begun_anew(AGO), IN_HAND, ("HSET", BANK.key("attempts"), f"{ROOM}|{AGO}-1", 3),
    ]),
    ("work", Verdict.PROBLEM, f"2 pending, the oldest for 60 min on {ROOM}", [
        *begun_anew(AGO), IN_HAND, ("XADD", KEYS.requests("bank"), "*", "any", "thing"),
        ("XREADGROUP", "GROUP", "bank", "bank-1", "STREAMS", KEYS.requests("bank"), ">"),
    ]),
    ("work", Verdict.WARNING, "1 pending, the oldest for 2 min", [*begun_anew(LATELY), IN_HAND]),
    ("work", Verdict.WARNING, "1 unread, 0 pending, 60 min behind", begun_anew(AGO)),
    ("work", Verdict.WARNING, "1 unread, 0 pending, and nothing has been read for 60 min: start it, or forget it", [
        ("DEL", ENDED), ("XADD", ENDED, f"{AGO}-1", "any", "thing"), ("XGROUP", "CREATE", ENDED, "webhooks", "0"),
    ]),
    ("work", Verdict.WARNING, "1 unread, 0 pending, 60 min behind", [
        ("DEL", ENDED), ("XADD", ENDED, f"{AGO}-1", "any", "thing"), ("XGROUP", "CREATE", ENDED, "webhooks", "0"),
        ("XGROUP", "CREATECONSUMER", ENDED, "webhooks", "webhooks-1"),
    ]),
    ("trimming", Verdict.WARNING, "auditors once read it and is gone", [
        ("HSET", HOTEL.key("streams"), "events:RoomHeld", "auditors bank saga"),
    ]),
    ("trimming", Verdict.WARNING, "has been kept for 60 min for desk, which no longer handles RoomHeld", [
        ("DEL", ROOM), ("XADD", ROOM, f"{AGO}-1", "any", "thing"), ("XGROUP", "CREATE", ROOM, "desk", "0"),
    ]),
    ("retries", Verdict.WARNING, "1 overdue by more than a minute", [
        ("ZADD", HOTEL.key("retries"), AGO, "any|1-0"),
    ]),
    *(
        ("dead letters", Verdict.WARNING, "1 open", [("XADD", keys.key("letters"), "*", "reason", "planted")])
        for keys in (HOTEL, KEYS, KEYS.of(WEBHOOKS))
    ),
    *(
        ("parked", verdict, f"1 events of table 'trip' version 9 have waited {how} for a coordinator that knows it", [
            ("HSET", KEYS.key("parked"), "trip:9", since, "trip:8", since),
            ("XADD", KEYS.key("parked:trip:9"), f"{since}-1", "message", "{}"),
        ])
        for verdict, how, since in ((Verdict.PROBLEM, "60 min", AGO), (Verdict.WARNING, "2 min", LATELY))
    ),
    *(
        ("parked", verdict, f"1 events TripOrdered of tables that are not known here have waited {how} for a", [
            ("HSET", KEYS.key("groups"), ORDERED, "0"), ("XADD", ORDERED, f"{since}-1", "any", "thing"),
            ("XGROUP", "CREATE", ORDERED, COORDINATOR, "0"),
        ])
        for verdict, how, since in ((Verdict.PROBLEM, "60 min", AGO), (Verdict.WARNING, "2 min", LATELY))
    ),
    ("tables", Verdict.PROBLEM, "coordinators use another table of this version than this project does, without", [
        ("HSET", KEYS.key("tables"), "trip:1", json.dumps([[1, ["begin by desk: TripBooked"]]])),
    ]),
    ("tables", Verdict.PROBLEM, "changed 60 min ago, now without", [
        ("HSET", KEYS.key("record:saga-1"), "definition_version", "1"),
        ("ZADD", KEYS.key("index:status:NeedsAttention:trip"), 1, "saga-1"),
        ("HSET", KEYS.key("tables"), "trip:1", f'[[1, ["begin by hotel: TripBooked"]], [{AGO}, {SHAPE}]]'),
    ]),
    ("deadlines", Verdict.PROBLEM, "1 overdue, the oldest by 60 min", [
        ("ZADD", KEYS.key("timers"), AGO, "saga-1"),
    ]),
    ("deadlines", Verdict.WARNING, "1 overdue, the oldest by 30 s", [
        ("ZADD", KEYS.key("timers"), JUST, "saga-1"),
    ]),
    ("sagas", Verdict.PROBLEM, "1 NeedsAttention", [
        ("ZADD", KEYS.key("index:status:NeedsAttention:trip"), AGO, "saga-1"),
    ]),
    ("sagas", Verdict.WARNING, "1 unfinished, the oldest for 60 min", [
        ("ZADD", KEYS.key("index:status:InProgress:trip"), AGO, "saga-1"),
    ]),
    ("audit", Verdict.WARNING, "the last round ended 60 min ago", [("HSET", KEYS.key("auditor"), "round_ms", AGO)]),
    ("audit", Verdict.WARNING, "no round was ever completed", NEVER_AUDITED),
    ("audit", Verdict.PROBLEM, "timer-when-needed 1", [
        ("HSET", KEYS.key("auditor:found"), "timer-when-needed|any", json.dumps(
            {"rule": "timer-when-needed", "about": "any", "expected": "", "found": "", "saga_id": ""})),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("check", "verdict", "words", "plant"), PLANTED, ids=[f"{p[0]}: {p[2]}" for p in PLANTED])
async def test_what_is_wrong_is_told_with_the_command_that_helps(
    check: str, verdict: Verdict, words: str, plant: list[Command], rested: Patient
) -> None:
    """Its own check tells it and nothing else, and what it says to do can be said."""
    before = await look(rested, check)

    now_ms = time.time_ns() // 1_000_000
    for command in plant:
        await rested.bus.query.execute(*(_at(word, now_ms) for word in command))
    found = await look(rested, check)

    assert before == []
    assert [one.verdict for one in found] == [verdict] * len(found)
    assert any(words in one.told for one in found), found
    for one in found:
        can_be_done(one.help)


USUAL: list[tuple[str, str, list[Command]]] = [
    ("retries", "1 messages wait for a retry", [("ZADD", HOTEL.key("retries"), SOON, "any|1-0")]),
    ("retries", "1 messages wait for a retry", [("ZADD", HOTEL.key("retries"), JUST, "any|1-0")]),
    ("parked", "no event waits", [
        ("HSET", KEYS.key("groups"), ORDERED, "0"), ("XADD", ORDERED, "*", "any", "thing"),
        ("XGROUP", "CREATE", ORDERED, COORDINATOR, "0"),
    ]),
    ("deadlines", "every deadline is handled", [("ZADD", KEYS.key("timers"), SOON, "saga-1")]),
    ("sagas", "1 unfinished, none needs attention", [
        ("ZADD", KEYS.key("index:status:InProgress:trip"), LATELY, "saga-1"),
    ]),
    ("trimming", "no stream waits", begun_anew(AGO)),
    ("trimming", "no stream waits", [
        ("DEL", ROOM), ("XADD", ROOM, f"{JUST}-1", "any", "thing"), ("XGROUP", "CREATE", ROOM, "desk", "0"),
    ]),
    ("work", "1 unread, 0 pending", begun_anew(JUST)),
    ("work", "at least 0 unread, 0 pending", [
        ("DEL", ROOM), *(("XADD", ROOM, f"{JUST}-{number}", "any", "thing") for number in (1, 2, 3)),
        ("XDEL", ROOM, f"{JUST}-2"), ("XGROUP", "CREATE", ROOM, "bank", f"{JUST}-1"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("check", "told", "plant"), USUAL, ids=[f"{row[0]}: {row[1]}" for row in USUAL])
async def test_what_a_shop_at_work_always_has_is_no_finding(
    check: str, told: str, plant: list[Command], rested: Patient
) -> None:
    """Who is told each time of what is as it must be looks at nothing any more."""
    now_ms = time.time_ns() // 1_000_000
    for command in plant:
        await rested.bus.query.execute(*(_at(word, now_ms) for word in command))

    found = await CHECKS[check](rested)

    assert {one.verdict for one in found} == {Verdict.OK}, found
    assert any(told in one.told for one in found), found


async def test_an_audit_that_is_switched_off_is_told_as_such(rested: Patient) -> None:
    """Neither as one that is late, nor as one that found nothing."""
    await rested.bus.query.execute("HSET", KEYS.key("auditor"), "round_ms", 1)
    off = replace(rested, settings=SETTINGS.model_copy(update={"audit_every": timedelta(0)}))

    (found,) = await CHECKS["audit"](off)

    assert (found.verdict, found.told) == (Verdict.OK, "is switched off (AUDIT_EVERY=0)")


def _at(word: Argument, now_ms: int) -> Argument:
    """Return a word of a command with the instant it names, if it names one."""
    for name, since_ms in SINCE_MS.items():
        word = word.replace(name, str(now_ms - since_ms)) if isinstance(word, str) else word
    return word


def can_be_done(help: str) -> None:
    """Make sure that a command is one of ours as it may be said, or one of an operator's own tools."""
    program, *words = shlex.split(help)
    if program == "sagastream" and words != ["--version"]:
        parser().parse_args(words)
    assert program in {"sagastream", "redis-cli", "redis-server", "curl", "timedatectl"}, help


@pytest.mark.parametrize(
    ("alive", "failed", "told", "help"),
    [
        (True, 0, "bank-1 has not settled it, and says why in its log", "sagastream show saga-1"),
        (True, 3, "it failed 3 times and will be retried", "sagastream show saga-1"),
        (False, 3, "it failed 3 times and will be retried", "sagastream show saga-1"),
        (False, 0, "consumer bank-1 read it and is gone", "sagastream participant bank"),
    ],
)
async def test_what_is_in_hand_for_long_is_told_with_why(
    alive: bool, failed: int, told: str, help: str, rested: Patient
) -> None:
    """To start a service that is at work helps nobody: what does not end, or fails again and again, is the saga's."""
    if not alive:
        impatient = SETTINGS.model_copy(update={"claim_idle": timedelta(0), "block": timedelta(0)})
        rested = replace(rested, settings=impatient)
    id = f"{time.time_ns() // 1_000_000 - SINCE_MS[AGO]}-1"
    plant: list[Command] = [
        ("DEL", ROOM), ("XADD", ROOM, id, "correlationid", "saga-1"), ("XGROUP", "CREATE", ROOM, "bank", "0"), IN_HAND,
    ]  # fmt: skip
    for command in plant:
        await rested.bus.query.execute(*command)
    if failed:
        await rested.bus.query.execute("HSET", BANK.key("attempts"), f"{ROOM}|{id}", failed)
    await asyncio.sleep(0.01)

    (found,) = [one for one in await look(rested, "work") if one.about == "bank"]

    assert (found.verdict, found.help) == (Verdict.PROBLEM, help)
    assert f"1 pending, the oldest for 60 min on {ROOM}: {told}" in found.told


async def test_a_reader_that_is_silent_is_named(rested: Patient) -> None:
    """Longer than a message may lie with it before another one takes it."""
    impatient = SETTINGS.model_copy(update={"claim_idle": timedelta(0), "block": timedelta(0)})
    for stream in (ROOM, *(KEYS.of(name).requests(name) for name in ("desk", "hotel", "bank"))):
        await rested.bus.writer.execute("XADD", stream, "*", "id", "nobody-reads-it")
    await asyncio.sleep(0.01)

    found = await CHECKS["groups"](replace(rested, settings=impatient))

    assert {one.about for one in found} == {"desk", "hotel", "bank", COORDINATOR}
    assert all(one.told.startswith("no consumer reads: the last one was seen ") for one in found), found
    assert [one.help for one in found if one.about == "bank"] == ["sagastream participant bank"]


async def test_no_participant_of_the_project_is_to_be_forgotten_however_long_nobody_reads_for_it(
    rested: Patient,
) -> None:
    """What waits for it would be trimmed, and its sagas would never end."""
    impatient = SETTINGS.model_copy(update={"claim_idle": timedelta(0), "block": timedelta(0)})
    now_ms = time.time_ns() // 1_000_000
    for command in begun_anew(AGO):
        await rested.bus.query.execute(*(_at(word, now_ms) for word in command))
    await asyncio.sleep(0.01)

    found = await look(replace(rested, settings=impatient), "work")

    (bank,) = [one for one in found if one.about == "bank"]
    assert (bank.verdict, bank.help) == (Verdict.WARNING, "sagastream participant bank")
    assert "1 unread, 0 pending, 60 min behind" in bank.told


class TellsWhoAsked:
    """A connection to a server of 7.2 or later, as far as it tells of consumers."""

    def __init__(self, connection: Connection) -> None:
        self.execute = connection.execute
        self._connection = connection

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        """Return the replies; the time since a consumer asked stands beside that since it was given something."""
        replies = await self._connection.pipeline(commands)
        return [
            [[*listed(one), "inactive", -1] for one in listed(reply)]
            if command[:2] == ("XINFO", "CONSUMERS") else reply
            for command, reply in zip(commands, replies, strict=True)
        ]  # fmt: skip


async def test_a_reader_that_is_silent_is_named_though_nothing_is_unread_where_the_server_tells_who_asks(
    rested: Patient,
) -> None:
    """It would be missed with the next event only; and whoever asked a moment ago is at work, whatever there is."""
    told = replace(rested, bus=Bus(rested.bus.reader, rested.bus.writer, TellsWhoAsked(rested.bus.query)))
    impatient = SETTINGS.model_copy(update={"claim_idle": timedelta(0), "block": timedelta(0)})
    await asyncio.sleep(0.01)

    awake = await CHECKS["groups"](told)
    gone = await CHECKS["groups"](replace(told, settings=impatient))

    assert {one.verdict for one in awake} == {Verdict.OK}, awake
    assert {one.about for one in gone} == {"desk", "hotel", "bank", COORDINATOR}
    assert all(one.told.startswith("no consumer reads: the last one was seen ") for one in gone), gone


async def test_what_is_in_hand_of_a_process_that_is_connected_is_not_called_left_behind(
    rested: Patient, own_server: str
) -> None:
    """It has not asked for long because its handler does not end; to start another one would not help."""
    impatient = SETTINGS.model_copy(update={"claim_idle": timedelta(0), "block": timedelta(0)})
    held_up = connect(own_server, name="ill:bank-service/1", block=timedelta(seconds=1))
    await held_up.query.execute("PING")
    now_ms = time.time_ns() // 1_000_000
    for command in [*begun_anew(AGO), IN_HAND]:
        await rested.bus.query.execute(*(_at(word, now_ms) for word in command))
    await asyncio.sleep(0.01)

    found = await look(replace(rested, settings=impatient), "work")
    await held_up.close()

    (bank,) = [one for one in found if one.about == "bank"]
    assert "has not settled it, and says why in its log" in bank.told


@pytest.mark.parametrize("name", ["hotel+bank+coordinator", "bank-service"])
async def test_a_reader_that_is_silent_though_its_process_is_connected_is_not_to_be_started(
    name: str, rested: Patient, own_server: str
) -> None:
    """A handler that does not end holds up one participant of a Runtime, and its others hide that."""
    await rested.bus.writer.execute("XADD", KEYS.of("bank").requests("bank"), "*", "id", "nobody-reads-it")
    impatient = SETTINGS.model_copy(update={"claim_idle": timedelta(0), "block": timedelta(0)})
    held_up = connect(own_server, name=f"ill:{name}/1", block=timedelta(seconds=1))
    await held_up.query.execute("PING")
    await asyncio.sleep(0.01)

    found = await CHECKS["groups"](replace(rested, settings=impatient))
    await held_up.close()

    (bank,) = [one for one in found if one.about == "bank"]
    assert bank.help == "sagastream streams"
    assert f":{os.getpid()} is connected: blocked by a handler that its log names, or stopped" in bank.told


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ("ill:bank-service/1@a:1", "ill:bank-service/1@b:1"),
            "2 processes share consumer 1, a:1, b:1: give each its own",
        ),
        (("ill:bank-service/1@a:1", "ill:bank-service/2@a:2"), None),
        (("ill:hotel+bank-service/1@a:1", "ill:bank-service+desk/1@b:1"), "2 processes share consumer 1, a:1, b:1"),
        (("ill:hotel+coordinator/1@a:1", "ill:coordinator/1@b:1"), "2 processes share consumer 1, a:1, b:1"),
        (("ill:hotel+bank-service/1@a:1", "ill:bank-service/2@b:1"), None),
        (("ill:bank-service/1@a:1", "well:bank-service/1@b:1"), None),
    ],
)
async def test_processes_that_share_a_consumer_are_named(
    names: tuple[str, str], told: str | None, rested: Patient, own_server: str
) -> None:
    """Each would take what the other has in hand for its own of an earlier life, and do it at the same time."""
    readers = [connect(own_server, name="test", block=timedelta(seconds=1)) for _ in names]
    for reader, name in zip(readers, names, strict=True):
        stream = KEYS.of("bank").requests("bank")
        await reader.reader.execute("CLIENT", "SETNAME", name)
        await reader.reader.execute("XREADGROUP", "GROUP", "bank", "bank-1", "STREAMS", stream, ">")

    found = await CHECKS["consumers"](rested)
    for reader in readers:
        await reader.close()

    if told is None:
        assert [one.verdict for one in found] == [Verdict.OK]
    else:
        about = "coordinator" if "coordinator" in names[1] else "bank-service"  # a Runtime names it by its keys
        assert [(one.verdict, one.about) for one in found] == [(Verdict.PROBLEM, about)]
        assert told in found[0].told


async def test_a_process_that_is_connected_and_reads_no_more_is_named(rested: Patient, own_server: str) -> None:
    """Others of its service go on, so nothing else tells; one that was started again in its place is enough."""
    impatient = SETTINGS.model_copy(update={"claim_idle": timedelta(0), "block": timedelta(seconds=1)})
    stream = KEYS.of("bank").requests("bank")
    readers = [connect(own_server, name="test", block=timedelta(seconds=1)) for _ in range(3)]
    for reader, name in zip(readers, ("1@a:1", "2@b:1", "2@b:2"), strict=True):
        await reader.reader.execute("CLIENT", "SETNAME", f"ill:bank-service/{name}")
        await reader.reader.execute("XREADGROUP", "GROUP", "bank", "bank-1", "STREAMS", stream, ">")

    async def ask() -> list[Finding]:
        await readers[2].reader.execute("XREADGROUP", "GROUP", "bank", "bank-2", "STREAMS", stream, ">")
        found = await look(replace(rested, settings=impatient), "consumers")
        return [one for one in found if one.verdict is Verdict.WARNING]

    (found,) = await until(ask, "a process is silent for longer than that")
    for reader in readers:
        await reader.close()

    assert found.about == "bank-service"
    assert found.told.startswith("consumer 1 is connected but has not read for ")


@pytest.mark.parametrize(
    ("services", "help"),
    [
        ((), "sagastream participant bank"),
        (("bank-service", "desk-service"), "sagastream participant bank"),
        (("bank", "desk-service"), "sagastream participant bank"),
        (("till-service", "desk-service"), "sagastream streams"),
    ],
)
async def test_no_service_is_to_be_started_that_the_project_does_not_have(
    services: tuple[str, ...], help: str, rested: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    """A participant may run in a service of another name, together with others."""
    await rested.bus.query.execute("XGROUP", "DESTROY", ROOM, "bank")

    await doctor(parser().parse_args(["doctor", "--json"]), rested.bus, SETTINGS, [TRIP], CAST, services)

    found = json.loads(capsys.readouterr().out)["findings"]
    (of_bank,) = [one for one in found if (one["check"], one["about"]) == ("groups", "bank")]
    assert of_bank["help"] == help
    assert ("start the service that runs 'bank'" in of_bank["told"]) == (help == "sagastream streams")


async def test_a_connection_says_whose_it_is(own_server: str) -> None:
    """The check above compares host and process of those that have one name."""
    async with booked(own_server) as trips:
        listed = str(await trips.bus.query.execute("CLIENT", "LIST"))

    assert f"name=ill:desk+hotel+bank+coordinator/1@{socket.gethostname()}:{os.getpid()} " in listed


async def test_a_group_whose_participant_was_removed_is_to_be_forgotten(rested: Patient) -> None:
    """More processes of what is not there any more help nobody, and streams are kept for it."""
    await rested.bus.writer.execute("DEL", ENDED)
    await rested.bus.writer.execute("XADD", ENDED, f"{time.time_ns() // 1_000_000 - 3_600_000}-1", "any", "thing")
    await rested.bus.writer.execute("XGROUP", "CREATE", ENDED, "loyalty", "0")

    (found,) = await look(rested, "work")

    assert (found.about, found.verdict, found.help) == ("loyalty", Verdict.WARNING, "sagastream forget loyalty")


async def test_a_reader_that_waits_for_what_does_not_come_is_not_called_gone(own_server: str) -> None:
    """Before Redis 7.2 the server tells of both the same."""
    async with booked(own_server) as runtime:
        hasty = SETTINGS.model_copy(update={"claim_idle": timedelta(seconds=1)})
        await asyncio.sleep(1.5)

        found = await CHECKS["groups"](Patient(runtime.bus, hasty, [TRIP], CAST))

    assert [one.told for one in found if one.verdict is not Verdict.OK] == []


async def test_a_store_of_another_name_is_a_problem(rested: Patient) -> None:
    """Whoever is told STORE waits there; so it says what is found and what is wanted."""
    (found,) = await server.store(replace(rested, settings=SETTINGS.model_copy(update={"store": "shop"})))

    assert found.told == "the store has no name, STORE says 'shop': is its data gone?"
    assert found.help == "sagastream init shop"


@pytest.mark.parametrize(
    ("ahead_ms", "told"), [(10_500, "10 s behind the clock here"), (-10_500, "10 s ahead of the clock here")]
)
async def test_clocks_that_differ_are_told(ahead_ms: int, told: str, rested: Patient) -> None:
    (found,) = await server.clock(rested, lambda: time.time_ns() + ahead_ms * 10**6)

    assert found.verdict is Verdict.WARNING
    assert found.told.endswith(told)


class Full:
    """A server whose disk is full."""

    async def execute(self, *command: Argument) -> Reply:
        if command == ("INFO",):
            return "aof_last_write_status:err"
        raise ServerUnavailable("MISCONF Errors writing to the AOF file: No space left on device")

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        return [await self.execute(*command) for command in commands]


async def test_a_server_whose_disk_is_full_must_not_be_restarted() -> None:
    """It answered for what it could not write any more; only in its memory is that still to be found."""
    (found,) = await server.writes(Patient(Bus(Full(), Full(), Full()), SETTINGS, [TRIP], CAST))

    assert found.verdict is Verdict.PROBLEM
    assert "No space left on device; free disk space there, and do not restart it before" in found.told
    assert found.help == 'redis-cli -u "$REDIS_URL" CONFIG GET dir'


async def test_the_command_that_helps_names_the_server_that_was_started_here(
    rested: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no REDIS_URL where `sagastream dev` started one."""
    await rested.bus.query.execute("CONFIG", "SET", "appendfsync", "no")

    await doctor(parser().parse_args(["doctor", "--json"]), rested.bus, SETTINGS, [TRIP], CAST)

    helps = [one["help"] for one in json.loads(capsys.readouterr().out)["findings"]]
    assert 'redis-cli -u "$(cat .data/run/redis.url)" CONFIG SET appendfsync everysec' in helps


class TooOld:
    """A server that says that it is one of long ago."""

    async def execute(self, *command: Argument) -> Reply:
        return {"INFO": "redis_version:6.2.14", "TIME": ["1", "0"]}.get(str(command[0]))  # type: ignore[return-value]

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply | ReplyError]:
        return [await self.execute(*command) for command in commands]


async def test_a_server_that_is_too_old_is_told() -> None:
    (found,) = await server.reachable(Patient(Bus(TooOld(), TooOld(), TooOld()), SETTINGS, [TRIP], CAST))

    assert (found.verdict, found.told) == (Verdict.PROBLEM, "redis 6.2.14; 7.0 or later is needed")


async def test_who_may_not_ask_is_told_what_is_not_known(rested: Patient, own_server: str) -> None:
    """Managed servers forbid CONFIG, INFO and ACL; what is left is looked at all the same."""
    await rested.bus.query.execute("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all", "-@admin", "-@dangerous")
    bus = connect(own_server.replace("://", "://guest:any@"), name="test", block=timedelta(seconds=1))

    found = await examine(replace(rested, bus=bus))
    await bus.close()

    assert {one.check for one in found} == set(CHECKS)
    assert worst(found) is Verdict.OK, found
    assert "does not report its version" in found[0].told


async def test_a_user_who_may_do_what_is_asked_for_is_never_refused_anything(own_server: str) -> None:
    """By all the work of a saga that is undone, its audit, the doctor, and the routes that show sagas and figures."""
    admin = connect(own_server, name="test", block=timedelta(seconds=1))
    commands = {str(command[0]).lower() for command in permissions.needed(KEYS)}
    asked = ("+client", "+ping", "+info", "+acl|whoami", "+acl|dryrun", "+config|get")  # of themselves and the server
    for command in (
        ("FLUSHALL",),
        ("ACL", "SETUSER", "worker", "reset", "on", ">secret", "~ill:*", *asked, *(f"+{name}" for name in commands)),
        ("ACL", "LOG", "RESET"),
    ):
        await admin.query.execute(*command)

    runtime = Runtime(own_server.replace("//", "//worker:secret@"), participants=CAST, sagas=[TRIP], settings=SETTINGS)
    async with runtime:
        begun = await runtime.begin(TripBooked(nights=1, card="bad"), key="declined")
        assert await runtime.ended(begun.saga_id)
        assert await Auditor([TRIP], bus=runtime.bus, settings=SETTINGS).round()
        await doctor(parser().parse_args(["doctor"]), runtime.bus, SETTINGS, [TRIP], CAST)
        answers = [await ask(runtime.bus, path) for path in (
            "states", f"state/{begun.saga_id}", "statistics", "statistics?window=PT1H", "metrics",
        )]  # fmt: skip
    refused = await admin.query.execute("ACL", "LOG")
    await admin.query.execute("ACL", "DELUSER", "worker")
    await admin.close()

    assert refused == []
    assert answers == [200] * len(answers)


async def ask(bus: Bus, path: str) -> int:
    """Ask a route of sagas and return the status of its answer."""
    app = FastAPI()
    app.include_router(saga_routes([TRIP], bus=bus, settings=SETTINGS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        return (await client.get(f"/api/choreographedsaga/{path}")).status_code


async def test_a_shop_that_has_just_begun_need_not_have_been_audited(rested: Patient) -> None:
    """The first round comes seconds after the start, and a newcomer looks sooner."""
    await rested.bus.query.execute("DEL", KEYS.key("auditor"))

    (found,) = await CHECKS["audit"](rested)

    assert found.verdict is Verdict.OK
    assert "has run long enough" in found.told


async def test_for_programs_all_of_it_is_one_object(rested: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    """With the verdict of the worst; a problem has an exit code of its own, a warning is none."""
    said = parser().parse_args(["doctor", "--json"])
    codes = [await doctor(said, rested.bus, SETTINGS, [TRIP], CAST)]
    for command in (NEVER_AUDITED[0], ("DEL", KEYS.key("store"))):
        await rested.bus.query.execute(*command)
        codes.append(await doctor(said, rested.bus, SETTINGS, [TRIP], CAST))

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert codes == [DONE, DONE, UNWELL]
    assert [one["verdict"] for one in told] == ["ok", "warning", "problem"]
    assert {
        "check": "audit",
        "verdict": "warning",
        "told": "no round was ever completed",
        "help": "sagastream audit",
        "about": "",
    } in (told[1]["findings"])


def test_a_server_that_cannot_be_reached_is_the_only_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:a-secret@127.0.0.1:1/0")

    assert main(["doctor"]) == UNWELL

    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("problem  server  cannot be asked: ")
    assert told[1:] == ['         → redis-cli -u "$REDIS_URL" PING', "1 problem"]
    assert "a-secret" not in told[0]
