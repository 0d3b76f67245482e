"""Every rule of the shop can fail, names the order's saga, and leaves a sound day alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from books import provider
from books.audit import SHOP
from books.facts import Account
from books.provider import ProviderSilent
from coordinator.order_saga import ORDER
from sagastream import Settings
from sagastream.audit import Scene, audit
from sagastream.clock import ms_of
from sagastream.testing.memory_connection import MemoryConnection
from tests.stage.order_cast import CAST
from tests.unit.audit.orders import Orders, played

Corruption = Callable[[Orders], object]
LEVEL = "{stock}:level:store-1:product-1"


def _set(key: str, field: str, value: str | int) -> Corruption:
    return lambda orders: orders.call("HSET", key, field, value)


def _add(key: str, field: str, amount: int) -> Corruption:
    return lambda orders: orders.call("HINCRBY", key, field, amount)


def _charged_again(orders: Orders) -> None:
    _call(orders, "charged", f"{orders.saga('done')}.charge-again", 29998)


def _given_back(orders: Orders) -> None:
    _call(orders, "refunded", f"{orders.saga('done')}.charge", 29998)


def _nobodys_money(orders: Orders) -> None:
    _call(orders, "charged", "nobody.charge", 1)


def _call(orders: Orders, outcome: str, key: str, cents: int) -> None:
    call = {"atMs": 1, "call": "charge", "key": key, "outcome": outcome, "amountCents": cents}
    with orders.calls().open("a") as file:
        file.write(json.dumps(call) + "\n")


def _moved(orders: Orders) -> None:
    """Let a level hold a piece more than its reservations, without anything appearing or vanishing."""
    orders.call("HINCRBY", LEVEL, "available", -1)
    orders.call("HINCRBY", LEVEL, "reserved", 1)


def _taken_in_dollars(orders: Orders) -> None:
    record = orders.calls().read_text()
    key = f"{orders.saga('done')}.charge"
    lines = [line.replace("EUR", "USD") if key in line else line for line in record.splitlines(keepends=True)]
    orders.calls().write_text("".join(lines))


CORRUPTIONS: list[tuple[str, str, str, Corruption]] = [
    ("a piece that vanished", "stock-adds-up", "", _add(LEVEL, "available", -1)),
    ("a piece that appeared", "stock-adds-up", "", _add(LEVEL, "restocked", -1)),
    ("pieces below zero", "stock-adds-up", "", lambda o: o.call("HSET", LEVEL, "available", -1, "reserved", 6)),
    ("a piece held for nobody", "reserved-is-held", "", _moved),
    ("an order that is gone", "sagas-have-orders", "done", lambda o: (o.call("DEL", "{order}:order:done"),
                                                                      o.call("ZREM", "{order}:orders", "done"))),
    ("a promise without an order", "sagas-have-orders", "", _set("{order}:request:x", "order_id", "promised")),
    ("an order told otherwise", "orders-equal-sagas", "done", _set("{order}:order:done", "status", "Cancelled")),
    ("an order left pending", "orders-equal-sagas", "declined", _set("{order}:order:declined", "status", "Pending")),
    ("stock given away twice", "stock-equals-sagas", "done", _set("{stock}:reservation:done", "status", "Released")),
    ("stock held for ever", "stock-equals-sagas", "declined", _set("{stock}:reservation:declined", "status", "Held")),
    ("too few held", "stock-equals-sagas", "done", _set("{stock}:reservation:done", "pieces", '{"product-1":1}')),
    ("charged twice", "provider-keeps-what-is-owed", "done", _charged_again),
    ("taken in another currency", "provider-keeps-what-is-owed", "done", _taken_in_dollars),
    ("given back behind the shop", "provider-keeps-what-is-owed", "done", _given_back),
    ("money of nobody", "provider-keeps-what-is-owed", "", _nobodys_money),
    ("a false payment", "payments-equal-provider", "done", _set("{payment}:payment:done", "status", "Refunded")),
    (
        "a customer not told",
        "customers-are-told-once",
        "done",
        lambda orders: orders.call("DEL", "{notification}:notification:done"),
    ),
]  # fmt: skip


def test_a_sound_day_is_clean_and_every_rule_was_tried(tmp_path: Path) -> None:
    """Done, declined, short, charged without an answer and cancelled: every book agrees."""
    told = played(tmp_path).audited()

    assert told.findings.differences == []
    assert [rule.name for rule in SHOP.rules if not told.findings.tried[rule.name].compared] == []
    assert told.statuses.keys() == {"Completed", "Compensated", "Failed"}


@pytest.mark.parametrize(("rule", "order", "corrupt"), [c[1:] for c in CORRUPTIONS], ids=[c[0] for c in CORRUPTIONS])
def test_a_planted_corruption_is_found_by_its_rule(rule: str, order: str, corrupt: Corruption, tmp_path: Path) -> None:
    """One book is falsified; the rule that guards it names the order's saga, and no other saga is suspected."""
    orders = played(tmp_path)

    corrupt(orders)
    told = orders.audited()

    saga_id = orders.saga(order) if order else ""
    found = [each for each in told.findings.differences if each.rule == rule]
    assert saga_id in {each.saga_id if order else "" for each in found}
    assert {each.saga_id for each in told.findings.differences} <= {saga_id, "", "nobody"}


def test_a_saga_without_its_order_is_found_though_there_are_as_many_sagas_as_orders(tmp_path: Path) -> None:
    """Orders are kept for ever and sagas are not: how many there are of each proves nothing."""
    orders = played(tmp_path)
    orders.call("DEL", "{order}:order:short")
    orders.call("ZREM", "{order}:orders", "short")
    orders.call("ZREM", "{saga}:index:process:order", orders.saga("declined"))
    orders.call("DEL", f"{{saga}}:record:{orders.saga('declined')}")

    told = orders.audited()

    found = [each.saga_id for each in told.findings.differences if each.rule == "sagas-have-orders"]
    assert found == [orders.saga("short")]


def test_money_of_nobody_is_found_while_orders_come(tmp_path: Path) -> None:
    """As after a return to an older copy of the store: what was taken since then was for orders that are lost.

    An order placed while the books are compared is no stranger: its beginning is remembered.
    """
    orders = played(tmp_path)
    _nobodys_money(orders)
    _call(orders, "charged", "younger.charge", 1)
    orders.call("HSET", "{order}:ledger:younger", "begin", "done")
    scene = Scene(MemoryConnection(orders.stage.server), orders.settings, [ORDER], CAST)

    told = asyncio.run(audit(scene, [SHOP]))

    found = [each for each in told.findings.differences if each.rule == "provider-keeps-what-is-owed"]
    assert [(each.saga_id, each.found) for each in found] == [("nobody", "the provider keeps 1, but there is no order")]


@pytest.mark.parametrize(("ended_before_s", "is_judged"), [(60, True), (2, True), (0.5, False), (-5, False)])
def test_while_orders_come_only_what_ended_before_the_provider_was_read_is_judged(
    ended_before_s: float, is_judged: bool, tmp_path: Path
) -> None:
    """What it did for a saga that ended since then, by a clock that may be a second wrong, is read the next time."""
    orders = played(tmp_path)
    _given_back(orders)
    ended_ms = ms_of(orders.stage.server.call("TIME")) - int(ended_before_s * 1000)
    orders.call("HSET", f"{{saga}}:record:{orders.saga('done')}", "ended_ms", ended_ms)
    scene = Scene(MemoryConnection(orders.stage.server), orders.settings, [ORDER], CAST)

    told = asyncio.run(audit(scene, [SHOP]))

    found = {each.saga_id for each in told.findings.differences if each.rule == "provider-keeps-what-is-owed"}
    assert found == ({orders.saga("done")} if is_judged else set())


def test_a_provider_out_of_reach_is_unknown_and_no_alarm(tmp_path: Path) -> None:
    """Where the provider keeps its record elsewhere nothing is said about its money."""
    orders = played(tmp_path)
    orders.calls().unlink()

    told = orders.audited()

    assert told.findings.differences == []
    assert told.findings.tried["provider-keeps-what-is-owed"].unknown.total() == 5


def test_a_provider_that_is_silent_is_unknown_and_no_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The half of its record that it showed before counts for nothing."""
    orders = played(tmp_path)

    async def silenced(settings: Settings) -> AsyncIterator[list[tuple[str, Account]]]:
        yield [
            (f"{orders.saga('done')}.charge", Account(taken_cents=1, charges=1)),
            ("nobody.charge", Account(5, 0, 1)),
        ]
        raise ProviderSilent("not a word")

    monkeypatch.setattr(provider, "changes", silenced)
    told = orders.audited()

    assert told.findings.differences == []
    assert told.findings.tried["provider-keeps-what-is-owed"].unknown.total() == 5
    assert told.findings.tried["orders-equal-sagas"].compared == 5


def test_every_rule_has_a_corruption_that_breaks_it() -> None:
    """No rule is there that nothing was shown to break."""
    assert {rule for _, rule, _, _ in CORRUPTIONS} == {rule.name for rule in SHOP.rules}
