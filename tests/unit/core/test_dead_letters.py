"""Dead letters are dealt with once: replayed to their owner as the same message, or dropped; the original stays.

It is long because replaying and dropping are tried on every kind of letter, made at its top.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from sagastream import series
from sagastream.bus import Command
from sagastream.coordinator import trail
from sagastream.coordinator.figures import Figures
from sagastream.coordinator.letter import Dealt, Letter
from sagastream.coordinator.letters import MOST_SCANNED, CannotDeal, DeadLetters, Unfit
from sagastream.coordinator.repair import Repairs
from sagastream.event import StepBarred, StepGaveUp, UndoRequested
from sagastream.keys import COORDINATOR, Keys
from sagastream.reader import Reader
from sagastream.saga.attention import Effect
from sagastream.saga.repair import Act, Action
from sagastream.telemetry import Figure
from tests.trip import TRIP, CardCharged, RoomHeld, TripBooked, TripConfirmed
from tests.unit.core.casts import Gateway, Script, bank, desk, hotel
from tests.unit.core.world import SAGA, World, in_virtual_time

ABORTED = Action(Act.ABORT, "ann", "enough")


def letters(world: World) -> DeadLetters:
    return DeadLetters([TRIP], bus=world.wire().bus, settings=world.settings)


async def only(world: World, owner: str, fate: Dealt | None = Dealt.OPEN) -> Letter:
    """Return the one letter of an owner."""
    (letter,), following = await letters(world).page([owner], None, fate, None, 10)
    assert following is None
    return letter


def broken(script: Script) -> Script:
    def fail(saga_id: str) -> None:
        raise RuntimeError("the door is locked")

    script.before = fail
    return script


async def buried(world: World, script: Script) -> Letter:
    """Let the hotel give up on a booking, and return its letter."""
    world.call("HSET", "hotel", "rooms", "free", 5)
    world.tell(TripBooked(nights=2), id="booked")
    async with world.running(world.consumer(hotel(broken(script)))):
        await world.until(lambda: bool(world.letters("hotel")))
        await world.quiet()
    return await only(world, "hotel")


@in_virtual_time
async def test_a_replayed_letter_is_handled_as_the_message_it_was_and_stays_beside() -> None:
    """The ledger that gave up opens again; what it publishes is caused by the first message."""
    world, script = World(), Script()
    letter = await buried(world, script)
    assert (letter.saga_id, letter.attempts, letter.fields["id"]) == (SAGA, 3, "booked")
    script.before = lambda saga_id: None

    async with world.running(world.consumer(hotel(script))):
        done = await letters(world).replay(letter, "ann", "the door is open", None)
        await world.until(lambda: bool(world.events("hotel", RoomHeld)))
        await world.quiet()

    (held,) = world.events("hotel", RoomHeld)
    assert (held["causationid"], world.ledger("hotel", "hold_room").state) == ("booked", "done")
    assert world.hash("hotel", "rooms")["free"] == "3"
    kept = await only(world, "hotel", Dealt.REPLAYED)
    assert (kept, kept.fields) == (done, letter.fields)
    assert kept.dealt is not None
    assert (kept.dealt["actor"], kept.dealt["reason"], "data" in kept.dealt) == ("ann", "the door is open", False)
    assert "other data" not in str(world.call("XRANGE", COORDINATOR, "audit", "-", "+"))


@in_virtual_time
async def test_open_letters_are_counted_until_somebody_deals_with_them() -> None:
    """Everybody who may put letters away is counted from the start, the coordinator too."""
    world = World()
    at_first = await open_letters(world)
    letter = await buried(world, Script())
    then = await open_letters(world)
    await letters(world).drop(letter, "ann", "it was a test")

    assert at_first == {"desk": 0, "hotel": 0, "bank": 0, "saga": 0, "webhooks": 0}
    assert then == {**at_first, "hotel": 1}
    assert await open_letters(world) == at_first


async def open_letters(world: World) -> dict[str, float]:
    """Return ``dead_letters_open`` of each owner, as a coordinator exports it."""
    figures = await Figures([TRIP], bus=world.wire().bus, settings=world.settings).read()
    return {
        one.labels[0]: one.value for one in figures if isinstance(one, Figure) and one.series is series.OPEN_LETTERS
    }


@in_virtual_time
async def test_a_letter_is_replayed_with_other_data_and_the_original_is_kept() -> None:
    """Same event, same saga; only what it says is mended, and must fit the event's model."""
    world, script = World(), Script()
    letter = await buried(world, script)
    script.before = lambda saga_id: None

    for wrong in ('{"nights": "many"}', "{}", '{"nights": 1, "beds": 2}'):
        with pytest.raises(Unfit, match="TripBooked"):
            await letters(world).replay(letter, "ann", "they come for one night", wrong)
    async with world.running(world.consumer(hotel(script))):
        await letters(world).replay(letter, "ann", "they come for one night", '{"nights": 1}')
        await world.until(lambda: bool(world.events("hotel", RoomHeld)))
        await world.quiet()

    assert world.hash("hotel", "rooms")["free"] == "4"
    kept = await only(world, "hotel", Dealt.REPLAYED)
    assert json.loads(kept.fields["data"])["nights"] == 2
    assert kept.dealt is not None
    assert json.loads(kept.dealt["data"])["nights"] == 1
    entries = world.call("XRANGE", COORDINATOR, "audit", "-", "+")
    assert "TripBooked to hotel, with other data" in str(entries)


@in_virtual_time
async def test_a_replay_of_what_was_settled_meanwhile_has_no_effect() -> None:
    """The saga was turned back while the letter lay there: its step is barred, and stays so."""
    world, script = World(), Script()
    letter = await buried(world, script)
    script.before = lambda saga_id: None
    world.call("HSET", "desk", f"ledger:{SAGA}", "begin", f"done\n\nTripBooked\nid\n\n{TripBooked(nights=2).payload()}")
    async with world.running(
        world.consumer(hotel(script)), world.consumer(desk(Script())), world.coordinator(TRIP),
        world.consumer(bank(Script()), resources={Gateway: Gateway()}),
    ):  # fmt: skip
        await world.until(lambda: world.status() == "Failed")
        await letters(world).replay(letter, "ann", "try again", None)
        await world.quiet()

    assert world.events("hotel", RoomHeld) == []
    assert world.hash("hotel", "rooms")["free"] == "5"
    (note,) = [note for note in world.history() if note["type"] == "DeadLetterReplayed"]
    assert (note["actor"], note["reason"]) == ("ann", "TripBooked to hotel: try again")


@in_virtual_time
async def test_an_undo_that_was_buried_is_replayed_too() -> None:
    """Requests are messages like any other; their data may be mended as well."""
    world, script = World(), Script()
    world.call("HSET", "hotel", "rooms", "free", 3)
    held = RoomHeld(nights=2, card="good")
    world.call("HSET", "hotel", f"ledger:{SAGA}", "hold_room", f"done\n\nRoomHeld\nheld\n\n{held.payload()}")
    for told in (TripBooked(nights=2), held, CardCharged(nights=2)):
        world.tell(told)
    async with world.running(world.coordinator(TRIP), world.consumer(hotel(broken(script))),
                             world.consumer(desk(Script()))):  # fmt: skip
        await world.until(lambda: world.status() == "Completed")
        world.ask("hotel", UndoRequested(step="RoomHeld"))
        await world.until(lambda: bool(world.letters("hotel")))
        await world.quiet()
        script.before = lambda saga_id: None
        await letters(world).replay(await only(world, "hotel"), "ann", "the door is open", None)
        await world.until(lambda: world.hash("hotel", "rooms")["free"] == "5")
        await world.quiet()


@in_virtual_time
async def test_an_event_the_coordinator_could_not_understand_is_mended_and_heard() -> None:
    """The bank's give-up was garbled; replayed with its true words the saga is turned back at once."""
    world = World()
    world.tell(TripBooked(nights=2))
    gave_up = StepGaveUp(step="RoomHeld", undoing=False, reason="closed", attempts=3)
    world.append("hotel", "StepGaveUp", {**world.fields(gave_up, SAGA, "gave-up"), "data": '{"step": 7}'})
    async with world.running(world.coordinator(TRIP)):
        await world.until(lambda: world.status() == "NeedsAttention")
        letter = await only(world, COORDINATOR)
        with pytest.raises(Unfit):
            await letters(world).replay(letter, "ann", "mended", '{"step": 8}')
        await letters(world).replay(letter, "ann", "mended", gave_up.payload())
        await world.until(lambda: world.requests("desk") == ["BarRequested TripConfirmed"])
        await world.quiet()

    assert "gave up" in [note.get("kind") for note in world.history()]


@in_virtual_time
async def test_a_dropped_letter_stays_readable_and_is_no_longer_open() -> None:
    world = World()
    letter = await buried(world, Script())

    await letters(world).drop(letter, "ann", "a test of last year")

    found, _ = await letters(world).page(["hotel"], None, Dealt.OPEN, None, 10)
    assert found == []
    kept = await only(world, "hotel", Dealt.DROPPED)
    assert (kept.fields, kept.dealt and kept.dealt["reason"]) == (letter.fields, "a test of last year")
    entries = world.call("XRANGE", COORDINATOR, "audit", "-", "+")
    assert isinstance(entries, list)
    assert "letter dropped" in str(entries)


@in_virtual_time
async def test_a_letter_is_dealt_with_once() -> None:
    """Two who look at it at the same time, and whoever comes later: the second is told what the first did."""
    world = World()
    letter = await buried(world, Script())
    await letters(world).drop(letter, "ann", "a test")

    with pytest.raises(CannotDeal, match="changed meanwhile"):
        await letters(world).replay(letter, "bob", "try again", None)
    with pytest.raises(CannotDeal, match="dropped by ann: a test"):
        await letters(world).replay(await only(world, "hotel", None), "bob", "try again", None)
    with pytest.raises(CannotDeal, match="dropped by ann: a test"):
        await letters(world).drop(await only(world, "hotel", None), "bob", "me too")
    assert world.requests("hotel") == []


@in_virtual_time
async def test_what_never_was_an_event_can_only_be_dropped() -> None:
    world = World()
    world.append("desk", "TripBooked", {"no": "event"})
    await world.work(world.consumer(hotel(Script())))
    letter = await only(world, "hotel")

    with pytest.raises(CannotDeal, match="never an event"):
        await letters(world).replay(letter, "ann", "why not", None)
    await letters(world).drop(letter, "ann", "nobody knows what it was")


@in_virtual_time
async def test_a_letter_older_than_the_ledgers_memory_is_not_replayed() -> None:
    """Its ledger may have forgotten that it gave up, or that it was done after all."""
    world = World()
    letter = await buried(world, Script())
    world.clock_step_ms = world.settings.ledger_retention // timedelta(milliseconds=1) - 3_600_000

    with pytest.raises(CannotDeal, match="may have forgotten"):
        await letters(world).replay(letter, "ann", "try again", None)


async def said(world: World, action: Action) -> None:
    done = await Repairs([TRIP], bus=world.wire().bus, settings=world.settings).act(SAGA, action)
    assert done is not None
    assert done.verdict.turn is not None


@in_virtual_time
async def test_nothing_is_replayed_against_what_a_person_said() -> None:
    """The saga was aborted: a step that happened now would be nobody's."""
    world = World()
    letter = await buried(world, Script())
    await world.work(world.coordinator(TRIP))
    await said(world, ABORTED)

    with pytest.raises(CannotDeal, match="a person has said"):
        await letters(world).replay(letter, "ann", "try again", None)


@in_virtual_time
async def test_an_undo_that_a_person_saw_done_is_not_replayed() -> None:
    """The money was given back by hand; the letter of the refund that gave up would give it back once more."""
    world = World()
    gave_up = StepGaveUp(step="CardCharged", undoing=True, reason="closed", attempts=3)
    for told in (TripBooked(nights=2), RoomHeld(nights=2, card="good"), CardCharged(nights=2)):
        world.tell(told)
    for by, fact in (("desk", StepBarred(step="TripConfirmed")), ("bank", gave_up)):
        world.append(by, fact.type_name(), world.fields(fact, SAGA, fact.type_name()))
    refund = {"stream": "s", "id": "1-0", "fields": world.fields(UndoRequested(step="CardCharged"), SAGA, "refund")}
    world.call("XADD", "bank", "letters", f"{world.now_ms()}-1", "message", json.dumps(refund), "reason", "closed")
    await world.work(world.coordinator(TRIP))
    await said(world, Action(Act.RESOLVE, "ann", "paid in cash", "charge card", Effect.UNDONE, "receipt 7"))
    asked = world.requests("bank")

    with pytest.raises(CannotDeal, match="a person has said"):
        await letters(world).replay(await only(world, "bank"), "bob", "try again", None)
    assert world.requests("bank") == asked


@in_virtual_time
async def test_what_a_person_says_while_a_letter_is_replayed_is_not_acted_against() -> None:
    """The saga is aborted between the look at it and the replay, which is refused."""
    world = World()
    letter = await buried(world, Script())
    await world.work(world.coordinator(TRIP))
    wire = world.wire()

    async def is_aborted_before(command: Command) -> None:
        if command[0] in ("EVAL", "EVALSHA") and world.status() != "Aborted":
            await said(world, ABORTED)

    wire.bus.writer.before = is_aborted_before  # type: ignore[attr-defined]  # a memory connection
    with pytest.raises(CannotDeal, match="changed meanwhile"):
        await DeadLetters([TRIP], bus=wire.bus, settings=world.settings).replay(letter, "bob", "try again", None)
    assert (world.requests("hotel"), (await only(world, "hotel")).fate) == ([], Dealt.OPEN)


@in_virtual_time
async def test_a_replay_that_cannot_be_stored_is_not_said_to_be_made() -> None:
    """Somebody wrote over the history of its saga, which is to tell of it."""
    world = World()
    letter = await buried(world, Script())
    await world.work(world.coordinator(TRIP))
    world.call("DEL", COORDINATOR, f"history:{SAGA}")
    world.call("SET", COORDINATOR, f"history:{SAGA}", "x")

    with pytest.raises(CannotDeal, match="cannot be stored: malformed"):
        await letters(world).replay(letter, "ann", "try again", None)
    assert (world.requests("hotel"), (await only(world, "hotel")).fate) == ([], Dealt.OPEN)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@in_virtual_time
async def test_letters_of_all_owners_come_newest_first_and_each_once(limit: int) -> None:
    """Also those of one millisecond, whatever the size of the page."""
    world = World()
    for number in range(7):
        for owner in ("hotel", "bank", COORDINATOR)[: 1 + number % 3]:
            saga_id = f"saga-{number % 2}"
            whole = {"stream": "s", "id": "1-0", "fields": world.fields(TripConfirmed(), saga_id, f"e-{number}")}
            world.call("XADD", owner, "letters", f"{1000 + number // 2}-{number}",
                       "message", json.dumps(whole), "reason", "why", "attempts", "1")  # fmt: skip
    every = letters(world)

    async def pages(saga_id: str | None) -> list[tuple[int, int, str]]:
        found, before = [], None
        while True:
            page, before = await every.page(every.owners, saga_id, Dealt.OPEN, before, limit)
            found += [letter.place.order for letter in page]
            if before is None:
                return found

    found = await pages(None)
    assert found == sorted(found, reverse=True)
    assert len(found) == len(set(found)) == 13
    assert len(await pages("saga-1")) == 6


@in_virtual_time
async def test_a_letter_tells_how_its_saga_stands_now() -> None:
    """Whoever finds many in the morning need not look up one by one whether they still matter."""
    world = World()
    letter = await buried(world, Script())
    assert (letter.saga_status, (await found(world, letter)).saga_status) == (None, None)
    async with world.running(world.coordinator(TRIP)):
        await world.quiet()
        assert (await only(world, "hotel")).saga_status == "InProgress"
        world.tell(RoomHeld(nights=2, card="good"))
        world.tell(CardCharged(nights=2))
        world.tell(TripConfirmed())
        await world.quiet()
    world.call("XADD", "hotel", "letters", "*", "reason", "odd", "message", "null")
    world.call("SET", COORDINATOR, "record:other", "no record")
    told = json.dumps({"fields": {"correlationid": "other"}})
    world.call("XADD", "hotel", "letters", "*", "reason", "odd", "message", told)

    page, _ = await letters(world).page(["hotel"], None, None, None, 10)
    assert [one.saga_status for one in page] == [None, None, "Completed"]
    assert (await found(world, letter)).saga_status == "Completed"


async def found(world: World, letter: Letter) -> Letter:
    """Return a letter as it is found by its id."""
    again = await letters(world).find(letter.place.owner, letter.place.id)
    assert again is not None
    return again


@in_virtual_time
async def test_few_are_found_among_many_by_few_reads() -> None:
    """However few are wanted at a time, of letters and of the audit trail: each read is a way to the server."""
    world, many = World(), 300
    for number in range(many):
        told = ("reason", "odd", "message", json.dumps({"fields": {"correlationid": f"saga-{number}"}}))
        world.call("XADD", "hotel", "letters", f"{world.now_ms()}-{number + 1}", *told)
        world.call("XADD", COORDINATOR, "audit", f"{world.now_ms()}-{number + 1}", "saga", f"saga-{number}")
    wire = world.wire()
    dead = DeadLetters([TRIP], bus=wire.bus, settings=world.settings)
    reader = Reader(wire.bus.query, Keys(world.settings.key_prefix, COORDINATOR))

    letters_found, _ = await dead.page(["hotel"], "saga-0", None, None, 1)
    traces_found, _ = await trail.entries(reader, trail.Trace(saga_id="saga-0"), None, 1)
    firsts, following = await dead.page(["hotel"], None, None, None, 1)
    seconds, _ = await dead.page(["hotel"], None, None, following, 1)

    assert [letter.saga_id for letter in (*letters_found, *firsts, *seconds)] == ["saga-0", "saga-299", "saga-298"]
    assert [entry.fields["saga"] for entry in traces_found] == ["saga-0"]
    assert len(wire.commands("XREVRANGE")) <= 20


@in_virtual_time
async def test_a_page_looks_at_a_bounded_number_of_letters_and_says_where_to_go_on() -> None:
    """However many there are of other sagas: whoever asked waits for the answer. Nothing is left out by that."""
    world = World()
    for number in range(MOST_SCANNED + 100):
        told = json.dumps({"fields": {"correlationid": "mine" if number == 0 else "other"}})
        world.call("XADD", "hotel", "letters", f"{world.now_ms()}-{number + 1}", "reason", "odd", "message", told)

    first, following = await letters(world).page(["hotel"], "mine", None, None, 1000)
    then, end = await letters(world).page(["hotel"], "mine", None, following, 1000)

    assert (first, [letter.saga_id for letter in then], end) == ([], ["mine"], None)


@in_virtual_time
async def test_a_letter_of_any_shape_is_shown_and_can_be_dropped() -> None:
    """Participants in other languages put theirs away themselves; one odd letter must not hide all the others."""
    world = World()
    odd = ("nonsense", "[]", '"text"', "null", '{"fields": null}', '{"fields": ["a", "b"]}', '{"stream": {"a": 1}}')
    for number, message in enumerate(odd):
        world.call("XADD", "hotel", "letters", f"{world.now_ms()}-{number + 1}", "message", message, "attempts", "²")

    found, following = await letters(world).page(["hotel"], None, Dealt.OPEN, None, 50)
    for letter in found:
        await letters(world).drop(letter, "ann", "nobody knows what it was")

    assert ([letter.fields for letter in found], following) == ([{}] * len(odd), None)
    assert [letter.attempts for letter in found] == [0] * len(odd)
    assert (await letters(world).page(["hotel"], None, Dealt.OPEN, None, 50))[0] == []
