"""What is written to customers. Pure text; knows no channel."""

from __future__ import annotations

from dataclasses import dataclass

from money import currency


@dataclass(frozen=True, slots=True)
class Text:
    """A message in words."""

    subject: str
    body: str


def confirmation(order_id: str, total_cents: int, currency_code: str) -> Text:
    """Tell that the order is confirmed and what was charged."""
    total = f"{currency(currency_code).show(total_cents)} {currency_code}"
    return Text(
        subject=f"Your order {order_id} is confirmed",
        body=(
            f"Good day,\n\nyour order {order_id} is confirmed. {total} were charged.\n\nThank you for buying from us.\n"
        ),
    )


def cancellation(order_id: str) -> Text:
    """Tell that the order is cancelled and that no money is kept."""
    return Text(
        subject=f"Your order {order_id} is cancelled",
        body=(
            f"Good day,\n\nyour order {order_id} is cancelled. Nothing is kept of what may have been charged for it.\n"
        ),
    )
