"""Whether each consumer is one process, and reads: two of one name take each other's messages for their own of an
earlier life, and one that is stopped or cut off does nothing while others of its service hide that.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sagastream.bus import Reply
from sagastream.doctor.finding import Finding, lasting, ok, problem, warning
from sagastream.doctor.patient import Patient
from sagastream.errors import ReplyError

_SECOND = timedelta(seconds=1)


async def consumers(patient: Patient) -> list[Finding]:
    """Tell which consumers are more than one process, or none that reads, by the connections that read for them."""
    try:
        here = await patient.bus.query.execute("CLIENT", "INFO")
        listed = await patient.bus.query.execute("CLIENT", "LIST")
    except ReplyError as error:
        return [ok("consumers", f"cannot be asked ({error.code}): no two processes may share a CONSUMER")]
    silence_s = (patient.settings.claim_idle + patient.settings.block) / _SECOND
    database = next(_clients(here), {}).get("db")
    processes: dict[tuple[str, str], set[str]] = {}
    silent: dict[tuple[str, str], float] = {}  # a consumer that lives asks again, whatever there is to read
    for client in _clients(listed):
        who, _, process = client.get("name", "").rpartition("@")
        is_reader = client.get("cmd") == "xreadgroup" and client.get("db") == database
        if is_reader and who.startswith(patient.settings.key_prefix):
            idle_s = float(client.get("idle", 0))
            services, _, number = who.removeprefix(patient.settings.key_prefix).rpartition("/")
            for service in services.split("+"):  # a Runtime is several
                if idle_s <= silence_s:
                    processes.setdefault((service, number), set()).add(process)
                else:
                    silent[service, number] = min(idle_s, silent.get((service, number), idle_s))
    shared = [_shared(*who, names) for who, names in sorted(processes.items()) if len(names) > 1]
    stopped = [_silent(*who, idle_s) for who, idle_s in sorted(silent.items()) if who not in processes]
    return [*shared, *stopped] or [ok("consumers", f"each of {len(processes)} is one process")]


def _silent(service: str, number: str, idle_s: float) -> Finding:
    told = f"its consumer {number} is connected and has not read for {lasting(int(idle_s * 1000))}"
    return warning("consumers", f"{told}: stopped, cut off, or held up", "sagastream streams", about=service)


def _shared(service: str, number: str, processes: set[str]) -> Finding:
    told = f"{len(processes)} processes are consumer {number} of it, {', '.join(sorted(processes))}"
    return problem("consumers", f"{told}: give each a CONSUMER of its own", "sagastream streams", about=service)


def _clients(reply: Reply) -> Iterator[dict[str, str]]:
    for line in str(reply or "").splitlines():
        told = (part.partition("=") for part in line.split(" "))
        yield {name: value for name, _, value in told}
