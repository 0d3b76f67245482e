"""Orders as customers send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

METHODS = (
    "CreditCard",
    "PayPal",
    "BankTransfer",
    "DeclinedCard",
    "invalid_card",
    "TimeoutAfterCharge",
    "BrokenProvider",
    "SlowProvider",
)
PRICES = {
    "product-1": "149.99",
    "product-2": "89.50",
    "product-3": "24.90",
    "product-4": "19.95",
    "scarce-product": "12.00",
    "sold-out-product": "9.99",
    "last-piece": "5.00",
}
Line = tuple[str, int]
Body = Mapping[str, object]


@dataclass(frozen=True)
class Placed:
    """An order that was accepted, and its saga."""

    order_id: str
    saga_id: str


def an_order(*lines: Line, method: str = "CreditCard", total: str | None = None, customer: str = "customer-1") -> Body:
    """Return the body of an order; one espresso machine unless other lines are named."""
    items = [_item(*line) for line in lines or [("product-1", 1)]]
    return {
        "customerId": customer,
        "storeId": "store-1",
        "paymentMethod": method,
        "totalAmount": total or str(_sum(items)),
        "items": items,
    }


def _item(product: str, quantity: int) -> dict[str, object]:
    price = Decimal(PRICES[product])
    return {
        "productId": product,
        "quantity": quantity,
        "unitPrice": str(price),
        "totalPrice": str(price * quantity),
    }


def _sum(items: Sequence[Mapping[str, object]]) -> Decimal:
    return sum((Decimal(str(item["totalPrice"])) for item in items), Decimal(0))
