"""Orders with all their data, a page at a time. Speaks Redis; judges nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from books.facts import Books, Course, Saga, Told
from books.reading import OUTBOX, order_of, payment_of, reservation_of, told_by
from books.tally import Tally
from sagastream import keys as names
from sagastream.audit import Scene
from sagastream.bus import Reply
from sagastream.keys import COORDINATOR, Keys
from sagastream.replies import listed, named, sound, texts

_MILLISECOND_SLACK = 1_000


@dataclass(frozen=True)
class Shelf:
    """The data outside Redis, as of ``at_ms``: the provider's accounts, and the outbox.

    ``has_accounts`` tells whether the provider's record could be read, ``has_mails`` whether the outbox could;
    without the outbox, the notification service's own record is trusted.
    """

    at_ms: int
    tally: Tally
    has_accounts: bool
    has_mails: bool


class Pages:
    """Reads orders with their sagas, reservations, payments and notices."""

    def __init__(self, scene: Scene, shelf: Shelf) -> None:
        self._connection = scene.connection
        self._scene = scene
        self._shelf = shelf

    async def orders(self) -> AsyncIterator[Books]:
        """Yield the books of one page of orders after the other, without data of other orders."""
        async for ids in members(self._scene, "order", "orders"):
            yield await self._books(ids)

    def _keys(self, owner: str) -> Keys:
        return Keys(self._scene.settings.key_prefix, owner)

    async def _books(self, ids: Sequence[str]) -> Books:
        carried = await self._connection.pipeline(
            [("HGET", self._keys("order").key(f"order:{id_}"), "saga_id") for id_ in ids]
        )
        saga_ids = [str(reply) for reply in carried]
        # Sagas come first: the effects of an ended one no longer change.
        record = self._keys(COORDINATOR).key
        commands: list[tuple[str, ...]] = [
            ("HMGET", record(names.record(saga_id)), "status", "ended_ms") for saga_id in saga_ids
        ]
        for owner, kind in (("order", "order"), ("stock", "reservation"), ("payment", "payment"),
                            ("notification", "notification")):  # fmt: skip
            commands += [("HGETALL", self._keys(owner).key(f"{kind}:{id_}")) for id_ in ids]
        replies = [sound(reply) for reply in await self._connection.pipeline(commands)]
        count = len(ids)
        hashes = [list(map(named, replies[at : at + count])) for at in range(count, len(replies), count)]
        orders, reservations, payments, notices = (dict(zip(ids, part, strict=True)) for part in hashes)
        records = zip(saga_ids, map(listed, replies[:count]), strict=True)
        sagas = {id_: self._saga(id_, told) for id_, told in records if told[0]}
        return Books(
            sagas=sagas,
            orders={id_: order_of(id_, fields) for id_, fields in orders.items()},
            reservations={id_: reservation_of(id_, fields) for id_, fields in reservations.items() if fields},
            payments={id_: payment_of(id_, fields) for id_, fields in payments.items() if fields},
            told={id_: self._told(id_, fields) for id_, fields in notices.items()},
            accounts=self._shelf.tally.accounts(saga_ids),
            now_ms=self._shelf.at_ms,
        )

    def _saga(self, id_: str, told: Sequence[Reply]) -> Saga:
        """Return a saga; one that ended after the provider was read counts as unfinished."""
        saga = Saga(id_, str(told[0]))
        is_later = told[1] is None or int(str(told[1])) > self._shelf.at_ms - _MILLISECOND_SLACK
        if saga.course is not Course.UNDER_WAY and is_later and not self._scene.is_at_rest:
            return Saga(id_, "InProgress")
        return saga

    def _told(self, id_: str, fields: Mapping[str, str]) -> Told:
        if not self._shelf.has_mails:
            return told_by(fields, Told(), outbox="")
        mails = self._shelf.tally.mails(id_)
        return told_by(fields, Told(mails.get("notify", 0), mails.get("tell_cancelled", 0)), outbox=OUTBOX)


async def members(scene: Scene, owner: str, index: str) -> AsyncIterator[list[str]]:
    """Yield the current members of an owner's index, oldest first, a page at a time, without members added meanwhile.

    Otherwise a shop that takes orders faster than they are compared would keep the reader busy for ever.
    """
    key = Keys(scene.settings.key_prefix, owner).key(index)
    count = int(str(await scene.connection.execute("ZCARD", key)))
    for start in range(0, count, scene.page):
        last = min(start + scene.page, count) - 1
        yield texts(await scene.connection.execute("ZRANGE", key, start, last))
        await scene.pause()
