"""Shows dead letters and deals with them. Speaks Redis; its owner's ledger decides what a replayed letter does.

A letter stays whole where its owner stored it, for ever. What became of it is kept by the coordinator, in the same
commit as the entry in the audit trail: hash ``letters:<owner>``, letter → JSON. A replay goes to the letter's own
owner, on the stream of the coordinator's requests to it, with the id and the saga of the message that could not be
handled. So a ledger that gave up opens again, and everything else is recognised as handled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from sagastream import keys as names
from sagastream.bus import Bus, Reply
from sagastream.clock import server_ms
from sagastream.coordinator import trail
from sagastream.coordinator.lags import owners
from sagastream.coordinator.letter import Dealt, Letter, Place, read_letter
from sagastream.coordinator.records import OPERATOR, Note, Record, Records
from sagastream.envelope import Envelope, decode, derived_id, flattened, publishable
from sagastream.errors import ReplyError, SagastreamError, Undecodable
from sagastream.event import LIBRARY_FACTS, REQUESTS, Event
from sagastream.keys import COORDINATOR, LETTERS, WEBHOOKS, Keys
from sagastream.masking import MASK, legible
from sagastream.reader import Reader
from sagastream.replies import entries, sound
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Kind
from sagastream.settings import Settings
from sagastream.transaction import OutcomeKind, Transaction, Transactor
from sagastream.work import payload

MOST_SCANNED = 2000
LEAST_READ = 50  # letters read at a time, even if few are wanted: only few may fit
SHARE_OF_MEMORY = 0.9  # of a ledger's; an older letter might be handled after the ledger has forgotten its message


class CannotDeal(SagastreamError):
    """This cannot be done with the letter; the message says why, and what can be done."""


class Unfit(SagastreamError):
    """The data for a replay do not fit the event; the message says where."""


class DeadLetters:
    """The dead letters of every participant in these tables, and the coordinator's own."""

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> None:
        self._keys = Keys(settings.key_prefix, COORDINATOR)
        self._query = bus.query
        self._records = Records(bus, self._keys)
        self._reader = Reader(bus.query, self._keys)
        self._memory = settings.ledger_retention * SHARE_OF_MEMORY
        self._transactor = Transactor(bus.writer, self._keys, retention=settings.ledger_retention)
        self.owners = owners(sagas)
        self._models: dict[str, type[Event]] = {
            **REQUESTS,
            **{kind.type_name(): kind for kind in LIBRARY_FACTS},
            **{kind.type_name(): kind for saga in sagas for kind in saga.event_types()},
        }

    async def find(self, owner: str, id: str) -> Letter | None:
        """Return a letter, None if there is none."""
        stream = self._keys.of(owner).key(LETTERS)
        found = await self._with_statuses(
            await self._with_fates(owner, await self._query.execute("XRANGE", stream, id, id))
        )
        return found[0] if found else None

    async def page(
        self, owners: Sequence[str], saga_id: str | None, fate: Dealt | None, before: Place | None, limit: int
    ) -> tuple[list[Letter], Place | None]:
        """Return letters older than a place, the newest first, and where to go on."""
        found, following = await self._found(owners, saga_id, fate, before, limit)
        return await self._with_statuses(found), following

    async def _found(
        self, owners: Sequence[str], saga_id: str | None, fate: Dealt | None, before: Place | None, limit: int
    ) -> tuple[list[Letter], Place | None]:
        found: list[Letter] = []
        scanned, size = 0, max(limit, LEAST_READ)
        while True:
            chunk = await self._chunk(owners, before, size)
            for letter in chunk:
                if fate in (None, letter.fate) and saga_id in (None, letter.saga_id):
                    found.append(letter)
                    if len(found) == limit:
                        return found, letter.place
            scanned += len(chunk)
            if len(chunk) < size:
                return found, None
            before = chunk[-1].place
            if scanned >= MOST_SCANNED:
                return found, before

    async def replay(self, letter: Letter, actor: str, reason: str, data: str | None) -> Letter:
        """Hand a letter to its owner again, with other data if any are given; the letter itself is unchanged.

        Raises: ``CannotDeal``, ``Unfit``.
        """
        _must_be_open(letter)
        try:
            envelope = decode(flattened(letter.fields))
        except Undecodable as error:
            raise CannotDeal(f"this was never an event ({error}), and can only be dropped") from None
        if data is not None:
            envelope = envelope._replace(data=self._fitting(envelope, data))
        now_ms = await server_ms(self._query)
        if now_ms - letter.place.ms > self._memory // timedelta(milliseconds=1):
            raise CannotDeal("the ledger may have forgotten by now what it did about this message: drop it")
        record = await self._record(letter)
        acts = letter.place.owner != WEBHOOKS  # a webhook only reports a saga and cannot act against it
        if acts and record is not None and _is_closed_by_a_person(record):
            raise CannotDeal("a person has said what is true of this saga; a replay could act against it: drop it")
        tx = self._transaction(letter, record, now_ms)
        tx.tell(names.requests(letter.place.owner), envelope)
        told = {"data": envelope.data} if data is not None else {}
        return await self._settle(tx, letter, record, Dealt.REPLAYED, actor, reason, now_ms, told)

    async def drop(self, letter: Letter, actor: str, reason: str) -> Letter:
        """Mark a letter as one about which nothing is to be done; it stays, but is no longer open.

        Raises: ``CannotDeal``.
        """
        _must_be_open(letter)
        record = await self._record(letter)
        now_ms = await server_ms(self._query)
        tx = self._transaction(letter, record, now_ms)
        return await self._settle(tx, letter, record, Dealt.DROPPED, actor, reason, now_ms, {})

    def _fitting(self, envelope: Envelope, data: str) -> str:
        if data.count(MASK) > envelope.data.count(MASK):
            raise Unfit(
                f"{MASK} only stands for an e-mail address or a card number where letters are shown: say what is to "
                "stand there; the letter is shown as it was sent when asked for with unmasked=true (--unmasked)"
            )
        model = self._models.get(envelope.type)
        if model is None:
            raise CannotDeal(f"no table here knows {envelope.type}: it can be replayed only as it is")
        try:
            return publishable(payload(model, data))
        except Undecodable as error:
            raise Unfit(str(error)) from None

    async def _record(self, letter: Letter) -> Record | None:
        try:
            return await self._records.load(letter.saga_id) if letter.saga_id else None
        except Undecodable:
            return None

    def _transaction(self, letter: Letter, record: Record | None, now_ms: int) -> Transaction:
        tx = Transaction(self._reader, saga_id="", key="", now_ms=now_ms)
        tx.expect(names.letters(letter.place.owner), letter.place.id, None)
        if record is not None:
            tx.expect(names.record(letter.saga_id), "version", str(record.version))
        return tx

    async def _settle(
        self, tx: Transaction, letter: Letter, record: Record | None, fate: Dealt, actor: str, reason: str, now_ms: int,
        told: Mapping[str, str],
    ) -> Letter:  # fmt: skip
        type_ = legible(letter.fields.get("type", ""))
        owner, id_ = letter.place.owner, derived_id(letter.place.owner, letter.place.id, fate)
        dealt = {"fate": str(fate), "actor": actor, "reason": reason, "at": str(now_ms), "id": id_, **told}
        tx.set(names.letters(owner), {letter.place.id: json.dumps(dealt)})
        if record is not None:
            note = Note(now_ms, id_, f"DeadLetter{fate.capitalize()}", OPERATOR, record.progress.last_event_id,
                        reason=f"{type_} to {owner}: {reason}", actor=actor)  # fmt: skip
            tx.push(names.history(letter.saga_id), note.written())
        edited = ", with other data" if told else ""
        trail.record(
            tx, id=id_, action=f"letter {fate}", actor=actor, reason=reason, letter=f"{owner} {letter.place.id}",
            saga=letter.saga_id, told=f"{type_[:200] or 'no event'} to {owner}{edited}",
        )  # fmt: skip
        (outcome,) = (await self._transactor.commit([tx])).outcomes
        if outcome.kind is OutcomeKind.REFUSED:
            raise CannotDeal("it, or its saga, changed meanwhile: look at it again")
        if not outcome.is_ok:
            raise CannotDeal(f"this cannot be stored: {outcome.kind}: {outcome.detail}")
        return replace(letter, fate=fate, dealt=dealt)

    async def _chunk(self, owners: Sequence[str], before: Place | None, limit: int) -> list[Letter]:
        commands, asked = [], []
        for owner in owners:
            end: str | None = "+"
            if before is not None:  # of two letters with the same instant and number, the later owner's came first
                end = before.id if owner < before.owner else trail.just_before(before.id)
            if end is not None:
                asked.append(owner)
                commands.append(("XREVRANGE", self._keys.of(owner).key(LETTERS), end, "-", "COUNT", limit))
        replies = await self._query.pipeline(commands)
        found: list[Letter] = []
        for owner, reply in zip(asked, replies, strict=True):
            found += await self._with_fates(owner, sound(reply))
        return sorted(found, key=lambda letter: letter.place.order, reverse=True)[:limit]

    async def _with_fates(self, owner: str, reply: Reply) -> list[Letter]:
        letters = [read_letter(owner, *entry) for entry in entries(reply)]
        if not letters:
            return []
        fates = await self._reader.read(names.letters(owner), *(letter.place.id for letter in letters))
        return [
            letter if fate is None else replace(letter, fate=Dealt((dealt := json.loads(fate))["fate"]), dealt=dealt)
            for letter, fate in zip(letters, fates, strict=True)
        ]

    async def _with_statuses(self, letters: Sequence[Letter]) -> list[Letter]:
        records = [names.record(letter.saga_id) for letter in letters]
        told = await self._reader.read_at_once(records, "status")
        return [
            letter if isinstance(status, ReplyError) or not letter.saga_id else replace(letter, saga_status=status[0])
            for letter, status in zip(letters, told, strict=True)
        ]


def _must_be_open(letter: Letter) -> None:
    if letter.dealt is not None:
        told = f"it was {letter.fate} by {letter.dealt['actor']}: {letter.dealt['reason']}"
        raise CannotDeal(f"{told}; if it could not be handled again, that is a letter of its own")


def _is_closed_by_a_person(record: Record) -> bool:
    stated = (Kind.STATED_DONE, Kind.STATED_UNDONE)
    return record.progress.has(BEGINNING, Kind.ABORTED) or any(
        not known.keys().isdisjoint(stated) for known in record.progress.facts.values()
    )
