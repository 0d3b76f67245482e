"""What a store has and whether an order can be held. Pure: takes values, returns values, reaches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from money import Currency


class ReservationStatus(StrEnum):
    """Whether pieces are held for an order, or back on the shelf."""

    HELD = "Held"
    RELEASED = "Released"


@dataclass(frozen=True, slots=True)
class Level:
    """What one store has of one product.

    ``initial`` and ``restocked`` remember where the pieces came from, so that at any moment
    ``available + reserved == initial + restocked``. Without ``price_cents`` any price is taken; ``currency`` is
    that of the price, empty for one that was written before it was noted.
    """

    store_id: str
    product_id: str
    name: str
    available: int
    reserved: int = 0
    initial: int = 0
    restocked: int = 0
    price_cents: int | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is, or was, held for one order: pieces per product of one store."""

    order_id: str
    saga_id: str
    store_id: str
    status: ReservationStatus
    pieces: Mapping[str, int]
    since_ms: int
    released_ms: int | None = None

    def age_ms(self, now_ms: int) -> int:
        """Return for how long the pieces are held, or were."""
        return max(0, (self.released_ms or now_ms) - self.since_ms)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line of an order, as far as stock cares."""

    product_id: str
    quantity: int
    unit_price_cents: int


def pieces_wanted(lines: Iterable[Wanted]) -> dict[str, int]:
    """Return the pieces wanted per product; two lines of one product count together.

    Raises: ``ValueError`` for a line that does not want at least one piece.
    """
    pieces: dict[str, int] = {}
    for line in lines:
        if line.quantity < 1:
            raise ValueError(f"{line.quantity} pieces of {line.product_id} cannot be held")
        pieces[line.product_id] = pieces.get(line.product_id, 0) + line.quantity
    return pieces


def why_not(store_id: str, lines: Sequence[Wanted], levels: Mapping[str, Level], currency: Currency) -> str | None:
    """Return why the lines, priced in a currency, cannot all be held, or None if they can.

    A price that differs from the catalogue's is refused, so that nobody names their own (Source: CONTRACT decision 8);
    so is one of another currency: the same number would be another price.
    """
    show = currency.show
    for line in lines:
        level = levels.get(line.product_id)
        if level is None:
            return f"product {line.product_id} is unknown in store {store_id}"
        if level.price_cents is not None and level.currency not in ("", currency.code):
            return f"product {line.product_id} is priced in {level.currency}, not in {currency.code}"
        if level.price_cents is not None and level.price_cents != line.unit_price_cents:
            return (
                f"price changed: {line.product_id} costs {show(level.price_cents)}, not {show(line.unit_price_cents)}"
            )
    for product_id, wanted in pieces_wanted(lines).items():
        available = levels[product_id].available
        if available < wanted:
            return f"shortage of {product_id} in store {store_id}: {wanted} wanted, {available} available"
    return None
