"""Runs all checks, one after the other; a failing check is reported as a finding and does not stop the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from sagastream.doctor import consumers, groups, permissions, sagas, server, tables
from sagastream.doctor.finding import Finding, Verdict, problem, warning
from sagastream.doctor.patient import Patient
from sagastream.errors import ReplyError, SagastreamError, ServerUnavailable

Check = Callable[[Patient], Awaitable[list[Finding]]]

CHECKS: dict[str, Check] = {
    "server": server.reachable,
    "persistence": server.persistence,
    "memory": server.memory,
    "writes": server.writes,
    "clock": server.clock,
    "store": server.store,
    "permissions": permissions.permissions,
    "groups": groups.readers,
    "consumers": consumers.consumers,
    "work": groups.work,
    "trimming": groups.trimming,
    "retries": sagas.retries,
    "dead letters": sagas.letters,
    "tables": tables.tables,
    "parked": sagas.parked,
    "deadlines": sagas.deadlines,
    "sagas": sagas.unfinished,
    "audit": sagas.audit,
}


async def examine(patient: Patient) -> list[Finding]:
    """Return the findings of all checks, in order; if the server becomes unreachable, stop with that finding."""
    found: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            found += await check(patient)
        except ServerUnavailable as error:
            told = f"cannot be asked: {error}"
            return [*found, problem("server" if not found else name, told, 'redis-cli -u "$REDIS_URL" PING')]
        except ReplyError as error:
            found.append(warning(name, f"cannot be looked at: {error}", 'redis-cli -u "$REDIS_URL" ACL WHOAMI'))
        except SagastreamError as error:
            found.append(problem(name, str(error), "sagastream check"))
    return mended_first(found)


def mended_first(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings, with no command for readers that may be silent only because the server accepts no writes.

    Reading for a group is a write: while a disk is full, even healthy readers appear silent.
    """
    if not any(one.check == "writes" and one.verdict is Verdict.PROBLEM for one in found):
        return list(found)
    return [
        replace(one, told=f"{one.told}; it may only wait for writes: mend those first", help="")
        if one.check == "groups" and one.verdict is Verdict.PROBLEM
        else one
        for one in found
    ]
