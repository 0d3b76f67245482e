"""Every race of a saga decided: each situation, everything that may be reported, and what happens. Pure.

Nothing is decided here: the engine itself is asked about one occurrence after another, and the answers become Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from sagastream.saga import lifecycle
from sagastream.saga.advance import Advance
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Kind, Progress
from sagastream.saga.repair import Act, Action, Because
from sagastream.saga.situations import TIME, Occurrence, Situation, actions, occurrences, situations
from sagastream.saga.waiting import waiting_for

_HEAD = """# Transitions of `{name}`, version {version}

Every way a saga of this table may stand, everything that may be told about it, and what follows. Written by
`sagastream transitions {name}`, which asks the engine itself; a test holds this page to it, and others try every pair
of events in both orders, with repetitions, from each of these situations.

| told | means |
|---|---|
| first | for the first time, when it may be expected |
| early | before the saga's beginning, the step it follows, or the request it answers |
| again | it is known already |
| late | after the end |
| time | nothing was told until the instant at which the saga is looked at again |
| person | an operator acts on it, see `docs/how-to/repair.md`; of a step only what is open may be stated |

*Contradiction*: two facts that cannot both be true. Only a ledger that went back in time produces them; the saga needs
attention, nothing more is asked of anybody, and even an end is left for it. What is told late is counted as late; what
asks for a way that can no longer be taken is not remembered. Requests are answered by participants from their ledgers
(`StepBarred`, `StepGaveUp`, `LedgerLost` name their step here in brackets).
"""

NOTHING = "-"
_ANSWERS = frozenset({Kind.UNDONE, Kind.BARRED, Kind.UNDO_GAVE_UP, Kind.LOST})


class When(StrEnum):
    """How an occurrence relates to what is known."""

    FIRST = "first"
    EARLY = "early"
    AGAIN = "again"
    LATE = "late"
    TIME = "time"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from one occurrence: where the saga stands, who is asked, what is announced, the next look."""

    status: str
    asked: str
    announced: str
    next_look: str


def transitions(saga: Saga) -> str:
    """Return the page about a saga table."""
    known = list(situations(saga))
    lines = [_HEAD.format(name=saga.name, version=saga.version), *_overview(saga, known)]
    for status in (None, *Status):
        standing = [situation for situation in known if situation.status is status]
        lines += ["", f"## {status or 'Nothing is known'}"] if standing else []
        for situation in standing:
            lines += ["", *_section(saga, situation)]
    return "\n".join(lines) + "\n"


def when(saga: Saga, situation: Situation, occurrence: Occurrence) -> When:
    """Tell how an occurrence relates to what is known in a situation."""
    progress = situation.progress
    if occurrence == TIME:
        return When.TIME
    if situation.status is not None and situation.status.is_end:
        return When.LATE
    if progress.has(occurrence.step, occurrence.kind):
        return When.AGAIN
    is_beginning = occurrence.step == BEGINNING and occurrence.kind is Kind.DONE
    is_unfounded = progress.began_ms is None and not is_beginning
    return When.EARLY if is_unfounded or _comes_early(saga, progress, occurrence) else When.FIRST


def _comes_early(saga: Saga, progress: Progress, occurrence: Occurrence) -> bool:
    step, kind = occurrence.step, occurrence.kind
    if kind in (Kind.DONE, Kind.REFUSED, Kind.GAVE_UP) and step != BEGINNING:
        return not progress.has(saga.names[saga.names.index(step) - 1], Kind.DONE)
    is_bar_of_pivot = kind is Kind.BARRED and step == saga.pivot
    return kind in _ANSWERS and step not in progress.asks and not is_bar_of_pivot


def _overview(saga: Saga, known: list[Situation]) -> Iterator[str]:
    yield "## Where each status may lead"
    yield ""
    yield f"| status | {' | '.join(When)} |"
    yield f"|---|{'---|' * len(When)}"
    for status in (None, *Status):
        leads: dict[When, dict[str, None]] = {each: {} for each in When}
        for situation in known:
            if situation.status is status:
                for told, _, turn in _turns(saga, situation):
                    leads[told][turn.status] = None
                for action in actions(saga):
                    if (acted := situation.if_asked(saga, action).turn) is not None:
                        leads[When.PERSON][acted.status] = None
        if any(leads.values()):
            cells = (", ".join(sorted(leads[each])) or NOTHING for each in When)
            yield f"| {status or 'nothing is known'} | {' | '.join(cells)} |"


def _section(saga: Saga, situation: Situation) -> Iterator[str]:
    yield f"### {situation.title[0].upper()}{situation.title[1:]}"
    yield ""
    if situation.story:
        yield f"Told so far: {', '.join(map(str, situation.story))}. {_waits(saga, situation)}".rstrip()
        yield ""
    yield "| told | what | then | asked | announced | looked at again |"
    yield "|---|---|---|---|---|---|"
    rows: dict[tuple[When, Outcome], list[Occurrence]] = {}
    for told, occurrence, turn in _turns(saga, situation):
        rows.setdefault((told, _outcome(saga, situation, occurrence, turn)), []).append(occurrence)
    if situation.status is not None:
        for action, outcome in _actions(saga, situation):
            rows.setdefault((When.PERSON, outcome), []).append(action)
    for (told, outcome), alike in sorted(rows.items(), key=lambda row: list(When).index(row[0][0])):
        cells = (told, _names(alike), outcome.status, outcome.asked, outcome.announced, outcome.next_look)
        yield f"| {' | '.join(cells)} |"


def _turns(saga: Saga, situation: Situation) -> Iterator[tuple[When, Occurrence, Advance]]:
    for occurrence in occurrences(saga):
        turn = situation.then(saga, occurrence)
        if turn is not None:
            yield when(saga, situation, occurrence), occurrence, turn


def _actions(saga: Saga, situation: Situation) -> Iterator[tuple[Occurrence, Outcome]]:
    for action in actions(saga):
        verdict = situation.if_asked(saga, action)
        if verdict.refused is Because.NOT_OPEN:
            continue
        name = f"{action.act}: {action.effect}" if action.act is Act.RESOLVE else str(action.act)
        what = Occurrence(name, action.step, Kind.ABORTED, is_general=action.act is Act.RESOLVE)
        if verdict.turn is not None:
            yield what, _outcome(saga, situation, action, verdict.turn)
        else:
            stays = f"refused: {verdict.refused}" if verdict.refused is not None else "stays"
            yield what, Outcome(stays, NOTHING, NOTHING, NOTHING)


def _outcome(saga: Saga, situation: Situation, what: Occurrence | Action, turn: Advance) -> Outcome:
    status = "stays" if turn.status is situation.status else f"**{turn.status}**"
    is_new = not next(lifecycle.contradictions(saga, situation.progress), None)
    if is_new and next(lifecycle.contradictions(saga, turn.progress), None):
        status += ", a contradiction"
    if situation.status is not None and situation.status.is_end and turn.progress == situation.progress:
        status += ", not remembered"
    now_ms = situation.after(turn, what).now_ms
    return Outcome(
        status=status,
        asked=_joined(f"{saga.performers[ask.step]}: {ask.request} {ask.step}{_times(ask.times)}" for ask in turn.asks),
        announced=_joined(event.type_name() for _, event in turn.announcements),
        next_look=f"in {_lasting(turn.timer_ms - now_ms)}" if turn.timer_ms is not None else NOTHING,
    )


def _waits(saga: Saga, situation: Situation) -> str:
    wait = waiting_for(saga, situation.progress)
    if wait is None:
        return ""
    until = f", for {_lasting(wait.until_ms - situation.now_ms)}" if wait.until_ms is not None else ""
    return f"Waits for {wait.who}{until}: {wait.what} ({wait.why})."


def _names(alike: list[Occurrence]) -> str:
    """Return the names of occurrences with the same outcome; the steps of one general event are listed together."""
    steps: dict[str, list[str]] = {}
    for occurrence in alike:
        steps.setdefault(occurrence.name, []).extend([occurrence.step] if occurrence.is_general else [])
    return _joined(f"{name} ({', '.join(about)})" if about else name for name, about in steps.items())


def _times(times: int) -> str:
    return f", time {times}" if times > 1 else ""


def _joined(parts: Iterable[str]) -> str:
    return "<br>".join(parts) or NOTHING


def _lasting(ms: int) -> str:
    seconds = ms / 1000
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit:g} {name}"
    return f"{seconds:g} s"
