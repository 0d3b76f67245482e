"""Trips in two releases, each of its processes by itself: the newer insures nobody, and its pivot is the charge.

``RELEASE`` says which release a process is of. Every effect is a counter that its undo takes back.
"""

from __future__ import annotations

from datetime import timedelta

from sagastream import Consumer, Event, Participant, Refusal, Saga, Step, Transaction
from sagastream.coordinator.service import coordinator_service
from sagastream.service import Context, Service

SOON = timedelta(seconds=4)
PATIENCE = timedelta(seconds=2)


class TripBooked(Event, by="desk"):
    card: str


class RoomHeld(Event, by="hotel"):
    card: str


class TripInsured(Event, by="insurer"):
    card: str


class CardCharged(Event, by="bank"): ...


class TripConfirmed(Event, by="desk"): ...


class GuestTold(Event, by="mailer"): ...


class TripOrdered(Event, by="desk"):
    """From here on what is of the newer release alone."""

    card: str


class RoomTaken(Event, by="hotel"):
    card: str


class CardDebited(Event, by="bank"): ...


class TripSettled(Event, by="desk"): ...


class GuestWelcomed(Event, by="mailer"): ...


class CardDeclined(Refusal, by="bank"):
    """From here on what turns a trip back, in both."""


class CardRefunded(Event, by="bank"): ...


class InsuranceEnded(Event, by="insurer"): ...


class RoomGivenBack(Event, by="hotel"): ...


class TripCancelled(Event, by="desk"): ...


class CancellationWanted(Event, by="desk"): ...


OLDER = Saga(
    "trip", version=1, begins_with=TripBooked, cancelled_by=TripCancelled, cancellation=CancellationWanted,
    patience=PATIENCE, steps=(
        Step("hold room", by="hotel", done=RoomHeld, undone=RoomGivenBack, within=SOON),
        Step("insure", by="insurer", done=TripInsured, undone=InsuranceEnded, within=SOON),
        Step("charge card", by="bank", done=CardCharged, refused=CardDeclined, undone=CardRefunded, within=SOON),
        Step("confirm", by="desk", done=TripConfirmed, pivot=True, within=SOON),
        Step("tell", by="mailer", done=GuestTold, within=SOON),
    ),
)  # fmt: skip
NEWER = Saga(
    "trip", version=2, begins_with=TripOrdered, cancelled_by=TripCancelled, patience=PATIENCE, steps=(
        Step("hold room", by="hotel", done=RoomTaken, undone=RoomGivenBack, within=SOON),
        Step("charge card", by="bank", done=CardDebited, refused=CardDeclined, pivot=True, within=SOON),
        Step("confirm", by="desk", done=TripSettled, within=SOON),
        Step("tell", by="mailer", done=GuestWelcomed, within=SOON),
    ),
)  # fmt: skip
TABLES = {"older": [OLDER], "newer": [OLDER, NEWER]}


def cast(release: str) -> dict[str, Participant]:
    """Return the participants of a release: the newer one still does all that the older one did."""
    return {each.name: each for each in (_desk(release), _hotel(release), _insurer(), _bank(release), _mailer(release))}


def _desk(release: str) -> Participant:
    desk = Participant("desk")
    desk.begins(TripBooked, saga="trip", version=1)

    @desk.on(CardCharged)
    async def confirm(charged: CardCharged, tx: Transaction) -> TripConfirmed:
        return TripConfirmed()

    @desk.undo(TripBooked)
    async def cancel(trip: TripBooked, tx: Transaction) -> TripCancelled:
        return TripCancelled()

    if release == "newer":
        desk.begins(TripOrdered, saga="trip", version=2)

        @desk.on(CardDebited)
        async def settle(debited: CardDebited, tx: Transaction) -> TripSettled:
            return TripSettled()

        @desk.undo(TripOrdered)
        async def cancel_order(trip: TripOrdered, tx: Transaction) -> TripCancelled:
            return TripCancelled()

    return desk


def _hotel(release: str) -> Participant:
    hotel = Participant("hotel")

    @hotel.on(TripBooked)
    async def hold(trip: TripBooked, tx: Transaction) -> RoomHeld:
        tx.increase("effects", "rooms", 1)
        return RoomHeld(card=trip.card)

    @hotel.undo(RoomHeld)
    async def give_back(held: RoomHeld, tx: Transaction) -> RoomGivenBack:
        tx.decrease("effects", "rooms", 1)
        return RoomGivenBack()

    if release == "newer":

        @hotel.on(TripOrdered)
        async def take(trip: TripOrdered, tx: Transaction) -> RoomTaken:
            tx.increase("effects", "rooms", 1)
            return RoomTaken(card=trip.card)

        @hotel.undo(RoomTaken)
        async def give_taken_back(taken: RoomTaken, tx: Transaction) -> RoomGivenBack:
            tx.decrease("effects", "rooms", 1)
            return RoomGivenBack()

    return hotel


def _insurer() -> Participant:
    insurer = Participant("insurer")

    @insurer.on(RoomHeld)
    async def insure(held: RoomHeld, tx: Transaction) -> TripInsured:
        tx.increase("effects", "insurances", 1)
        return TripInsured(card=held.card)

    @insurer.undo(TripInsured)
    async def end(insured: TripInsured, tx: Transaction) -> InsuranceEnded:
        tx.decrease("effects", "insurances", 1)
        return InsuranceEnded()

    return insurer


def _bank(release: str) -> Participant:
    bank = Participant("bank")

    @bank.on(TripInsured)
    async def charge(insured: TripInsured, tx: Transaction) -> CardCharged | CardDeclined:
        if insured.card == "bad":
            return CardDeclined(reason="the card is bad")
        tx.increase("effects", "charges", 1)
        return CardCharged()

    @bank.undo(CardCharged)
    async def refund(charged: CardCharged, tx: Transaction) -> CardRefunded:
        tx.decrease("effects", "charges", 1)
        return CardRefunded()

    if release == "newer":

        @bank.on(RoomTaken)
        async def debit(taken: RoomTaken, tx: Transaction) -> CardDebited | CardDeclined:
            if taken.card == "bad":
                return CardDeclined(reason="the card is bad")
            tx.increase("effects", "charges", 1)
            return CardDebited()

    return bank


def _mailer(release: str) -> Participant:
    mailer = Participant("mailer")

    @mailer.on(TripConfirmed)
    async def tell(confirmed: TripConfirmed, tx: Transaction) -> GuestTold:
        tx.increase("effects", "letters", 1)
        return GuestTold()

    if release == "newer":

        @mailer.on(TripSettled)
        async def welcome(settled: TripSettled, tx: Transaction) -> GuestWelcomed:
            tx.increase("effects", "letters", 1)
            return GuestWelcomed()

    return mailer


def service(context: Context) -> Service:
    """Return the service that the process was named after."""
    release = context.environment["RELEASE"]
    if context.name == "coordinator":
        return coordinator_service(TABLES[release], context)
    participant = cast(release)[context.name]
    worker = Consumer(participant, bus=context.bus, settings=context.settings, telemetry=context.telemetry)
    return Service(context.name, workers=[worker])
