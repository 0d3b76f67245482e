"""The orders that can be placed from the console, one per outcome the shop knows. Decides nothing."""

from __future__ import annotations

from pydantic import JsonValue

from sagastream.coordinator.console.trial import Recipe, Trial


def _order(method: str, quantity: int = 1) -> dict[str, JsonValue]:
    price = 2490
    total = f"{price * quantity // 100}.{price * quantity % 100:02}"
    line: dict[str, JsonValue] = {
        "productId": "product-3", "quantity": quantity, "unitPrice": "24.90", "totalPrice": total,
    }  # fmt: skip
    return {
        "customerId": "console", "storeId": "store-1", "paymentMethod": method, "totalAmount": total, "items": [line],
    }  # fmt: skip


TRIAL = Trial(
    "Place an order",
    "/api/orders/choreographed-saga",
    (
        Recipe("All goes well", "stock is held, the card charged, the customer told: Completed", _order("CreditCard")),
        Recipe("The card is declined", "what was held is released again: Compensated", _order("DeclinedCard")),
        Recipe("Nobody has that many", "the first step refuses, nothing is to undo: Failed", _order("PayPal", 999_999)),
        Recipe("The provider fails some times", "the charge is tried again until it works", _order("BrokenProvider")),
        Recipe("The provider is slow", "the charge takes long, but not too long", _order("SlowProvider")),
        Recipe(
            "The answer is lost",
            "money is taken and nobody says so: the charge is asked for again under its key, and taken once",
            _order("TimeoutAfterCharge"),
        ),
    ),
)
