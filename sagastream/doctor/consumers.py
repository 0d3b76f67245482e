"""Whether each consumer is one process: two of one name take each other's messages for their own of an earlier life."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sagastream.bus import Reply
from sagastream.doctor.finding import Finding, ok, problem
from sagastream.doctor.patient import Patient
from sagastream.errors import ReplyError

_SECOND = timedelta(seconds=1)


async def consumers(patient: Patient) -> list[Finding]:
    """Tell which consumers are more than one process, by the names of the connections that read for them."""
    try:
        here = await patient.bus.query.execute("CLIENT", "INFO")
        listed = await patient.bus.query.execute("CLIENT", "LIST")
    except ReplyError as error:
        return [ok("consumers", f"cannot be asked ({error.code}): no two processes may share a CONSUMER")]
    silence_s = (patient.settings.claim_idle + patient.settings.block) / _SECOND
    database = next(_clients(here), {}).get("db")
    processes: dict[tuple[str, str], set[str]] = {}
    for client in _clients(listed):
        who, _, process = client.get("name", "").rpartition("@")
        is_reading = client.get("cmd") == "xreadgroup" and float(client.get("idle", 0)) <= silence_s
        if is_reading and client.get("db") == database and who.startswith(patient.settings.key_prefix):
            services, _, number = who.removeprefix(patient.settings.key_prefix).rpartition("/")
            for service in services.split("+"):  # a Runtime is several
                processes.setdefault((service, number), set()).add(process)
    shared = [_shared(*who, names) for who, names in sorted(processes.items()) if len(names) > 1]
    return shared or [ok("consumers", f"each of {len(processes)} is one process")]


def _shared(service: str, number: str, processes: set[str]) -> Finding:
    told = f"{len(processes)} processes are consumer {number} of it, {', '.join(sorted(processes))}"
    return problem("consumers", f"{told}: give each a CONSUMER of its own", "sagastream streams", about=service)


def _clients(reply: Reply) -> Iterator[dict[str, str]]:
    for line in str(reply or "").splitlines():
        told = (part.partition("=") for part in line.split(" "))
        yield {name: value for name, _, value in told}
