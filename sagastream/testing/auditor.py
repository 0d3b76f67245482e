"""The audit of a finished run: reads everything on an in-memory server, at one instant. Reads only."""

from __future__ import annotations

from collections.abc import Sequence

from sagastream.audit import Audit, Audited, Scene, audit
from sagastream.participant import Participant
from sagastream.saga.definition import Saga
from sagastream.settings import Settings
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer


def audited(
    server: MemoryServer,
    settings: Settings,
    sagas: Sequence[Saga],
    cast: Sequence[Participant],
    projects: Sequence[Audit] = (),
) -> Audited:
    """Audit everything now; works both inside and outside a running event loop.

    All sagas must have ended and all events must have been read: anything left over counts as a difference.
    """
    scene = Scene(MemoryConnection(server), settings, sagas, cast, is_at_rest=True, pause=_do_not_wait)
    auditing = audit(scene, projects)
    try:
        # Nothing in memory ever waits, so the coroutine needs no event loop.
        auditing.send(None)
    except StopIteration as done:
        told: Audited = done.value
        return told
    auditing.close()
    raise RuntimeError("an audit of an in-memory server waited for something; its rules must not")


async def _do_not_wait() -> None:
    pass
