"""What of a saga failed and is tried again. Reads participants' waiting rooms; no stream tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.bus import Connection, Reply
from sagastream.envelope import pairs
from sagastream.errors import ReplyError
from sagastream.keys import ATTEMPTS, RETRIES, Keys


@dataclass(frozen=True, slots=True)
class Failing:
    """A handler that failed so many times for a saga, the last reason, and when it is tried again (epoch ms).

    While it is being tried ``again_ms`` is when somebody else would try it.
    """

    participant: str
    handler: str
    failed: int
    reason: str
    again_ms: int


async def read_failing(connection: Connection, keys: Keys, participants: Sequence[str], saga_id: str) -> list[Failing]:
    """Return what these participants try again for a saga, in their order.

    Raises: ``ServerUnavailable``; ``ReplyError`` for a key that is not the library's.
    """
    told = await connection.pipeline(
        [("HGETALL", keys.of(participant).key(names.failing(saga_id))) for participant in participants]
    )
    found = [
        (participant, message, *said.partition("\n")[::2])
        for participant, reply in zip(participants, told, strict=True)
        for message, said in pairs([str(part) for part in _listed(reply)]).items()
    ]
    commands = []
    for participant, message, *_ in found:
        own = keys.of(participant)
        commands += [("HGET", own.key(ATTEMPTS), message), ("ZSCORE", own.key(RETRIES), message)]
    standings = [_sound(reply) for reply in await connection.pipeline(commands)]
    return [
        Failing(participant, handler, int(str(failed)), reason, int(float(str(due))))
        for (participant, _, handler, reason), failed, due in zip(found, standings[::2], standings[1::2], strict=True)
        if failed is not None and due is not None  # else it was settled in between
    ]


def _listed(reply: Reply | ReplyError) -> list[Reply]:
    sound = _sound(reply)
    return sound if isinstance(sound, list) else []


def _sound(reply: Reply | ReplyError) -> Reply:
    if isinstance(reply, ReplyError):
        raise reply
    return reply
