"""Every rule of the library's auditor can fail, names the saga, and leaves a sound run alone.

It is long because each rule is broken in every way that it must notice, all of them on the same trips.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sagastream.audit.looking import NO_TABLE
from sagastream.audit.rules import OF_A_SAGA, READABLE, RULES
from sagastream.event import UndoRequested
from tests.trip import TripBooked
from tests.unit.audit.trips import Trips, played
from tests.unit.core.world import in_virtual_time

ASKED = '{"at":1767225800000,"id":"x","type":"UndoRequested","source":"saga","cause":"y","step":"begin"}'
Corruption = Callable[[Trips], object]


def _record(saga: str, field: str, value: str) -> Corruption:
    return lambda trips: trips.call("HSET", "saga", f"record:{trips.ids[saga]}", field, value)


def _without_record(trips: Trips) -> None:
    saga_id = trips.ids["done"]
    trips.call("DEL", "saga", f"record:{saga_id}")
    for index in ("all", "process:trip", "status:Completed", "initiator:customer-1"):
        trips.call("ZREM", "saga", f"index:{index}", saga_id)


def _history_without(kind: str) -> Corruption:
    def corrupt(trips: Trips) -> None:
        notes = trips.world.history(trips.ids["declined"])
        trips.rewrite_history("declined", [note for note in notes if note["type"] != kind])

    return corrupt


def _undo_oldest_first(trips: Trips) -> None:
    notes = trips.world.history(trips.ids["slow"])
    asked = [at for at, note in enumerate(notes) if note["type"] == UndoRequested.type_name()]
    first, last = asked[0], asked[-1]
    notes[first], notes[last] = notes[last], notes[first]
    trips.rewrite_history("slow", notes)


def _undo_of_what_was_refused(trips: Trips) -> None:
    notes = trips.world.history(trips.ids["declined"])
    asked = next(note for note in notes if note["type"] == UndoRequested.type_name())
    trips.rewrite_history("declined", [*notes, {**asked, "step": "charge card"}])


def _lost_cause(trips: Trips) -> None:
    notes = trips.world.history(trips.ids["done"])
    notes[-1]["cause"] = "nobody"
    trips.rewrite_history("done", notes)


def _circle(trips: Trips) -> None:
    notes = trips.world.history(trips.ids["done"])
    notes[-1]["cause"] = notes[-1]["id"]
    trips.rewrite_history("done", notes)


def _ledger(owner: str, handler: str, saga: str, change: Callable[[str], str]) -> Corruption:
    def corrupt(trips: Trips) -> None:
        told = str(trips.call("HGET", owner, f"ledger:{trips.ids[saga]}", handler))
        trips.call("HSET", owner, f"ledger:{trips.ids[saga]}", handler, change(told))

    return corrupt


def _effect_without_record(trips: Trips) -> None:
    """Copy an effect of another saga into the ledger of one that was refused before."""
    told = str(trips.call("HGET", "bank", f"ledger:{trips.ids['done']}", "charge_card"))
    trips.call("HSET", "bank", f"ledger:{trips.ids['refused']}", "charge_card", told)


def _parked(trips: Trips) -> None:
    trips.call("HSET", "saga", "parked", "trip:9", 1)
    trips.call("XADD", "saga", "parked:trip:9", "*", "message", "{}")


def _notice_without_event(trips: Trips) -> None:
    told = str(trips.call("HGET", "bank", f"ledger:{trips.ids['done']}", "charge_card"))
    event_id = told.split("\n")[3]
    trips.call("HSET", "bank", f"ledger:{trips.ids['done']}", "thank", told.replace(event_id, "never-published"))


def _twin(owner: str, kind: str, saga: str, **attributes: str) -> Corruption:
    return lambda trips: trips.forge(owner, kind, saga, id="twin", **attributes)


def _nobodys_event(trips: Trips) -> None:
    trips.ids["nobody"] = "nobody"
    trips.forge("bank", "CardCharged", "done", correlationid="nobody", id="of-nobody")


CORRUPTIONS: list[tuple[str, str, str, Corruption]] = [
    ("a record cut off", "records-are-readable", "done", _record("done", "progress", '{"facts"')),
    ("a status that is none", "records-are-readable", "done", _record("done", "status", "Fine")),
    ("a ledger that is none", "records-are-readable", "done", _ledger("bank", "charge_card", "done", lambda _: "x\ny")),
    ("an end nothing led to", "status-follows-facts", "declined", _record("declined", "status", "Completed")),
    (
        "no instant of the end",
        "status-follows-facts",
        "done",
        lambda trips: trips.call("HDEL", "saga", f"record:{trips.ids['done']}", "ended_ms"),
    ),
    ("a fact that is not in the history", "history-tells-record", "declined", _history_without("CardDeclined")),
    ("a request that is not in the history", "history-tells-record", "declined", _history_without("UndoRequested")),
    ("no start announced", "history-tells-record", "declined", _history_without("SagaStarted")),
    ("an end missing in the history", "one-end", "declined", _history_without("SagaCompensationCompleted")),
    ("a second end", "one-end", "done", _twin("saga", "SagaCompleted", "done")),
    (
        "another end",
        "one-end",
        "done",
        lambda trips: trips.append(
            "saga", "SagaFailed", {**trips.entry("saga", "SagaCompleted", "done")[1], "type": "SagaFailed", "id": "x"}
        ),
    ),
    (
        "an end that was not published",
        "one-end",
        "done",
        lambda trips: trips.unpublish("saga", "SagaCompleted", "done"),
    ),
    (
        "a timer that stayed behind",
        "timer-while-running",
        "done",
        lambda trips: trips.call("ZADD", "saga", "timers", 10**13, trips.ids["done"]),
    ),
    (
        "a status nobody lists",
        "indexes-equal-records",
        "done",
        lambda trips: trips.call("ZREM", "saga", "index:status:Completed:trip", trips.ids["done"]),
    ),
    (
        "a status it has not",
        "indexes-equal-records",
        "done",
        lambda trips: trips.call("ZADD", "saga", "index:status:Failed:trip", 1, trips.ids["done"]),
    ),
    (
        "a lost initiator",
        "indexes-equal-records",
        "done",
        lambda trips: trips.call("ZREM", "saga", "index:initiator:customer-1", trips.ids["done"]),
    ),
    (
        "an effect that was undone by itself",
        "ledgers-equal-records",
        "done",
        _ledger("hotel", "hold_room", "done", lambda told: told.replace("done", "undone", 1)),
    ),
    (
        "an effect that is still there",
        "ledgers-equal-records",
        "declined",
        _ledger("hotel", "hold_room", "declined", lambda told: told.replace("undone", "done", 1)),
    ),
    (
        "another event remembered",
        "ledgers-equal-records",
        "done",
        _ledger("desk", "confirm", "done", lambda told: told.replace(told.split("\n")[3], "another")),
    ),
    (
        "a ledger that was lost",
        "ledgers-equal-records",
        "done",
        lambda trips: trips.call("DEL", "hotel", f"ledger:{trips.ids['done']}"),
    ),
    ("an effect nobody recorded", "ledgers-equal-records", "refused", _effect_without_record),
    ("a second success", "one-success", "done", _twin("bank", "CardCharged", "done")),
    ("a second refusal", "one-success", "declined", _twin("bank", "CardDeclined", "declined")),
    (
        "a success beside a refusal",
        "one-success",
        "declined",
        lambda trips: trips.append(
            "bank", "CardCharged", {**trips.entry("bank", "CardDeclined", "declined")[1], "type": "CardCharged"}
        ),
    ),
    (
        "an effect without its event",
        "effects-have-events",
        "done",
        lambda trips: trips.unpublish("hotel", "RoomHeld", "done"),
    ),
    ("an effect beside the table without its event", "effects-have-events", "done", _notice_without_event),
    (
        "a request that was not published",
        "effects-have-events",
        "declined",
        lambda trips: trips.call("RPUSH", "saga", f"history:{trips.ids['declined']}", ASKED),
    ),
    ("an event without an effect", "events-have-effects", "done", _twin("hotel", "RoomHeld", "done")),
    ("an event of no saga", "events-have-effects", "nobody", _nobodys_event),
    ("a cause that is no event", "causes-are-a-tree", "done", _lost_cause),
    ("a cause that causes itself", "causes-are-a-tree", "done", _circle),
    (
        "two causes of one event",
        "causes-are-a-tree",
        "done",
        lambda trips: trips.forge("bank", "CardCharged", "done", causationid="other"),
    ),
    ("an undo asked too early", "undone-newest-first", "slow", _undo_oldest_first),
    ("an undo of what need not be undone", "undone-newest-first", "declined", _undo_of_what_was_refused),
    ("a beginning without a record", "begun-sagas-exist", "done", _without_record),
    (
        "a saga that is listed and not there",
        "begun-sagas-exist",
        "done",
        lambda trips: trips.call("DEL", "saga", f"record:{trips.ids['done']}"),
    ),
    (
        "a saga that is there and not listed",
        "begun-sagas-exist",
        "done",
        lambda trips: trips.call("ZREM", "saga", "index:all", trips.ids["done"]),
    ),
]
OF_ALL: list[tuple[str, str, str, Corruption]] = [
    (
        "a saga counted twice",
        "counters-equal-records",
        "counter started|trip",
        lambda trips: trips.call("HINCRBY", "saga", "counts", "started|trip", 1),
    ),
    (
        "a step not counted",
        "counters-equal-records",
        "counter steps|trip|hold room|done",
        lambda trips: trips.call("HINCRBY", "saga", "counts", "steps|trip|hold room|done", -1),
    ),
    (
        "a counter below zero",
        "counters-equal-records",
        "counter late",
        lambda trips: trips.call("HSET", "saga", "counts", "late", -1),
    ),
    (
        "an end that was counted otherwise",
        "counters-equal-records",
        "sagas trip Completed",
        lambda trips: trips.call("HINCRBY", "saga", "counts", "ended|trip|Completed", -1),
    ),
    (
        "a timer of no saga",
        "timer-while-running",
        "all sagas",
        lambda trips: trips.call("ZADD", "saga", "timers", 1, "x"),
    ),
    (
        "a message nobody has read",
        "nothing-pending",
        "group bank on w:{hotel}:events:RoomHeld",
        lambda trips: trips.world.append("hotel", "RoomHeld", trips.entry("hotel", "RoomHeld", "done")[1]),
    ),
    (
        "a group that is gone",
        "nothing-pending",
        "group bank on w:{hotel}:events:RoomHeld",
        lambda trips: trips.server.call("XGROUP", "DESTROY", "w:{hotel}:events:RoomHeld", "bank"),
    ),
    (
        "a message that waits for an attempt",
        "nothing-pending",
        "participant bank",
        lambda trips: trips.call("ZADD", "bank", "retries", 1, "x"),
    ),
    (
        "an event that waits for a table nobody knows",
        "nothing-pending",
        "events of 'trip', version 9",
        _parked,
    ),
]


@in_virtual_time
async def test_a_sound_run_is_clean_and_every_rule_was_tried() -> None:
    """Done, declined, refused, too slow, and everything delivered again: nothing is found, and nothing left out."""
    trips = await played()

    told = await trips.audited(at_rest=True, acknowledged=trips.ids.values())

    assert told.findings.differences == []
    assert [rule.name for rule in RULES if not told.findings.tried[rule.name].compared] == []
    assert [tried.unknown for tried in told.findings.tried.values() if tried.unknown] == []
    assert told.statuses == {"Completed": 6, "Compensated": 2, "Failed": 1}


@pytest.mark.parametrize("at_rest", [True, False], ids=["at rest", "in motion"])
@pytest.mark.parametrize(("rule", "saga", "corrupt"), [c[1:] for c in CORRUPTIONS], ids=[c[0] for c in CORRUPTIONS])
@in_virtual_time
async def test_a_planted_corruption_is_found_by_its_rule(
    rule: str, saga: str, corrupt: Corruption, at_rest: bool
) -> None:
    """One entry is falsified; the rule that guards it names the saga, and no other saga is suspected."""
    trips = await played()

    corrupt(trips)
    await asyncio.sleep(10)  # what is younger than two seconds is left for later
    told = await trips.audited(at_rest=at_rest)

    assert rule in {each.rule for each in told.findings.differences if each.saga_id == trips.ids[saga]}
    assert {each.saga_id for each in told.findings.differences} <= {trips.ids[saga], ""}


@pytest.mark.parametrize(("rule", "about", "corrupt"), [c[1:] for c in OF_ALL], ids=[c[0] for c in OF_ALL])
@in_virtual_time
async def test_what_is_wrong_with_all_sagas_together_is_found_too(rule: str, about: str, corrupt: Corruption) -> None:
    """A counter, a queue or a group that is off by one is named."""
    trips = await played()

    corrupt(trips)
    told = await trips.audited(at_rest=True)

    assert (rule, about) in {(each.rule, each.about) for each in told.findings.differences}
    assert {each.rule for each in told.findings.differences} == {rule}


def test_every_rule_has_a_corruption_that_breaks_it() -> None:
    """No rule is there that nothing was shown to break."""
    assert {rule for _, rule, _, _ in (*CORRUPTIONS, *OF_ALL)} == {rule.name for rule in RULES}


@in_virtual_time
async def test_a_running_saga_has_a_timer_and_is_not_at_rest() -> None:
    """While it runs nothing is wrong; without its timer it would never be looked at again."""
    trips = await played()
    await trips.leave_one_running()

    running = await trips.audited()
    resting = await trips.audited(at_rest=True)
    trips.call("ZREM", "saga", "timers", trips.ids["running"])
    forgotten = await trips.audited()

    assert running.findings.differences == []
    assert f"saga {trips.ids['running']}" in {d.about for d in resting.findings.tried["nothing-pending"].differences}
    assert trips.ids["running"] in {d.saga_id for d in forgotten.findings.tried["timer-while-running"].differences}


@in_virtual_time
async def test_an_acknowledged_saga_that_is_not_there_is_missed() -> None:
    """Who was told that a saga exists can have that checked."""
    trips = await played()

    told = await trips.audited(acknowledged=[*trips.ids.values(), "promised"])

    assert [(d.rule, d.saga_id) for d in told.findings.differences] == [("begun-sagas-exist", "promised")]


@in_virtual_time
async def test_trimmed_streams_are_unknown_and_never_an_alarm() -> None:
    """Of sagas whose events are not all there any more only the other rules are tried."""
    trips = await played()
    for stream in trips.world.streams():
        trips.server.call("XTRIM", stream, "MAXLEN", 2)

    told = await trips.audited()

    assert told.findings.differences == []
    assert told.findings.tried["effects-have-events"].unknown["streams trimmed"] == 9
    assert told.findings.tried["ledgers-equal-records"].compared == 9


@in_virtual_time
async def test_ledgers_that_expired_are_unknown_and_never_an_alarm() -> None:
    """Ledgers are kept for a week; what they said cannot be compared any more."""
    trips = await played()
    await asyncio.sleep(8 * 86_400)
    trips.call("HSET", "bank", f"ledger:{trips.ids['slow']}", "later", "begun")

    told = await trips.audited()

    assert told.findings.differences == []
    assert told.findings.tried["ledgers-equal-records"].unknown["ledgers expired"] == 9


@in_virtual_time
async def test_an_event_long_after_the_end_is_met_too() -> None:
    """Whenever it comes: an event without an effect is found, and one that is told again is not."""
    trips = await played()
    await asyncio.sleep(86_400)
    trips.forge("bank", "CardCharged", "done")
    await asyncio.sleep(10)
    again = await trips.audited()
    trips.forge("bank", "CardCharged", "done", id="twin")
    await asyncio.sleep(10)

    told = await trips.audited()

    assert again.findings.differences == []
    assert {(d.rule, d.saga_id) for d in told.findings.differences} >= {("events-have-effects", trips.ids["done"])}


@in_virtual_time
async def test_a_coordinator_that_lags_is_no_alarm() -> None:
    """What it has not read it cannot have recorded; how much that is, is told."""
    trips = await played()
    await trips.begin("unread", TripBooked(nights=1))
    await asyncio.sleep(60)

    told = await trips.audited()

    assert told.findings.differences == []


@in_virtual_time
async def test_a_saga_of_a_table_nobody_here_knows_is_unknown_and_never_an_alarm() -> None:
    """Another release has its table; whoever audits without it cannot judge the saga, and says so of every rule."""
    trips = await played()
    trips.call("HSET", "saga", f"record:{trips.ids['done']}", "definition_version", 9)

    told = await trips.audited()

    unknown = {
        name: tried.unknown[NO_TABLE] for name, tried in told.findings.tried.items() if NO_TABLE in tried.unknown
    }
    assert told.findings.differences == []
    assert unknown == dict.fromkeys((READABLE.name, *(rule.name for rule, _ in OF_A_SAGA)), 1)


@in_virtual_time
async def test_a_history_of_a_later_version_is_a_difference_and_ends_no_audit() -> None:
    """A note says of a step what nobody here knows; all other sagas are judged all the same."""
    trips = await played()
    odd = {**trips.world.history(trips.ids["done"])[-1], "kind": "resting", "step": "confirm"}
    trips.rewrite_history("done", [*trips.world.history(trips.ids["done"]), odd])

    told = await trips.audited()

    assert [each.saga_id for each in told.findings.tried["records-are-readable"].differences] == [trips.ids["done"]]
    assert told.findings.tried["status-follows-facts"].compared == 8
