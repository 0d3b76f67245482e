"""The auditor as a judge of plays: everything on an in-memory server, audited at once, at rest. Reads only."""

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
    """Audit everything, now; works inside a running event loop as well as outside of one.

    Every saga must have ended and everything must have been read: what is left over is a difference.
    """
    scene = Scene(MemoryConnection(server), settings, sagas, cast, is_at_rest=True, pause=_do_not_wait)
    auditing = audit(scene, projects)
    try:
        # Nothing in memory ever waits, so there is nothing for an event loop to do.
        auditing.send(None)
    except StopIteration as done:
        told: Audited = done.value
        return told
    auditing.close()
    raise RuntimeError("an audit of an in-memory server waited for something; its rules must not")


async def _do_not_wait() -> None:
    pass
