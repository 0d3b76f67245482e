"""The AsyncAPI document says what is so, and is one: by its published schema, and by the events that travel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from coordinator.order_saga import ORDER
from events import Item, OrderConfirmed, OrderCreated
from notification_service.handlers import notification
from order_service.handlers import order
from payment_service.handlers import payment
from sagastream import asyncapi
from sagastream.coordinator.meaning import Meanings
from sagastream.deciding import published
from sagastream.envelope import Envelope
from sagastream.event import Event, UndoRequested
from sagastream.keys import COORDINATOR, WEBHOOKS, Keys
from sagastream.participation import publications, subscriptions
from stock_service.handlers import stock
from tests.needs import ROOT, absent

PREFIX = "saga:"
PARTICIPANTS = [order, stock, payment, notification]
PUBLISHED = ROOT / "tests" / "browser" / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"
Json = dict[str, Any]


@pytest.fixture
def document() -> Json:
    return asyncapi.document([ORDER], PARTICIPANTS, PREFIX)


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft7Validator:
    """Return the schema as AsyncAPI publishes it."""
    if not PUBLISHED.is_file():
        absent("the schema is not here; with npm: make test")
    return jsonschema_rs.Draft7Validator(json.loads(PUBLISHED.read_text()))


def test_the_document_is_valid(document: Json, schema: jsonschema_rs.Draft7Validator) -> None:
    assert [error.message for error in schema.iter_errors(document)] == []


@pytest.mark.parametrize("missing", ["info", "asyncapi"])
def test_a_document_that_is_none_is_told_apart(
    missing: str, document: Json, schema: jsonschema_rs.Draft7Validator
) -> None:
    del document[missing]

    assert not schema.is_valid(document)


def test_the_document_in_the_reference_is_that_of_the_code(document: Json) -> None:
    """After a change of events, tables or handlers: `make asyncapi`."""
    assert json.loads((ROOT / "docs" / "reference" / "asyncapi.json").read_text()) == document


def references(node: object) -> Iterator[str]:
    """Yield everything that is referred to."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def test_whatever_is_referred_to_is_there(document: Json) -> None:
    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_stream_is_told_with_whoever_sends_and_receives(document: Json) -> None:
    """As the consumers at work say it: what each publishes, and what each subscribes to."""
    streams = {name: channel["x-redis-stream"] for name, channel in document["channels"].items()}

    def of(who: str, action: str) -> set[str]:
        operations = [one for one in document["operations"].values() if one["action"] == action]
        mine = [one for one in operations if one["tags"] == [{"name": who}]]
        return {streams[one["channel"]["$ref"].removeprefix("#/channels/")] for one in mine}

    for participant in PARTICIPANTS:
        keys = Keys(PREFIX, participant.name)
        of_table = {keys.events(kind.type_name()) for kind in ORDER.event_types() if kind.by == participant.name}
        assert of(participant.name, "send") == {keys.key(name) for name in publications(participant)} | of_table
        assert of(participant.name, "receive") == set(subscriptions(participant, keys))
    keys, meanings = Keys(PREFIX, COORDINATOR), Meanings([ORDER])
    replayed = {keys.requests(COORDINATOR), keys.requests(WEBHOOKS)}  # letters, which only the library's own read
    assert of(COORDINATOR, "send") == {keys.key(name) for name in meanings.publications()} - replayed
    assert of(COORDINATOR, "receive") == set(meanings.streams(keys)) - replayed


@pytest.mark.parametrize(
    "event",
    [
        OrderCreated(
            order_id="o-1", customer_id="c-1", store_id="s-1", payment_method="PayPal", total_cents=2, currency="EUR",
            items=(Item(product_id="p-1", quantity=1, unit_price_cents=2),),
        ),
        OrderConfirmed(order_id="o-1", total_cents=2, currency="EUR"),
        UndoRequested(step="StockReserved"),
    ],
    ids=lambda event: event.type_name(),
)  # fmt: skip
def test_what_travels_is_what_the_document_says(event: Event, document: Json) -> None:
    """Headers and payload of an entry, field by field; one field more is refused."""
    told = document["components"]["messages"][event.type_name()]
    envelope = Envelope(
        "e-1", event.by, event.type_name(), "o-1", "s-1", "e-0", "c-1", "order", "1", event.payload(),
        time="2026-01-31T12:00:00.000Z",
    )  # fmt: skip
    fields = dict(zip(envelope.fields()[::2], envelope.fields()[1::2], strict=True))
    payload = json.loads(fields.pop("data"))

    holds = {part: _validator(told[part], document) for part in ("payload", "headers")}
    assert holds["payload"].is_valid(payload)
    assert holds["headers"].is_valid(fields)
    assert not holds["payload"].is_valid({**payload, "more": 1})
    assert not holds["headers"].is_valid({**fields, "specversion": "0.3"})


def test_what_is_told_of_the_schema_is_what_is_published(document: Json) -> None:
    """A reader who goes by the version of a payload finds it where the document says."""
    cause = Envelope("e-1", "payment", "PaymentProcessed", "o-1", "s-1", "e-0", "c-1", "order", "1", "{}")
    event = OrderConfirmed(order_id="o-1", total_cents=2, currency="EUR")

    headers = document["components"]["schemas"]["Envelope"]["properties"]

    assert published(event, cause, source="order", id="e-2").schema == "urn:event:OrderConfirmed:1"
    assert headers["dataschema"]["description"].startswith("urn:event:, the type and the version")


def _validator(schema: Json, document: Json) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
