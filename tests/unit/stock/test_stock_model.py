"""Whether an order's lines can be held."""

from __future__ import annotations

import pytest

from money import currency
from stock_service.model import Level, Wanted, pieces_wanted, why_not

CUP = Level("store-1", "cup", "Cup", available=3, initial=3, price_cents=1200)
JUG = Level("store-1", "jug", "Jug", available=10, initial=10)
LEVELS = {"cup": CUP, "jug": JUG}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([("cup", 3, 1200)], None),
        ([("cup", 2, 1200), ("jug", 10, 1)], None),
        ([("cup", 4, 1200)], "shortage of cup in store store-1: 4 wanted, 3 available"),
        ([("cup", 2, 1200), ("cup", 2, 1200)], "shortage of cup in store store-1: 4 wanted, 3 available"),
        ([("jug", 1, 5), ("cup", 1, 1199)], "price changed: cup costs 12.00, not 11.99"),
        ([("jug", 1, 999), ("mug", 1, 5)], "product mug is unknown in store store-1"),
    ],
)
def test_all_lines_are_held_or_a_reason_names_the_first_that_cannot(
    lines: list[tuple[str, int, int]], reason: str | None
) -> None:
    """Two lines of one product count together, prices must be the catalogue's, unpriced products take any."""
    wanted = [Wanted(*line) for line in lines]

    assert why_not("store-1", wanted, LEVELS, currency("EUR")) == reason


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_line_that_wants_nothing_is_not_decided(quantity: int) -> None:
    """A forged event with a negative quantity must not add stock."""
    with pytest.raises(ValueError, match="cannot be held"):
        pieces_wanted([Wanted("cup", quantity, 1200)])
