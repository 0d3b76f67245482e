"""Build a project's AsyncAPI 3 document: every stream, its publisher, its readers and its messages' fields. Pure.

Redis names contain braces, which would mean parameters in an AsyncAPI address; so addresses are null and
``x-redis-stream`` holds the name. **Source**: AsyncAPI 3.0.0; `docs/reference/events.md` for the fields of an entry.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from sagastream import keys as names
from sagastream.coordinator.meaning import Meanings
from sagastream.envelope import CAUSE, ID, Envelope
from sagastream.event import LIBRARY_FACTS, LIFECYCLE, REQUESTS, Event
from sagastream.keys import COORDINATOR, Keys
from sagastream.participant import Participant
from sagastream.saga.definition import Saga
from sagastream.version import VERSION

Json = dict[str, JsonValue]
_MEANS = {
    "id": "the same for every attempt at saying it",
    "source": "who publishes",
    "type": "the name of the event",
    "subject": "what it is about",
    "time": "server time, RFC 3339 in UTC",
    "correlationid": "the saga",
    "causationid": "the id of the event that caused it",
    "partitionkey": "the saga",
    "initiatorid": "for whom the saga was begun",
    "definition": "by which table",
    "definitionversion": "in which version of it",
    "traceparent": "the W3C trace, empty if there is none",
    "dataschema": "urn:event:, the type and the version of its payload; empty where an event is told again",
}
_FORMS: Json = {
    "specversion": {"const": "1.0"},
    "datacontenttype": {"const": "application/json"},
    "id": {"pattern": f"^{ID.pattern}$"},
    "correlationid": {"pattern": f"^{ID.pattern}$"},
    "causationid": {"pattern": f"^{CAUSE.pattern}$"},
    "time": {"format": "date-time"},
}


@dataclass(frozen=True, slots=True)
class _Channel:
    """A stream: its owner, its name under that owner, the events it may carry, and its readers."""

    owner: str
    stream: str
    events: tuple[type[Event], ...]
    readers: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.owner}.{self.stream.replace(':', '.')}"


def document(sagas: Sequence[Saga], participants: Sequence[Participant], prefix: str) -> Json:
    """Return the document of these tables and participants; every key begins with ``prefix``."""
    channels = list(_channels(sagas, participants))
    events = list(dict.fromkeys(event for channel in channels for event in channel.events))
    schemas: Json = {}
    messages: Json = {event.type_name(): _message(event, schemas) for event in events}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Events of {', '.join(f'{saga.name} (version {saga.version})' for saga in sagas)}",
            "version": VERSION,
            "description": "Every channel is a Redis stream, named by `x-redis-stream`; its braces are a hash tag and "
            "part of the name. Headers are the fields of an entry, the payload is its field `data`. Delivery is at "
            "least once: what comes again has the same `id`.",
        },
        "defaultContentType": "application/json",
        "channels": {channel.id: _told(channel, Keys(prefix, channel.owner)) for channel in channels},
        "operations": dict(_operations(channels)),
        "components": {
            "messages": messages,
            "schemas": schemas | {"Envelope": _envelope()},
            "correlationIds": {"saga": {"location": "$message.header#/correlationid", "description": "the saga"}},
        },
    }


def _channels(sagas: Sequence[Saga], participants: Sequence[Participant]) -> Iterator[_Channel]:
    watched = set(Meanings(sagas).streams(Keys("", COORDINATOR)))
    readers: dict[tuple[str, str], list[str]] = {}
    for participant in participants:
        for type_name, handler in participant.handlers.items():
            readers.setdefault((handler.takes.by, type_name), []).append(participant.name)

    def channel(owner: str, event: type[Event]) -> _Channel:
        stream = names.events(event.type_name())
        is_watched = Keys("", owner).key(stream) in watched
        who = [*readers.get((owner, event.type_name()), []), *([COORDINATOR] if is_watched else [])]
        return _Channel(owner, stream, (event,), tuple(who))

    for participant in participants:
        for event in _published(participant, sagas):
            yield channel(participant.name, event)
    for event in LIFECYCLE:
        yield channel(COORDINATOR, event)
    requests = tuple(REQUESTS.values())
    for participant in participants:
        yield _Channel(COORDINATOR, names.requests(participant.name), requests, (participant.name,))


def _published(participant: Participant, sagas: Sequence[Saga]) -> Iterator[type[Event]]:
    """Yield the events that its handlers return, that begin its sagas, and that the tables add (cancellations)."""
    of_tables = [event for saga in sagas for event in saga.event_types() if event.by == participant.name]
    begun = [beginning.event for beginning in participant.beginnings.values()]
    returned = [event for handler in participant.functions for event in handler.publishes]
    yield from dict.fromkeys([*begun, *returned, *of_tables, *LIBRARY_FACTS])


def _told(channel: _Channel, keys: Keys) -> Json:
    return {
        "address": None,
        "x-redis-stream": keys.key(channel.stream),
        "messages": {
            event.type_name(): {"$ref": f"#/components/messages/{event.type_name()}"} for event in channel.events
        },
    }


def _operations(channels: Sequence[_Channel]) -> Iterator[tuple[str, JsonValue]]:
    for channel in channels:
        yield f"{channel.owner}.sends.{channel.id}", _operation("send", channel, channel.owner)
        for reader in channel.readers:
            yield f"{reader}.receives.{channel.id}", _operation("receive", channel, reader)


def _operation(action: str, channel: _Channel, who: str) -> Json:
    place = f"#/channels/{channel.id}"
    return {
        "action": action,
        "channel": {"$ref": place},
        "messages": [{"$ref": f"{place}/messages/{event.type_name()}"} for event in channel.events],
        "tags": [{"name": who}],
    }


def _message(event: type[Event], schemas: Json) -> Json:
    """Return an event as a message, and add the schemas it refers to to ``schemas``."""
    payload = event.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    schemas.update(payload.pop("$defs", {}))
    return {
        "name": event.type_name(),
        "title": event.type_name(),
        "summary": inspect.cleandoc(event.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "correlationId": {"$ref": "#/components/correlationIds/saga"},
        "headers": {"$ref": "#/components/schemas/Envelope"},
        "payload": payload,
    }


def _envelope() -> Json:
    fields = [name for name in Envelope(*(10 * [""])).fields()[::2] if name != "data"]
    properties: Json = {}
    for name in fields:
        form = _FORMS.get(name, {})
        assert isinstance(form, dict)  # all of ``_FORMS`` are
        properties[name] = {"type": "string", **form, **({"description": _MEANS[name]} if name in _MEANS else {})}
    return {"type": "object", "description": "CloudEvents 1.0", "required": list(fields), "properties": properties}
