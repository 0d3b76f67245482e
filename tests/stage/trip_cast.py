"""The trip on the stage: a stranger's saga, with a pivot and without, through the public names only."""

from __future__ import annotations

from dataclasses import replace

from sagastream import Event, Participant, Saga, Transaction
from sagastream.testing import Scenario, Stage
from tests.trip import TRIP, CardCharged, TripBooked, TripConfirmed, bank, cancel, confirm, desk, hotel

ROOMS = 10
MUST_SEE = frozenset({"Completed", "Compensated", "Failed", "NeedsAttention", "step barred", "step undone"})


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


async def open_hotel(stage: Stage) -> None:
    await stage.entrance(hotel).change(lambda tx: tx.set("rooms", {"free": ROOMS}))


def wanted(stage: Stage, number: int) -> TripBooked:
    chance = stage.dice(number)
    return TripBooked(nights=chance.choice((2, 3, 3, 99)), card=chance.choice(("good", "good", "bad")))


async def book(stage: Stage, number: int) -> str:
    return await stage.begin(stage.cast["desk"], wanted(stage, number), key=f"trip-{number}")


def rooms(stage: Stage) -> list[str]:
    """Tell of rooms that are held for nobody, or not held for somebody, once all trips have ended."""
    statuses = stage.truth.statuses()
    ends = {number: statuses.get(saga_id, "") for number, saga_id in stage.begun.items()}
    if len(ends) < len(stage.numbers) or not all(
        end in ("Completed", "Compensated", "Failed") for end in ends.values()
    ):
        return []
    taken = sum(wanted(stage, number).nights for number, end in ends.items() if end == "Completed")
    free = int(str(stage.server.call("HGET", "stage:{hotel}:rooms", "free")))
    return [] if free + taken == ROOMS else [f"{free} rooms are free and {taken} are taken, of {ROOMS}"]


TRIPS = Scenario([TRIP], [desk, hotel, bank], book, prepare=open_hotel, lies=rooms, must_see=MUST_SEE)
_TABLE, _WILLING = without_a_pivot()
TRIPS_WITHOUT_A_PIVOT = Scenario(
    [_TABLE], [_WILLING, hotel, bank], book, prepare=open_hotel, lies=rooms, must_see=MUST_SEE
)
