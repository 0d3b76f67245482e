"""Orders as users place and look them up: the shape of CONTRACT D."""

from __future__ import annotations

import json

import httpx
import pytest

from events import OrderCreated
from order_service.requests import Invalid, read_user_order

from .shop import Shop
from .test_order_requests import EUR, ORDER, USER_LINE, USER_ORDER

PATH = "/api/orders"


async def test_a_users_order_is_completed_by_the_shops_defaults(shop: Shop, client: httpx.AsyncClient) -> None:
    """Store and payment method are the shop's, the total is the sum of the lines, to the cent."""
    answer = await client.post(PATH, json=USER_ORDER)

    placed = answer.json()
    assert (answer.status_code, placed["status"]) == (202, "Pending")
    assert answer.headers["Location"] == f"/api/orders/{placed['orderId']}/saga"
    (event,) = shop.published("OrderCreated")
    created = OrderCreated.model_validate_json(event["data"])
    assert event["initiatorid"] == created.customer_id == "user-1"
    assert (created.store_id, created.payment_method, created.total_cents) == ("store-1", "CreditCard", 32488)
    assert [(item.product_id, item.quantity, item.unit_price_cents) for item in created.items] == [
        ("product-1", 2, 14999),
        ("product-3", 1, 2490),
    ]


async def test_the_names_a_user_gave_are_shown_again(client: httpx.AsyncClient) -> None:
    """Also where only some lines had one, and in any script."""
    lines: list[dict[str, object]] = [
        {"productId": "a", "productName": "Krügerl ☕", "quantity": 1, "price": 1},
        {"productId": "b", "quantity": 1, "price": 1},
    ]
    placed = (await client.post(PATH, json={"userId": "u", "items": lines})).json()

    shown = (await client.get(f"/api/orders/{placed['orderId']}")).json()

    assert [line["productName"] for line in shown["items"]] == ["Krügerl ☕", None]
    assert (shown["totalAmount"], shown["adjustment"]) == ("2.00", "0.00")


async def test_a_users_orders_come_newest_first_page_by_page(shop: Shop, client: httpx.AsyncClient) -> None:
    """Both ways of ordering, each order once, whatever is placed meanwhile, and nobody else's."""
    ways = [(PATH, USER_ORDER), (f"{PATH}/choreographed-saga", {**ORDER, "customerId": "user-1"})]
    placed = []
    for number in range(5):
        path, body = ways[number % 2]
        placed.append((await client.post(path, json=body)).json()["orderId"])
        shop.pass_seconds(number % 2)  # some in the same instant
    await client.post(PATH, json={**USER_ORDER, "userId": "user-2"})

    first = (await client.get(f"{PATH}/user/user-1", params={"limit": 2})).json()
    await client.post(PATH, json=USER_ORDER)
    second = (await client.get(f"{PATH}/user/user-1", params={"limit": 2, "cursor": first["next"]})).json()
    third = (await client.get(f"{PATH}/user/user-1", params={"limit": 2, "cursor": second["next"]})).json()

    shown = [order["orderId"] for page in (first, second, third) for order in page["orders"]]
    assert shown == placed[::-1]
    assert third["next"] is None
    assert first["orders"][0] == (await client.get(f"{PATH}/{placed[-1]}")).json()


async def test_a_user_who_never_ordered_has_no_orders(client: httpx.AsyncClient) -> None:
    """The shop keeps no list of users: nobody is unknown."""
    answer = await client.get(f"{PATH}/user/nobody")

    assert (answer.status_code, answer.json()) == (200, {"orders": [], "next": None})


@pytest.mark.parametrize("query", [{"cursor": "zzz"}, {"cursor": ""}, {"limit": 0}, {"limit": 201}])
async def test_a_page_that_makes_no_sense_is_refused(client: httpx.AsyncClient, query: dict[str, str | int]) -> None:
    """By the name of the parameter."""
    answer = await client.get(f"{PATH}/user/user-1", params=query)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == list(query)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"userId": "a b"}, ("userId",)),
        ({"items": []}, ("items",)),
        ({"items": [USER_LINE] * 101}, ("items",)),
        ({"items": [{**USER_LINE, "price": 0}]}, ("items", 0, "price")),
        ({"items": [{**USER_LINE, "price": 1.555}]}, ("items", 0, "price")),
        ({"items": [{**USER_LINE, "quantity": 0}]}, ("items", 0, "quantity")),
        ({"items": [{**USER_LINE, "productName": ""}]}, ("items", 0, "productName")),
        ({"items": [{**USER_LINE, "productName": "a\nb"}]}, ("items", 0, "productName")),
        ({"items": [{**USER_LINE, "productName": "x" * 201}]}, ("items", 0, "productName")),
        ({"items": [{**USER_LINE, "unitPrice": 1}]}, ("items", 0, "unitPrice")),
        ({"items": [{**USER_LINE, "quantity": 1_000_000, "price": 10_000}]}, ("items",)),
        ({"storeId": "store-1"}, ("storeId",)),
    ],
)
def test_a_users_body_that_cannot_be_taken_names_its_field(
    changes: dict[str, object], at: tuple[str | int, ...]
) -> None:
    """Also lines whose sum no event could carry."""
    with pytest.raises(Invalid) as caught:
        read_user_order(json.dumps({**USER_ORDER, **changes}).encode(), EUR)

    assert [error.at for error in caught.value.errors] == [at]
