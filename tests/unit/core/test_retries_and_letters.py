"""A handler that raises is tried again, later and later, then buried; what is no event is buried at once.

It is long because a retry and the letter that ends it are one course, tried for every kind of handler.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from sagastream import Event, Participant, Transaction
from sagastream.errors import ReplyError
from sagastream.event import MAX_EVENT_BYTES, LedgerLost, StepGaveUp, UndoRequested
from sagastream.ledger import State
from sagastream.telemetry import Telemetry
from tests.trip import CardCharged, CardRefunded, RoomGivenBack, RoomHeld, TripBooked
from tests.unit.core.casts import RETRY, Gateway, Script, bank, hotel, with_rooms
from tests.unit.core.world import SAGA, World, in_virtual_time


def raising(script: Script, world: World, *, until_second: float = 1e9, text: str = "not now") -> list[float]:
    """Let a script raise until an instant; return where the instants of its calls are noted."""
    instants: list[float] = []

    def before(saga_id: str) -> None:
        instants.append(round(world.loop.time(), 1))
        if world.loop.time() < until_second:
            raise RuntimeError(text)

    script.before = before
    return instants


@in_virtual_time
async def test_an_attempt_that_finds_its_step_decided_is_the_last_and_nothing_waits_any_longer() -> None:
    """Else whoever looks is told for half a minute that what was undone and ended is tried once more."""
    world, script = with_rooms(), Script()
    raising(script, world, until_second=0.5)
    world.tell(TripBooked(nights=1), "turned-back")
    async with world.running(world.consumer(hotel(script))):
        await world.until(lambda: world.hash("hotel", "attempts") != {})
        world.ask("hotel", UndoRequested(step="RoomHeld"), "turned-back")
        await asyncio.sleep(5)

    assert world.ledger("hotel", "hold_room", "turned-back").state is State.BARRED
    assert world.hash("hotel", "attempts") == world.hash("hotel", "failing:turned-back") == {}
    assert world.call("ZCARD", "hotel", "retries") == 0


@in_virtual_time
@pytest.mark.parametrize("until_second", [0.5, 1e9], ids=["until it succeeds", "until it is buried"])
async def test_why_a_handler_fails_is_kept_for_as_long_as_it_is_tried_again(until_second: float) -> None:
    """Beside its saga, so that whoever asks about that one need not look through everything that fails."""
    world, script = with_rooms(), Script()
    raising(script, world, until_second=until_second, text="ada@example.com is not at home")
    world.tell(TripBooked(nights=1), "fails")
    world.tell(TripBooked(nights=1), "fails-too")
    async with world.running(world.consumer(hotel(script))):
        await world.until(lambda: world.hash("hotel", "attempts") != {})
        kept = world.hash("hotel", "failing:fails")
        assert world.call("PTTL", "hotel", "failing:fails") > 0  # type: ignore[operator]  # a number
        await asyncio.sleep(20)

    assert list(kept.values()) == ["hold_room\nRuntimeError: *** is not at home"]
    assert world.hash("hotel", "attempts") == world.hash("hotel", "failing:fails") == {}
    assert world.hash("hotel", "failing:fails-too") == {}


@in_virtual_time
async def test_attempts_come_later_and_later_and_only_the_failed_message_waits() -> None:
    """One second, then two; its neighbours are settled at once."""
    world, script = with_rooms(), Script()
    instants = raising(script, world, until_second=2.9)
    world.tell(TripBooked(nights=1), "fails")
    async with world.running(world.consumer(hotel(script))):
        await world.until(lambda: instants)
        await world.until(lambda: world.hash("hotel", "attempts") != {})
        await world.quiet()

    assert instants[1] - instants[0] == pytest.approx(1, abs=0.2)
    assert instants[2] - instants[1] == pytest.approx(2, abs=0.2)
    assert len(instants) == 3
    assert world.ledger("hotel", "hold_room", "fails").state is State.DONE
    assert world.hash("hotel", "attempts") == {}
    assert world.call("ZCARD", "hotel", "retries") == 0


@in_virtual_time
async def test_a_restart_forgets_neither_attempts_nor_pauses() -> None:
    """The count and the instant of the next attempt are kept in Redis, not in the process."""
    world, script = with_rooms(), Script()
    instants = raising(script, world)
    world.tell(TripBooked(nights=1))
    for _ in range(4):
        async with world.running(world.consumer(hotel(script))):
            await world.until(lambda: world.loop.time() % 1 < 0.02)
        assert len(instants) <= 3
    async with world.running(world.consumer(hotel(script))):
        await world.quiet()

    assert len(instants) == 3
    assert instants[1] - instants[0] >= 1
    assert instants[2] - instants[1] >= 2
    assert len(world.letters("hotel")) == 1


@in_virtual_time
async def test_another_worker_takes_over_a_message_that_waits() -> None:
    """Its first owner is gone; the attempts go on counting."""
    world, script = with_rooms(), Script()
    instants = raising(script, world)
    world.tell(TripBooked(nights=1))
    async with world.running(world.consumer(hotel(script), ordinal=1)):
        await world.until(lambda: world.hash("hotel", "attempts") != {})
    async with world.running(world.consumer(hotel(script), ordinal=2)):
        await world.quiet()

    assert len(instants) == 3
    assert world.letters("hotel")[0]["attempts"] == "3"


@in_virtual_time
async def test_after_the_last_attempt_the_message_is_buried_whole() -> None:
    """The letter, the ledger and the event for the coordinator are one commit; then it is acknowledged."""
    world, script = with_rooms(), Script()
    raising(script, world, text="the lift is stuck")
    entry = world.tell(TripBooked(nights=3), id="booked-1")
    await world.work(world.consumer(hotel(script)))

    (letter,) = world.letters("hotel")
    assert letter["message"] == {
        "stream": "w:{desk}:events:TripBooked",
        "id": entry,
        "fields": world.fields(TripBooked(nights=3), SAGA, "booked-1") | {"time": letter["message"]["fields"]["time"]},
    }
    assert (letter["reason"], letter["attempts"], letter["saga"]) == ("RuntimeError: the lift is stuck", "3", SAGA)
    assert world.ledger("hotel", "hold_room").state is State.GAVE_UP
    assert [json.loads(event["data"]) for event in world.events("hotel", StepGaveUp)] == [
        {"step": "RoomHeld", "undoing": False, "reason": "RuntimeError: the lift is stuck", "attempts": 3}
    ]
    assert world.hash("hotel", "attempts") == {}
    assert world.call("ZCARD", "hotel", "retries") == 0


@in_virtual_time
async def test_a_handler_that_says_what_it_did_not_declare_is_buried() -> None:
    """It is a fault of the program; the others go on."""
    world = with_rooms()
    liar = Participant("hotel", retry=RETRY)

    @liar.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        if trip.nights == 3:
            return RoomHeld  # type: ignore[return-value]
        return RoomGivenBack() if trip.nights == 1 else RoomHeld(nights=1, card="good")  # type: ignore[return-value]

    world.tell(TripBooked(nights=1), "lies")
    world.tell(TripBooked(nights=3), "lies-too")
    world.tell(TripBooked(nights=2), "fine")
    await world.work(world.consumer(liar))

    assert {letter["reason"] for letter in world.letters("hotel")} == {
        "DefinitionError: hotel.hold_room returned RoomGivenBack, but its return annotation names RoomHeld",
        "DefinitionError: hotel.hold_room returned the class RoomHeld itself, but its return annotation names RoomHeld",
    }
    assert world.ledger("hotel", "hold_room", "fine").state is State.DONE


@in_virtual_time
async def test_values_that_fit_no_event_are_named_by_their_fields_in_one_line_and_never_shown() -> None:
    """What pydantic says has several lines and the value in it, and whoever may see the saga may read the reason."""
    world = with_rooms()
    clumsy = Participant("hotel", retry=RETRY)

    @clumsy.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        return RoomHeld.model_validate({"nights": "Ada Lovelace", "card": 7})

    world.tell(TripBooked(nights=1), SAGA)
    await world.work(world.consumer(clumsy))

    (letter,) = world.letters("hotel")
    assert letter["reason"] == (
        "ValidationError: RoomHeld nights: Input should be a valid integer, unable to parse string as an integer;"
        " card: Input should be a valid string"
    )


@in_virtual_time
async def test_a_handler_that_forgets_to_return_has_decided_nothing() -> None:
    """A branch without return would else be a step that is done of which nobody ever hears, and nothing undoes."""
    world = with_rooms()
    forgetful = Participant("hotel", retry=RETRY)

    @forgetful.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        tx.decrease("rooms", "free", trip.nights)
        if trip.nights > 1:
            return RoomHeld(nights=trip.nights, card="good")
        return None  # type: ignore[return-value]  # as where it simply ends

    world.tell(TripBooked(nights=1), "forgotten")
    world.tell(TripBooked(nights=2), "fine")
    await world.work(world.consumer(forgetful))

    (letter,) = world.letters("hotel")
    assert "hotel.hold_room returned None" in letter["reason"]
    assert world.ledger("hotel", "hold_room", "forgotten").state is State.GAVE_UP
    assert world.ledger("hotel", "hold_room", "fine").state is State.DONE
    assert world.hash("hotel", "rooms") == {"free": "98"}


class RoomNamed(Event, by="hotel"):
    about = "room"
    room: str


@in_virtual_time
async def test_a_handler_whose_event_nobody_would_read_is_buried() -> None:
    """What an event is about travels beside it, and readers bury what is longer than any name."""
    world = with_rooms()
    naming = Participant("hotel", retry=RETRY)

    @naming.on(TripBooked)
    async def name_room(trip: TripBooked, tx: Transaction) -> RoomNamed:
        return RoomNamed(room="x" * 1024 * trip.nights)

    world.tell(TripBooked(nights=1), "fine")
    world.tell(TripBooked(nights=2), "long")
    await world.work(world.consumer(naming))

    assert [event["correlationid"] for event in world.events("hotel", RoomNamed)] == ["fine"]
    (letter,) = world.letters("hotel")
    assert letter["reason"] == "TooLarge: the subject has 2048 characters, more than 1024"


BAD_WRITES = {
    "a number no server holds": lambda tx: tx.schedule("z", "m", 10**30),
    "a text that is no text": lambda tx: tx.set("k", {"f": "\ud800"}),
    "nothing": lambda tx: tx.push("k", None),
    "another type": lambda tx: tx.push("rooms", "x"),
    "what is no integer": lambda tx: tx.increase("words", "n", 1),
}


@pytest.mark.parametrize("what", BAD_WRITES)
@in_virtual_time
async def test_a_handler_that_wants_what_cannot_be_written_is_buried(what: str) -> None:
    """It neither stops the consumer nor takes its neighbours with it."""
    world = with_rooms()
    world.call("HSET", "hotel", "words", "n", "many")
    writer = Participant("hotel", retry=RETRY)

    @writer.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        tx.increase("rooms", "asked", 1)
        if trip.nights == 1:
            BAD_WRITES[what](tx)  # type: ignore[no-untyped-call]  # a table of lambdas
        return RoomHeld(nights=1, card="good")

    world.tell(TripBooked(nights=1), "bad")
    world.tell(TripBooked(nights=2), "fine")
    await world.work(world.consumer(writer))

    assert world.ledger("hotel", "hold_room", "fine").state is State.DONE
    assert world.ledger("hotel", "hold_room", "bad").state is State.GAVE_UP
    assert world.hash("hotel", "rooms")["asked"] == "1"
    assert len(world.letters("hotel")) == 1


WRONG_TYPES = {
    "expected text, got 100": lambda tx: tx.expect("rooms", "free", 100),
    "expected text or a whole number for 'free', got None": lambda tx: tx.set("rooms", {"floor": "2", "free": None}),
    "expected text or a whole number for 'free', got 99.5": lambda tx: tx.set("rooms", {"free": 99.5}),
}


@pytest.mark.parametrize("told", WRONG_TYPES)
@in_virtual_time
async def test_a_value_of_another_type_is_named(told: str) -> None:
    """It is refused where it is said, before it can be compared in vain or kept as something else."""
    world = with_rooms()
    writer = Participant("hotel", retry=RETRY)

    @writer.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        WRONG_TYPES[told](tx)  # type: ignore[no-untyped-call]  # a table of lambdas
        return RoomHeld(nights=1, card="good")

    world.tell(TripBooked(nights=1))
    await world.work(world.consumer(writer))

    (letter,) = world.letters("hotel")
    assert letter["reason"] == f"TypeError: {told}"
    assert world.hash("hotel", "rooms") == {"free": "100"}


@in_virtual_time
async def test_an_error_that_speaks_gibberish_is_buried_too() -> None:
    """The reason of a give-up is made of whatever text the error carries."""
    world, script = with_rooms(), Script()
    raising(script, world, text="bytes \udcff\ud800 in the error")
    world.tell(TripBooked(nights=1))
    await world.work(world.consumer(hotel(script)))

    assert len(world.letters("hotel")) == 1
    assert len(world.events("hotel", StepGaveUp)) == 1


@in_virtual_time
async def test_a_handler_that_never_agrees_with_its_guards_is_buried() -> None:
    """Deciding again is no attempt, but it has a bound."""
    world = with_rooms()
    stubborn = Participant("hotel", retry=RETRY)

    @stubborn.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        tx.expect("rooms", "free", "another number")
        return RoomHeld(nights=1, card="good")

    world.tell(TripBooked(nights=1))
    await world.work(world.consumer(stubborn))

    (letter,) = world.letters("hotel")
    assert letter["reason"].endswith("refused each time, the last time by expect of 'free' in 'rooms'")


@in_virtual_time
async def test_the_log_says_which_handler_failed_and_at_which_line() -> None:
    """Whoever wrote the handler finds the line that raised, or the last one there on the way to it."""
    world = with_rooms()
    careless = Participant("hotel", retry=RETRY)

    @careless.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        tx.increase("rooms", "free", -1)
        return RoomHeld(nights=1, card="good")

    raised = hold_room.__code__.co_firstlineno + 2  # after the decorator
    world.tell(TripBooked(nights=1))
    with capture_logs() as logged:
        await world.work(world.consumer(careless))
    said = [(line["event"], line["handler"], line["at"]) for line in logged if line["event"].startswith("event.")]

    where = ("hotel.hold_room", f"{__file__}:{raised}")
    assert said == [("event.failed", *where), ("event.failed", *where), ("event.buried", *where)]


@in_virtual_time
async def test_the_log_says_which_undo_failed() -> None:
    """Its message is a request like any other; where it raised nothing itself, the line is that of its beginning."""
    world, script = with_rooms(), Script()
    world.tell(TripBooked(nights=1))
    await world.work(world.consumer(hotel(script)))
    silent = hotel(Script())
    silent.undos.clear()

    @silent.undo(RoomHeld)
    async def give_room_back(held: RoomHeld, tx: Transaction) -> RoomGivenBack:
        return None  # type: ignore[return-value]  # what is tried here

    world.ask("hotel", UndoRequested(step="RoomHeld"))
    with capture_logs() as logged:
        await world.work(world.consumer(silent))

    buried = next(line for line in logged if line["event"] == "event.buried")
    assert buried["handler"] == "hotel.give_room_back"
    assert buried["at"] == f"{__file__}:{give_room_back.__code__.co_firstlineno}"


@in_virtual_time
async def test_a_handler_is_not_blamed_for_an_undo_that_is_not_there() -> None:
    """The message says that there is none; the handler of the step did what it should."""
    world, careless = with_rooms(), hotel(Script())
    careless.undos.clear()
    world.tell(TripBooked(nights=1))
    await world.work(world.consumer(careless))

    world.ask("hotel", UndoRequested(step="RoomHeld"))
    with capture_logs() as logged:
        await world.work(world.consumer(careless))

    buried = next(line for line in logged if line["event"] == "event.buried")
    assert buried["error"] == "DefinitionError: hotel declares no way to undo RoomHeld"
    assert "handler" not in buried


UNDECODABLE: dict[str, dict[str, str]] = {
    **{f"without {name}": {name: "-"} for name in (
        "id", "source", "type", "time", "correlationid", "definition", "definitionversion", "data", "specversion")},
    "of another specversion": {"specversion": "0.3"},
    "with an empty id": {"id": ""},
    "with a long id": {"id": "x" * 65},
    "with a saga of spaces": {"correlationid": "a b"},
    "with a saga of two lines": {"correlationid": "a\nb"},
    "with a cause of two lines": {"causationid": "a\nb"},
    "with a long cause": {"causationid": "x" * 65},
    "with a long initiator": {"initiatorid": "x" * 5000},
    "without a time of day": {"time": "2026-01-01"},
    "with local time": {"time": "2026-01-01T00:00:00+01:00"},
    "on no day": {"time": "2026-02-30T00:00:00Z"},
    "at no hour": {"time": "2026-01-01T25:00:00Z"},
    "in the year nought": {"time": "0000-01-01T00:00:00Z"},
    "in Arabic digits": {"time": "٢٠٢٦-01-01T00:00:00Z"},
    "of an unknown type": {"type": "TripBooked2"},
    "of no type": {"type": ""},
    "that is no JSON": {"data": "{"},
    "that is a list": {"data": "[]"},
    "that is empty": {"data": ""},
    "with an unknown field": {"data": '{"nights":1,"colour":"red"}'},
    "without a field": {"data": "{}"},
    "with a wrong field": {"data": '{"nights":"many"}'},
    "with no number": {"data": '{"nights":NaN}'},
    "with bytes that are no text": {"data": '{"nights":1,"card":"\udcff"}'},
    "of no bytes of text at all": {"id": "\udcff", "type": "\udcff", "data": "\udcfe"},
    "with half a character": {"data": '{"nights":1,"card":"\\ud800"}'},
    "too large": {"data": '{"nights":1,"card":"' + "x" * MAX_EVENT_BYTES + '"}'},
    "nested too deep": {"data": "[" * 50_000},
}  # fmt: skip


@pytest.mark.parametrize("forged", UNDECODABLE.values(), ids=UNDECODABLE)
@in_virtual_time
async def test_what_is_no_event_is_buried_and_the_loop_goes_on(forged: dict[str, str]) -> None:
    """At once, whole, and without harm to what stands before and after it in the same batch."""
    world, script = with_rooms(), Script()
    world.tell(TripBooked(nights=1), "before")
    entry = world.tell(TripBooked(nights=1), "bad", **forged)
    world.tell(TripBooked(nights=1), "after")
    await world.work(world.consumer(hotel(script)))

    (letter,) = world.letters("hotel")
    assert letter["message"]["id"] == entry
    kept = letter["message"]["fields"]
    assert all(kept.get(name, "-") == value for name, value in forged.items())
    assert script.calls == ["before", "after"]
    assert world.hash("hotel", "attempts") == {}


@in_virtual_time
async def test_entries_that_are_nothing_like_events_are_buried() -> None:
    """Somebody else's fields on our stream."""
    world = with_rooms()
    world.append("desk", "TripBooked", {"hello": "world"})
    world.append("desk", "TripBooked", {"\udcff": "\udcfe"})
    world.tell(TripBooked(nights=1))
    await world.work(world.consumer(hotel(Script())))

    assert [letter["message"]["fields"] for letter in world.letters("hotel")] == [
        {"hello": "world"}, {"\udcff": "\udcfe"},
    ]  # fmt: skip
    assert world.ledger("hotel", "hold_room").state is State.DONE


@in_virtual_time
async def test_what_is_like_no_event_is_put_away_once_though_its_acknowledgement_does_not_get_through() -> None:
    """No ledger knows it by then: nobody else would tell that it was put away."""
    world = with_rooms()
    wire = world.wire()
    wire.lose_requests("XACK")
    world.append("desk", "TripBooked", {"hello": "world"})
    await world.work(world.consumer(hotel(Script()), wire))

    assert len(world.letters("hotel")) == 1


@in_virtual_time
async def test_a_request_about_somebody_elses_step_is_buried_and_who_asked_is_told() -> None:
    """The loop goes on with the next request; a saga that waits for the answer must not wait in silence."""
    world = with_rooms()
    world.ask("hotel", UndoRequested(step="CardCharged"))
    world.ask("hotel", UndoRequested(step="RoomHeld"))
    await world.work(world.consumer(hotel(Script())))

    assert len(world.letters("hotel")) == 1
    assert world.ledger("hotel", "hold_room").state is State.BARRED
    (gave_up,) = world.events("hotel", StepGaveUp)
    told = json.loads(gave_up["data"])
    assert (told["step"], told["undoing"]) == ("CardCharged", True)
    assert "performs no step" in told["reason"]


@in_virtual_time
async def test_a_request_that_an_older_release_cannot_answer_waits_for_the_newer_one() -> None:
    """While both run side by side, whichever of them reads it: nothing is put away and nobody is told of trouble."""
    world, older = with_rooms(), Participant("hotel", retry=RETRY)
    world.ask("hotel", UndoRequested(step="RoomHeld"))
    async with world.running(world.consumer(older)):
        await world.until(lambda: world.hash("hotel", "attempts") != {})
    await world.work(world.consumer(hotel(Script()), ordinal=2))

    assert world.letters("hotel") == world.events("hotel", StepGaveUp) == []
    assert world.ledger("hotel", "hold_room").state is State.BARRED
    assert world.call("ZCARD", "hotel", "retries") == 0


@in_virtual_time
async def test_an_event_that_failed_is_not_put_away_at_once_by_a_release_that_does_not_handle_it() -> None:
    """Its next attempt may be taken by any process; the one after that is made by a release that can."""
    world, script, other = with_rooms(), Script(), Participant("hotel", retry=RETRY)
    raising(script, world, until_second=1)
    world.tell(TripBooked(nights=1))
    async with world.running(world.consumer(hotel(script))):
        await world.until(lambda: world.hash("hotel", "attempts") != {})
    async with world.running(world.consumer(other, ordinal=2)):
        await world.until(lambda: "2" in world.hash("hotel", "attempts").values())
    await world.work(world.consumer(hotel(script)))

    assert world.letters("hotel") == []
    assert world.ledger("hotel", "hold_room").state is State.DONE


@in_virtual_time
async def test_a_message_whose_ledger_is_broken_is_buried_at_last() -> None:
    """That it gave up cannot be remembered, but it is put away whole, its saga is told, and nothing stays pending."""
    world = with_rooms()
    world.call("SET", "hotel", f"ledger:{SAGA}", "no hash")
    world.tell(TripBooked(nights=1))
    await world.work(world.consumer(hotel(Script())))

    assert len(world.letters("hotel")) == 1
    assert len(world.events("hotel", StepGaveUp)) == 1
    assert world.hash("hotel", "rooms")["free"] == "100"
    assert world.hash("hotel", "attempts") == {}


@in_virtual_time
async def test_a_message_older_than_the_ledgers_memory_is_not_handled_again() -> None:
    """Whether it was handled is forgotten: doing it may be doing it twice, so a person must look."""
    world, script = with_rooms(ledger_retention=timedelta(days=7)), Script()
    world.tell(TripBooked(nights=1))
    await asyncio.sleep(timedelta(days=7, seconds=1).total_seconds())
    world.tell(TripBooked(nights=1), "fresh")
    await world.work(world.consumer(hotel(script)))

    assert script.calls == ["fresh"]
    (lost,) = world.events("hotel", LedgerLost)
    assert (lost["correlationid"], json.loads(lost["data"])["step"]) == (SAGA, "RoomHeld")
    assert world.ledger("hotel", "hold_room").state is State.UNKNOWN
    (letter,) = world.letters("hotel")
    assert letter["reason"].startswith("Forgotten")


@in_virtual_time
async def test_a_message_older_than_the_ledgers_memory_is_not_forgotten_if_the_ledger_knows_it() -> None:
    """It was handled late, and is read once more: nothing is called lost that is there."""
    world, script = with_rooms(ledger_retention=timedelta(days=7)), Script()
    world.tell(TripBooked(nights=1))
    await asyncio.sleep(timedelta(days=7, seconds=1).total_seconds())
    done = "done\n2026-01-07T00:00:00.000Z\nRoomHeld\nheld-1\nc\n" + RoomHeld(nights=1, card="x").payload()
    world.call("HSET", "hotel", f"ledger:{SAGA}", "hold_room", done)
    await world.work(world.consumer(hotel(script)))

    assert script.calls == []
    assert not world.events("hotel", LedgerLost)
    assert not world.letters("hotel")


@in_virtual_time
async def test_a_broken_ledger_of_one_saga_stops_nobody_else() -> None:
    """A state nobody knows, and a ledger that is no hash."""
    world = with_rooms()
    world.call("HSET", "hotel", "ledger:odd", "hold_room", "sleeping\n1\n2\n3\n4\n5")
    world.call("SET", "hotel", "ledger:text", "x")
    for saga_id in ("odd", "text", "fine"):
        world.tell(TripBooked(nights=1), saga_id)
        world.ask("hotel", UndoRequested(step="RoomHeld", seen="x"), f"{saga_id}")
    async with world.running(world.consumer(hotel(Script()))):
        await world.until(lambda: world.ledger("hotel", "hold_room", "fine").state is not State.UNKNOWN)
        for second in range(60):
            world.tell(TripBooked(nights=1), f"later-{second}")
        await world.until(lambda: world.ledger("hotel", "hold_room", "later-59").state is State.DONE)


@in_virtual_time
async def test_a_thousand_messages_that_are_due_together_do_not_queue_for_minutes() -> None:
    """When the gateway is back, what waited is settled without a pause of the idle loop after each handful."""
    world, script, gateway = World(), Script(), Gateway()
    raising(script, world, until_second=0.9)
    for number in range(1000):
        world.tell(RoomHeld(nights=1, card="good"), f"saga-{number}")
    async with world.running(world.consumer(bank(script), resources={Gateway: gateway})):
        await world.quiet()

    assert world.loop.time() < 10
    assert len(gateway.charged) == 1000


@in_virtual_time
async def test_what_was_torn_half_way_is_not_torn_again() -> None:
    """An access rule forbade the second write: another attempt would repeat the first, so it is buried at once."""
    world = with_rooms()
    allowed = world.server._from_script

    def guarded(name: bytes, args: Any) -> Any:  # noqa: ANN401  # as the server's own
        if name.upper() == b"HSET" and args[0].endswith(b"forbidden"):
            raise ReplyError("ERR", "the user can't access this key")
        return allowed(name, args)

    world.server._from_script = guarded  # type: ignore[method-assign]  # a rule of access
    writer = Participant("hotel", retry=RETRY)

    @writer.on(TripBooked)
    async def hold_room(trip: TripBooked, tx: Transaction) -> RoomHeld:
        tx.increase("rooms", "asked", 1)
        tx.set("forbidden", {"a": 1})
        return RoomHeld(nights=1, card="good")

    world.tell(TripBooked(nights=1))
    await world.work(world.consumer(writer))

    (letter,) = world.letters("hotel")
    assert "torn" in letter["reason"]
    assert world.hash("hotel", "rooms")["asked"] == "1"
    assert world.ledger("hotel", "hold_room").state is State.GAVE_UP


@in_virtual_time
async def test_an_undo_and_a_close_have_the_attempts_that_were_declared_for_them() -> None:
    """A refund may need days where the charge needs seconds: each says for itself how often it is tried."""
    world, calls = World(), list[str]()
    bank = Participant("bank", retry=RETRY)

    @bank.on(RoomHeld, outside=True)
    async def charge_card(held: RoomHeld, tx: Transaction) -> CardCharged:
        if held.card == "bad":
            raise RuntimeError("the bank is closed")
        return CardCharged(nights=held.nights)

    @bank.undo(CardCharged, retry=replace(RETRY, attempts=5))
    async def refund_card(charged: CardCharged, tx: Transaction) -> CardRefunded:
        calls.append("undo")
        raise RuntimeError("the bank is closed")

    @bank.close(CardCharged, retry=replace(RETRY, attempts=7))
    async def close_key(held: RoomHeld, tx: Transaction) -> CardCharged | None:
        calls.append("close")
        raise RuntimeError("the bank is closed")

    world.tell(RoomHeld(nights=1, card="good"), "charged")
    world.tell(RoomHeld(nights=1, card="bad"), "begun")
    await world.work(world.consumer(bank))
    for saga_id in ("charged", "begun"):
        world.ask("bank", UndoRequested(step="CardCharged"), saga_id)
    await world.work(world.consumer(bank))

    assert Counter(calls) == {"undo": 5, "close": 7}
    assert [letter["attempts"] for letter in world.letters("bank")] == ["3", "5", "7"]


@in_virtual_time
async def test_an_attempt_that_failed_after_somebody_else_had_settled_its_message_leaves_nothing_behind() -> None:
    """Seed 227: a worker was frozen in its call, another one made it; the first then noted that its own had failed."""
    world, telemetry = with_rooms(), Telemetry("hotel")
    entry = world.tell(TripBooked(nights=1), "settled")
    async with world.running(world.consumer(hotel(Script()), telemetry=telemetry)):
        await world.until(lambda: world.ledger("hotel", "hold_room", "settled").state is State.DONE)
        await world.quiet()
        name = f"{world.keys.of('desk').events('TripBooked')}|{entry}"
        world.call("HSET", "hotel", "failing:settled", name, "hold_room\nRuntimeError: too late")
        world.call("HSET", "hotel", "attempts", name, 1)
        world.call("ZADD", "hotel", "retries", 1, name)
        await world.until(lambda: world.hash("hotel", "attempts") == {})

    assert world.hash("hotel", "failing:settled") == {}
    assert world.call("ZCARD", "hotel", "retries") == 0
    assert b'trimmed_while_pending_total{service="hotel"} 0.0' in telemetry.render()


@in_virtual_time
async def test_what_is_trimmed_while_it_waits_for_its_next_attempt_is_told() -> None:
    """It is not taken for one that somebody else has settled: nobody ever will."""
    world, telemetry, script = with_rooms(), Telemetry("hotel"), Script()
    raising(script, world)
    async with world.running(world.consumer(hotel(script), telemetry=telemetry)):
        world.tell(TripBooked(nights=1))
        await world.until(lambda: world.hash("hotel", "attempts") != {})
        world.call("XTRIM", "desk", "events:TripBooked", "MAXLEN", 0)
        await world.until(lambda: world.hash("hotel", "attempts") == {})

    assert world.ledger("hotel", "hold_room").state is State.UNKNOWN
    assert b'trimmed_while_pending_total{service="hotel"} 1.0' in telemetry.render()


@in_virtual_time
async def test_what_waits_of_a_stream_that_was_removed_holds_up_nobody() -> None:
    """An event was renamed, and its old stream deleted while a message of it had another attempt before it."""
    world, telemetry, script = with_rooms(), Telemetry("hotel"), Script()
    raising(script, world, until_second=0.5)
    world.tell(TripBooked(nights=1))
    async with world.running(world.consumer(hotel(script), telemetry=telemetry)):
        await world.until(lambda: world.call("ZCARD", "hotel", "retries"))
        _, due = world.call("ZRANGE", "hotel", "retries", 0, -1, "WITHSCORES")  # type: ignore[misc]  # one
        world.call("ZADD", "hotel", "retries", str(due), "w:{desk}:events:TripAsked|1-1")
        await asyncio.sleep(100)

    assert world.ledger("hotel", "hold_room").state is State.DONE
    assert world.call("ZCARD", "hotel", "retries") == 0
    assert b'trimmed_while_pending_total{service="hotel"} 1.0' in telemetry.render()


@pytest.mark.parametrize(("text", "told"), [("", "RuntimeError"), ("not now", "RuntimeError: not now")])
@in_virtual_time
async def test_an_error_without_a_text_is_told_by_its_name_alone(text: str, told: str) -> None:
    """Time-outs of most clients have none."""
    world, script = with_rooms(), Script()
    raising(script, world, text=text)
    world.tell(TripBooked(nights=1), SAGA)
    with capture_logs() as logged:
        async with world.running(world.consumer(hotel(script))):
            await world.until(lambda: world.events("hotel", StepGaveUp) != [])

    assert {line["error"] for line in logged if line["event"] in ("event.failed", "event.buried")} == {told}
