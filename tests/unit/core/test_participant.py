"""What a participant declares is refused at once where it could not work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from pydantic import Field

from sagastream import DefinitionError, Event, Participant, Transaction
from tests.trip import CardCharged, NoRoomLeft, RoomGivenBack, RoomHeld, TripBooked, TripConfirmed
from tests.unit.core.casts import Gateway
from tests.unit.core.world import World, in_virtual_time

Note = Callable[[Event, Transaction], Awaitable[None]]


class UndoRequested(Event, by="desk"): ...


class SuiteBooked(Event, by="desk"):
    nights: int


class SuiteHeld(Event, by="hotel"): ...


class Gossip(Event): ...


async def held(trip: TripBooked, tx: Transaction) -> RoomHeld:
    """Hold a room, as its handler or a second one does."""
    return RoomHeld(nights=trip.nights, card=trip.card)


async def heard(gossip: Gossip, tx: Transaction) -> None:
    """Take what nobody says to publish."""


async def given_back(room: RoomHeld, tx: Transaction) -> RoomGivenBack:
    """Undo it, as its undo or a second one does."""
    return RoomGivenBack()


def at_once(trip: TripBooked, tx: Transaction) -> RoomHeld:
    """Hold a room without waiting for anything."""
    return RoomHeld(nights=trip.nights, card=trip.card)


async def nothing_written(trip: TripBooked) -> RoomHeld:
    """Hold a room and write nothing."""
    return RoomHeld(nights=trip.nights, card=trip.card)


async def nothing_said(trip: TripBooked, tx: Transaction):  # type: ignore[no-untyped-def]  # noqa: ANN201  # that is it
    """Say nothing of what it publishes."""


async def a_number(trip: TripBooked, tx: Transaction) -> int:
    """Publish what is no event."""
    return trip.nights


async def anothers(trip: TripBooked, tx: Transaction) -> CardCharged:
    """Publish what the bank does."""
    return CardCharged(nights=trip.nights)


async def of_text(trip: str, tx: Transaction) -> RoomHeld:
    """Take what is no event."""
    return RoomHeld(nights=1, card=trip)


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda hotel: hotel.on(TripBooked)(held), "hotel: two handlers for TripBooked"),
        (lambda hotel: hotel.on(Gossip)(heard), "Gossip does not say by whom it is published"),
        (lambda hotel: hotel.undo(RoomHeld)(given_back), "hotel: two ways to undo RoomHeld"),
        (lambda hotel: hotel.close(RoomHeld)(held), "hotel: two ways to close RoomHeld"),
        (lambda hotel: hotel.on(SuiteBooked)(held), "hotel.held is declared for SuiteBooked but takes TripBooked"),
        (lambda hotel: hotel.undo(SuiteHeld)(at_once), "hotel.at_once must be an async function"),
        (lambda hotel: hotel.undo(SuiteHeld)(nothing_written), "hotel.nothing_written must take an event and a tran"),
        (lambda hotel: hotel.close(SuiteHeld)(nothing_said), "hotel.nothing_said must say in its return annotation"),
        (lambda hotel: hotel.close(SuiteHeld)(a_number), "hotel.a_number returns <class 'int'>, which is not an event"),
        (lambda hotel: hotel.close(SuiteHeld)(anothers), "CardCharged is published by 'bank', not by 'hotel'; declare"),
        (lambda hotel: hotel.close(SuiteHeld)(of_text), "hotel.of_text: the first parameter must be an event"),
        (lambda hotel: hotel.begins(TripBooked, saga="trip", version=1), "published by 'desk', not by 'hotel'"),
        (lambda _: Participant("saga"), "participant 'saga' must look like 'stock' and not be 'saga'"),
        (lambda _: Participant("The hotel"), "participant 'The hotel' must look like 'stock'"),
        (lambda _: Participant("inn", retry=3), r"inn: retry must be .* Retry\(attempts=3\), got 3"),  # type: ignore[arg-type]
        (lambda _: Participant("inn", begins_at="now"), "inn: begins_at must be '0', '\\$' or .* an entry, got 'now'"),
        (lambda hotel: hotel.close(SuiteHeld, retry=3)(held), r"hotel: retry must be .* got 3"),  # type: ignore[arg-type]
    ],
)
def test_what_could_not_work_says_why(declare: Callable[[Participant], object], told: str) -> None:
    """Each would otherwise be found by the first message that comes."""
    hotel = Participant("hotel")
    hotel.on(TripBooked)(held)
    hotel.undo(RoomHeld)(given_back)
    hotel.close(RoomHeld)(held)

    with pytest.raises(DefinitionError, match=told):
        declare(hotel)


def test_what_an_annotation_names_must_be_there_for_whoever_looks() -> None:
    """A name that only the function around it knows cannot be resolved."""

    class RoomPainted(Event, by="hotel"): ...

    async def paint(trip: TripBooked, tx: Transaction) -> RoomPainted:
        return RoomPainted()

    with pytest.raises(DefinitionError, match=r"hotel.paint: .*RoomPainted.* imported at module level"):
        Participant("hotel").on(TripBooked)(paint)


def noting(kind: type[Event]) -> Note:
    """Return a handler as a loop over events makes them: all of one name."""

    async def note(told: Event, tx: Transaction) -> None:
        tx.increase("notes", kind.type_name(), 1)

    note.__annotations__["told"] = kind
    return note


def test_two_handlers_of_one_name_are_refused() -> None:
    """The ledger knows a handler by its name: what the second one is to do would pass for done already."""
    desk = Participant("desk")
    desk.on(RoomHeld)(noting(RoomHeld))

    with pytest.raises(DefinitionError, match="'note' handles RoomHeld already"):
        desk.on(CardCharged)(noting(CardCharged))


def test_no_handler_has_the_name_of_the_beginning() -> None:
    """The ledger knows the beginning by it: the step would pass for done as soon as the saga is begun."""
    desk = Participant("desk")

    async def begin(charged: CardCharged, tx: Transaction) -> TripConfirmed:
        return TripConfirmed()

    with pytest.raises(DefinitionError, match="'begin'"):
        desk.on(CardCharged)(begin)


def test_two_handlers_that_say_done_by_one_event_are_refused() -> None:
    """To undo what the second one did, the ledger would be asked for the first: never done, so barred, and it stays."""
    hotel = Participant("hotel")

    @hotel.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld | NoRoomLeft:
        return RoomHeld(nights=trip.nights, card=trip.card)

    async def hold_suite(trip: SuiteBooked, tx: Transaction) -> RoomHeld | NoRoomLeft:
        return RoomHeld(nights=trip.nights, card="good")

    with pytest.raises(DefinitionError, match="'hold_suite' says RoomHeld, as 'hold_room' does"):
        hotel.on(SuiteBooked)(hold_suite)


def test_two_handlers_may_refuse_by_one_event() -> None:
    """A refusal is never asked about."""
    hotel = Participant("hotel")

    @hotel.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld | NoRoomLeft:
        return RoomHeld(nights=trip.nights, card=trip.card)

    @hotel.on(SuiteBooked)
    async def hold_suite(trip: SuiteBooked, tx: Transaction) -> SuiteHeld | NoRoomLeft:
        return SuiteHeld()

    assert set(hotel.handlers) == {"TripBooked", "SuiteBooked"}


@pytest.mark.parametrize("name", ["subject", "payload", "by", "about"])
@pytest.mark.filterwarnings("ignore:Field name")
def test_a_field_named_like_what_every_event_has_is_refused(name: str) -> None:
    """It would hide what publishes the event: each attempt to return one would fail, with a riddle for a reason."""
    with pytest.raises(DefinitionError, match=f"MailSent: a field cannot be called '{name}'"):
        type("MailSent", (Event,), {"__annotations__": {name: str}, "__module__": __name__}, by="desk")


def test_a_field_may_be_called_so_on_the_wire() -> None:
    class MailSent(Event, by="desk"):
        title: str = Field(alias="subject")

    assert MailSent(title="hello").payload() == '{"subject":"hello"}'
    assert MailSent.model_validate_json('{"subject":"hello"}').subject("saga-1") == "saga-1"


def test_a_parameter_without_a_type_is_named() -> None:
    """What a handler takes besides is given by its type."""
    hotel = Participant("hotel")

    async def hold_room(trip: TripBooked, tx: Transaction, keys) -> RoomHeld:  # type: ignore[no-untyped-def]  # noqa: ANN001  # that is it
        return RoomHeld(nights=trip.nights, card=trip.card)

    with pytest.raises(DefinitionError, match="must say of which type 'keys' is"):
        hotel.on(TripBooked)(hold_room)


@in_virtual_time
async def test_a_resource_that_was_not_given_is_named_whatever_its_type() -> None:
    """Also a type that has no name of its own."""
    hotel = Participant("hotel")

    @hotel.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction, gateway: Gateway | None = None) -> RoomHeld:
        return RoomHeld(nights=trip.nights, card=trip.card)

    told = r"wants gateway: .*Gateway \| None, .*'hotel': resources=\{.*Gateway \| None: "
    with pytest.raises(DefinitionError, match=told):
        World().consumer(hotel)


def test_an_event_that_would_pass_for_one_of_the_librarys_is_refused() -> None:
    """Whoever handles it would look for the step it asks to undo, and bury it."""
    desk, hotel = Participant("desk"), Participant("hotel")

    async def look(asked: UndoRequested, tx: Transaction) -> None: ...

    with pytest.raises(DefinitionError, match="UndoRequested is what the library calls"):
        hotel.on(UndoRequested)(look)
    with pytest.raises(DefinitionError, match="UndoRequested is what the library calls"):
        desk.begins(UndoRequested, saga="trip", version=1)


def test_a_second_way_to_close_a_step_is_refused() -> None:
    """The first would quietly be no way any more."""
    bank = Participant("bank")

    async def close_key(held: RoomHeld, tx: Transaction) -> CardCharged | None: ...

    bank.close(CardCharged)(close_key)

    with pytest.raises(DefinitionError, match="bank: two ways to close CardCharged"):
        bank.close(CardCharged)(close_key)


def test_a_decorator_without_its_event_is_refused() -> None:
    """``@hotel.on`` alone would replace the function by what was to declare it, and declare nothing."""
    hotel = Participant("hotel")

    async def hold(booked: TripBooked, tx: Transaction) -> RoomHeld:
        return RoomHeld(nights=booked.nights)

    for how, declare in (("on", hotel.on), ("undo", hotel.undo), ("close", hotel.close)):
        for wrong in (hold, "TripBooked", TripBooked(nights=1)):
            with pytest.raises(DefinitionError, match=rf"not the class of an event, as in hotel\.{how}\(TripBooked\)"):
                declare(wrong)  # type: ignore[arg-type]  # that is what is tried
    with pytest.raises(DefinitionError, match="'TripBooked' is not the class of an event"):
        hotel.begins("TripBooked", saga="trip", version=1)  # type: ignore[arg-type]  # that is what is tried
