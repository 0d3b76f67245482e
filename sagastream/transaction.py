"""The transaction: declared operations of one owner, applied wholly or not at all. Speaks Redis; decides nothing.

The only way this library writes state. See ``transaction.lua`` for what the server does with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import msgpack  # type: ignore[import-untyped]  # ships no types

from sagastream import keys as names
from sagastream.bus import Connection, Reply
from sagastream.envelope import Envelope
from sagastream.errors import DefinitionError, ReplyError, ServerUnavailable
from sagastream.keys import Keys
from sagastream.ledger import Entry, State
from sagastream.reader import Reader
from sagastream.script import Script, packaged

LARGEST = 10**15 - 1
_MS = timedelta(milliseconds=1)
_SCALARS = frozenset({str, int})
_SHUT_OUT = frozenset({"NOPERM", "NOAUTH", "WRONGPASS"})
MANY = 5_000  # elements of one operation; Lua cannot unpack much more


class Kind(StrEnum):
    """What became of one transaction."""

    OK = "ok"
    IS = "is"
    REFUSED = "refused"
    MALFORMED = "malformed"
    TORN = "torn"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one transaction, and the detail the server gave.

    ``IS``: the ledger has another state (``detail``) than expected. ``REFUSED``: a guard did not hold.
    ``MALFORMED``: it could never be applied. ``TORN``: a write was forbidden half way.
    """

    kind: Kind
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        """Tell whether everything was applied."""
        return self.kind is Kind.OK

    @property
    def state(self) -> State:
        """Return the state the ledger was found in; only for ``IS``."""
        return State(self.detail)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One outcome per transaction of a call, and the server's time when it ran (epoch ms)."""

    now_ms: int
    outcomes: list[Outcome]


class Transaction:
    """What one handler reads and wants changed. Handed to handlers; committed by the library.

    Keys are names under the participant's own root, such as ``level:store-1:product-1``; those the library keeps there
    itself (``letters``, ``ledger:…``; see ``keys.py``) are refused. Reads see the
    state before the commit; guards (``expect``, ``at_least``, ``decrease``) make the commit fail if
    it changed in a way that matters, and the handler is then run again on fresh reads.

    ``key`` is the same for every attempt at this step of this saga: give it to whatever must
    recognise a repetition. ``now_ms`` is server time.
    """

    def __init__(self, reader: Reader, *, saga_id: str, key: str, now_ms: int, initiator: str = "") -> None:
        self.saga_id = saga_id
        self.key = key
        self.now_ms = now_ms
        self.initiator = initiator
        self.entry: Entry | None = None
        self.traceparent = ""
        self._reader = reader
        self._operations: list[tuple[object, ...]] = []

    async def read(self, key: str, *fields: str) -> list[str | None]:
        """Return fields of a hash, None for each that is absent."""
        return await self._reader.read(key, *fields)

    async def read_all(self, key: str) -> dict[str, str]:
        """Return a whole hash, empty if there is none."""
        return await self._reader.read_all(key)

    async def read_all_each(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """Return several whole hashes in the order of their keys, empty for each that is absent; asked for at once."""
        return await self._reader.read_all_each(keys)

    def expect(self, key: str, field: str, value: str | None) -> None:
        """Commit only if the field has this value, or is absent for None."""
        self._operations.append(("expect", key, field, False if value is None else _text(value)))

    def at_least(self, key: str, field: str, amount: int) -> None:
        """Commit only if the counter is at least this much."""
        self._operations.append(("at_least", key, field, _small(amount)))

    def set(self, key: str, fields: Mapping[str, str | int]) -> None:
        """Write fields of a hash."""
        flat = [text for name, value in fields.items() for text in (name, str(value))]
        self._operations.append(("set", key, _few(flat)))

    def unset(self, key: str, *fields: str) -> None:
        """Remove fields of a hash."""
        self._operations.append(("unset", key, _few(fields)))

    def increase(self, key: str, field: str, amount: int) -> None:
        """Add to a counter in a hash."""
        self._operations.append(("increase", key, field, _small(amount)))

    def decrease(self, key: str, field: str, amount: int) -> None:
        """Take from a counter in a hash, but never below zero; summed per counter over the transaction."""
        self._operations.append(("decrease", key, field, _small(amount)))

    def tally(self, key: str, counters: Mapping[str, int]) -> None:
        """Add to counters that guard nothing; written once per call however many transactions add to them."""
        flat = [part for name, amount in counters.items() for part in (name, _small(amount))]
        self._operations.append(("tally", key, _few(flat)))

    def remove(self, key: str) -> None:
        """Delete a key."""
        self._operations.append(("remove", key))

    def push(self, key: str, *values: str) -> None:
        """Append to a list."""
        self._operations.append(("push", key, _few(values)))

    def schedule(self, key: str, member: str, score: int, *, instead_of: int | None = None) -> None:
        """Put a member into a sorted set; a guard if it says which score the member must have had until now."""
        was = () if instead_of is None else (_score(instead_of),)
        self._operations.append(("schedule", key, _score(score), _text(member), *was))

    def unschedule(self, key: str, member: str) -> None:
        """Take a member out of a sorted set."""
        self._operations.append(("unschedule", key, _text(member)))

    def expire(self, key: str, after: timedelta) -> None:
        """Let a key vanish after a while."""
        self._operations.append(("expire", key, _ms(after)))

    def keep(self, key: str, stream: str, *, since_ms: int, life: timedelta) -> None:
        """Keep all of a hash as it is now, unless something was kept in the stream at ``since_ms`` or later.

        **Shape**: an entry whose id is the instant and whose field ``hash`` is names and values, a line each, so
        neither may hold a line break. Entries older than ``life`` are dropped.
        """
        self._operations.append(("keep", key, stream, _score(since_ms), _ms(life)))

    def mention(self, stream: str, name: str, *, most: int) -> None:
        """Mention a name in a stream that keeps about the ``most`` latest entries: nothing may depend on it.

        **Shape**: one entry per call, whose field ``names`` is what its transactions mentioned, with blanks between.
        """
        if name.split() != [name]:
            raise ValueError(f"a name without blanks can be mentioned, got {name[:80]!r}")
        self._operations.append(("mention", stream, name, _small(most)))

    def publish(self, envelope: Envelope) -> int:
        """Append an event to the owner's stream of its type; return the position of the operation."""
        return self.tell(names.events(envelope.type), envelope)

    def tell(self, stream: str, envelope: Envelope) -> int:
        """Append an event to one of the owner's streams; return the position of the operation."""
        self._operations.append(("publish", stream, envelope.told()))
        return len(self._operations)

    def append(self, stream: str, fields: Sequence[str]) -> None:
        """Append what is no event (names and values) to one of the owner's streams."""
        self._operations.append(("append", stream, _few(fields)))

    def must_be_own(self) -> None:
        """Make sure that nothing written so far is what the library keeps beside the participant's own state.

        Raises: ``DefinitionError``.
        """
        for kind, name, *_ in self._operations:
            if kind != "publish" and names.is_the_librarys(str(name)):
                raise DefinitionError(
                    f"{str(name)[:80]!r} is a key of the library's; name the participant's own otherwise"
                )

    def guard(self, at: str) -> str:
        """Return in words which operation did not hold; ``at`` is the detail of ``REFUSED``. Values are not told."""
        kind, key, first, *_ = self._operations[int(at) - 1]
        name = f" of {first!r}" if isinstance(first, str) else ""
        return f"{kind}{name} in {key!r}"

    def packed(self, retention: timedelta) -> tuple[object, ...]:
        """Return the form the script reads."""
        if self.entry is None:
            return (False, self._operations)
        entry = self.entry
        ledger = (names.ledger(entry.saga_id), entry.handler, entry.expected, entry.becomes, entry.remembers,
                  _ms(retention))  # fmt: skip
        return (ledger, self._operations)


class Transactor:
    """Commits transactions of one owner, a whole batch in one call."""

    def __init__(self, connection: Connection, keys: Keys, *, retention: timedelta) -> None:
        self.keys = keys
        self._connection = connection
        self._retention = retention

    async def commit(self, batch: Sequence[Transaction]) -> Receipt:
        """Apply each transaction of the batch on its own; return one outcome each.

        Raises: ``ServerUnavailable``; then each may or may not have been applied. A server that does not let us in
        is as good as none: no message is to blame for it.
        """
        packed = [transaction.packed(self._retention) for transaction in batch]
        try:
            return _receipt(await self._call(packed))
        except (ReplyError, ValueError) as error:  # ValueError: text that cannot be encoded
            if isinstance(error, ReplyError) and error.code in _SHUT_OUT:
                needed = "EVAL, EVALSHA and the commands of transaction.lua"
                raise ServerUnavailable(f"{error}; allow this user {needed}") from error
            if len(packed) == 1:
                return Receipt(0, [Outcome(Kind.MALFORMED, str(error))])
        # The call itself was refused: the one that is to blame must not take the others with it.
        receipts = [await self.commit([transaction]) for transaction in batch]
        return Receipt(max(r.now_ms for r in receipts), [outcome for r in receipts for outcome in r.outcomes])

    async def _call(self, packed: Sequence[object]) -> Reply:
        blob: bytes = msgpack.packb(packed, unicode_errors="surrogateescape")
        return await script().run(self._connection, [self.keys.root], blob)


def script() -> Script:
    """Return the transaction script."""
    return packaged("transaction.lua")


_OK = Outcome(Kind.OK)
_STATES = frozenset(str(state) for state in State)


def _receipt(reply: Reply) -> Receipt:
    if not isinstance(reply, list):
        raise ReplyError("PROTOCOL", f"the transaction script answered {reply!r}")
    return Receipt(int(str(reply[0])), [_outcome(str(text)) for text in reply[1:]])


def _outcome(text: str) -> Outcome:
    if text == "ok":
        return _OK
    kind, _, detail = text.partition(" ")
    if kind == Kind.IS and detail not in _STATES:
        return Outcome(Kind.MALFORMED, f"the ledger says {detail[:80]!r}, which is no state")
    return Outcome(Kind(kind), detail)


def _small(amount: object) -> int:
    if not isinstance(amount, int) or not 0 <= amount <= LARGEST:
        raise ValueError(f"an amount must be an integer between 0 and {LARGEST}, got {amount!r}")
    return amount


def _score(score: object) -> int:
    if not isinstance(score, int) or abs(score) > 2**53:
        raise ValueError(f"a score must be an integer that a double can hold, got {score!r}")
    return score


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def _few(values: Sequence[object]) -> Sequence[object]:
    if not 1 <= len(values) <= MANY:
        raise ValueError(f"one operation takes 1 to {MANY} values, got {len(values)}")
    if not _SCALARS.issuperset(map(type, values)):
        for value in values:
            if not isinstance(value, (str, int)):
                raise TypeError(f"expected text, got {value!r}")
    return values


def _ms(duration: timedelta) -> int:
    return max(1, duration // _MS)
