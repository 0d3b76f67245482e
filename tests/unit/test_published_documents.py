"""What every service's OpenAPI document says of itself holds: its examples fit its schemas, and nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import jsonschema_rs
import pytest

from coordinator.app import create_service as coordinator
from notification_service.app import create_service as notification
from order_service.app import create_service as order
from payment_service.app import create_provider_service as provider
from payment_service.app import create_service as payment
from sagastream import Bus, Settings
from sagastream.problems import MEDIA_TYPE
from sagastream.service import Context, create_app
from sagastream.telemetry import Telemetry
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from stock_service.app import create_service as stock

Json: TypeAlias = dict[str, Any]
SERVICES = {
    "order": order,
    "stock": stock,
    "payment": payment,
    "notification": notification,
    "coordinator": coordinator,
    "provider": provider,
}
PLACES = {
    "placeOrder": "202",
    "placeUserOrder": "202",
    "cancelOrder": "202",
    "beginRepair": "202",
}
ENDLESS = {"followSagas", "followSaga"}
"""What they send is told in docs/reference/live.md."""
COMES_LATER = ("getSaga", "showSaga", "followSaga")


@pytest.fixture(scope="module")
def documents() -> dict[str, Json]:
    """Return the document of each service."""
    connection = MemoryConnection(MemoryServer(lambda: 0))
    bus = Bus(connection, connection, connection)
    contexts = {name: Context(name, Settings(), bus, Telemetry(name), {}) for name in SERVICES}
    return {name: create_app(create(contexts[name]), contexts[name]).openapi() for name, create in SERVICES.items()}


@pytest.mark.parametrize("service", SERVICES)
def test_every_example_fits_the_schema_that_it_stands_with(service: str, documents: dict[str, Json]) -> None:
    """As they are published: whoever generates a client, or a mock, starts from them."""
    document = documents[service]

    examples = list(_examples(document))

    assert examples
    for where, schema, example in examples:
        wrong = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}).iter_errors(
            example
        )
        assert not [f"{where}: {error.message}" for error in wrong]


@pytest.mark.parametrize("service", SERVICES)
def test_every_body_that_is_sent_or_answered_has_an_example(service: str, documents: dict[str, Json]) -> None:
    """Of its own, or of the schema that it refers to, itself or for each of its items."""
    document = documents[service]
    shown = {name for name, schema in document["components"]["schemas"].items() if "examples" in schema}

    without = {
        operation["operationId"]
        for operation in _operations(document)
        for told in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in told.get("content", {}).values()
        if "example" not in content and not _references(content["schema"]) & shown
    }

    assert without <= ENDLESS


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_says_that_its_store_may_be_away(service: str, documents: dict[str, Json]) -> None:
    """Each reads the store, but for those that only tell what the process was started with."""
    for operation in _operations(documents[service]):
        away = operation["responses"].get("503")
        assert away is not None, operation["operationId"]
        assert list(away["content"]) == [MEDIA_TYPE]
        assert "Retry-After" in away["headers"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_and_parameter_says_what_it_is_for(service: str, documents: dict[str, Json]) -> None:
    """In words, or for what stands in a path by an example."""
    for operation in _operations(documents[service]):
        assert operation["description"], operation["operationId"]
        for parameter in operation.get("parameters", ()):
            is_shown = parameter["in"] == "path" and parameter["schema"].get("examples")
            assert parameter.get("description") or is_shown, f"{operation['operationId']} {parameter['name']}"


def test_every_header_a_client_should_follow_is_published(documents: dict[str, Json]) -> None:
    """Where what was begun is looked at, and when to ask again for what may come yet."""
    told = {each["operationId"]: each["responses"] for document in documents.values() for each in _operations(document)}

    for name, status in PLACES.items():
        assert "Location" in told[name][status]["headers"], name
    for name in COMES_LATER:
        assert "Retry-After" in told[name]["404"]["headers"], name


def _references(schema: Json) -> set[str]:
    """Return the names of the schemas that one is, or is made of."""
    parts = [schema, schema.get("items", {}), schema.get("additionalProperties", {})]
    return {part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part}


def _operations(document: Json) -> Iterator[Json]:
    for path in document["paths"].values():
        yield from path.values()


def _examples(document: Json) -> Iterator[tuple[str, Json, object]]:
    """Yield every example with where it stands and the schema it stands with."""
    for name, schema in document["components"]["schemas"].items():
        yield from ((name, schema, example) for example in schema.get("examples", ()))
        for field, of_field in schema.get("properties", {}).items():
            yield from ((f"{name}.{field}", of_field, example) for example in of_field.get("examples", ()))
    for operation in _operations(document):
        name = operation["operationId"]
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            yield from ((f"{name} {parameter['name']}", schema, example) for example in schema.get("examples", ()))
        for status, told in {"": operation.get("requestBody", {}), **operation["responses"]}.items():
            for content in told.get("content", {}).values():
                if "example" in content:
                    yield f"{name} {status}", content["schema"], content["example"]
