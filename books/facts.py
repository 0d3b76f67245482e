"""What stands in the books, as values. Reaches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Course(Enum):
    """Which way a saga went, as far as the books care."""

    DONE = "wholly done"
    UNDONE = "wholly undone"
    CLOSED_BY_HAND = "closed by a person"
    UNDER_WAY = "not ended"


_COURSES = {
    "Completed": Course.DONE,
    "Compensated": Course.UNDONE,
    "Failed": Course.UNDONE,
    "Aborted": Course.CLOSED_BY_HAND,
}


@dataclass(frozen=True, slots=True)
class Saga:
    """A saga as its coordinator recorded it."""

    id: str
    status: str

    @property
    def course(self) -> Course:
        """Return which way it went."""
        return _COURSES.get(self.status, Course.UNDER_WAY)


@dataclass(frozen=True, slots=True)
class Level:
    """What a store says it has of a product, and where that came from."""

    name: str
    available: int
    reserved: int
    initial: int
    restocked: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What stock says it holds, or held, for an order; ``pieces`` by level."""

    order_id: str
    saga_id: str
    is_held: bool
    pieces: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the order service wrote it; ``pieces`` by level."""

    id: str
    saga_id: str
    status: str
    total_cents: int
    settled_ms: int
    pieces: Mapping[str, int]
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """An order's payment as the payment service wrote it; ``key`` is the one used at the provider."""

    order_id: str
    key: str
    status: str
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Account:
    """What the provider recorded under one key; of charges in several currencies all are named, with a plus between."""

    taken_cents: int = 0
    returned_cents: int = 0
    charges: int = 0
    currency: str = ""

    @property
    def kept_cents(self) -> int:
        """Return what the provider still holds."""
        return self.taken_cents - self.returned_cents

    def plus(self, other: Account) -> Account:
        """Return both together."""
        return Account(
            self.taken_cents + other.taken_cents,
            self.returned_cents + other.returned_cents,
            self.charges + other.charges,
            "+".join(sorted({*self.currency.split("+"), *other.currency.split("+")} - {""})),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """How often a customer was told about an order."""

    confirmations: int = 0
    cancellations: int = 0


@dataclass(frozen=True)
class Books:
    """Everything that was read. Sagas were read first, so what the ended ones left behind is final here.

    What ended before ``kept_since_ms`` may have been removed by its coordinator.
    """

    sagas: Mapping[str, Saga]
    orders: Mapping[str, Order]
    levels: Mapping[str, Level] = field(default_factory=dict)
    reservations: Mapping[str, Reservation] = field(default_factory=dict)
    payments: Mapping[str, Payment] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    told: Mapping[str, Told] = field(default_factory=dict)
    now_ms: int = 0
    kept_since_ms: int = 0

    def course(self, saga_id: str) -> Course:
        """Return which way a saga went; one that is not recorded yet is under way."""
        saga = self.sagas.get(saga_id)
        return saga.course if saga else Course.UNDER_WAY

    @property
    def under_way(self) -> int:
        """Return how many sagas and orders have not ended."""
        unseen = sum(
            order.saga_id not in self.sagas and not 0 < order.settled_ms < self.kept_since_ms
            for order in self.orders.values()
        )
        return unseen + sum(saga.course is Course.UNDER_WAY for saga in self.sagas.values())


def saga_of(key: str) -> str:
    """Return the saga a provider's key belongs to: what stands before the step's name."""
    return key.partition(".")[0]
