"""A stranger's saga on the stage: five lines, with a pivot and without."""

from __future__ import annotations

from dataclasses import replace

from sagastream import Event, Participant, Saga, Status, Transaction
from sagastream.testing.stage import Stage
from tests.trip import (
    TRIP,
    CardCharged,
    TripBooked,
    TripConfirmed,
    bank,
    cancel,
    confirm,
    desk,
    hotel,
)

SEEDS = 150


class TripUnconfirmed(Event, by="desk"): ...


async def unconfirm(confirmed: TripConfirmed, tx: Transaction) -> TripUnconfirmed:
    return TripUnconfirmed()


def without_a_pivot() -> tuple[Saga, Participant]:
    """Return the trip with every step undoable, and a desk that can take its word back."""
    *before, last = TRIP.steps
    table = replace(TRIP, steps=(*before, replace(last, pivot=False, undone=TripUnconfirmed)), begun_by="desk")
    willing = Participant("desk")
    willing.begins(TripBooked, saga="trip", version=1)
    willing.on(CardCharged)(confirm)
    willing.undo(TripBooked)(cancel)
    willing.undo(TripConfirmed)(unconfirm)
    return table, willing


async def two_trips(stage: Stage) -> None:
    """Begin two trips of any kind, for ten free nights."""
    await stage.entrance(hotel).change(lambda tx: tx.set("rooms", {"free": 10}))
    for number in range(2):
        nights, card = stage.chance.choice((2, 3, 99)), stage.chance.choice(("good", "bad"))
        await stage.begin(stage.cast["desk"], TripBooked(nights=nights, card=card), key=str(number))


def free_rooms(stage: Stage) -> int:
    return int(str(stage.server.call("HGET", "stage:{hotel}:rooms", "free")))


def test_a_trip_is_wholly_done_or_wholly_undone_whatever_happens() -> None:
    """The stage needs the table, the participants and a seed."""
    ends = {
        end for seed in range(SEEDS) for end in Stage([TRIP], [desk, hotel, bank], seed=seed).play(two_trips).values()
    }

    assert ends == {Status.COMPLETED, Status.COMPENSATED, Status.FAILED}


def test_a_trip_without_a_pivot_is_undone_step_by_step() -> None:
    """Without a judge every step is asked; rooms of trips that did not take place are free again."""
    table, willing = without_a_pivot()
    ends: set[str] = set()

    for seed in range(SEEDS):
        stage = Stage([table], [willing, hotel, bank], seed=seed)
        told = stage.play(two_trips)
        ends |= set(told.values())
        if Status.COMPLETED not in told.values():
            assert free_rooms(stage) == 10, f"seed {seed}"

    assert ends == {Status.COMPLETED, Status.COMPENSATED, Status.FAILED}
