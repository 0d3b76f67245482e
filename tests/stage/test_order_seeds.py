"""The shop's orders and a stranger's trips under everything that can go wrong, and what happens when a rule is missing.

`make test-sim` plays 20,000 seeds; here are enough to notice, and the proof that a rule taken out is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from events import PaymentProcessed, StockReserved
from payment_service.gateway import Gateway
from payment_service.handlers import payment
from sagastream import Saga, Transaction, transaction
from sagastream.ledger import State
from sagastream.saga import lifecycle
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Kind, Progress
from sagastream.script import Script
from sagastream.testing import Stage, Untrue, simulate
from sagastream.testing.simulation import Report, in_processes
from sagastream.testing.truth import Truth
from tests.stage.order_cast import orders
from tests.stage.play import TARGET, scenario

SEEDS = 400
ENOUGH = 150  # seeds in which a rule that was taken out must be missed


def test_no_status_is_ever_untrue_in_four_hundred_seeds() -> None:
    """Whatever is killed, paused, lost, repeated, late or cancelled: what is said is so, and every saga ends."""
    report = Report()

    for part in in_processes(TARGET, range(SEEDS), 2):
        report.add(part)

    assert report.lying == []
    assert report.seeds == SEEDS
    assert report.missing == [], "a kind of fault or of end that never came up has not been tried"


def test_a_ledger_is_lost_only_where_no_worker_goes_on_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would do once more what others did and forgot meanwhile: no library can know, and the play accused it."""
    goes_on: list[bool] = []
    for seed in range(150, 280):
        stage = Stage(scenario(seed), seed=seed)

        def lose(saga_id: str, by: str, states: Mapping[str, State], stage: Stage = stage) -> None:
            goes_on.append(any(actor.may_repeat for actor in stage.actors if actor.name.startswith(f"{by}-")))
            Truth.lose(stage.truth, saga_id, by, states)

        monkeypatch.setattr(stage.truth, "lose", lose)
        stage.play()

    assert goes_on
    assert not any(goes_on)


def test_the_same_seed_is_the_same_play() -> None:
    """A failing seed can be played again, by anybody, to the same end."""
    stories = []
    for _ in range(2):
        stage = Stage(orders(7), seed=7)
        stage.play()
        stories.append(stage.story)

    assert stories[0] == stories[1]


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
    source = transaction.script().source
    blind = source.replace("if state ~= values[entry + 2] then return 'is ' .. state end", "")
    assert blind != source
    monkeypatch.setattr(transaction, "script", lambda: Script(blind))


@pytest.mark.parametrize(
    "taken_out", ["_without_the_bar", "_without_closing_the_key", "_oldest_first", "_without_the_ledger"]
)
def test_a_rule_that_is_taken_out_is_missed(taken_out: str, request: pytest.FixtureRequest) -> None:
    """Each rule of undoing closes a race that really happens: without it the stage catches a lie."""
    request.getfixturevalue(taken_out)

    with pytest.raises(Untrue) as caught:
        simulate(orders, seeds=ENOUGH)

    again = Stage(orders(caught.value.seed), seed=caught.value.seed, only=frozenset(caught.value.sites),
                  sagas=list(caught.value.began))  # fmt: skip
    with pytest.raises(Untrue, match="saga"):
        again.play()
