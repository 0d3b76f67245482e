"""What must agree in the books. Pure: facts in, differences out.

An ended saga is checked for its end; an unfinished one only for what must hold at all times; one closed by a
person for nothing, because that person decided what to leave open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from books.facts import Account, Books, Course, Order, Payment, Told, saga_of

NOTICE_MS = 60_000  # a cancellation notice is no step of the saga and may follow its end by this much


@dataclass(frozen=True, slots=True)
class Difference:
    """A disagreement between two books; ``about`` names the level, or the order and its saga."""

    about: str
    what: str
    saga_id: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """One rule, the number of things it was checked on, and its differences."""

    rule: str
    compared: int
    differences: tuple[Difference, ...]


Findings = Iterator[Difference | None]  # None: compared, and it agrees
Rule = Callable[[Books], Findings]


def check(books: Books) -> list[Checked]:
    """Check every rule."""
    checked = []
    for name, rule in RULES.items():
        findings = list(rule(books))
        wrong = tuple(finding for finding in findings if finding is not None)
        checked.append(Checked(name, len(findings), wrong))
    return checked


def pieces_come_from_somewhere(books: Books) -> Findings:
    """No number is negative, and no pieces appear or vanish."""
    for level in books.levels.values():
        has, got = level.available + level.reserved, level.initial + level.restocked
        is_sound = has == got and min(level.available, level.reserved) >= 0
        told = f"available {level.available} + reserved {level.reserved}, "
        told += f"but initial {level.initial} + restocked {level.restocked}"
        yield None if is_sound else Difference(f"level {level.name}", told)


def reserved_is_held_for_somebody(books: Books, held: Mapping[str, int] | None = None) -> Findings:
    """A store's reserved pieces equal those of its reservations. Only at rest: the two are not read at once."""
    if books.under_way:
        return
    held = _held(books) if held is None else held
    for name in books.levels.keys() | held.keys():
        reserved = books.levels[name].reserved if name in books.levels else 0
        mine = held.get(name, 0)
        told = f"{reserved} reserved, but {mine} held for orders"
        yield None if reserved == mine else Difference(f"level {name}", told)


def orders_have_sagas(books: Books) -> Findings:
    """Every saga has an order, and every settled order had a saga."""
    carried = {order.saga_id for order in books.orders.values()}
    for saga in books.sagas.values():
        told = f"is {saga.status}, but has no order"
        yield None if saga.id in carried else Difference(f"saga {saga.id}", told, saga.id)


def orders_stand_as_their_sagas(books: Books) -> Findings:
    """An order is Confirmed if its saga is wholly done, Cancelled if wholly undone."""
    expected = {Course.DONE: "Confirmed", Course.UNDONE: "Cancelled"}
    for order in books.orders.values():
        wanted = expected.get(books.course(order.saga_id))
        told = f"the order is {order.status}, not {wanted}"
        yield None if wanted in (None, order.status) else _difference(books, order, told)


def stock_is_held_for_done_sagas_only(books: Books) -> Findings:
    """Exactly the order's pieces are held if the saga is done, none if it is undone."""
    for order in books.orders.values():
        reservation = books.reservations.get(order.id)
        is_held = reservation is not None and reservation.is_held
        problem = None
        if reservation is not None and (reservation.pieces, reservation.saga_id) != (order.pieces, order.saga_id):
            problem = f"the reservation is {dict(reservation.pieces)} for saga {reservation.saga_id}"
        elif is_held and books.course(order.saga_id) is Course.UNDONE:
            problem = "its stock is still held"
        elif not is_held and books.course(order.saga_id) is Course.DONE:
            problem = "no stock is held for it"
        yield None if problem is None else _difference(books, order, problem)
    for order_id in books.reservations.keys() - books.orders.keys():
        if not books.under_way:  # a running shop may have placed the order after the list of orders was read
            yield Difference(f"order {order_id}", "has a reservation, but is not an order")


def provider_keeps_what_is_owed(books: Books) -> Findings:
    """The provider keeps the total once if the saga is done, nothing if undone; never more, never another currency."""
    accounts = _by_saga(books)
    for order in books.orders.values():
        account = accounts.pop(order.saga_id, Account())
        course = books.course(order.saga_id)
        problem = None
        if course is Course.DONE and account.kept_cents != order.total_cents:
            problem = f"the provider keeps {account.kept_cents} of its total {order.total_cents}"
        elif course is Course.UNDONE and account.kept_cents != 0:
            problem = f"the provider keeps {account.kept_cents}"
        elif account.kept_cents and account.currency not in ("", order.currency):
            problem = (
                f"the provider keeps {account.kept_cents} {account.currency} of its total "
                f"{order.total_cents} {order.currency}"
            )
        elif account.kept_cents not in (0, order.total_cents) or account.charges > 1:
            problem = (
                f"the provider took {account.taken_cents} in {account.charges} charges "
                f"and gave back {account.returned_cents}"
            )
        yield None if problem is None else _difference(books, order, problem)
    for saga_id, account in accounts.items():
        if account.kept_cents and not books.under_way:
            what = f"the provider keeps {account.kept_cents}, but there is no order"
            yield Difference(f"saga {saga_id}", what, saga_id)


def payments_say_what_the_provider_says(books: Books) -> Findings:
    """The payment service's record equals the provider's under the same key."""
    for payment in books.payments.values():
        order = books.orders.get(payment.order_id)
        if order is None or books.course(order.saga_id) in (Course.UNDER_WAY, Course.CLOSED_BY_HAND):
            continue
        account = books.accounts.get(payment.key, Account())
        taken, returned = _expected(payment)
        told = f"the payment is {payment.status} ({payment.amount_cents}), but the provider "
        told += f"took {account.taken_cents} and gave back {account.returned_cents}"
        agrees = (account.taken_cents, account.returned_cents) == (taken, returned)
        yield None if agrees else _difference(books, order, told)


def customers_are_told_once(books: Books) -> Findings:
    """One confirmation per confirmed order, one cancellation notice per cancelled one, never both."""
    for order in books.orders.values():
        told = books.told.get(order.id, Told())
        course = books.course(order.saga_id)
        is_recent = books.now_ms - order.settled_ms < NOTICE_MS
        problem = None
        if told.confirmations > 1 or told.cancellations > 1 or (told.confirmations and told.cancellations):
            problem = f"{told.confirmations} confirmations and {told.cancellations} cancellations were sent"
        elif course is Course.DONE and told.confirmations != 1:
            problem = "no confirmation was sent"
        elif course is Course.UNDONE and (told.confirmations or (not told.cancellations and not is_recent)):
            problem = "it was not told that the order is cancelled"
        yield None if problem is None else _difference(books, order, problem)


# Rules on all orders together, and rules on each order by itself.
OVERALL: dict[str, Rule] = {
    "available + reserved = initial + restocked": pieces_come_from_somewhere,
    "reserved = held for orders": reserved_is_held_for_somebody,
    "every saga carries an order": orders_have_sagas,
}
OF_AN_ORDER: dict[str, Rule] = {
    "Confirmed if done, Cancelled if undone": orders_stand_as_their_sagas,
    "stock is held for exactly the done": stock_is_held_for_done_sagas_only,
    "the provider keeps exactly what is owed": provider_keeps_what_is_owed,
    "payments = the provider's record": payments_say_what_the_provider_says,
    "every customer is told once": customers_are_told_once,
}
RULES: dict[str, Rule] = OVERALL | OF_AN_ORDER


def _held(books: Books) -> dict[str, int]:
    held: dict[str, int] = defaultdict(int)
    for reservation in books.reservations.values():
        if reservation.is_held:
            for level, quantity in reservation.pieces.items():
                held[level] += quantity
    return held


def _by_saga(books: Books) -> dict[str, Account]:
    sums: dict[str, Account] = {}
    for key, account in books.accounts.items():
        so_far = sums.get(saga_of(key), Account())
        sums[saga_of(key)] = so_far.plus(account)
    return sums


def _expected(payment: Payment) -> tuple[int, int]:
    if payment.status == "Charged":
        return payment.amount_cents, 0
    if payment.status == "Refunded":
        return payment.amount_cents, payment.amount_cents
    return 0, 0


def _difference(books: Books, order: Order, what: str) -> Difference:
    saga = books.sagas.get(order.saga_id)
    status = saga.status if saga else "not recorded"
    return Difference(f"order {order.id}", f"{what} (saga {order.saga_id}: {status})", order.saga_id)
