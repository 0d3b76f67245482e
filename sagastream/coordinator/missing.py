"""A saga without a record: has it begun all the same? Reads ledgers; changes nothing."""

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
    """Why there is nothing to show about a saga, in words, and whether there may be a moment later."""

    why: str
    may_come: bool


async def missing(connection: Connection, keys: Keys, sagas: Sequence[Saga], saga_id: str) -> Missing:
    """Return why a saga of one of these tables has no record.

    The client that begins a saga learns of it before the coordinator has read the event. Until then only the ledger of
    the participant that began it knows the saga; a ledger forgets later than the coordinator reads, but may also
    outlive the record.
    """
    owners = list(dict.fromkeys(saga.begun_by for saga in sagas))
    replies = await connection.pipeline(
        [("HGET", keys.of(owner).key(names.ledger(saga_id)), BEGINNING) for owner in owners]
    )
    for owner, reply in zip(owners, replies, strict=True):
        with suppress(ValueError):  # an entry the library did not write
            if isinstance(reply, str) and (began := parse(reply)).has_event:
                known = f"there is no record of saga {saga_id}, which {owner} began at {began.time}"
                return Missing(
                    f"{known}: the coordinator has not read that yet, or keeps the saga no more", may_come=True
                )
    return Missing(f"there is no saga {saga_id}", may_come=False)
