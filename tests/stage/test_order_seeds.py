"""The order saga under 2,000 seeds of everything that can go wrong, and what happens when a rule is taken out."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from hashlib import sha1

import pytest

from events import PaymentProcessed, StockReserved
from payment_service.gateway import Gateway
from payment_service.handlers import payment
from sagastream import Saga, Transaction, transaction
from sagastream.saga import lifecycle
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Kind, Progress
from sagastream.testing.stage import Untrue
from tests.stage.order_cast import play, played

SEEDS = 2_000
WORKERS = 2
ENOUGH = 100  # seeds in which a rule that was taken out must be missed


def test_no_status_is_ever_untrue_in_two_thousand_seeds() -> None:
    """Whatever is killed, frozen, lost, repeated, late or cancelled: what is said is so, and every saga ends."""
    parts = [range(start, SEEDS, 20) for start in range(20)]

    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(played, parts))

    assert [lie for _, lies in results for lie in lies] == []
    ends = sum((ends for ends, _ in results), Counter[str]())
    assert set(ends) == {"Completed", "Compensated", "Failed"}
    assert min(ends.values()) > SEEDS / 10, ends


def test_the_same_seed_is_the_same_play() -> None:
    """A failing seed can be played again, by anybody, to the same end."""
    assert play(7) == play(7)


@pytest.fixture
def _without_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn back as soon as something took too long, without asking the pivot's participant."""

    def is_turned_back(saga: Saga, progress: Progress) -> bool:
        assert saga.pivot_at is not None
        if progress.has(saga.steps[saga.pivot_at].name, Kind.DONE):
            return False
        is_unsure = progress.any(saga, Kind.OVERDUE, Kind.GAVE_UP) or progress.has(BEGINNING, Kind.CANCELLED)
        return is_unsure or progress.any(saga, Kind.BARRED, Kind.REFUSED)

    monkeypatch.setattr(lifecycle, "is_turned_back", is_turned_back)


@pytest.fixture
def _without_closing_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe that a charge that was begun has not happened, without closing its key at the provider."""

    async def close(reserved: StockReserved, tx: Transaction, gateway: Gateway) -> PaymentProcessed | None:
        return None

    closing = payment.closes["PaymentProcessed"]
    monkeypatch.setitem(payment.closes, "PaymentProcessed", replace(closing, function=close))


@pytest.fixture
def _oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo in the order in which things were done."""
    newest_first = lifecycle.to_undo
    monkeypatch.setattr(lifecycle, "to_undo", lambda saga, progress: newest_first(saga, progress)[::-1])


@pytest.fixture
def _without_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply every transaction, whatever the ledger says about it."""
    source = transaction.script()
    blind = source.replace("if state ~= entry[3] then return 'is ' .. state end", "")
    assert blind != source
    monkeypatch.setattr(transaction, "script", lambda: blind)
    monkeypatch.setattr(transaction, "_sha", lambda: sha1(blind.encode(), usedforsecurity=False).hexdigest())


@pytest.mark.parametrize(
    "taken_out", ["_without_the_bar", "_without_closing_the_key", "_oldest_first", "_without_the_ledger"]
)
def test_a_rule_that_is_taken_out_is_missed(taken_out: str, request: pytest.FixtureRequest) -> None:
    """Each rule of undoing closes a race that really happens: without it the stage catches a lie."""
    request.getfixturevalue(taken_out)

    with pytest.raises(Untrue):
        play_many(ENOUGH)


def play_many(seeds: int) -> None:
    for seed in range(seeds):
        play(seed)
