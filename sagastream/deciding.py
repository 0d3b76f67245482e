"""Decide a message: return the transaction that settles it. Runs handlers; commits nothing.

The order is that of DESIGN 5: a ledger that has an outcome answers with it, a step that was begun is closed before it
is undone, and a step that never happened is barred and announces no undo.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sagastream import keys as names
from sagastream import tracing
from sagastream.clock import ServerClock
from sagastream.envelope import Envelope, derived_id, published
from sagastream.errors import DefinitionError, Forgotten, Undecodable
from sagastream.event import BarRequested, Event, LedgerLost, Refusal, RetryRequested, StepBarred, StepGaveUp
from sagastream.ledger import Entry, Remembered, State, parse, trigger
from sagastream.participant import Handler, Participant
from sagastream.reader import Reader
from sagastream.transaction import Transaction
from sagastream.work import Fate, Work, payload


class Deciding:
    """Decides messages of one participant.

    Raises (when built): ``DefinitionError`` if a handler needs a resource that was not given.
    """

    def __init__(
        self,
        participant: Participant,
        reader: Reader,
        clock: ServerClock,
        *,
        resources: Mapping[type, object],
        retention: timedelta,
    ) -> None:
        self._participant = participant
        self._reader = reader
        self._clock = clock
        self._retention_ms = retention // timedelta(milliseconds=1)
        self._resources: dict[int, dict[str, object]] = {}
        for handler in participant.functions:
            for name, wanted in handler.resources.items():
                if wanted not in resources:
                    kind = getattr(wanted, "__name__", wanted)  # X | None has no name
                    raise DefinitionError(
                        f"{participant.name}.{handler.name} wants {name}: {kind}, which was not given by that type;"
                        f" give it to whoever runs {participant.name!r}: resources={{{kind}: …}}"
                    )
            self._resources[id(handler)] = {name: resources[wanted] for name, wanted in handler.resources.items()}

    async def decide(self, work: Work) -> Transaction | None:
        """Return the transaction to commit for this message, None if none is needed.

        Raises: whatever the handler raises; nothing is decided then.
        """
        work.fate = Fate.SETTLED
        if work.request is not None:
            return await self._answer(work)
        assert work.handler is not None  # recognise() found one
        if work.known is State.UNKNOWN and self._clock.now_ms() - work.message.at_ms > self._retention_ms:
            raise Forgotten("the message is older than the ledger's memory: nobody knows whether it was handled")
        if work.is_outside and work.known in (State.UNKNOWN, State.GAVE_UP, State.UNREAD):
            payload(work.handler.takes, work.envelope.data)  # an unreadable event could not be closed once begun
            return self._begun(work, work.known, trigger(work.envelope))
        return await self._perform(work, work.handler, work.envelope, work.known)

    def nothing(self, work: Work) -> Transaction:
        """Return a transaction that decides nothing about the message."""
        return self._transaction(work.envelope, work.handler)

    def give_up(self, work: Work, reason: str) -> Transaction:
        """Return the transaction that publishes that a message could not be handled."""
        tx = self._transaction(work.envelope, work.handler)
        if work.request is not None:
            step, cause = work.request.step, f"{work.envelope.id}:gave-up"
        else:
            assert work.handler is not None  # recognise() found one
            done = work.handler.done
            step, cause = done.type_name() if done else work.handler.name, f"{work.envelope.id}:{work.attempts}"
            becomes = self._given_up(work, work.handler)
            if not work.is_ledger_broken and becomes is not None:
                tx.entry = Entry(tx.saga_id, work.handler.name, work.known, becomes, trigger(work.envelope))
        event = StepGaveUp(step=step, undoing=work.is_undoing, reason=reason[:500], attempts=work.attempts)
        self._publish(tx, event, work.envelope, id=derived_id(cause, self._participant.name, step))
        return tx

    def _given_up(self, work: Work, handler: Handler) -> State | None:
        """Return the state in which giving up an event leaves the ledger; None if the ledger keeps its state.

        An unreadable event began nothing; another, readable one may have begun or given up the same step.
        """
        try:
            payload(handler.takes, work.envelope.data)
        except Undecodable:
            return State.UNREAD if work.known is State.UNKNOWN else None
        return State.GAVE_UP

    def lost(self, work: Work, reason: str) -> Transaction:
        """Return the transaction that publishes that a step may have been done without its ledger remembering it.

        The ledger stays without an entry: a request to undo the step must find that the step is not remembered.
        """
        assert work.handler is not None  # only a step that goes forward can be forgotten
        done = work.handler.done
        tx = self._transaction(work.envelope, work.handler)
        tx.expect(names.ledger(tx.saga_id), work.handler.name, None)
        event = LedgerLost(step=done.type_name() if done else work.handler.name, reason=reason)
        self._publish(tx, event, work.envelope, id=derived_id(work.envelope.id, self._participant.name, "forgotten"))
        return tx

    def _begun(self, work: Work, expected: State, told: str) -> Transaction:
        assert work.handler is not None  # only forward steps begin
        work.fate = Fate.GOES_ON
        tx = self._transaction(work.envelope, work.handler)
        tx.entry = Entry(tx.saga_id, work.handler.name, expected, State.BEGUN, told)
        return tx

    async def _perform(self, work: Work, handler: Handler, cause: Envelope, expected: State) -> Transaction:
        """Run a forward handler and return the transaction with its decision."""
        tx = self._transaction(work.envelope, handler)
        event = await self._run(work, handler, cause.data, tx)
        self._outcome(tx, handler.name, event, cause, expected)
        return tx

    async def _run(self, work: Work, handler: Handler, data: str, tx: Transaction) -> Event | None:
        begun_s = self._clock.monotonic_s()
        work.tried = handler
        call = handler.function(payload(handler.takes, data), tx, **self._resources[id(handler)])
        if tracing.active is not None:
            call = tracing.handled(call, self._participant.name, handler.name, work.envelope, tx)
        event = await call
        tx.must_be_own()
        work.took_s = self._clock.monotonic_s() - begun_s
        is_declared = handler.may_say_nothing if event is None else type(event) in handler.publishes
        if not is_declared:
            kinds = [kind.type_name() for kind in handler.publishes]
            named = " or ".join([*kinds, "None"] if handler.may_say_nothing else kinds)
            where = f"{self._participant.name}.{handler.name}"
            raise DefinitionError(f"{where} returned {_named(event)}, but its return annotation names {named}")
        return event

    def _outcome(self, tx: Transaction, field: str, event: Event | None, cause: Envelope, expected: State) -> None:
        told: str | int = ""
        if event is not None:
            told = self._publish(tx, event, cause, id=derived_id(cause.id, self._participant.name, field, "0"))
        becomes = State.REFUSED if isinstance(event, Refusal) else State.DONE
        tx.entry = Entry(tx.saga_id, field, expected, becomes, told)

    async def _answer(self, work: Work) -> Transaction | None:
        request, envelope = work.request, work.envelope
        assert request is not None  # decide() looked
        field = self._participant.ledger_field(request.step)
        assert field is not None  # recognise() looked
        (text,) = await self._reader.read(names.ledger(envelope.saga_id), field)
        told = parse(text)
        work.known = told.state
        if isinstance(request, RetryRequested):
            return await self._retry(work, told)
        match told.state:
            case State.UNKNOWN if self._should_know(request.seen, request.began):
                tx = self._transaction(envelope, work.handler, field)
                lost = LedgerLost(step=request.step, reason=f"{self._participant.name} does not remember this saga")
                tx.expect(names.ledger(tx.saga_id), field, None)
                self._publish(tx, lost, envelope, id=derived_id(envelope.id, self._participant.name, "lost"))
                return tx
            case State.BEGUN | State.GAVE_UP if work.is_outside and (told.has_event or told.state is State.BEGUN):
                return await self._close(work, told, field)
            case State.UNKNOWN | State.UNREAD | State.GAVE_UP | State.BEGUN:
                return self._bar(work, told.state, field)
            case State.DONE if not isinstance(request, BarRequested):
                return await self._undo(work, told, field)
            case State.REFUSED:
                tx = self._transaction(envelope, work.handler, field)
                # The refusal is the cause, not the request: however often requested, this is one event with one cause.
                why = _event(envelope, told)
                self._publish(tx, StepBarred(step=request.step), why, id=self._barred_id(envelope, field))
                return tx
            case _:
                return self._told_again(work, told)

    async def _retry(self, work: Work, told: Remembered) -> Transaction | None:
        if told.state.is_outcome:
            return self._told_again(work, told)
        if told.state is State.UNKNOWN or work.handler is None or not told.has_event:
            return None  # its message has yet to arrive
        event = _event(work.envelope, told)
        if work.is_outside and told.state in (State.GAVE_UP, State.UNREAD):
            payload(work.handler.takes, told.data)
            return self._begun(work, told.state, trigger(event))
        return await self._perform(work, work.handler, event, told.state)

    async def _close(self, work: Work, told: Remembered, field: str) -> Transaction:
        """Settle for good whether a begun step happened: no call under its key can succeed afterwards."""
        assert work.request is not None
        assert work.handler is not None
        close = self._participant.closes.get(work.request.step)
        if close is None:
            raise DefinitionError(
                f"{self._participant.name} calls outside for {work.request.step} but declares no way to close it"
            )
        cause = _event(work.envelope, told)
        tx = self._transaction(work.envelope, work.handler)
        event = await self._run(work, close, cause.data, tx)
        if event is None:
            return self._bar(work, told.state, field, tx)
        if not isinstance(work.request, BarRequested):
            work.fate = Fate.GOES_ON  # now the step is done, and is undone like any other
        self._outcome(tx, field, event, cause, told.state)
        return tx

    async def _undo(self, work: Work, told: Remembered, field: str) -> Transaction:
        assert work.request is not None  # decide() looked
        undo = self._participant.undos.get(work.request.step)
        if undo is None:
            raise DefinitionError(f"{self._participant.name} declares no way to undo {work.request.step}")
        tx = self._transaction(work.envelope, work.handler, field)
        event = await self._run(work, undo, told.data, tx)
        if event is None:
            raise DefinitionError(f"{self._participant.name}.{undo.name} must return the event that says undone")
        position = self._publish(
            tx, event, work.envelope, id=derived_id(told.id, self._participant.name, undo.name, "0")
        )
        tx.entry = Entry(tx.saga_id, field, State.DONE, State.UNDONE, position)
        return tx

    def _bar(self, work: Work, expected: State, field: str, tx: Transaction | None = None) -> Transaction:
        assert work.request is not None  # decide() looked
        tx = tx or self._transaction(work.envelope, work.handler, field)
        position = self._publish(
            tx, StepBarred(step=work.request.step), work.envelope, id=self._barred_id(work.envelope, field)
        )
        tx.entry = Entry(tx.saga_id, field, expected, State.BARRED, position)
        return tx

    def _told_again(self, work: Work, told: Remembered) -> Transaction | None:
        """Publish the stored event again under the same id: the coordinator may have lost the first one."""
        if not told.has_event:
            return None
        tx = self._transaction(work.envelope, work.handler)
        tx.publish(_event(work.envelope, told)._replace(source=self._participant.name))
        return tx

    def _should_know(self, seen: str | None, began: int | None) -> bool:
        is_old = began is not None and self._clock.now_ms() - began > self._retention_ms
        return seen is not None or is_old

    def _barred_id(self, envelope: Envelope, field: str) -> str:
        return derived_id(envelope.saga_id, self._participant.name, field, "barred")

    def _transaction(self, envelope: Envelope, handler: Handler | None, field: str = "") -> Transaction:
        name = handler.name if handler is not None else field
        return Transaction(
            self._reader,
            saga_id=envelope.saga_id,
            key=f"{envelope.saga_id}.{name}",
            now_ms=self._clock.now_ms(),
            initiator=envelope.initiator,
        )

    def _publish(self, tx: Transaction, event: Event, cause: Envelope, *, id: str) -> int:
        envelope = published(event, cause, source=self._participant.name, id=id)
        return tx.publish(envelope._replace(traceparent=tx.traceparent) if tx.traceparent else envelope)


def _named(event: object) -> str:
    if isinstance(event, type):
        return f"the class {event.__name__} itself"
    return "None" if event is None else type(event).__name__


def _event(asked: Envelope, told: Remembered) -> Envelope:
    """Return the event that the ledger remembers, with the missing attributes taken from the request's envelope."""
    return Envelope(
        id=told.id, source="", type=told.type, subject=asked.subject, saga_id=asked.saga_id, cause=told.cause,
        initiator=asked.initiator, definition=asked.definition, definition_version=asked.definition_version,
        data=told.data, time=told.time, traceparent=asked.traceparent,
    )  # fmt: skip
