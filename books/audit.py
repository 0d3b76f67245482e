"""The shop's rules for `sagastream audit`: stock, payments, the provider's own record, mails. Owns their names.

``rules`` defines what must agree; this module checks orders a page at a time, so that a long list of orders
needs no more memory than a page. Data outside Redis are added up beforehand, in a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import structlog

from books import provider
from books.facts import Books, Course, saga_of
from books.pages import Pages, Shelf
from books.provider import ProviderSilent
from books.reading import mailed
from books.rules import OF_AN_ORDER, Difference, pieces_come_from_somewhere, reserved_is_held_for_somebody
from books.strangers import levels, never_begun, sagas_without_orders, strangers
from books.tally import Tally
from sagastream.audit import Audit, Findings, Rule, Scene
from sagastream.audit import Difference as Told
from sagastream.clock import server_ms

log = structlog.get_logger(__name__)

_LOOK = "`sagastream show SAGA_ID` shows what happened; "
STOCK = Rule(
    "stock-adds-up",
    "available + reserved = initial + restocked, and nothing is negative",
    "count the product; a delivery puts right what is missing",
)
HELD = Rule(
    "reserved-is-held",
    "what a store has reserved is what is held for its orders",
    "look for the reservation of that product that is missing or too much",
)
CARRIED = Rule(
    "sagas-have-orders",
    "every saga carries an order, every reservation and every request that was acknowledged has one",
    "restore the order from its OrderCreated event, or place it again for the customer",
)
_OF_AN_ORDER = {
    "Confirmed if done, Cancelled if undone": Rule(
        "orders-equal-sagas",
        "an order is Confirmed where its saga is wholly done, Cancelled where it is undone",
        _LOOK + "the customer is shown something else than what happened",
    ),
    "stock is held for exactly the done": Rule(
        "stock-equals-sagas",
        "stock is held for exactly the orders whose sagas are done",
        _LOOK + "put back what is held for nobody, or hold what is missing",
    ),
    "the provider keeps exactly what is owed": Rule(
        "provider-keeps-what-is-owed",
        "the provider keeps an order's total once where its saga is done, and nothing where it is undone",
        _LOOK + "refund or charge at the provider by hand",
    ),
    "payments = the provider's record": Rule(
        "payments-equal-provider",
        "what the payment service wrote down is what the provider did under the same key",
        _LOOK + "the provider's record is what was really moved",
    ),
    "every customer is told once": Rule(
        "customers-are-told-once",
        "a customer is told once how the order ended",
        _LOOK + "tell the customer how it stands",
    ),
}
OWED = _OF_AN_ORDER["the provider keeps exactly what is owed"]
PAID = _OF_AN_ORDER["payments = the provider's record"]
AT_ONCE = 500  # messages in the outbox
OUT_OF_REACH = "the provider's record is out of reach"
UNDER_WAY, BY_HAND, MOVING = "under way", "closed by a person", "sagas are under way"


async def compare(scene: Scene, findings: Findings) -> None:
    """Check the shop's rules on every order, level, reservation and charge."""
    with Tally() as tally:
        held, carrying = await _compare_orders(scene, await _shelf(scene, tally), findings)
    await _try_levels(scene, held, findings)
    for difference in [*await strangers(scene), *await sagas_without_orders(scene, carrying)]:
        findings.differs(_told(CARRIED, difference))


async def _compare_orders(scene: Scene, shelf: Shelf, findings: Findings) -> tuple[Counter[str], int]:
    """Check the rules of single orders; return the pieces held per level, and the number of sagas with an order."""
    held: Counter[str] = Counter()
    seen = carrying = 0
    async for books in Pages(scene, shelf).orders():
        for reservation in books.reservations.values():
            if reservation.is_held:
                held.update(reservation.pieces)
        seen += len(books.orders)
        carrying += len(books.sagas)
        _try(books, findings, shelf)
    await _nobodys_money(scene, shelf, findings)
    findings.holds(CARRIED.name, seen)
    return held, carrying


SHOP = Audit((STOCK, HELD, CARRIED, *_OF_AN_ORDER.values()), compare)


async def _shelf(scene: Scene, tally: Tally) -> Shelf:
    at_ms, outbox = await server_ms(scene.connection), scene.settings.data_dir / "outbox"
    has_accounts, has_mails = await _add_calls(scene, tally), outbox.is_dir()
    mails = mailed(outbox)
    while page := list(islice(mails, AT_ONCE)):
        tally.add_mails(page)
        await scene.pause()
    return Shelf(at_ms, tally, has_accounts, has_mails)


async def _add_calls(scene: Scene, tally: Tally) -> bool:
    """Add up the provider's record; return False if it cannot be read, or not completely."""
    if not provider.is_open(scene.settings):
        return False
    try:
        async for calls in provider.changes(scene.settings):
            tally.add_calls(calls)
            await scene.pause()
    except ProviderSilent as error:
        log.warning("audit.provider_silent", error=str(error))
        return False
    return True


def _try(books: Books, findings: Findings, shelf: Shelf) -> None:
    for course in Course:
        orders = {id_: order for id_, order in books.orders.items() if books.course(order.saga_id) is course}
        mine = replace(
            books,
            orders=orders,
            reservations={id_: each for id_, each in books.reservations.items() if id_ in orders},
            payments={id_: each for id_, each in books.payments.items() if id_ in orders},
            accounts={},
        )
        carried = {order.saga_id for order in orders.values()}
        mine = replace(mine, accounts={k: each for k, each in books.accounts.items() if saga_of(k) in carried})
        for name, rule in _OF_AN_ORDER.items():
            if rule in (OWED, PAID) and not shelf.has_accounts:
                findings.unknown(rule.name, OUT_OF_REACH, len(orders))
                continue
            found = list(OF_AN_ORDER[name](mine))
            wrong = [each for each in found if each is not None]
            for difference in wrong:
                findings.differs(_told(rule, difference))
            if course in (Course.UNDER_WAY, Course.CLOSED_BY_HAND):
                why = UNDER_WAY if course is Course.UNDER_WAY else BY_HAND
                findings.unknown(rule.name, why, len(orders) - len(wrong))
            else:
                findings.holds(rule.name, len(found) - len(wrong))


async def _try_levels(scene: Scene, held: Counter[str], findings: Findings) -> None:
    found = await levels(scene)
    books = Books(sagas={}, orders={}, levels=found)
    _note(STOCK, pieces_come_from_somewhere(books), findings)
    if scene.is_at_rest:
        _note(HELD, reserved_is_held_for_somebody(books, held), findings)
    else:
        findings.unknown(HELD.name, MOVING, len(found))


async def _nobodys_money(scene: Scene, shelf: Shelf, findings: Findings) -> None:
    """Report money without an order; an order placed after the audit began is recognised by its ledger entry."""
    kept = shelf.tally.kept_for_nobody() if shelf.has_accounts else iter(())
    while page := dict(islice(kept, AT_ONCE)):
        for saga_id in await never_begun(scene, list(page)):
            what = f"the provider keeps {page[saga_id]}, but there is no order"
            findings.differs(_told(OWED, Difference(f"saga {saga_id}", what, saga_id)))


def _note(rule: Rule, found: Iterable[Difference | None], findings: Findings) -> None:
    for difference in found:
        if difference is None:
            findings.holds(rule.name)
        else:
            findings.differs(_told(rule, difference))


def _told(rule: Rule, difference: Difference) -> Told:
    return Told(rule.name, difference.about, rule.says, difference.what, difference.saga_id)
