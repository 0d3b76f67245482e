"""The state of sagas: dead letters, overdue work, sagas that need a person, and the result of the audit."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from sagastream.audit.results import read_found, read_standing
from sagastream.clock import server_ms
from sagastream.coordinator.fleet import read_fleet
from sagastream.coordinator.lags import read_open_letters, read_parked, read_unheard
from sagastream.coordinator.snapshots import snapshot_before
from sagastream.doctor.finding import Finding, lasting, ok, problem, warning
from sagastream.doctor.patient import Patient
from sagastream.keys import RETRIES, TIMERS, WEBHOOKS
from sagastream.replies import sound
from sagastream.saga.lifecycle import Status

OVERDUE_MS = 5_000
LATE_MS = 60_000
OLD_MS = 300_000
STALE = timedelta(minutes=10)
_MS = timedelta(milliseconds=1)


async def retries(patient: Patient) -> list[Finding]:
    """Report participants that do not take up their due retries."""
    now_ms = await server_ms(patient.bus.query)
    found, waiting = [], 0
    for participant in patient.participants:
        key = patient.keys.of(participant.name).key(RETRIES)
        replies = await patient.bus.query.pipeline([("ZCARD", key), ("ZCOUNT", key, "-inf", now_ms - LATE_MS)])
        all_, late = (int(str(sound(reply))) for reply in replies)
        waiting += all_
        if late:
            told = f"{late} overdue by more than a minute"
            help = f"sagastream participant {participant.name}"
            found.append(warning("retries", told, help, about=participant.name))
    return found or [ok("retries", f"{waiting} messages wait for a retry, none is overdue")]


async def letters(patient: Patient) -> list[Finding]:
    """Report owners of open dead letters."""
    lying = await read_open_letters(patient.bus.query, patient.keys, (*patient.owners, WEBHOOKS))
    found = [
        warning("dead letters", f"{count} open", f"sagastream dead-letters list --owner {owner}", about=owner)
        for owner, count in lying.items()
        if count > 0
    ]
    return found or [ok("dead letters", "none is open")]


async def parked(patient: Patient) -> list[Finding]:
    """Report events that wait for a coordinator that knows their saga table."""
    now_ms = await server_ms(patient.bus.query)
    found = []
    for each in await read_parked(patient.bus.query, patient.keys):
        waiting_ms = max(0, now_ms - each.since_ms)
        is_long = problem if waiting_ms >= STALE // _MS else warning  # a roll-out takes a while
        told = (
            f"{each.events} events of table {each.table!r} version {each.version} have waited {lasting(waiting_ms)}"
            " for a coordinator that knows it: run the release that has it"
        )
        found.append(is_long("parked", told, "sagastream check", about=f"{each.table}:{each.version}"))
    for unheard in await read_unheard(patient.bus.query, patient.keys, patient.sagas):
        waiting_ms = max(0, now_ms - unheard.since_ms)
        if waiting_ms >= OVERDUE_MS:  # else a coordinator of another release may be about to read it
            event = unheard.stream.rpartition(":")[2]
            is_long = problem if waiting_ms >= STALE // _MS else warning
            told = (
                f"{unheard.events} events {event} of tables that are not known here have waited"
                f" {lasting(waiting_ms)} for a coordinator that knows them: run the release that has them"
            )
            found.append(is_long("parked", told, "sagastream check", about=event))
    return found or [ok("parked", "no event waits for a coordinator that knows its table")]


async def deadlines(patient: Patient) -> list[Finding]:
    """Report timers that have expired and were not handled."""
    now_ms = await server_ms(patient.bus.query)
    key = patient.keys.key(TIMERS)
    count = int(str(await patient.bus.query.execute("ZCOUNT", key, "-inf", now_ms - OVERDUE_MS)))
    first = await patient.bus.query.execute("ZRANGE", key, 0, 0, "WITHSCORES")
    if not count or not isinstance(first, list):
        return [ok("deadlines", "every deadline is handled when it is due")]
    late_ms = now_ms - int(float(str(first[1])))
    told = f"{count} overdue, the oldest by {lasting(late_ms)}; the coordinator's health says why"
    is_late = problem if late_ms >= LATE_MS else warning
    return [is_late("deadlines", told, 'curl -sS "$SHOP/services/coordinator/health"')]


async def unfinished(patient: Patient) -> list[Finding]:
    """Report how many sagas are unfinished, and which of them need a person."""
    fleet = await read_fleet(patient.bus.query, patient.keys, [saga.name for saga in patient.sagas])
    attention, active = fleet.active_in(Status.NEEDS_ATTENTION), sum(fleet.active.values())
    oldest_ms = 0 if fleet.oldest_ms is None else fleet.now_ms - fleet.oldest_ms
    found = []
    if attention:
        told = f"{attention} NeedsAttention: each says what keeps it from ending"
        found.append(problem("sagas", told, "sagastream sagas --status NeedsAttention"))
    if active > attention and oldest_ms >= OLD_MS:
        told = f"{active} unfinished, the oldest for {lasting(oldest_ms)}"
        found.append(warning("sagas", told, "sagastream sagas --status InProgress --to 5m"))
    return found or [ok("sagas", f"{active} unfinished, none needs attention")]


async def audit(patient: Patient) -> list[Finding]:
    """Report what the continuous audit found, and when its last round ended."""
    standing = await read_standing(patient.bus.query, patient.keys)
    differing = Counter(each.rule for each in await read_found(patient.bus.query, patient.keys))
    now_ms = await server_ms(patient.bus.query)
    ago_ms, every = now_ms - standing.round_ms, patient.settings.audit_every
    if differing:
        rules = ", ".join(f"{rule} {count}" for rule, count in sorted(differing.items()))
        return [problem("audit", f"differences were found: {rules}", "sagastream audit")]
    if not every:
        return [ok("audit", "is switched off (AUDIT_EVERY=0)")]
    if not standing.round_ms:
        first = await snapshot_before(patient.bus.query, patient.keys, 0)  # taken when the first coordinator started
        if first is not None and now_ms - first.at_ms < max(LATE_MS, 10 * every // _MS):
            return [ok("audit", "no coordinator has run long enough to complete a round")]
        return [warning("audit", "no round was ever completed", "sagastream audit")]
    if ago_ms > max(STALE, 10 * every) // _MS:
        return [warning("audit", f"the last round ended {lasting(ago_ms)} ago", "sagastream audit")]
    return [ok("audit", f"no differences; the last round ended {lasting(ago_ms)} ago")]
