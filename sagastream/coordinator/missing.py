"""A saga of which there is no record: did it begin all the same? Reads ledgers; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from sagastream import keys as names
from sagastream.bus import Connection
from sagastream.keys import Keys
from sagastream.ledger import BEGINNING, parse
from sagastream.saga.definition import Saga


class Missing(NamedTuple):
    """Why there is nothing to show of a saga, in words, and whether a moment later there may be."""

    why: str
    may_come: bool


async def missing(connection: Connection, keys: Keys, sagas: Sequence[Saga], saga_id: str) -> Missing:
    """Say why a saga of one of these tables has no record.

    Who begins a saga is told of it before the coordinator has read so; until then there is only the ledger of the
    participant that began it, which forgets later than the coordinator reads but may also outlive the record.
    """
    owners = list(dict.fromkeys(saga.begun_by for saga in sagas))
    replies = await connection.pipeline(
        [("HGET", keys.of(owner).key(names.ledger(saga_id)), BEGINNING) for owner in owners]
    )
    for owner, reply in zip(owners, replies, strict=True):
        with suppress(ValueError):  # what the library did not write
            if isinstance(reply, str) and (began := parse(reply)).has_event:
                known = f"there is no record of saga {saga_id}, which {owner} began at {began.time}"
                return Missing(
                    f"{known}: the coordinator has not read that yet, or keeps the saga no more", may_come=True
                )
    return Missing(f"there is no saga {saga_id}", may_come=False)
