"""One turn of the engine: what is asked, announced and counted, and each of it once.

It is long because every fact meets every status, with the same short names for both.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise

from sagastream.event import SagaAborted
from sagastream.saga.advance import Advance, advance, ask_now, tick
from sagastream.saga.counting import counted
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Fact, Happening, Kind, Progress, Request
from tests.unit.saga.tables import ORDER, PIVOTLESS, at, happening

NOTHING = Progress("saga-1", "order", 1)
MINUTE = timedelta(minutes=1) // timedelta(milliseconds=1)


class Story:
    """A saga told turn by turn, with everything it led to."""

    def __init__(self, saga: Saga = ORDER) -> None:
        self.saga = saga
        self.progress = NOTHING
        self.asked: list[tuple[str, Request, int]] = []
        self.announced: list[str] = []
        self.counts: Counter[str] = Counter()

    def tell(self, *said: str, second: float) -> Advance:
        """Let events arrive together."""
        return self.hear(*(happening(each, at(second)) for each in said), now_ms=at(second))

    def hear(self, *happenings: Happening, now_ms: int) -> Advance:
        """Let happenings arrive together."""
        return self._took(advance(self.saga, self.progress, happenings, now_ms=now_ms))

    def wait(self, second: float) -> Advance:
        """Let time pass until an instant."""
        return self._took(tick(self.saga, self.progress, now_ms=at(second)))

    def _took(self, turn: Advance) -> Advance:
        self.counts.update(counted(self.saga, self.progress, turn))
        self.progress = turn.progress
        self.asked += [(ask.step, ask.request, ask.times) for ask in turn.asks]
        self.announced += [event.type_name() for _, event in turn.announcements]
        return turn


def test_a_saga_goes_forward_and_is_announced_and_counted_once() -> None:
    """However often its events come again."""
    story = Story()
    for _ in range(3):
        for second, said in enumerate(("begin done", "reserve done", "charge done", "confirm done", "notify done")):
            turn = story.tell(said, second=second)

    assert turn.status is Status.COMPLETED
    assert turn.timer_ms is None
    assert story.asked == []
    assert story.announced == ["SagaStarted", "SagaCompleted"]
    assert {name: n for name, n in story.counts.items() if "duration" not in name} == {
        "sagas|order": 1,
        "started|order": 1, "ended|order|Completed": 1, "late": 10,
        **{f"steps|order|{step}|done": 1 for step in ("reserve", "charge", "confirm", "notify")},
    }  # fmt: skip
    assert story.counts["duration|order|5"] == 1
    assert story.counts["duration_ms|order"] == 4000
    for step in ("reserve", "charge", "confirm", "notify"):
        assert story.counts[f"step_duration|order|{step}|1"] == 1
        assert story.counts[f"step_duration_ms|order|{step}"] == 1000


def test_a_time_out_asks_nothing_but_the_bar() -> None:
    """The pivot's participant judges before anybody is asked to undo; the bar turns the saga back."""
    story = Story()
    story.tell("begin done", second=0)
    assert story.wait(29.999).asks == ()

    overdue = story.wait(30)
    barred = story.tell("confirm barred", second=31)

    assert overdue.status is Status.IN_PROGRESS
    assert barred.status is Status.COMPENSATING
    assert story.asked == [("confirm", Request.BAR, 1), ("charge", Request.UNDO, 1)]
    assert story.counts["timeouts|order|reserve"] == 1


def test_while_the_pivot_is_asked_nothing_more_runs_out_of_time() -> None:
    """A cancelled saga waits for its judge alone; what it does not wait for any more is no time-out."""
    story = Story()
    story.tell("begin done", second=0)
    cancelled = story.tell("begin cancelled", second=1)
    waited = story.wait(30)

    assert cancelled.timer_ms == waited.timer_ms == at(61)
    assert story.counts["timeouts|order|reserve"] == 0


def test_a_deadline_runs_from_the_step_before_and_the_saga_has_one_too() -> None:
    """Charging may take a minute from the reservation, the whole way to the pivot a hundred seconds."""
    story = Story()
    story.tell("begin done", second=0)
    assert story.tell("reserve done", second=20).timer_ms == at(80)
    assert story.tell("charge done", second=79).timer_ms == at(100)
    assert story.tell("confirm done", second=90).timer_ms == at(90 + 300)


def test_a_cancellation_after_the_pivot_is_too_late() -> None:
    """The pivot is done: the saga goes on forward and nobody is asked anything."""
    story = Story()
    story.tell("begin done", "reserve done", "charge done", "confirm done", "begin cancelled", second=0)
    turn = story.tell("notify done", second=1)

    assert turn.status is Status.COMPLETED
    assert story.asked == []


def test_a_saga_that_a_person_closes_is_announced_as_aborted() -> None:
    """Once, with who and why; nothing is asked any more, and the clock is left alone."""
    story = Story()
    story.tell("begin done", "reserve done", "charge refused", second=0)
    asked = list(story.asked)
    closing = Happening(BEGINNING, Kind.ABORTED, Fact(at(1), "act-1", "the goods were given away", "ann"))
    turn = story.hear(closing, now_ms=at(1))
    story.hear(closing, now_ms=at(2))

    (told,) = [event for _, event in turn.announcements if isinstance(event, SagaAborted)]
    assert (told.actor, told.reason) == ("ann", "the goods were given away")
    assert story.announced.count("SagaAborted") == 1
    assert (turn.status, turn.timer_ms, story.asked) == (Status.ABORTED, None, asked)


def test_a_wish_after_the_end_changes_nothing() -> None:
    """It is counted as late and not kept."""
    story = Story()
    story.tell("begin done", "reserve refused", "begin undone", second=0)
    before = story.progress
    turn = story.tell("begin cancelled", "charge gave up", "begin poisoned", second=1)

    assert turn.status is Status.FAILED
    assert turn.progress == before
    assert turn.late == 3


def test_a_wish_after_the_end_hides_no_contradiction() -> None:
    """A ledger contradicts the end, then a cancellation is read that came long too late: nothing is turned back."""
    story = Story(PIVOTLESS)
    story.tell("begin done", "reserve done", "charge done", second=0)
    assert story.tell("charge undone", second=1).status is Status.NEEDS_ATTENTION
    turn = story.tell("begin cancelled", second=2)

    assert turn.status is Status.NEEDS_ATTENTION
    assert story.asked == []
    assert story.announced == ["SagaStarted", "SagaCompleted", "SagaNeedsAttention"]


def test_an_end_that_a_ledger_contradicts_is_not_looked_at_without_pause() -> None:
    """What is overdue of it becomes a fact like of any other; a timer that stayed behind would fire for ever."""
    story = Story()
    story.tell("begin done", "reserve refused", "begin undone", second=0)
    turn = story.tell("confirm done", second=1)
    assert turn.status is Status.NEEDS_ATTENTION
    assert turn.timer_ms == at(30)

    overdue = story.wait(30)
    assert (overdue.timer_ms, overdue.late) == (at(30) + 60 * MINUTE, 0)


def test_a_person_closes_no_saga_that_has_ended_by_itself() -> None:
    """Two answers cannot both be the last one; but where a ledger contradicts the end, a person may have it."""
    story = Story()
    story.tell("begin done", "reserve refused", "begin undone", second=0)
    assert story.tell("begin aborted", second=1).status is Status.FAILED
    story.tell("reserve done", second=2)

    assert story.tell("begin aborted", second=3).status is Status.ABORTED


def test_steps_are_asked_newest_first_and_one_at_a_time() -> None:
    """The next is asked only when the newer one is settled."""
    story = Story()
    story.tell("begin done", "reserve done", "charge done", "confirm barred", second=0)
    assert story.asked == [("charge", Request.UNDO, 1)]
    story.tell("charge undone", second=1)
    story.tell("reserve undone", second=2)
    story.tell("begin undone", second=3)

    assert [step for step, _, _ in story.asked] == ["charge", "reserve", "begin"]
    assert story.announced == ["SagaStarted", "SagaCompensationStarted", "SagaCompensationCompleted"]
    assert story.counts["turned_back|order"] == 1
    assert sum(n for name, n in story.counts.items() if name.startswith("step_duration|order|charge|")) == 1
    assert story.counts["ended|order|Compensated"] == 1


def test_a_refusal_at_the_first_step_announces_no_compensation() -> None:
    """Only its record is closed: nothing was done that could be undone, and nobody is told that it was."""
    story = Story()
    story.tell("begin done", second=0)
    story.tell("reserve refused", second=1)
    closed = story.tell("begin undone", second=2)

    assert closed.status is Status.FAILED
    assert story.announced == ["SagaStarted", "SagaFailed"]


def test_an_undo_is_asked_for_at_once_though_a_person_had_the_step_asked_again() -> None:
    """That was another request; the undo is the first of its kind and does not wait for the pause after it."""
    story = Story()
    story.tell("begin done", second=0)
    again = ask_now(ORDER, story.progress, now_ms=at(1))
    assert [(ask.step, ask.request) for ask in again.asks] == [("reserve", Request.RETRY)]
    story.progress = again.progress

    story.tell("charge refused", second=2)

    assert story.asked == [("reserve", Request.UNDO, 1)]


def test_every_turn_of_a_saga_is_announced_with_what_went_wrong_first() -> None:
    """Whoever reads the events alone learns why: of a refusal, of what keeps failing, of ledgers that disagree."""
    failed, stuck, disputed = Story(), Story(), Story()
    turns = [
        failed.tell("begin done", "reserve refused", "begin undone", second=0),
        stuck.tell("begin done", "reserve done", "charge refused", second=0),
        stuck.tell("reserve undo gave up", second=1),
        stuck.tell("reserve undone", "begin undone", second=2),
        disputed.tell("begin done", "confirm barred", "confirm done", "charge undo gave up", second=0),
    ]

    told = [(event.type_name(), getattr(event, "reason", "")) for turn in turns for _, event in turn.announcements]
    assert [(name, reason) for name, reason in told if reason] == [
        ("SagaFailed", "reserve: because of refused"),
        ("SagaCompensationStarted", "charge: because of refused"),
        ("SagaNeedsAttention", "undoing 'reserve' keeps failing: because of undo gave up"),
        ("SagaCompensationCompleted", "charge: because of refused"),
        ("SagaNeedsAttention", "'confirm' is both barred and done"),
    ]


def test_no_step_takes_less_than_no_time() -> None:
    """A server's clock may be put back; what is summed up must never shrink."""
    story = Story()
    story.tell("begin done", second=1)
    story.tell("reserve done", second=0)

    assert story.counts["step_duration|order|reserve|0.005"] == 1
    assert story.counts["step_duration_ms|order|reserve"] == 0


def test_a_saga_that_ends_unbegun_is_counted() -> None:
    """Its first step was refused and its beginning undone; that it began was lost on its way to us."""
    story = Story()
    assert story.tell("reserve refused", "begin undone", second=0).status is Status.FAILED

    assert story.counts["ended|order|Failed"] == 1
    assert story.counts["started|order"] == 0


def test_how_long_a_saga_took_is_observed_once_its_beginning_and_its_end_are_known() -> None:
    """Not before, for nobody knows; a beginning that is read after the end says it still."""
    story = Story()
    story.tell("reserve refused", "begin undone", second=4)
    assert not [counter for counter in story.counts if counter.startswith("duration")]

    for _ in range(2):
        story.tell("begin done", second=0)
    assert story.counts["duration|order|5"] == 1
    assert story.counts["duration_ms|order"] == 4000


def test_an_undo_that_gave_up_does_not_hold_the_older_ones() -> None:
    """They are asked at once; it itself is asked again at a pace that slows down to once an hour."""
    story = Story()
    story.tell("begin done", "reserve done", "charge done", "confirm barred", second=0)
    story.tell("charge undo gave up", second=1)
    story.tell("reserve undone", second=2)
    story.tell("begin undone", second=3)
    instants = []
    for _ in range(12):
        turn = story.wait(0 if not instants else instants[-1])
        assert turn.timer_ms is not None
        instants.append((turn.timer_ms - at(0)) / 1000)
    pauses = [round(b - a) // 60 for a, b in pairwise(instants[1:])]

    assert [step for step, _, times in story.asked if times == 1] == ["charge", "reserve", "begin"]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60
    assert story.counts["undo_failed|order|charge"] == 1
    assert story.wait(instants[-1] - 1).status is Status.NEEDS_ATTENTION
    assert story.tell("charge undone", second=instants[-1]).status is Status.COMPENSATED


def test_an_unanswered_request_is_asked_again_by_the_clock_only() -> None:
    """Repeated events do not repeat requests; time does, each time with a new number."""
    story = Story()
    story.tell("begin done", "reserve done", "charge refused", second=0)
    for second in range(1, 61):  # at the end it is due
        story.tell("reserve done", "charge refused", second=second)
    assert story.asked == [("reserve", Request.UNDO, 1)]
    turn = story.wait(60)

    assert story.asked == [("reserve", Request.UNDO, 1), ("reserve", Request.UNDO, 2)]
    assert turn.timer_ms == at(60) + 2 * MINUTE


def test_a_step_after_the_pivot_is_tried_again_and_never_undone() -> None:
    """Its give-up needs attention; a minute later it is asked to try again."""
    story = Story()
    story.tell("begin done", "reserve done", "charge done", "confirm done", "notify gave up", second=0)
    assert story.asked == []
    story.wait(60)
    turn = story.tell("notify done", second=61)

    assert story.asked == [("notify", Request.RETRY, 1)]
    assert turn.status is Status.COMPLETED
    assert story.announced == ["SagaStarted", "SagaNeedsAttention", "SagaCompleted"]


def test_a_saga_whose_event_before_the_pivot_was_lost_does_not_hang() -> None:
    """The pivot is done, so it must have happened: it is asked to be told again, and shown until then."""
    story = Story()
    story.tell("begin done", "charge done", "confirm done", "notify done", second=0)
    assert story.wait(30).status is Status.NEEDS_ATTENTION
    story.wait(90)
    turn = story.tell("reserve done", second=91)

    assert story.asked == [("reserve", Request.RETRY, 1)]
    assert turn.status is Status.COMPLETED
    assert story.announced == ["SagaStarted", "SagaNeedsAttention", "SagaCompleted"]


def test_a_shell_opened_by_early_facts_has_a_deadline() -> None:
    """A saga whose beginning is never seen is shown, not forgotten, and goes on if it comes after all."""
    story = Story()
    turn = story.tell("reserve done", second=5)
    assert (turn.status, turn.timer_ms) == (Status.IN_PROGRESS, at(65))
    assert story.wait(64.999).news == ()
    lost = story.wait(65)
    assert (lost.status, lost.timer_ms) == (Status.NEEDS_ATTENTION, at(65) + 60 * MINUTE)
    assert story.asked == []

    assert story.tell("begin done", second=0).status is Status.IN_PROGRESS
    assert story.announced == ["SagaNeedsAttention", "SagaStarted"]


def test_the_same_time_out_has_the_same_id_whoever_notices_it() -> None:
    """It is an ordinary event: two coordinators derive the same one."""
    one, two = Story(), Story()
    for story in (one, two):
        story.tell("begin done", second=0)
    first, second = one.wait(30.2), two.wait(44)

    assert first.news == second.news


def test_an_earlier_telling_of_a_known_fact_is_not_counted_again() -> None:
    """Two consumers may deliver two tellings of one fact in the wrong order; the step was refused once."""
    story = Story()
    late, early = happening("reserve barred", at(9)), happening("reserve barred", at(8))
    story.tell("begin done", "confirm barred", "charge barred", second=0)
    story.hear(late, now_ms=at(9))
    story.hear(early, now_ms=at(9))
    folded = Story()
    folded.hear(late, early, late, now_ms=at(9))

    assert story.counts["steps|order|reserve|barred"] == 1
    assert folded.counts["steps|order|reserve|barred"] == 1
    assert story.progress.facts["reserve"] == folded.progress.facts["reserve"]


def test_a_refusal_of_what_was_done_contradicts_no_end() -> None:
    """A ledger that forgot tries a step once more and refuses it: nothing was changed, and the end stays true."""
    undone, completed = Story(), Story()
    undone.tell("begin done", "reserve done", "charge refused", "reserve undone", "begin undone", second=0)
    completed.tell("begin done", "reserve done", "charge done", "confirm done", "notify done", second=0)
    turns = [story.tell("reserve refused", second=9) for story in (undone, completed)]

    assert [turn.status for turn in turns] == [Status.COMPENSATED, Status.COMPLETED]
    assert [turn.late for turn in turns] == [1, 1]


def test_a_refusal_of_what_was_never_done_contradicts_an_end() -> None:
    """A step after a bar was reached: the bar was not kept."""
    story = Story()
    story.tell("begin done", "confirm barred", "charge barred", "reserve barred", "begin undone", second=0)
    turn = story.tell("notify refused", second=9)

    assert turn.status is Status.NEEDS_ATTENTION
