"""The envelope: CloudEvents 1.0 attributes as flat stream fields. Owns their order, names and ids.

Source: CloudEvents 1.0 core attributes and its extensions partitioning (``partitionkey``), correlation
(``correlationid``, ``causationid``) and distributed tracing (``traceparent``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple

from sagastream.errors import TooLarge, Undecodable
from sagastream.event import MAX_EVENT_BYTES, Event

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
CAUSE = re.compile(r"[!-~]{0,64}")
_IDS = re.compile(f"{ID.pattern} {ID.pattern} {CAUSE.pattern}")
LONGEST_ATTRIBUTE = 1024  # characters; a longer payload has its own bound
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Envelope(NamedTuple):
    """One event as sent. All values are strings; ``data`` is the undecoded payload.

    ``time`` is server time; the publishing script fills it in, and it is empty until then.
    """

    id: str
    source: str
    type: str
    subject: str
    saga_id: str
    cause: str
    initiator: str
    definition: str
    definition_version: str
    data: str
    time: str = ""
    traceparent: str = ""
    schema: str = ""

    def fields(self) -> list[str]:
        """Return names and values of the stream fields in turn, in the order that every publisher keeps.

        The order is constant so that Redis stores the field names once per stream node.
        """
        return [
            "specversion", "1.0",
            "id", self.id,
            "source", self.source,
            "type", self.type,
            "subject", self.subject,
            "datacontenttype", "application/json",
            "time", self.time,
            "dataschema", self.schema,
            "correlationid", self.saga_id,
            "causationid", self.cause,
            "partitionkey", self.saga_id,
            "initiatorid", self.initiator,
            "definition", self.definition,
            "definitionversion", self.definition_version,
            "traceparent", self.traceparent,
            "data", self.data,
        ]  # fmt: skip

    def told(self) -> tuple[str, ...]:
        """Return the values that the publishing script does not know by itself, in the order in which it takes them."""
        return (
            self.id, self.source, self.type, self.subject, self.time, self.schema, self.saga_id, self.cause,
            self.initiator, self.definition, self.definition_version, self.traceparent, self.data,
        )  # fmt: skip

    @property
    def at_ms(self) -> int:
        """Return the instant of the event in epoch milliseconds (server time)."""
        return epoch_ms(self.time)


_USUAL = Envelope(*Envelope._fields).fields()  # each value is the name of its attribute in this class
_NAMES, _PLACES = _USUAL[::2], [_USUAL[1::2].index(attribute) for attribute in Envelope._fields]
_by_place = itemgetter(*(2 * place + 1 for place in _PLACES))
_by_name = itemgetter(*(_NAMES[place] for place in _PLACES))
_OPTIONAL = dict.fromkeys(("subject", "causationid", "initiatorid", "traceparent", "dataschema"), "")


def decode(flat: Sequence[str]) -> Envelope:
    """Return the envelope in flat stream fields, which nearly always come in the order that every publisher keeps.

    Raises: ``Undecodable`` naming the attribute that is missing or malformed.
    """
    is_usual = flat[::2] == _NAMES and flat[1] == "1.0"
    envelope = Envelope._make(_by_place(flat) if is_usual else _looked_up(pairs(flat)))
    if not _IDS.fullmatch(f"{envelope.id} {envelope.saga_id} {envelope.cause}"):
        raise Undecodable(_wrong_id(envelope))
    epoch_ms(envelope.time)
    if len(envelope.data) > MAX_EVENT_BYTES:
        raise Undecodable(f"data has {len(envelope.data)} characters, more than {MAX_EVENT_BYTES}")
    if len("".join(flat)) - len(envelope.data) > LONGEST_ATTRIBUTE:  # rarely true, so the usual envelope skips the loop
        for name, value in pairs(flat).items():
            if len(value) > LONGEST_ATTRIBUTE and name != "data":
                raise Undecodable(f"{name[:80]!r} has {len(value)} characters, more than {LONGEST_ATTRIBUTE}")
    return envelope


def _looked_up(fields: Mapping[str, str]) -> Sequence[str]:
    try:
        values: Sequence[str] = _by_name({**_OPTIONAL, **fields})
    except KeyError as missing:
        raise Undecodable(f"attribute {missing} is missing") from None
    if fields.get("specversion") != "1.0":
        raise Undecodable(f"specversion is {fields.get('specversion')!r}, not '1.0'")
    return values


def _wrong_id(envelope: Envelope) -> str:
    for name, id_ in ("id", envelope.id), ("correlationid", envelope.saga_id):
        if not ID.fullmatch(id_):
            return f"{name} {id_[:80]!r} is not of the form [A-Za-z0-9_-]{{1,64}}"
    return f"causationid {envelope.cause[:80]!r} is not up to 64 printable characters without spaces"


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """Return a flat reply (name, value, name, value …) as a mapping."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def flattened(fields: Mapping[str, str]) -> list[str]:
    """Return a mapping as names and values in turn."""
    return [part for pair in fields.items() for part in pair]


def publishable(event: Event) -> str:
    """Return the payload of an event that is to be published.

    Raises: ``TooLarge`` above ``MAX_EVENT_BYTES``.
    """
    data = event.payload()
    if len(data) > MAX_EVENT_BYTES // 4 and len(data.encode()) > MAX_EVENT_BYTES:
        raise TooLarge(f"{event.type_name()} has {len(data.encode())} bytes, more than {MAX_EVENT_BYTES}")
    return data


def attribute(name: str, text: str) -> str:
    """Return an attribute of an event that is to be published.

    Raises: ``TooLarge`` above ``LONGEST_ATTRIBUTE``: no reader would accept it.
    """
    if len(text) > LONGEST_ATTRIBUTE:
        raise TooLarge(f"the {name} has {len(text)} characters, more than {LONGEST_ATTRIBUTE}")
    return text


def published(event: Event, cause: Envelope, *, source: str, id: str) -> Envelope:
    """Return the envelope of an event caused by the event of ``cause``."""
    return Envelope(
        id=id,
        source=source,
        type=event.type_name(),
        subject=attribute("subject", event.subject(cause.saga_id)),
        saga_id=cause.saga_id,
        cause=cause.id,
        initiator=cause.initiator,
        definition=cause.definition,
        definition_version=cause.definition_version,
        data=publishable(event),
        traceparent=cause.traceparent,
        schema=f"urn:event:{event.type_name()}:{event.schema_version}",
    )


def derived_id(*parts: str) -> str:
    """Return a fixed-length id that is the same whenever it is derived from the same parts.

    Shape: 32 hexadecimal characters (128 bits of BLAKE2b); parts are separated by a byte no part contains.
    """
    return blake2b("\x1f".join(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


@lru_cache(maxsize=1024)
def epoch_ms(time: str) -> int:
    """Return epoch milliseconds of an RFC 3339 instant in UTC.

    Raises: ``Undecodable`` for text that is no such instant.
    """
    if not _TIME.fullmatch(time):
        raise Undecodable(f"time {time[:80]!r} is not an RFC 3339 instant in UTC")
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise Undecodable(f"time {time!r} is not an instant: {error}") from None
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def instant(ms: int) -> str:
    """Return the RFC 3339 form of epoch milliseconds, as the script writes it."""
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
