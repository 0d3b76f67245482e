"""Reads the books: Redis through the library's reader, the provider's file directly. Judges nothing.

The names below are those of the services' ``store.py``. They are repeated here on purpose, so that a service
that changes its storage format unannounced is noticed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from books.facts import Account, Books, Level, Order, Payment, Reservation, Saga, Told
from sagastream import Reader
from sagastream import keys as names
from sagastream.bus import Connection
from sagastream.clock import server_ms
from sagastream.keys import COORDINATOR, Keys

PAGE = 500
PROCESS = "order"
OUTBOX = "outbox"
NO_ACCOUNT = Account()
T = TypeVar("T")


@dataclass(frozen=True)
class Sources:
    """Where the books lie; ``calls`` is the provider's record, one JSON object per line;
    ``outbox`` is where messages lie that were not mailed; ``kept`` is how long records of sagas stay at least."""

    connection: Connection
    prefix: str
    calls: Path
    outbox: Path
    kept: timedelta | None = None

    def of(self, owner: str) -> Reader:
        """Return a reader of one owner's keys."""
        return Reader(self.connection, Keys(self.prefix, owner))


async def read_books(sources: Sources) -> Books:
    """Read everything, sagas first: the effects of an ended one no longer change."""
    sagas = await _sagas(sources.of(COORDINATOR))
    now_ms = await server_ms(sources.connection)
    return Books(
        sagas=sagas,
        orders=await _each(sources.of("order"), "orders", order_of),
        levels=await _each(sources.of("stock"), "levels", level_of),
        reservations=await _each(sources.of("stock"), "reservations", reservation_of),
        payments=await _each(sources.of("payment"), "payments", payment_of),
        told=await _told(sources.of("notification"), read_outbox(sources.outbox)),
        accounts=read_accounts(sources.calls),
        now_ms=now_ms,
        kept_since_ms=0 if sources.kept is None else now_ms - sources.kept // timedelta(milliseconds=1),
    )


def read_accounts(calls: Path) -> dict[str, Account]:
    """Add up the provider's calls by key; an incomplete last line is still being written and is skipped.

    Raises: ``ValueError`` naming the line that is not a call.
    """
    accounts: dict[str, Account] = {}
    for key, change in recorded(calls):
        accounts[key] = accounts.get(key, NO_ACCOUNT).plus(change)
    return accounts


def recorded(calls: Path) -> Iterator[tuple[str, Account]]:
    """Yield the key of each recorded call, and its change there; nothing if there is no record.

    Raises: ``ValueError`` naming the line that is not a call.
    """
    if not calls.exists():
        return
    with calls.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                yield moved(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{calls} line {number} is not a call: {error!r}") from error


def moved(call: Mapping[str, object]) -> tuple[str, Account]:
    """Return the key of one call of the provider's record, and the call's change there.

    Raises: ``KeyError``, ``ValueError`` or ``TypeError`` if it is not a call.
    """
    key, outcome, cents = str(call["key"]), call["outcome"], int(str(call.get("amountCents", 0)))
    if outcome == "charged":
        return key, Account(taken_cents=cents, charges=1, currency=str(call.get("currency", "")))
    return key, Account(returned_cents=cents) if outcome == "refunded" else NO_ACCOUNT


def read_outbox(outbox: Path) -> Counter[tuple[str, str]]:
    """Count the messages by order and by the step that sent them."""
    return Counter(mailed(outbox))


def mailed(outbox: Path) -> Iterator[tuple[str, str]]:
    """Yield the order and the sending step of each message in the outbox, from its file name."""
    if not outbox.is_dir():
        return
    with os.scandir(outbox) as files:
        for file in files:
            parts = file.name.removesuffix(".eml").rsplit("-", 3)  # order, saga, step, fingerprint
            if file.name.endswith(".eml") and len(parts) == 4:
                yield parts[0], parts[2]


async def _sagas(reader: Reader) -> dict[str, Saga]:
    found: dict[str, Saga] = {}
    async for ids in _pages(reader, names.index("all")):
        records = await asyncio.gather(*(reader.read(names.record(id_), "status", "process") for id_ in ids))
        for id_, (status, process) in zip(ids, records, strict=True):
            if process == PROCESS:
                found[id_] = Saga(id_, status or "")
    return found


async def _each(reader: Reader, index: str, read: Callable[[str, Mapping[str, str]], T]) -> dict[str, T]:
    return {id_: read(id_, fields) async for id_, fields in _hashes(reader, index)}


def order_of(id_: str, fields: Mapping[str, str]) -> Order:
    """Return an order from its hash."""
    pieces: dict[str, int] = {}
    for product, quantity, _ in json.loads(fields["lines"]):
        level = f"{fields['store_id']}:{product}"
        pieces[level] = pieces.get(level, 0) + quantity
    return Order(
        id=id_,
        saga_id=fields["saga_id"],
        status=fields["status"],
        total_cents=int(fields["total_cents"]),
        settled_ms=int(fields.get("settled_ms", 0)),
        pieces=pieces,
        currency=fields.get("currency", ""),
    )


def level_of(name: str, fields: Mapping[str, str]) -> Level:
    """Return a level from its hash."""
    counts = (int(fields.get(what, 0)) for what in ("available", "reserved", "initial", "restocked"))
    return Level(name, *counts)


def reservation_of(id_: str, fields: Mapping[str, str]) -> Reservation:
    """Return a reservation from its hash."""
    pieces = {f"{fields['store_id']}:{what}": many for what, many in json.loads(fields["pieces"]).items()}
    return Reservation(id_, fields["saga_id"], fields["status"] == "Held", pieces)


def payment_of(id_: str, fields: Mapping[str, str]) -> Payment:
    """Return a payment from its hash."""
    return Payment(id_, fields["key"], fields["status"], int(fields["amount_cents"]))


async def _told(reader: Reader, mails: Counter[tuple[str, str]]) -> dict[str, Told]:
    found = {order_id: Told(mails[order_id, "notify"], mails[order_id, "tell_cancelled"]) for order_id, _ in mails}
    async for id_, fields in _hashes(reader, "notifications"):
        found[id_] = told_by(fields, found.get(id_, Told()))
    return found


def told_by(fields: Mapping[str, str], mailed: Told, *, outbox: str = OUTBOX) -> Told:
    """Return how often a customer was notified: by the outbox (``mailed``), and by the hash for other channels."""
    told = mailed
    if fields.get("Confirmation.status") == "Sent" and fields.get("Confirmation.channel") != outbox:
        told = replace(told, confirmations=told.confirmations + 1)
    is_refused = fields.get("Cancellation.status") == "Refused"  # for good: the customer cannot be notified
    if is_refused or fields.get("Cancellation.channel", outbox) != outbox:
        told = replace(told, cancellations=told.cancellations + 1)
    return told


async def _hashes(reader: Reader, index: str) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Yield the members of an index with their hashes, whose names are the index's in the singular."""
    async for ids in _pages(reader, index):
        for read in zip(ids, await reader.read_all_each([f"{index[:-1]}:{id_}" for id_ in ids]), strict=True):
            yield read


async def _pages(reader: Reader, index: str) -> AsyncIterator[list[str]]:
    start = 0
    while members := await reader.members(index, start=start, count=PAGE, newest_first=False):
        yield members
        start += len(members)
