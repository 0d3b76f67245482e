"""Participants for the tests of the consumer: a hotel that holds rooms and a bank that calls a gateway outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sagastream import Participant, Retry, Transaction
from tests.trip import (
    CardCharged,
    CardDeclined,
    CardRefunded,
    NoRoomLeft,
    RoomGivenBack,
    RoomHeld,
    TripBooked,
    TripCancelled,
    TripConfirmed,
)
from tests.unit.core.world import World

RETRY = Retry(attempts=3, first=timedelta(seconds=1), cap=timedelta(seconds=30), jitter=0.0)


def with_rooms(rooms: int = 100, **settings: Any) -> World:  # noqa: ANN401  # any setting
    """Return a world whose hotel has rooms."""
    world = World(**settings)
    world.call("HSET", "hotel", "rooms", "free", rooms)
    return world


def free(world: World) -> str:
    """Return how many nights the hotel has left."""
    return world.hash("hotel", "rooms")["free"]


class Script:
    """What a handler does before it decides: nothing, or whatever the test puts here."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda saga_id: None

    def __call__(self, saga_id: str) -> None:
        """Note the call and do what the test wants."""
        self.calls.append(saga_id)
        self.before(saga_id)


def hotel(script: Script) -> Participant:
    """Return a participant whose steps stay within Redis."""
    hotel = Participant("hotel", retry=RETRY)

    @hotel.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld | NoRoomLeft:
        script(tx.saga_id)
        (free,) = await tx.read("rooms", "free")
        if int(free or 0) < trip.nights:
            return NoRoomLeft(reason=f"{free or 0} nights left")
        tx.decrease("rooms", "free", trip.nights)
        return RoomHeld(nights=trip.nights, card=trip.card)

    @hotel.undo(RoomHeld)
    async def give_room_back(held: RoomHeld, tx: Transaction) -> RoomGivenBack:
        script(f"undo {tx.saga_id}")
        tx.increase("rooms", "free", held.nights)
        return RoomGivenBack()

    return hotel


class Gateway:
    """A bank outside of Redis: what was charged under which key, and which keys are closed."""

    def __init__(self) -> None:
        self.charged: dict[str, int] = {}
        self.refunded: set[str] = set()
        self.closed: set[str] = set()
        self.calls: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def charge(self, key: str, amount: int) -> bool:
        """Take money once per key, unless it is closed; the answer may wait."""
        self.calls.append(f"charge {key}")
        if key not in self.closed:
            self.charged[key] = amount
        await self.answers.wait()
        return key in self.charged

    async def close(self, key: str) -> int | None:
        """Let nothing happen under a key any more; return what was taken."""
        self.calls.append(f"close {key}")
        self.closed.add(key)
        return self.charged.get(key)

    async def refund(self, key: str) -> None:
        """Give back what was taken under a key."""
        self.calls.append(f"refund {key}")
        self.refunded.add(key)

    @property
    def kept(self) -> list[str]:
        """Return the keys whose money was taken and not given back."""
        return [key for key in self.charged if key not in self.refunded]


def bank(script: Script) -> Participant:
    """Return a participant whose step calls outside."""
    bank = Participant("bank", retry=RETRY)

    @bank.on(RoomHeld, outside=True)
    async def charge_card(held: RoomHeld, tx: Transaction, gateway: Gateway) -> CardCharged | CardDeclined:
        if held.card == "bad":
            return CardDeclined(reason="the card is bad")
        taken = await gateway.charge(tx.key, held.nights)
        script(tx.saga_id)
        return CardCharged(nights=held.nights) if taken else CardDeclined(reason="the key is closed")

    @bank.undo(CardCharged, outside=True)
    async def refund_card(charged: CardCharged, tx: Transaction, gateway: Gateway) -> CardRefunded:
        script(f"undo {tx.saga_id}")
        await gateway.refund(tx.key)
        return CardRefunded()

    @bank.close(CardCharged)
    async def close_key(held: RoomHeld, tx: Transaction, gateway: Gateway) -> CardCharged | None:
        taken = await gateway.close(tx.key)
        return CardCharged(nights=taken) if taken is not None else None

    return bank


def desk(script: Script) -> Participant:
    """Return the participant that begins sagas and performs the pivot."""
    desk = Participant("desk", retry=RETRY)
    desk.begins(TripBooked, saga="trip", version=1)

    @desk.on(CardCharged)
    async def confirm(charged: CardCharged, tx: Transaction) -> TripConfirmed:
        script(tx.saga_id)
        tx.increase("trips", "confirmed", 1)
        return TripConfirmed()

    @desk.undo(TripBooked)
    async def cancel(trip: TripBooked, tx: Transaction) -> TripCancelled:
        return TripCancelled()

    return desk
