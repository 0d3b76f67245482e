"""Releases of one project side by side, and one taken back: what the older and the newer make of each other's sagas."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from sagastream import Event, Participant, Saga, Step, Transaction
from sagastream.event import StepGaveUp, UndoRequested
from sagastream.keys import COORDINATOR
from sagastream.ledger import State
from tests.trip import TRIP, CardCharged, TripBooked, TripConfirmed, bank, cancel, confirm, desk, hotel
from tests.unit.core.world import SAGA, World, in_virtual_time


class CancellationWanted(Event, by="desk"):
    """A person turned up at the desk."""


@pytest.mark.parametrize("is_newer_known", [False, True])
@in_virtual_time
async def test_a_saga_of_an_older_version_is_turned_back_through_a_newer_release(is_newer_known: bool) -> None:
    """Whoever turns it back from outside says the version of his release: the table it began with judges it."""
    world = World()
    older = replace(TRIP, cancellation=CancellationWanted)
    newer = replace(older, version=2, steps=(*TRIP.steps[:2], replace(TRIP.steps[2], name="settle")))
    tables = (older, newer) if is_newer_known else (older,)
    saga_id = (await world.entrance(desk).begin(TripBooked(nights=1), key="request-17")).saga_id
    world.call("HSET", "hotel", "rooms", "free", 3)
    await world.work(world.coordinator(*tables), world.consumer(hotel))
    with_newer = Participant("desk")
    with_newer.begins(TripBooked, saga="trip", version=2)
    with_newer.on(CardCharged)(confirm)
    with_newer.undo(TripBooked)(cancel)

    assert await world.entrance(with_newer).bar(saga_id, TripConfirmed, because=CancellationWanted()) == "barred"
    await world.work(*(world.consumer(each) for each in (with_newer, hotel, bank)), world.coordinator(*tables))

    assert world.status(saga_id) == "Compensated"
    assert world.letters(COORDINATOR) == []
    assert {(line["type"], line.get("step")) for line in world.history(saga_id)} >= {
        ("CancellationWanted", "begin"), ("StepBarred", "confirm"), ("RoomGivenBack", "hold room"),
    }  # fmt: skip


class Ordered(Event, by="desk"): ...


class Cancelled(Event, by="desk"): ...


class Sold(Event, by="desk"): ...


class Told(Event, by="mailer"): ...


SALE = Saga(
    "trip",
    version=1,
    begins_with=Ordered,
    begun_by="desk",
    cancelled_by=Cancelled,
    steps=(
        Step("sell", by="desk", done=Sold, pivot=True, within=timedelta(seconds=30)),
        Step("tell", by="mailer", done=Told, within=timedelta(seconds=30)),
    ),
)


class SoldFor(Event, by="desk"):
    """What is called Sold by the newer release."""

    price: int

    @classmethod
    def type_name(cls) -> str:
        return "Sold"


def mailers(*, outside: bool) -> tuple[Participant, Participant]:
    """Return who tells of a sale, of the older release and of the newer one."""
    older, newer = Participant("mailer"), Participant("mailer")

    @older.on(Sold, outside=outside)
    async def tell(sold: Sold, tx: Transaction) -> Told:
        return Told()

    @newer.on(SoldFor, outside=outside, name="tell")
    async def tell_price(sold: SoldFor, tx: Transaction) -> Told:
        return Told()

    return older, newer


@pytest.mark.parametrize("outside", [False, True])
@in_virtual_time
async def test_a_step_whose_event_an_older_release_could_not_read_is_done_by_a_newer_one(outside: bool) -> None:
    """The coordinator asks for it anyway; nobody must replay a letter for each saga of a roll-out."""
    world = World()
    older, newer = mailers(outside=outside)
    world.tell(Ordered())
    world.tell(SoldFor(price=7))
    async with world.running(world.coordinator(SALE)):
        async with world.running(world.consumer(older)):
            await world.until(lambda: "RetryRequested Told" in world.requests("mailer"))
            await asyncio.sleep(300)
        assert world.status() == "NeedsAttention"
        assert world.ledger("mailer", "tell").state is State.UNREAD
        async with world.running(world.consumer(newer)):
            await world.until(lambda: world.status() == "Completed")

    (letter,) = world.letters("mailer")
    assert (letter["reason"], letter["attempts"]) == ("Misfit: Sold price: this release knows no such field", "5")
    assert json.loads(letter["message"]["fields"]["data"]) == {"price": 7}


@pytest.mark.parametrize("outside", [False, True])
@in_virtual_time
async def test_a_step_whose_event_could_not_be_read_was_never_begun_and_is_barred(outside: bool) -> None:
    """There is nothing to close, whichever release is asked; and a repetition of the event changes nothing."""
    world = World()
    older, newer = mailers(outside=outside)
    for _ in range(2):
        world.tell(SoldFor(price=7), id="sold-1")
        await world.work(world.consumer(older))
    world.ask("mailer", UndoRequested(step="Told"))
    await world.work(world.consumer(older))
    world.tell(SoldFor(price=7), id="sold-1")
    await world.work(world.consumer(newer))

    assert world.ledger("mailer", "tell").state is State.BARRED
    assert world.events("mailer", Told, SAGA) == []


@pytest.mark.parametrize("outside", [False, True])
@in_virtual_time
async def test_an_event_that_fits_only_one_of_two_releases_side_by_side_is_handled_by_that_one(outside: bool) -> None:
    """Whichever of them reads it first: it is tried again, and nobody turns the saga back meanwhile."""
    world = World()
    older, newer = mailers(outside=outside)
    world.tell(SoldFor(price=7))
    async with world.running(world.consumer(older)):
        await world.until(lambda: world.hash("mailer", "attempts") != {})
    await world.work(world.consumer(newer, ordinal=2))

    assert world.letters("mailer") == world.events("mailer", StepGaveUp) == []
    assert world.ledger("mailer", "tell").state is State.DONE


@pytest.mark.parametrize(("event", "why"), [
    (SoldFor(price=7), "Sold price: this release knows no such field"),
    (Sold(), "Sold price: this release needs that field"),
])  # fmt: skip
@in_virtual_time
async def test_what_does_not_fit_is_told_in_words(event: Event, why: str) -> None:
    """Both ways: the newer release reads an older event, too, when it is deployed before who publishes it."""
    world = World()
    older, newer = mailers(outside=False)
    world.tell(event)
    await world.work(world.consumer(older if isinstance(event, SoldFor) else newer))

    assert world.letters("mailer")[0]["reason"] == f"Misfit: {why}"
