"""The contents of the books, as values. Performs no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Course(Enum):
    """The direction a saga took, as far as the books need it."""

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
        """Return the direction it took."""
        return _COURSES.get(self.status, Course.UNDER_WAY)


@dataclass(frozen=True, slots=True)
class Level:
    """A store's own record of one product: its pieces, and where they came from."""

    name: str
    available: int
    reserved: int
    initial: int
    restocked: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Stock's record of what is, or was, held for an order; ``pieces`` by level."""

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
    """The provider's record of one key; charges in several currencies name all of them, joined by a plus."""

    taken_cents: int = 0
    returned_cents: int = 0
    charges: int = 0
    currency: str = ""

    @property
    def kept_cents(self) -> int:
        """Return the amount that the provider still holds."""
        return self.taken_cents - self.returned_cents

    def plus(self, other: Account) -> Account:
        """Return the sum of both."""
        return Account(
            self.taken_cents + other.taken_cents,
            self.returned_cents + other.returned_cents,
            self.charges + other.charges,
            "+".join(sorted({*self.currency.split("+"), *other.currency.split("+")} - {""})),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """How often a customer was notified of an order's confirmation or cancellation."""

    confirmations: int = 0
    cancellations: int = 0


@dataclass(frozen=True)
class Books:
    """Everything that was read. Sagas were read first, so the effects of ended ones are final here.

    Sagas that ended before ``kept_since_ms`` may have been removed by their coordinator.
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
        """Return the direction a saga took; one not recorded yet counts as unfinished."""
        saga = self.sagas.get(saga_id)
        return saga.course if saga else Course.UNDER_WAY

    @property
    def under_way(self) -> int:
        """Return the number of unfinished sagas and orders."""
        unseen = sum(
            order.saga_id not in self.sagas and not 0 < order.settled_ms < self.kept_since_ms
            for order in self.orders.values()
        )
        return unseen + sum(saga.course is Course.UNDER_WAY for saga in self.sagas.values())


def saga_of(key: str) -> str:
    """Return the saga of a provider's key: the part before the step's name."""
    return key.partition(".")[0]
