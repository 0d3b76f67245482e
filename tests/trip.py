"""A stranger's whole saga: the table and the handlers of DESIGN 4, through the public names only."""

from datetime import timedelta

from sagastream import Event, Participant, Refusal, Saga, Step, Transaction


class TripBooked(Event, by="desk"):
    nights: int
    card: str = "good"


class TripConfirmed(Event, by="desk"): ...


class TripCancelled(Event, by="desk"): ...


class RoomHeld(Event, by="hotel"):
    nights: int
    card: str


class NoRoomLeft(Refusal, by="hotel"): ...


class RoomGivenBack(Event, by="hotel"): ...


class CardCharged(Event, by="bank"):
    nights: int


class CardDeclined(Refusal, by="bank"): ...


class CardRefunded(Event, by="bank"): ...


TRIP = Saga(
    "trip",
    version=1,
    begins_with=TripBooked,
    cancelled_by=TripCancelled,
    steps=(
        Step(
            "hold room",
            by="hotel",
            done=RoomHeld,
            refused=NoRoomLeft,
            undone=RoomGivenBack,
            within=timedelta(seconds=30),
        ),
        Step(
            "charge card",
            by="bank",
            done=CardCharged,
            refused=CardDeclined,
            undone=CardRefunded,
            within=timedelta(minutes=2),
        ),
        Step("confirm", by="desk", done=TripConfirmed, pivot=True, within=timedelta(seconds=30)),
    ),
)

desk, hotel, bank = Participant("desk"), Participant("hotel"), Participant("bank")
desk.begins(TripBooked, saga="trip", version=1)


@hotel.on(TripBooked)
async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld | NoRoomLeft:
    (free,) = await tx.read("rooms", "free")
    if int(free or 0) < trip.nights:
        return NoRoomLeft(reason=f"{free or 0} nights left, {trip.nights} wanted")
    tx.decrease("rooms", "free", trip.nights)
    return RoomHeld(nights=trip.nights, card=trip.card)


@hotel.undo(RoomHeld)
async def give_room_back(held: RoomHeld, tx: Transaction) -> RoomGivenBack:
    tx.increase("rooms", "free", held.nights)
    return RoomGivenBack()


@bank.on(RoomHeld)
async def charge_card(held: RoomHeld, tx: Transaction) -> CardCharged | CardDeclined:
    return CardCharged(nights=held.nights) if held.card == "good" else CardDeclined(reason="the card is bad")


@bank.undo(CardCharged)
async def refund_card(charged: CardCharged, tx: Transaction) -> CardRefunded:
    return CardRefunded()


@desk.on(CardCharged)
async def confirm(charged: CardCharged, tx: Transaction) -> TripConfirmed:
    return TripConfirmed()


@desk.undo(TripBooked)
async def cancel(trip: TripBooked, tx: Transaction) -> TripCancelled:
    return TripCancelled()
