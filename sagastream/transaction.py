"""The transaction: declared operations of one owner, applied all or none. Speaks Redis; decides nothing.

This library writes state in no other way. ``transaction.lua`` describes what the server does with a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgpack  # type: ignore[import-untyped]  # ships no types

from sagastream import keys as names
from sagastream.bus import Connection, Reply
from sagastream.envelope import Envelope
from sagastream.errors import DefinitionError, ReplyError, ServerUnavailable
from sagastream.keys import Keys
from sagastream.ledger import Entry, State
from sagastream.operands import as_ms, as_name, as_score, as_text, as_told, few, small, texts
from sagastream.reader import Reader
from sagastream.script import Script, packaged

_SHUT_OUT = frozenset({"NOPERM", "NOAUTH", "WRONGPASS"})


class OutcomeKind(StrEnum):
    """The kinds of ``Outcome``."""

    OK = "ok"
    IS = "is"
    REFUSED = "refused"
    MALFORMED = "malformed"
    TORN = "torn"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one transaction, with the detail the server gave.

    ``IS``: the ledger's state is not the expected one but ``detail``. ``REFUSED``: a guard did not hold.
    ``MALFORMED``: the transaction can never be applied. ``TORN``: the server forbade a write half way.
    """

    kind: OutcomeKind
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        """Tell whether everything was applied."""
        return self.kind is OutcomeKind.OK

    @property
    def state(self) -> State:
        """Return the state found in the ledger; only for ``IS``."""
        return State(self.detail)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One outcome per transaction of a call, and the server's time when it ran (epoch ms)."""

    now_ms: int
    outcomes: list[Outcome]


class Transaction:
    """What one handler reads, and the changes it declares. The library passes it to the handler and commits it.

    Keys are names under the participant's own root, such as ``level:store-1:product-1``; the library's own keys under
    that root (``letters``, ``ledger:…``; see ``keys.py``) are refused. Reads see the state before the commit. Guards
    (``expect``, ``at_least``, ``decrease``) make the commit fail if that state changed in a way that matters; the
    handler then runs again on fresh reads.

    ``key`` is the same for every attempt at this step of this saga: pass it to any system that must recognise a
    repetition. ``now_ms`` is server time.

    Raises (every method that declares a change or guard): ``ValueError`` or ``TypeError`` for a value that cannot be
    sent or stored.
    """

    def __init__(self, reader: Reader, *, saga_id: str, key: str, now_ms: int, initiator: str = "") -> None:
        self.saga_id = saga_id
        self.key = key
        self.now_ms = now_ms
        self.initiator = initiator
        self.entry: Entry | None = None
        self.traceparent = ""
        self._reader = reader
        self._values: list[Any] = []  # flat: per operation its kind, key, number of values, values

    async def read(self, key: str, *fields: str) -> list[str | None]:
        """Return fields of a hash, None for each that is absent."""
        return await self._reader.read(key, *fields)

    async def read_all(self, key: str) -> dict[str, str]:
        """Return a whole hash, empty if there is none."""
        return await self._reader.read_all(key)

    async def read_all_each(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """Return several whole hashes, read at once, in the order of their keys; empty for each that is absent."""
        return await self._reader.read_all_each(keys)

    def expect(self, key: str, field: str, value: str | None) -> None:
        """Commit only if the field has this value; None means that the field must be absent."""
        self._values += ("expect", key, 2, field, False if value is None else as_text(value))

    def at_least(self, key: str, field: str, amount: int) -> None:
        """Commit only if the counter is at least ``amount``."""
        self._values += ("at_least", key, 2, field, small(amount))

    def set(self, key: str, fields: Mapping[str, str | int]) -> None:
        """Write fields of a hash."""
        flat = [
            text
            for name, value in fields.items()
            for text in (name, value if type(value) is str else as_told(name, value))
        ]
        self._values += ["set", key, len(flat), *texts(flat)]

    def unset(self, key: str, *fields: str) -> None:
        """Remove fields of a hash."""
        self._values += ["unset", key, len(fields), *texts(fields)]

    def increase(self, key: str, field: str, amount: int) -> None:
        """Add to a counter in a hash."""
        self._values += ("increase", key, 2, field, str(small(amount)))

    def decrease(self, key: str, field: str, amount: int) -> None:
        """Subtract from a counter in a hash, never below zero: the guard sums a counter's decreases per transaction."""
        self._values += ("decrease", key, 2, field, str(-small(amount)))

    def tally(self, key: str, counters: Mapping[str, int]) -> None:
        """Add to counters without a guard; each call writes them once, however many transactions add to them."""
        flat = [part for name, amount in counters.items() for part in (as_name(name), small(amount))]
        self._values += ["tally", key, len(flat), *few(flat)]

    def remove(self, key: str) -> None:
        """Delete a key."""
        self._values += ("remove", key, 0)

    def push(self, key: str, *values: str) -> None:
        """Append to a list."""
        self._values += ["push", key, len(values), *texts(values)]

    def schedule(self, key: str, member: str, score: int, *, instead_of: int | None = None) -> None:
        """Put a member into a sorted set; with ``instead_of``, commit only if the member's score so far is that."""
        if instead_of is None:
            self._values += ("schedule", key, 2, as_text(member), as_score(score))
        else:
            self._values += ("schedule", key, 3, as_text(member), as_score(score), as_score(instead_of))

    def unschedule(self, key: str, member: str) -> None:
        """Remove a member from a sorted set."""
        self._values += ("unschedule", key, 1, as_text(member))

    def expire(self, key: str, after: timedelta) -> None:
        """Let a key expire after this time."""
        self._values += ("expire", key, 1, str(as_ms(after)))

    def keep(self, key: str, stream: str, *, since_ms: int, life: timedelta) -> None:
        """Copy the whole hash, as it is now, into the stream, unless the stream has a copy from ``since_ms`` or later.

        **Shape**: one entry whose id is the instant; its field ``hash`` holds names and values, one per line, so
        neither may contain a line break. Entries older than ``life`` are dropped.
        """
        self._values += ("keep", key, 3, stream, as_score(since_ms), as_ms(life))

    def mention(self, stream: str, name: str, *, most: int) -> None:
        """Mention a name in a stream trimmed to about the ``most`` latest entries, so no work may depend on it.

        **Shape**: one entry per call; its field ``names`` holds the names its transactions mentioned, blank-separated.
        """
        if name.split() != [name]:
            raise ValueError(f"a name without blanks can be mentioned, got {name[:80]!r}")
        self._values += ("mention", stream, 2, name, small(most))

    def publish(self, envelope: Envelope) -> int:
        """Append an event to the owner's stream of its type; return the operation's position, for ``Entry``."""
        return self.tell(names.events(envelope.type), envelope)

    def tell(self, stream: str, envelope: Envelope) -> int:
        """Append an event to one of the owner's streams; return the operation's position, for ``Entry``."""
        position, told = len(self._values), envelope.told()
        self._values += ["publish", stream, len(told), *told]
        return position

    def append(self, stream: str, fields: Sequence[str]) -> None:
        """Append an entry that is no event (names and values in turn) to one of the owner's streams."""
        if len(fields) % 2:
            raise ValueError(f"names and values come in pairs, got {len(fields)} of them")
        self._values += ["append", stream, len(fields), *texts(fields)]

    def must_be_own(self) -> None:
        """Refuse operations on the keys that the library keeps beside the participant's own state.

        Raises: ``DefinitionError``.
        """
        values, at = self._values, 0
        while at < len(values):
            kind, key, count, *further = values[at : at + 4]
            for name in (key, *further) if kind == "keep" else (key,):  # "keep" also writes a stream
                if names.is_the_librarys(str(name)) and not (kind == "publish" and names.is_of_events(str(name))):
                    told = str(name)[:80]
                    raise DefinitionError(f"{told!r} is a key of the library's; name the participant's own otherwise")
            at += 3 + count

    def guard(self, number: str) -> str:
        """Return a description of the guard that did not hold, given the detail of ``REFUSED``; it shows no values."""
        values, at = self._values, 0
        for _ in range(int(number) - 1):
            at += 3 + values[at + 2]
        kind, key, _, first = values[at : at + 4]
        name = "" if kind == "schedule" else f" of {first!r}"
        return f"{kind}{name} in {key!r}"

    def pack(self, values: list[object], life_ms: str) -> None:
        """Append this transaction to ``values`` as the script reads it; ``life_ms`` is the life of its ledger entry."""
        entry = self.entry
        if entry is None:
            values += (len(self._values) + 1, False)
        else:
            values += (len(self._values) + 6, names.ledger(entry.saga_id), entry.handler, entry.expected,
                       entry.becomes, entry.remembers, life_ms)  # fmt: skip
        values += self._values


class Transactor:
    """Commits transactions of one owner, a whole batch per call."""

    def __init__(self, connection: Connection, keys: Keys, *, retention: timedelta) -> None:
        self.keys = keys
        self._connection = connection
        self._life_ms = str(as_ms(retention))

    async def commit(self, batch: Sequence[Transaction]) -> Receipt:
        """Apply the transactions of the batch independently; return one outcome each.

        Raises: ``ServerUnavailable``; each transaction may or may not have been applied then. A server that denies us
        access raises it too, because no message is to blame for that.
        """
        try:
            return _receipt(await self._call(batch))
        except (ReplyError, ValueError) as error:  # ValueError: a value that cannot be sent
            if isinstance(error, ReplyError) and error.code in _SHUT_OUT:
                needed = "EVAL, EVALSHA and the commands of transaction.lua"
                raise ServerUnavailable(f"{error}; allow this user {needed}") from error
            if len(batch) == 1:
                return Receipt(0, [Outcome(OutcomeKind.MALFORMED, str(error))])
        # The server refused the whole call. Send each transaction alone, so that a bad one does not fail the others.
        receipts = [await self.commit([transaction]) for transaction in batch]
        return Receipt(max(r.now_ms for r in receipts), [outcome for r in receipts for outcome in r.outcomes])

    async def _call(self, batch: Sequence[Transaction]) -> Reply:
        values: list[object] = [len(batch)]
        for transaction in batch:
            transaction.pack(values, self._life_ms)
        return await script().run(self._connection, [self.keys.root], _packed(values))


def script() -> Script:
    """Return the transaction script."""
    return packaged("transaction.lua")


def _packed(values: list[object]) -> bytes:
    """Return the values packed as the script reads them.

    Raises: ``ValueError`` if a value cannot be sent, whatever its type.
    """
    try:
        packed: bytes = msgpack.packb(values, unicode_errors="surrogateescape")
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return packed


_OK = Outcome(OutcomeKind.OK)
_STATES = frozenset(str(state) for state in State)


def _receipt(reply: Reply) -> Receipt:
    if not isinstance(reply, list):
        raise ReplyError("PROTOCOL", f"the transaction script answered {reply!r}")
    return Receipt(int(str(reply[0])), [_outcome(str(text)) for text in reply[1:]])


def _outcome(text: str) -> Outcome:
    if text == "ok":
        return _OK
    kind, _, detail = text.partition(" ")
    if kind == OutcomeKind.IS and detail not in _STATES:
        return Outcome(OutcomeKind.MALFORMED, f"the ledger says {detail[:80]!r}, which is no state")
    return Outcome(OutcomeKind(kind), detail)
