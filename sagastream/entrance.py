"""Begin or cancel a saga from outside of any handler: from an HTTP request, a script or a timer of the user's own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sagastream import keys as names
from sagastream import tracing
from sagastream.bus import Bus
from sagastream.clock import ms_of
from sagastream.coalescer import Coalescer
from sagastream.envelope import Envelope, attribute, derived_id, publishable
from sagastream.errors import CannotApply, DefinitionError, SagastreamError, ServerUnavailable
from sagastream.event import Event, StepBarred
from sagastream.keys import Keys
from sagastream.ledger import BEGINNING, Entry, Remembered, State, parse
from sagastream.participant import Beginning, Participant
from sagastream.reader import Reader
from sagastream.settings import Settings
from sagastream.store import StoreMark
from sagastream.transaction import Outcome, OutcomeKind, Transaction, Transactor

T = TypeVar("T")
Change = Callable[[Transaction], None]
_PAUSES = (0.05, 0.2, 0.5)
_PATIENCE_S = 1.0
_NO_CAUSE = re.compile(r"[^!-~]")  # not allowed in an event's cause, see ``envelope.decode``
_VERSION = re.compile(r"v([0-9]+):")  # prefix of a beginning's cause, kept in the ledger


class Conflict(SagastreamError):
    """A guard of a change did not hold; read again and decide again."""


class UnknownSaga(SagastreamError):
    """The ledger knows no beginning of this saga: it never began here, or the ledger has forgotten it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A saga that has begun; ``repeated`` tells whether it had begun before this call."""

    saga_id: str
    event_id: str
    repeated: bool


class Entrance:
    """Begins sagas, bars their steps and changes state for one participant, outside of any handler.

    Concurrent calls share one request to the server. ``begin`` and ``bar`` are deduplicated, so a call whose answer was
    lost is simply repeated; ``change`` is not.

    Raises (every method): ``ServerUnavailable`` if the server cannot be reached for about a second, or does not answer
    for some ten; ``WrongStore`` while the store is not the right one (nothing is written then); ``CannotApply`` for a
    change that the server can never apply; ``TooLarge`` for an event, subject or initiator that no reader would accept.
    """

    def __init__(self, participant: Participant, *, bus: Bus, settings: Settings) -> None:
        self._participant = participant
        keys = Keys(settings.key_prefix, participant.name)
        self.reader = Reader(bus.query, keys)
        self._transactor = Transactor(bus.writer, keys, retention=settings.ledger_retention)
        self._writer = bus.writer
        self._store = StoreMark(bus, keys, name=settings.store)
        self._is_right_store = False
        self._registered: set[str] = set()
        self._commits: Coalescer[Transaction, Outcome] = Coalescer(self._commit_all, limit=settings.batch)

    def saga_id(self, event: type[Event], key: str) -> str:
        """Return the id of the saga that this event begins under this key.

        Raises: ``DefinitionError`` if the participant declares no saga that begins with this event.
        """
        beginning = self._participant.beginnings.get(event.type_name())
        if beginning is None:
            raise DefinitionError(f"{self._participant.name} declares no saga that begins with {event.type_name()}")
        return derived_id(self._participant.name, beginning.saga, key)

    async def begin(self, event: Event, *, key: str, initiator: str = "", change: Change | None = None) -> Begun:
        """Begin a saga, and change the participant's state, in one commit.

        However often this is called, the same key begins the same saga once. ``change`` declares further writes.

        Raises: ``DefinitionError`` as ``saga_id`` does; ``Conflict`` if a guard of the change does not hold.
        """
        saga_id = self.saga_id(type(event), key)
        beginning = self._participant.beginnings[event.type_name()]
        tx = self._transaction(saga_id, await self._now(change), initiator)
        _declare(change, tx)
        cause = _NO_CAUSE.sub("_", f"v{beginning.version}:{key}")[:64]
        envelope = self._envelope(event, saga_id, cause, initiator, beginning.saga, str(beginning.version))
        tx.entry = Entry(saga_id, BEGINNING, State.UNKNOWN, State.DONE, tx.publish(envelope))
        outcome = await self._commit(tx)
        return Begun(saga_id, envelope.id, repeated=not self._applied_or(tx, outcome, OutcomeKind.IS))

    async def bar(
        self, saga_id: str, done: type[Event], *, because: Event, initiator: str = "", change: Change | None = None
    ) -> State:
        """Forbid a step for good and publish why, in one commit; return the state of the step afterwards.

        The state is ``BARRED`` unless the step was decided before: then nothing is written and that state is returned.
        Nothing is written for a saga that is already undone, either. A step whose outside call is pending cannot be
        barred from here and stays ``BEGUN``.

        Raises: ``UnknownSaga``; ``DefinitionError`` if the participant performs no such step; ``Conflict`` if a guard
        of the change does not hold.
        """
        field = self._participant.ledger_field(done.type_name())
        if field is None:
            raise DefinitionError(f"{self._participant.name} performs no step that says {done.type_name()}")
        while True:
            state = await self._bar(saga_id, field, StepBarred(step=done.type_name()), because, initiator, change)
            if state.is_outcome or state is State.BEGUN:
                return state
            # The step gave up between our read and our commit. That decides nothing, so try once more.

    async def _bar(
        self, saga_id: str, field: str, barred: StepBarred, because: Event, initiator: str, change: Change | None
    ) -> State:
        begun, step = map(parse, await self.reader.read(names.ledger(saga_id), BEGINNING, field))
        if begun.state is State.UNDONE:  # never goes forward again; the beginning event is forgotten
            return step.state if step.state.is_outcome else State.BARRED
        beginning = self._participant.beginnings.get(begun.type)
        if beginning is None:
            raise UnknownSaga(f"the ledger of {self._participant.name} remembers no saga {saga_id}")
        state, version = step.state, _version(begun, beginning)
        if state.is_outcome or state is State.BEGUN:
            return state
        await self._register(because)
        tx = self._transaction(saga_id, await self._now(change), initiator)
        _declare(change, tx)
        told = self._envelope(barred, saga_id, begun.id, initiator, beginning.saga, version)
        position = tx.publish(told._replace(id=derived_id(saga_id, self._participant.name, field, "barred")))
        tx.publish(self._envelope(because, saga_id, begun.id, initiator, beginning.saga, version))
        tx.entry = Entry(saga_id, field, state, State.BARRED, position)
        outcome = await self._commit(tx)
        return State.BARRED if self._applied_or(tx, outcome, OutcomeKind.IS) else outcome.state

    async def change(self, change: Change) -> None:
        """Change the participant's state outside of any saga.

        The change is not deduplicated: guard it, or make it safe to repeat.

        Raises: ``Conflict`` if a guard does not hold.
        """
        tx = self._transaction("", await self._time(), "")
        _declare(change, tx)
        self._applied_or(tx, await self._commits.ask(tx))

    def _applied_or(self, tx: Transaction, outcome: Outcome, *acceptable: OutcomeKind) -> bool:
        if outcome.is_ok:
            return True
        if outcome.kind in acceptable:
            return False
        if outcome.kind in (OutcomeKind.MALFORMED, OutcomeKind.TORN):
            raise CannotApply(f"{outcome.kind}: {outcome.detail}")
        raise Conflict(f"refused by {tx.guard(outcome.detail)}")

    async def _commit(self, tx: Transaction) -> Outcome:
        """Commit a transaction that the ledger deduplicates; commit it again if the answer was lost."""
        return await _patiently(lambda: self._commits.ask(tx))

    async def _commit_all(self, batch: Sequence[Transaction]) -> Sequence[Outcome]:
        await self._look_at_store()
        if self._store.born is not None:
            # Between two requests, and unnoticed by both, the server may have come back empty since we looked.
            for tx in batch:
                tx.expect(names.STORE, "born", self._store.born)
        try:
            outcomes = (await self._transactor.commit(batch)).outcomes
        except ServerUnavailable:
            self._is_right_store = False  # the server that comes back may be another one
            raise
        if any(outcome.kind is OutcomeKind.REFUSED for outcome in outcomes):
            await self._store.look()  # on another store nothing of the batch was applied
        return outcomes

    async def _look_at_store(self) -> None:
        if not self._is_right_store:
            await self._store.look()
            self._is_right_store = self._store.born is not None

    async def _register(self, event: Event) -> None:
        """Register the stream for trimming, because no handler declares the events published here."""
        name = names.events(event.type_name())
        if name not in self._registered:
            await self._look_at_store()
            await _patiently(lambda: self._writer.execute("HSETNX", self.reader.keys.key(names.STREAMS), name, ""))
            self._registered.add(name)

    async def _now(self, change: Change | None) -> int:
        return await self._time() if change is not None else 0

    async def _time(self) -> int:
        return ms_of(await self.reader.command("TIME"))

    def _transaction(self, saga_id: str, now_ms: int, initiator: str) -> Transaction:
        return Transaction(
            self.reader, saga_id=saga_id, key=f"{saga_id}.{BEGINNING}", now_ms=now_ms, initiator=initiator
        )

    def _envelope(self, event: Event, saga_id: str, cause: str, initiator: str, saga: str, version: str) -> Envelope:
        return Envelope(
            id=derived_id(saga_id, self._participant.name, event.type_name(), "0"),
            source=self._participant.name,
            type=event.type_name(),
            subject=attribute("subject", event.subject(saga_id)),
            saga_id=saga_id,
            cause=cause,
            initiator=attribute("initiator", initiator),
            definition=saga,
            definition_version=version,
            data=publishable(event),
            traceparent=tracing.current(),
            schema=f"urn:event:{event.type_name()}:{event.schema_version}",
        )


def _version(begun: Remembered, beginning: Beginning) -> str:
    """Return the table version that a saga began with, which may differ from this release's."""
    told = _VERSION.match(begun.cause)
    return told[1] if told is not None else str(beginning.version)


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call that may be repeated, and retry it for about a second if the server is unavailable.

    If the first call alone took longer than that, raise at once: a server that is silent will not be back soon.
    """
    loop = asyncio.get_running_loop()
    patient_until = loop.time() + _PATIENCE_S
    for pause in _PAUSES:
        try:
            return await call()
        except ServerUnavailable:
            if loop.time() >= patient_until:
                raise
            await asyncio.sleep(pause)
    return await call()


def _declare(change: Change | None, tx: Transaction) -> None:
    if change is not None:
        change(tx)
        tx.must_be_own()
