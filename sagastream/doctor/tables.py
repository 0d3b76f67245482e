"""Whether sagas are judged by the tables they began with: a changed table needs a new version."""

from __future__ import annotations

import shlex

from sagastream.clock import server_ms
from sagastream.coordinator.tables import Period, field, read_begun_by_another, read_tables
from sagastream.doctor.finding import Finding, lasting, ok, problem
from sagastream.doctor.patient import Patient
from sagastream.envelope import instant
from sagastream.saga.definition import Saga
from sagastream.saga.shape import difference, shape


async def tables(patient: Patient) -> list[Finding]:
    """Report tables changed without a new version, between this project and the coordinators, or over time."""
    told = await read_tables(patient.bus.query, patient.keys)
    found = []
    for saga in patient.sagas:
        if periods := told.get(field(saga)):
            found += [*_elsewhere(saga, periods), *await _changed(patient, saga, periods)]
    return found or [ok("tables", "every saga uses the table it began with")]


def _elsewhere(saga: Saga, periods: tuple[Period, ...]) -> list[Finding]:
    differs = difference(shape(saga), periods[-1].shape)
    if not differs:
        return []
    told = (
        f"coordinators use another table of this version than this project does, {differs}:"
        " run coordinators of one release, and give a changed table a new version"
    )
    return [problem("tables", told, 'curl -sS "$SHOP/services/coordinator/health"', about=field(saga))]


async def _changed(patient: Patient, saga: Saga, periods: tuple[Period, ...]) -> list[Finding]:
    under_way = await read_begun_by_another(patient.bus.query, patient.keys, saga, periods)
    if not under_way:
        return []
    now_ms, since_ms = await server_ms(patient.bus.query), periods[-1].since_ms
    told = (
        f"changed {lasting(now_ms - since_ms)} ago, now {difference(periods[-2].shape, periods[-1].shape)};"
        f" unfinished sagas from before: {under_way}; give the changed table a new version and keep the old one"
    )
    help = f"sagastream sagas --process {shlex.quote(saga.name)} --to {instant(since_ms)}"
    return [problem("tables", told, help, about=field(saga))]
