"""All checks, one after the other; one that cannot be made says so and does not keep the others from being made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sagastream.doctor import consumers, groups, permissions, sagas, server
from sagastream.doctor.finding import Finding, problem, warning
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
    "parked": sagas.parked,
    "deadlines": sagas.deadlines,
    "sagas": sagas.unfinished,
    "audit": sagas.audit,
}


async def examine(patient: Patient) -> list[Finding]:
    """Return what every check found, in their order; where the server cannot be asked, that alone."""
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
    return found
