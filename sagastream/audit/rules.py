"""The library's rules: their names, what they say, and what to do if one does not hold."""

from __future__ import annotations

from collections.abc import Callable

from sagastream.audit import causes, effects, lives
from sagastream.audit.case import Case
from sagastream.audit.findings import Answer, Rule, Unknown

_LOOK = "`sagastream show SAGA_ID` shows what happened; "

READABLE = Rule(
    "records-are-readable",
    "every saga has a record that this library wrote, and its table is known",
    "restore the record from a backup, or name its table under `sagas` in pyproject.toml",
)
STATUS = Rule(
    "status-follows-facts",
    "the status of a saga is what follows from its facts",
    _LOOK + "the record was written by another version or by hand",
)
HISTORY = Rule(
    "history-tells-record",
    "the record of a saga can be rebuilt from its history",
    _LOOK + "one of the two was changed by hand, or restored alone",
)
ONE_END = Rule(
    "one-end",
    "a saga has exactly one terminal event once it has ended, equal to its record, and none before",
    _LOOK + "who acted on the first end must be told which one holds",
)
TIMER = Rule(
    "timer-while-running",
    "a saga has a timer exactly until it has ended",
    "a running saga without a timer is never looked at again: ask for a retry of it",
)
INDEXED = Rule(
    "indexes-equal-records",
    "a saga stands in exactly the indexes that its record names",
    "lists and counts of sagas are wrong until the index is written again",
)
LEDGERS = Rule(
    "ledgers-equal-records",
    "of every step of an ended saga its performer's ledger says what the record says, by the same event",
    _LOOK + "compare with the participant's own data; an effect nobody recorded must be undone by hand",
)
SUCCESS = Rule(
    "one-success",
    "a step is done, refused and undone at most once per saga, and not both done and refused or barred",
    _LOOK + "an effect that happened twice must be undone once by hand",
)
EFFECTS = Rule(
    "effects-have-events",
    "everything that records, histories and ledgers tell of stands in the streams, once",
    _LOOK + "whoever reads that stream has missed it: tell it by hand",
)
EVENTS = Rule(
    "events-have-effects",
    "every event in the streams is known to a record, a history or a ledger",
    _LOOK + "somebody published an event past the library; whoever reads that stream may have acted on it",
)
CAUSES = Rule(
    "causes-are-a-tree",
    "causes of events, requests and announcements lead back to the saga's beginning",
    _LOOK + "an event without a cause was published past the library",
)
UNDO = Rule(
    "undone-newest-first",
    "a step is asked to be undone only once every newer one is settled or its undo gave up",
    _LOOK + "what was undone too early may have been used by a newer step",
)
BEGUN = Rule(
    "begun-sagas-exist",
    "every saga that was begun or acknowledged has a record, and every record is listed",
    "its coordinator never saw the beginning: publish the beginning again under its own id",
)
COUNTS = Rule(
    "counters-equal-records",
    "what was counted of sagas is what their records add up to",
    "figures and alerts are wrong by so much; records are right",
)
REST = Rule(
    "nothing-pending",
    "at rest every saga has ended, and nothing is unread, unacknowledged or waiting for another attempt",
    "see whether every participant runs; `sagastream watch` shows what is tried again",
)

Judge = Callable[[Case], Answer]
OF_A_SAGA: tuple[tuple[Rule, Judge], ...] = (
    (STATUS, lives.status_follows),
    (HISTORY, lives.history_tells),
    (ONE_END, lives.ends_once),
    (TIMER, lives.timed_while_running),
    (INDEXED, lives.indexed),
    (LEDGERS, effects.ledgers_agree),
    (SUCCESS, effects.succeeds_once),
    (EFFECTS, effects.effects_have_events),
    (EVENTS, effects.events_have_effects),
    (CAUSES, causes.causes_are_a_tree),
    (UNDO, lives.undone_newest_first),
)
RULES: tuple[Rule, ...] = (READABLE, BEGUN, *(rule for rule, _ in OF_A_SAGA), COUNTS, REST)


def judged(case: Case) -> list[tuple[Rule, Answer]]:
    """Return what every rule says about one saga."""
    return [(rule, judge(case)) for rule, judge in OF_A_SAGA]


def is_sound(answers: list[tuple[Rule, Answer]]) -> bool:
    """Tell whether no rule was found not to hold."""
    return not any(answer for _, answer in answers if not isinstance(answer, Unknown))
