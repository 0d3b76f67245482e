"""The server itself: whether it persists and accepts writes, agrees on the time, and is the right one."""

from __future__ import annotations

import time
from collections.abc import Callable

from sagastream.clock import server_ms
from sagastream.doctor.finding import Finding, lasting, ok, problem, warning
from sagastream.doctor.patient import Patient
from sagastream.durability import UNKNOWN, read_durability, read_info
from sagastream.errors import ServerUnavailable
from sagastream.keys import DOCTOR, STORE
from sagastream.reader import Reader
from sagastream.replies import values
from sagastream.store import FORMAT
from sagastream.transaction import Transaction, Transactor

OLDEST = (7, 0)
NEARLY_FULL = 0.9
CLOCKS_DIFFER_MS = 2_000
_GET, _SET = ('redis-cli -u "$REDIS_URL" CONFIG GET', 'redis-cli -u "$REDIS_URL" CONFIG SET')


async def reachable(patient: Patient) -> list[Finding]:
    """Report which server it is."""
    await server_ms(patient.bus.query)  # it may forbid asking for its version, but any answer shows that it is there
    told = await read_durability(patient.bus.query)
    numbers = tuple(int(part) for part in told.version.split(".")[:2] if part.isdigit())
    if told.version == UNKNOWN:
        return [ok("server", "answers, but does not report its version")]
    if numbers < OLDEST:
        return [problem("server", f"{told.server} {told.version}; 7.0 or later is needed", "redis-server --version")]
    return [ok("server", f"{told.server} {told.version}")]


async def persistence(patient: Patient) -> list[Finding]:
    """Report what a restart or a power failure would lose."""
    told = await read_durability(patient.bus.query)
    if told.append_only_file == "off":
        lost = "no append-only file: a restart loses everything since the last snapshot"
        return [problem("persistence", lost, f"{_SET} appendonly yes")]
    if told.appendfsync == "no":
        return [
            warning(
                "persistence",
                "appendfsync no: a power failure may lose half a minute of writes",
                f"{_SET} appendfsync everysec",
            )
        ]
    words = f"append-only file {told.append_only_file}, appendfsync {told.appendfsync}"
    return [
        ok(
            "persistence",
            words + (": a power failure may lose two seconds of writes" if told.appendfsync == "everysec" else ""),
        )
    ]


async def memory(patient: Patient) -> list[Finding]:
    """Report whether the server may evict keys, has evicted any, or is about to refuse writes."""
    info = await read_info(patient.bus.query)
    policy = info.get("maxmemory_policy", UNKNOWN)
    most, used, evicted = (int(info.get(name, 0)) for name in ("maxmemory", "used_memory", "evicted_keys"))
    found = []
    if policy not in ("noeviction", UNKNOWN):
        told = f"maxmemory-policy {policy} may evict ledgers and records"
        found.append(problem("memory", told, f"{_SET} maxmemory-policy noeviction"))
    if evicted:
        found.append(problem("memory", f"{evicted} keys were evicted since the server started", "sagastream audit"))
    if most and used >= most * NEARLY_FULL:
        told = f"{used // 2**20} of {most // 2**20} MB are used; a full server refuses writes"
        found.append(warning("memory", told, f"{_SET} maxmemory {2 * most}"))
    limit = f"of {most // 2**20} MB" if most else "MB, without a limit"
    return found or [ok("memory", f"maxmemory-policy {policy}; used {used // 2**20} {limit}")]


async def writes(patient: Patient) -> list[Finding]:
    """Report whether a transaction can be committed now: script, memory, disk, role. It leaves nothing behind."""
    keys = patient.keys
    transactor = Transactor(patient.bus.writer, keys, retention=patient.settings.ledger_retention)
    probe = Transaction(Reader(patient.bus.query, keys), saga_id="", key="", now_ms=0)
    probe.set(DOCTOR, {"at": "now"})
    probe.remove(DOCTOR)
    try:
        (outcome,) = (await transactor.commit([probe])).outcomes
    except ServerUnavailable as error:
        told, disk = f"it refuses writes: {error}", str(error).startswith("MISCONF")
        if disk and (await read_info(patient.bus.query)).get("aof_last_write_status") == "err":
            told += "; free disk space there, and do not restart it before: its latest writes are only in memory"
        return [problem("writes", told, f"{_GET} dir" if disk else 'redis-cli -u "$REDIS_URL" INFO')]
    if not outcome.is_ok:
        told = f"a test transaction was not applied: {outcome.kind} {outcome.detail}"
        return [problem("writes", told, 'redis-cli -u "$REDIS_URL" ACL LOG')]
    return [ok("writes", "a test transaction was committed")]


async def clock(patient: Patient, now_ns: Callable[[], int] = time.time_ns) -> list[Finding]:
    """Report the difference between the server's clock and the local one; deadlines depend on the server's only."""
    before = now_ns()
    there = await server_ms(patient.bus.query)
    ahead = there - (before + now_ns()) // 2_000_000
    if abs(ahead) > CLOCKS_DIFFER_MS:
        way = "ahead of" if ahead > 0 else "behind"
        return [
            warning("clock", f"the server's clock is {lasting(abs(ahead))} {way} the clock here", "timedatectl status")
        ]
    return [ok("clock", f"the server's clock and the one here differ by {abs(ahead)} ms")]


async def store(patient: Patient) -> list[Finding]:
    """Report whether it is the right store, written by a version known here."""
    key, prefix, wanted = patient.keys.key(STORE), patient.settings.key_prefix, patient.settings.store
    form, born, name = values(await patient.bus.query.execute("HMGET", key, "format", "born", "name"))
    found = []
    if form is not None and (not form.isdigit() or int(form) > FORMAT):
        told = f"written in format {form}, this version knows {FORMAT}: install the version that wrote it"
        found.append(problem("store", told, "sagastream --version"))
    if wanted is not None and name != wanted:
        told = f"is called {name!r}" if name is not None else "has no name"
        found.append(
            problem("store", f"the store {told}, STORE says {wanted!r}: is its data gone?", f"sagastream init {wanted}")
        )
    if born is None:
        told = f"no coordinator has ever run here under {prefix!r}; check REDIS_URL and KEY_PREFIX"
        found.append(problem("store", told, "sagastream coordinator"))
    called = f"called {name}" if name is not None else "without a name (`sagastream init NAME` gives it one)"
    return found or [ok("store", f"format {form}, {called}")]
