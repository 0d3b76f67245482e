"""The demo's scenes: orders, what is done to them, and how each must end. Data, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto

from sagastream.saga.lifecycle import Status

_PRICES = {
    "product-1": Decimal("149.99"),
    "product-2": Decimal("89.50"),
    "product-3": Decimal("24.90"),
    "scarce-product": Decimal("12.00"),
}


class Twist(Enum):
    """What the demo does to an order once it is placed."""

    NONE = auto()
    DELIVER_AGAIN = auto()
    CANCEL = auto()


@dataclass(frozen=True)
class Scene:
    """One order: customer, product, quantity and payment method, its twist, and the status its saga must end with."""

    title: str
    customer: str
    method: str
    ends: Status
    pieces: Mapping[str, int]
    twist: Twist = Twist.NONE

    def body(self) -> dict[str, object]:
        """Return the order as a customer sends it."""
        items = [
            {
                "productId": product,
                "quantity": quantity,
                "unitPrice": str(_PRICES[product]),
                "totalPrice": str(_PRICES[product] * quantity),
            }
            for product, quantity in self.pieces.items()
        ]
        return {
            "customerId": self.customer,
            "storeId": "store-1",
            "paymentMethod": self.method,
            "totalAmount": str(sum(_PRICES[product] * quantity for product, quantity in self.pieces.items())),
            "items": items,
        }


SCENES = (
    Scene(
        "Everything is there and the card is good.",
        "ann", "CreditCard", Status.COMPLETED, {"product-1": 1, "product-3": 2},
    ),
    Scene(
        "More cups than the store has: the first step is refused, and nothing has to be undone but the order.",
        "bob", "CreditCard", Status.FAILED, {"scarce-product": 99},
    ),
    Scene(
        "The card is declined: the pieces that were held go back on the shelf.",
        "cleo", "DeclinedCard", Status.COMPENSATED, {"product-2": 1},
    ),
    Scene(
        "The provider takes the money and never answers: it is asked again under the same key and charges once.",
        "dora", "TimeoutAfterCharge", Status.COMPLETED, {"product-3": 4},
    ),
    Scene(
        "The provider breaks down twice: the charge is tried until it works.",
        "emil", "BrokenProvider", Status.COMPLETED, {"product-2": 2},
    ),
    Scene(
        "OrderCreated is delivered twice: it has its effects once.",
        "fay", "PayPal", Status.COMPLETED, {"product-1": 2}, Twist.DELIVER_AGAIN,
    ),
    Scene(
        "The customer cancels before the provider has answered: it has charged already, and gives the money back.",
        "gus", "TimeoutAfterCharge", Status.COMPENSATED, {"product-1": 1}, Twist.CANCEL,
    ),
    Scene(
        "The provider is too slow and time runs out: what was begun is closed, so that it cannot charge later.",
        "hana", "SlowProvider", Status.COMPENSATED, {"product-3": 1},
    ),
)  # fmt: skip
