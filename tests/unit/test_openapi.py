"""What the services publish about their routes: stable names, examples that are true, and every problem told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from money import Currency
from notification_service.app import create_service as notification
from order_service.app import create_service as order
from order_service.requests import read_cancellation, read_order, read_user_order
from payment_service.app import create_provider_service as provider
from payment_service.app import create_service as payment
from sagastream import Bus, Settings
from sagastream.problems import MEDIA_TYPE
from sagastream.service import Context
from sagastream.telemetry import Telemetry
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer
from stock_service.api import ProductRequest, RestockRequest
from stock_service.app import create_service as stock

EUR = Currency("EUR", 2)
OPERATIONS = {
    "placeOrder": "POST /api/orders/choreographed-saga",
    "placeUserOrder": "POST /api/orders",
    "listOrdersOfUser": "GET /api/orders/user/{userId}",
    "getOrder": "GET /api/orders/{orderId}",
    "getOrderSaga": "GET /api/orders/{orderId}/saga",
    "cancelOrder": "POST /api/orders/{orderId}/cancel",
    "listStock": "GET /api/stock/{storeId}",
    "getStock": "GET /api/stock/{storeId}/{productId}",
    "putStock": "PUT /api/stock/{storeId}/{productId}",
    "restock": "POST /api/stock/{storeId}/{productId}/restock",
    "getReservation": "GET /api/stock/orders/{orderId}/reservation",
    "listPayments": "GET /api/payments",
    "getPayment": "GET /api/payments/{orderId}",
    "listNotifications": "GET /api/notifications",
    "getNotifications": "GET /api/notifications/{orderId}",
    "getMessage": "GET /api/notifications/{orderId}/{kind}",
}
OF_PROVIDER = {"charge", "refund", "closeKey", "listCalls", "readBalance"}


def routes() -> Iterator[APIRoute]:
    """Yield the routes of all services and of the provider."""
    connection = MemoryConnection(MemoryServer(lambda: 0))
    bus = Bus(connection, connection, connection)
    for create in (order, stock, payment, notification, provider):
        service = create(Context("any", Settings(), bus, Telemetry("any"), {}))
        for router in service.routers:
            yield from (route for route in router.routes if isinstance(route, APIRoute))


ROUTES = {str(route.operation_id): route for route in routes()}
PUBLISHED = FastAPI(routes=list(ROUTES.values())).openapi()
TOLD = {operation["operationId"]: operation for path in PUBLISHED["paths"].values() for operation in path.values()}


def test_operations_keep_their_names_and_places() -> None:
    """Clients are generated from them: a change here is a change of the contract."""
    found = {name: f"{' '.join(route.methods or ())} {route.path}" for name, route in ROUTES.items()}

    assert {name: place for name, place in found.items() if name not in OF_PROVIDER} == OPERATIONS
    assert found.keys() - OPERATIONS.keys() == OF_PROVIDER


@pytest.mark.parametrize("name", [*OPERATIONS, *sorted(OF_PROVIDER)])
def test_every_problem_a_route_may_answer_is_told_as_one(name: str) -> None:
    """Everything may be malformed or unavailable; what takes a body may be given none that is JSON, or too much."""
    responses = TOLD[name]["responses"]
    wanted = {"422", "503"} | ({"400", "413"} if "requestBody" in TOLD[name] else set())

    problems = {status: told for status, told in responses.items() if status[0] in "45"}

    assert wanted <= problems.keys()
    assert all(list(told["content"]) == [MEDIA_TYPE] and told["description"] for told in problems.values())
    assert all(told["content"][MEDIA_TYPE]["example"]["status"] == int(status) for status, told in problems.items())
    assert "Retry-After" in problems["503"]["headers"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_has_an_example_written_as_the_answer_is(name: str) -> None:
    """And every route says in a sentence what it is for."""
    model = ROUTES[name].response_model
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    extra = model.model_config.get("json_schema_extra")
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)

    shown = [model.model_validate(example, by_alias=True, by_name=False) for example in examples]

    assert shown
    assert TOLD[name]["description"]
    for example, view in zip(examples, shown, strict=True):
        assert view.model_dump(mode="json", by_alias=True) == example


def test_every_body_has_an_example_that_is_taken() -> None:
    """Whoever copies it gets an answer, not a problem."""

    def example(name: str) -> bytes:
        return json.dumps(TOLD[name]["requestBody"]["content"]["application/json"]["example"]).encode()

    def examples(name: str) -> list[dict[str, object]]:
        reference = TOLD[name]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        found: list[dict[str, object]] = PUBLISHED["components"]["schemas"][reference.rpartition("/")[2]]["examples"]
        return found

    assert read_order(example("placeOrder"), EUR, 5).items
    assert read_user_order(example("placeUserOrder"), EUR).total_cents == 29_998
    assert read_cancellation(example("cancelOrder")).reason
    assert [ProductRequest.model_validate(one) for one in examples("putStock")]
    assert [RestockRequest.model_validate(one) for one in examples("restock")]


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_stands_in_a_path_has_an_example_that_fits(name: str) -> None:
    """Ids are told with their alphabet."""
    in_path = [one for one in TOLD[name].get("parameters", []) if one["in"] == "path"]

    for parameter in in_path:
        schema = parameter["schema"]
        assert schema.get("examples") or "$ref" in schema
        assert "$ref" in schema or schema["pattern"] == "^[A-Za-z0-9_-]{1,64}$"
