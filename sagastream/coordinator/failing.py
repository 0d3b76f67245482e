"""The handlers that failed for a saga and are retried. Reads participants' retry keys; no stream reports them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.bus import Command, Connection
from sagastream.keys import ATTEMPTS, RETRIES, Keys
from sagastream.replies import listed, named, sound


@dataclass(frozen=True, slots=True)
class Failing:
    """A handler that failed so many times for a saga, the latest reason, and when it is retried (epoch ms).

    While a retry is under way, ``again_ms`` is when another worker would retry it.
    """

    participant: str
    handler: str
    failed: int
    reason: str
    again_ms: int


async def read_failing(connection: Connection, keys: Keys, participants: Sequence[str], saga_id: str) -> list[Failing]:
    """Return what these participants retry for a saga, in their order.

    Raises: ``ServerUnavailable``; ``ReplyError`` for a key that is not the library's.
    """
    kept = await connection.pipeline(
        [("HGETALL", keys.of(participant).key(names.failing(saga_id))) for participant in participants]
    )
    why = {
        participant: found
        for participant, reply in zip(participants, kept, strict=True)
        if (found := named(sound(reply)))
    }
    commands: list[Command] = []
    for participant, messages in why.items():
        own = keys.of(participant)
        commands += [("HMGET", own.key(ATTEMPTS), *messages), ("ZMSCORE", own.key(RETRIES), *messages)]
    standings = [listed(sound(reply)) for reply in await connection.pipeline(commands)]
    return [
        Failing(participant, handler, int(str(failed)), reason, int(float(str(due))))
        for (participant, messages), counts, dues in zip(why.items(), standings[::2], standings[1::2], strict=True)
        for (handler, _, reason), failed, due in zip(
            (said.partition("\n") for said in messages.values()), counts, dues, strict=True
        )
        if failed is not None and due is not None  # otherwise it was settled between the two reads
    ]
