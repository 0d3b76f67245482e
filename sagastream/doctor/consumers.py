"""Whether each consumer is exactly one process, and reads. Two processes of one name take each other's messages for
their own pending ones; a stopped or cut-off one does nothing, which the others of its service hide.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sagastream.bus import Reply
from sagastream.doctor.finding import Finding, lasting, ok, problem, warning
from sagastream.doctor.patient import Patient
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Connection:
    """One connection of a process: its services, its consumer number, and whether its last command was a read."""

    services: tuple[str, ...]
    number: str
    process: str
    is_reader: bool
    idle_s: float


async def consumers(patient: Patient) -> list[Finding]:
    """Report consumers that are several processes, or that no longer read, judged by their reading connections."""
    try:
        listed = [one async for one in _connections(patient)]
    except ReplyError as error:
        return [ok("consumers", f"cannot be checked ({error.code}): no two processes may share a CONSUMER")]
    silence_s = (patient.settings.claim_idle + patient.settings.block) / _SECOND
    processes: dict[tuple[str, str], set[str]] = {}
    silent: dict[tuple[str, str], float] = {}  # a live consumer keeps sending reads, even with nothing to read
    for one in listed:
        for service in one.services if one.is_reader else ():
            if one.idle_s <= silence_s:
                processes.setdefault((service, one.number), set()).add(one.process)
            else:
                silent[service, one.number] = min(one.idle_s, silent.get((service, one.number), one.idle_s))
    shared = [_shared(*who, names) for who, names in sorted(processes.items()) if len(names) > 1]
    stopped = [_silent(*who, idle_s) for who, idle_s in sorted(silent.items()) if who not in processes]
    return [*shared, *stopped] or [ok("consumers", f"each of {len(processes)} consumers is one process")]


async def processes_of(patient: Patient, reader: str) -> list[str]:
    """Return the connected processes of a participant, or of the coordinator; none if the server forbids asking."""
    services = {reader, f"{reader}-service"} if reader != COORDINATOR else {"coordinator"}
    try:
        return sorted({one.process async for one in _connections(patient) if services & set(one.services)})
    except ReplyError:
        return []


async def _connections(patient: Patient) -> AsyncIterator[_Connection]:
    """Yield the connections of this project's processes, identified by their connection names.

    Raises: ``ReplyError`` if the server forbids asking.
    """
    here = await patient.bus.query.execute("CLIENT", "INFO")
    listed = await patient.bus.query.execute("CLIENT", "LIST")
    database = next(_clients(here), {}).get("db")
    for client in _clients(listed):
        who, _, process = client.get("name", "").rpartition("@")
        if who.startswith(patient.settings.key_prefix) and client.get("db") == database:
            services, _, number = who.removeprefix(patient.settings.key_prefix).rpartition("/")
            is_reader, idle_s = client.get("cmd") == "xreadgroup", float(client.get("idle", 0))
            yield _Connection(tuple(services.split("+")), number, process, is_reader, idle_s)  # a Runtime is several


def _silent(service: str, number: str, idle_s: float) -> Finding:
    told = f"consumer {number} is connected but has not read for {lasting(int(idle_s * 1000))}"
    return warning(
        "consumers", f"{told}: stopped, cut off, or blocked by a handler", "sagastream streams", about=service
    )


def _shared(service: str, number: str, processes: set[str]) -> Finding:
    told = f"{len(processes)} processes share consumer {number}, {', '.join(sorted(processes))}"
    return problem("consumers", f"{told}: give each its own CONSUMER", "sagastream streams", about=service)


def _clients(reply: Reply) -> Iterator[dict[str, str]]:
    for line in str(reply or "").splitlines():
        told = (part.partition("=") for part in line.split(" "))
        yield {name: value for name, _, value in told}
