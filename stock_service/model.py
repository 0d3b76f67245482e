"""What a store has and whether an order can be held. Pure: takes values, returns values, performs no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from money import Currency


class ReservationStatus(StrEnum):
    """Whether pieces are still held for an order, or released."""

    HELD = "Held"
    RELEASED = "Released"


@dataclass(frozen=True, slots=True)
class Level:
    """One store's stock of one product.

    ``initial`` and ``restocked`` record where the pieces came from, so that at any moment
    ``available + reserved == initial + restocked``. Without ``price_cents`` any price is accepted; ``currency`` is
    the currency of the price, empty for a price stored before currencies were recorded.
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
    """The pieces per product of one store that are, or were, held for one order."""

    order_id: str
    saga_id: str
    store_id: str
    status: ReservationStatus
    pieces: Mapping[str, int]
    since_ms: int
    released_ms: int | None = None

    def age_ms(self, now_ms: int) -> int:
        """Return how long the pieces have been held, or were until their release."""
        return max(0, (self.released_ms or now_ms) - self.since_ms)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields of an order line that stock needs."""

    product_id: str
    quantity: int
    unit_price_cents: int


def pieces_wanted(lines: Iterable[Wanted]) -> dict[str, int]:
    """Return the pieces wanted per product; lines of the same product are summed.

    Raises: ``ValueError`` for a line that wants less than one piece.
    """
    pieces: dict[str, int] = {}
    for line in lines:
        if line.quantity < 1:
            raise ValueError(f"{line.quantity} pieces of {line.product_id} cannot be held")
        pieces[line.product_id] = pieces.get(line.product_id, 0) + line.quantity
    return pieces


def why_not(store_id: str, lines: Sequence[Wanted], levels: Mapping[str, Level], currency: Currency) -> str | None:
    """Return why the lines, priced in a currency, cannot all be held, or None if they can.

    A price that differs from the catalogue's is refused, so that clients cannot set it (Source: CONTRACT decision 8);
    so is a catalogue price in another currency, where the same number means another price.
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
