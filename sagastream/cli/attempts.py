"""The messages waiting for a retry. Reads participants' retry queues; no stream holds this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sagastream.bus import Connection
from sagastream.keys import ATTEMPTS, RETRIES, Keys, failing
from sagastream.replies import named

MOST = 50  # per participant


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed message: number of failures, last reason, participant, and the instant of its retry (epoch ms)."""

    participant: str
    failed: int
    why: str
    due_ms: int
    fields: dict[str, str]

    @property
    def saga_id(self) -> str:
        """Return the id of the message's saga."""
        return self.fields.get("correlationid", "")


async def attempts(query: Connection, keys: Keys, participants: Sequence[str]) -> list[Attempt]:
    """Return the messages that these participants will retry, a bounded number of each.

    Raises: ``ServerUnavailable``.
    """
    rooms = await query.pipeline([_waiting(keys.of(name)) for name in participants])
    found = [
        (participant, name, int(float(due)))
        for participant, room in zip(participants, rooms, strict=True)
        for name, due in named(room).items()
    ]
    commands: list[tuple[str | int, ...]] = []
    for participant, name, _ in found:
        stream, _, entry = name.partition("|")
        commands.append(("HGET", keys.of(participant).key(ATTEMPTS), name))
        commands.append(("XRANGE", stream, entry, entry))
    told = await query.pipeline(commands)
    waiting: list[tuple[str, str, Attempt]] = []
    for at, (participant, name, due_ms) in enumerate(found):
        failed, entries = told[at * 2], told[at * 2 + 1]
        first = next(iter(entries), None) if isinstance(entries, list) else None
        if isinstance(failed, str) and isinstance(first, list):
            attempt = Attempt(participant, int(failed), "", due_ms, named(first[1]))
            waiting.append((keys.of(participant).key(failing(attempt.saga_id)), name, attempt))
    reasons = await query.pipeline([("HGET", key, name) for key, name, _ in waiting])
    return [
        replace(attempt, why=said.partition("\n")[2] if isinstance(said, str) else "")
        for (_, _, attempt), said in zip(waiting, reasons, strict=True)
    ]


def _waiting(keys: Keys) -> tuple[str | int, ...]:
    return ("ZRANGE", keys.key(RETRIES), 0, MOST - 1, "WITHSCORES")
