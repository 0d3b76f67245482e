"""The books as readable text. Pure: facts and findings in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from books.facts import Books
from books.rules import Checked

MOST = 50


def report(books: Books, checked: Sequence[Checked]) -> str:
    """Return the sums, one line per rule, and the differences."""
    return "\n".join([*_sums(books), "", *_table(checked), *_differences(checked)]) + "\n"


def _sums(books: Books) -> Iterator[str]:
    statuses = Counter(saga.status for saga in books.sagas.values())
    yield f"sagas     {len(books.sagas)}: " + (_listed(statuses) or "none")
    yield f"orders    {len(books.orders)}: " + (_listed(Counter(o.status for o in books.orders.values())) or "none")
    levels = books.levels.values()
    yield (
        f"stock     available {sum(level.available for level in levels)}"
        f" + reserved {sum(level.reserved for level in levels)}"
        f" of initial {sum(level.initial for level in levels)}"
        f" + restocked {sum(level.restocked for level in levels)}"
    )
    held = sum(reservation.is_held for reservation in books.reservations.values())
    yield f"held      {held} of {len(books.reservations)} reservations"
    accounts = books.accounts.values()
    yield (
        f"provider  took {sum(account.taken_cents for account in accounts)}"
        f", gave back {sum(account.returned_cents for account in accounts)}"
        f", keeps {sum(account.kept_cents for account in accounts)} (minor units)"
    )
    owed = sum(order.total_cents for order in books.orders.values() if order.status == "Confirmed")
    yield f"owed      {owed} for confirmed orders (minor units)"
    told = books.told.values()
    yield (
        f"told      {sum(each.confirmations for each in told)} confirmations"
        f", {sum(each.cancellations for each in told)} cancellations"
    )


def _table(checked: Sequence[Checked]) -> Iterator[str]:
    width = max(len(each.rule) for each in checked)
    yield f"{'rule':<{width}}  compared  differ"
    for each in checked:
        yield f"{each.rule:<{width}}  {each.compared:>8}  {len(each.differences):>6}"


def _differences(checked: Sequence[Checked]) -> Iterator[str]:
    for each in checked:
        if each.differences:
            yield f"\n{each.rule}:"
        for difference in each.differences[:MOST]:
            yield f"  {difference.about}: {difference.what}"
        if len(each.differences) > MOST:
            yield f"  and {len(each.differences) - MOST} more"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{many} {status}" for status, many in counts.most_common())
