"""Follows sagas by blocking reads of all streams that carry their events. Reads only.

A saga's record lags behind its events by a moment. So a participant's event is added here to the record as last
read, and any event of the coordinator causes a new read: the same commit wrote the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sagastream.bus import Bus, Reply
from sagastream.cli.attempts import Attempt, attempts
from sagastream.cli.followed import Change, Followed
from sagastream.clock import ServerClock, server_ms
from sagastream.coordinator.lags import streams
from sagastream.coordinator.listing import Listing, Stored
from sagastream.coordinator.meaning import Meaning, Meanings
from sagastream.coordinator.records import Note, Records, unwritten
from sagastream.envelope import Envelope, decode, flattened
from sagastream.errors import Undecodable
from sagastream.event import REQUESTS
from sagastream.keys import COORDINATOR, Keys
from sagastream.replies import entries
from sagastream.saga.advance import ENDS
from sagastream.saga.definition import Saga
from sagastream.saga.progress import Happening
from sagastream.timeline import REPEATED, RETRY
from sagastream.work import payload

MOST_ENDED = 1000
QUIET = timedelta(milliseconds=150)  # after this long without events, look for retries, which no stream carries


class Follower:
    """Follows sagas of the given tables, all or ``only`` one. Open it before the first event that it must not miss."""

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, prefix: str, only: str | None = None) -> None:
        keys = Keys(prefix, COORDINATOR)
        self.only = only
        self._bus = bus
        self._keys = keys
        self._meanings = Meanings(sagas)
        self._listing = Listing(Records(bus, keys))
        self._clock = ServerClock()
        self._opened_ms = 0
        self._participants = tuple(dict.fromkeys(name for saga in sagas for name in saga.participants))
        self._streams = streams(sagas, keys)
        self._positions: list[str] = []
        self._open: dict[str, Followed] = {}
        self._ended: dict[str, Followed] = {}

    @property
    def now_ms(self) -> int:
        """Return the server's time, as estimated here."""
        return self._clock.now_ms()

    async def open(self) -> None:
        """Note the current ends of the streams; later entries are followed.

        Raises: ``ServerUnavailable``.
        """
        self._opened_ms = await self._tell_time()
        newest = [("XREVRANGE", stream, "+", "-", "COUNT", 1) for stream in self._streams]
        replies = await self._bus.query.pipeline(newest)
        self._positions = [next((entry for entry, _ in entries(reply)), "0-0") for reply in replies]

    async def look(self, saga_id: str) -> Change | None:
        """Return a saga's state, with all its notes as new; None if nothing is known of it.

        Raises: ``ServerUnavailable``.
        """
        followed = await self._read(saga_id)
        if followed is None:
            return None
        self._open[saga_id] = followed
        await self._look_for_attempts()
        return followed.change()

    async def changes(self, patience: timedelta) -> list[Change]:
        """Return the sagas that have changed, after waiting for a change at most ``patience``.

        Raises: ``ServerUnavailable``.
        """
        wait = min(patience, QUIET) if self._open else patience
        reply = await self._bus.reader.execute(
            "XREAD", "COUNT", 500, "BLOCK", max(1, wait // timedelta(milliseconds=1)),
            "STREAMS", *self._streams, *self._positions,
        )  # fmt: skip
        if isinstance(reply, list):
            touched = await self._listen(reply)
        else:
            await self._tell_time()
            touched = await self._look_for_attempts() if self._open else set()
        told = [self._told(saga_id) for saga_id in touched]
        while len(self._ended) > MOST_ENDED:  # only now: the reply may have held a late event of one dropped here
            del self._ended[next(iter(self._ended))]
        return told

    def _told(self, saga_id: str) -> Change:
        change = self._followed(saga_id).change()
        if saga_id in self._open and any(note.type in ENDS for note in change.view.history):
            # Not forgotten yet: an event may arrive late, and reported notes must not be reported again.
            self._ended[saga_id] = self._open.pop(saga_id)
        return change

    def _followed(self, saga_id: str) -> Followed:
        return self._open.get(saga_id) or self._ended[saga_id]

    async def _listen(self, reply: list[Reply]) -> set[str]:
        touched: set[str] = set()
        for part in reply:
            if not isinstance(part, list):
                continue
            at = self._streams.index(str(part[0]))
            for entry, fields in entries(part[1]):
                self._positions[at] = entry
                try:
                    envelope = decode(flattened(fields))
                except Undecodable:
                    continue  # the coordinator publishes what becomes of it
                if self.only in (None, envelope.saga_id):
                    await self._hear(envelope, entry)
                    touched.add(envelope.saga_id)
        return touched

    async def _hear(self, envelope: Envelope, entry: str) -> None:
        followed = self._open.get(envelope.saga_id) or self._ended.get(envelope.saga_id)
        if followed is None:
            followed = await self._read(envelope.saga_id) or self._unwritten(envelope)
            followed.knew_until(self._opened_ms)
            self._open[envelope.saga_id] = followed
        elif envelope.source == COORDINATOR:
            await self._read(envelope.saga_id, followed)
        happening = self._happening(envelope, int(entry.partition("-")[0]))
        if happening is None:
            return
        step, kind, fact = happening.step, happening.kind, happening.fact
        if envelope.id in followed.heard:
            again_ms = int(entry.partition("-")[0])
            followed.hear(
                Note(again_ms, f"{envelope.id}:{entry}", envelope.type, envelope.source, envelope.id, step, REPEATED)
            )
            return
        followed.heard.add(envelope.id)
        told = Note(fact.at_ms, envelope.id, envelope.type, envelope.source, envelope.cause, step, kind, fact.reason)
        followed.hear(told, happening)

    async def _read(self, saga_id: str, followed: Followed | None = None) -> Followed | None:
        whole = await self._listing.whole(saga_id)
        if whole is not None:
            stored, history = whole
            followed = followed or Followed(stored, self._table(stored))
            followed.read(stored, history)
        return followed

    def _unwritten(self, envelope: Envelope) -> Followed:
        stored = Stored(unwritten(envelope), None)
        return Followed(stored, self._table(stored))

    async def _look_for_attempts(self) -> set[str]:
        touched: set[str] = set()
        for attempt in await attempts(self._bus.query, self._keys, self._participants):
            followed = self._open.get(attempt.saga_id)
            if followed is None:
                continue
            note = self._retry(attempt, followed)
            if note.id not in followed.notes:
                followed.hear(note)
                touched.add(attempt.saga_id)
        return touched

    def _retry(self, attempt: Attempt, followed: Followed) -> Note:
        step = self._step(attempt, followed)
        wait_s = max(0, attempt.due_ms - self.now_ms) / 1000
        failed = "failed once" if attempt.failed == 1 else f"failed {attempt.failed} times"
        return Note(
            at_ms=self.now_ms, id=f"retry:{attempt.participant}:{step}:{attempt.failed}",
            type=attempt.fields.get("type", ""), source=attempt.participant, cause="", step=step, kind=RETRY,
            # A message being retried right now is queued too, due at the end of its lease.
            reason=f"{failed}, tried again within {wait_s:.1f} s{f': {attempt.why}' if attempt.why else ''}",
        )  # fmt: skip

    def _step(self, attempt: Attempt, followed: Followed) -> str:
        """Return the step that a message is about: a request names it, an event triggers the next one."""
        if followed.saga is None:
            return ""
        type_name = attempt.fields.get("type", "")
        try:
            meaning = self._meaning(followed.stored)
            if type_name in REQUESTS:
                asked = payload(REQUESTS[type_name], attempt.fields.get("data", ""))
                return meaning.by_done.get(asked.step, "")
        except Undecodable:
            return ""
        trigger, _ = meaning.by_type.get(type_name, ("", None))
        steps = [step.name for step in followed.saga.steps]
        later = followed.saga.steps[steps.index(trigger) + 1 if trigger in steps else 0 :]
        return next((step.name for step in later if step.by == attempt.participant), "")

    def _happening(self, envelope: Envelope, taken_ms: int) -> Happening | None:
        try:
            return self._meanings.of(envelope.definition, envelope.definition_version).of(envelope, taken_ms)
        except Undecodable:
            return None

    def _table(self, stored: Stored) -> Saga | None:
        return self._meanings.table(stored.record.progress)

    def _meaning(self, stored: Stored) -> Meaning:
        progress = stored.record.progress
        return self._meanings.of(progress.definition, str(progress.version))

    async def _tell_time(self) -> int:
        now_ms = await server_ms(self._bus.query)
        self._clock.observe(now_ms)
        return now_ms
