"""Draw a saga's timeline as lines of text. Pure: a view in, lines out; knows neither terminals nor colours.

A line's shape and word carry its meaning; the tone only repeats it in colour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from textwrap import wrap

from sagastream import drawing
from sagastream.coordinator.views import NoteView, SagaView, StateView, WaitView
from sagastream.drawing import TONES, Line, Mark, Part, Tone
from sagastream.event import (
    BarRequested,
    RetryRequested,
    SagaCompensationStarted,
    SagaNeedsAttention,
    UndoRequested,
)
from sagastream.saga.advance import ENDS
from sagastream.saga.definition import BEGINNING
from sagastream.saga.progress import Kind

RETRY, REPEATED = "retry", "repeated"  # kinds of notes that no history keeps; `sagastream watch` adds them
_WORD = 11
_LEAST_ROOM = 20  # columns for an explanation; a narrower terminal cuts lines


_FACTS: Mapping[str, tuple[Mark, str]] = {
    Kind.DONE: (drawing.FORWARD, "done"),
    Kind.REFUSED: (drawing.REFUSED, "refused"),
    Kind.UNDONE: (drawing.UNDO, "undone"),
    Kind.BARRED: (drawing.BARRED, "barred"),
    Kind.GAVE_UP: (drawing.TROUBLE, "gave up"),
    Kind.UNDO_GAVE_UP: (drawing.TROUBLE, "undo failed"),
    Kind.LOST: (drawing.TROUBLE, "lost"),
    Kind.OVERDUE: (drawing.TROUBLE, "overdue"),
    Kind.CANCELLED: (drawing.TROUBLE, "cancelled"),
    Kind.POISONED: (drawing.TROUBLE, "unreadable"),
    Kind.ABORTED: (drawing.TROUBLE, "aborted"),
    RETRY: (drawing.AGAIN, "retry"),
    REPEATED: (drawing.REPEAT, "repeated"),
}
_REQUESTS = {
    UndoRequested.type_name(): "to undo it",
    BarRequested.type_name(): "to bar it, unless it is done",
    RetryRequested.type_name(): "to try it again",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that happened, and its text in the timeline."""

    key: str
    at: datetime
    mark: Mark
    word: str
    step: str
    service: str
    what: str


@dataclass(frozen=True, slots=True)
class Look:
    """The form of the lines: ASCII only or not, and their width (None: as wide as necessary)."""

    ascii_only: bool = False
    width: int | None = None


def timeline(view: StateView, *, now: datetime, look: Look = Look()) -> list[Line]:
    """Return a saga's timeline: its head, its events in order, and what it waits for.

    ``now`` is the server's time, from which waits are measured.
    """
    told = rows(view)
    columns = _columns(view, told)
    start = view.started_at or min((note.at for note in view.history), default=now)
    lines = [head(view)]
    for row in told:
        lines += _lines(row, offset(row.at - start), columns, look)
    for row in _outlook(view, now):
        lines += (replace(line, is_passing=True) for line in _lines(row, "", columns, look))
    return lines


def head(view: SagaView) -> Line:
    """Return the line that names the saga, its initiator and its beginning."""
    whose = f" for {view.initiator_id}" if view.initiator_id else ""
    began = f"  {view.started_at:%Y-%m-%d %H:%M:%S} UTC" if view.started_at else "  its beginning was not seen yet"
    return Line((Part(f"{view.business_process} {view.saga_id}", Tone.STRONG), Part(whose + began, Tone.FAINT)), "head")


def happening(view: StateView, row: Row, *, look: Look = Look()) -> Line:
    """Return one row as a single line of any length that names its saga."""
    when = f"{row.at:%H:%M:%S}.{row.at.microsecond // 1000:03}"
    line = _lines(row, when, _columns(view, (row,)), replace(look, width=None))[0]
    return replace(line, parts=(line.parts[0], Part(f"  {view.saga_id}", Tone.FAINT), *line.parts[1:]))


def rows(view: StateView) -> list[Row]:
    """Return the notes of a saga's history that are worth showing, in order, as rows."""
    services = {step.name: step.service for step in view.steps}
    asked: Counter[tuple[str, str]] = Counter()
    found = []
    for note in in_order(view.history):
        mark, word, what = _meaning(note, view, asked)
        if not word:
            continue
        step = note.step or ""
        service = services.get(step, "" if note.type in ENDS or not step else note.source)
        found.append(Row(note.id, note.at, mark, word, step, service, what))
    return found


def in_order(notes: Sequence[NoteView]) -> list[NoteView]:
    """Return notes sorted by instant; within one instant, causes come first."""
    by_id = {note.id: note for note in notes}

    def depth(note: NoteView, most: int = 20) -> int:
        cause = by_id.get(note.cause or "")
        return 0 if cause is None or cause.at != note.at or not most else 1 + depth(cause, most - 1)

    def rank(note: NoteView) -> int:
        # A reason comes before its consequences, and the saga's new direction before the requests that follow from it.
        return 2 if note.type in _REQUESTS else 1 if note.kind == Kind.BARRED else 0

    return sorted(notes, key=lambda note: (note.at, depth(note), rank(note)))


def offset(passed: timedelta) -> str:
    """Return the time since the beginning as text."""
    seconds = passed.total_seconds()
    if abs(seconds) < 1000:
        return f"{seconds:+.3f}"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02}:{seconds:02}"


def lasting(ms: int) -> str:
    """Return a duration as text for people."""
    if ms < 100_000:
        return f"{ms / 1000:.3f} s" if ms < 10_000 else f"{ms / 1000:.1f} s"
    minutes = ms // 60_000
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"


def _meaning(note: NoteView, view: StateView, asked: Counter[tuple[str, str]]) -> tuple[Mark, str, str]:
    """Return mark, word and explanation of a note; an empty word if there is nothing to show."""
    if note.type in _REQUESTS:
        what = _REQUESTS[note.type]
        asked[note.type, note.step or ""] += 1
        times = asked[note.type, note.step or ""]
        return (drawing.AGAIN, "asked again", f"{what}, time {times}") if times > 1 else (drawing.ASKED, "asked", what)
    if note.type in ENDS:
        status = ENDS[note.type]
        duration = f" after {lasting(view.duration_ms)}" if view.duration_ms is not None else ""
        return replace(drawing.END, tone=TONES[status]), "ended", f"{status}{duration}"
    if note.type == SagaCompensationStarted.type_name():
        return drawing.TURNED, "turned back", "from here on everything is undone, newest first"
    if note.type == SagaNeedsAttention.type_name():
        return drawing.TROUBLE, "needs help", note.reason or "it cannot end by itself for now"
    if note.actor:
        return drawing.PERSON, "operator", f"{note.actor}: {note.type}: {note.reason}"
    mark, word = _FACTS.get(note.kind or "", (drawing.FORWARD, ""))
    if note.kind == Kind.DONE and note.step == BEGINNING:
        word = "began"
    if note.kind == Kind.BARRED:
        return mark, word, "it has not happened, and now it never will"
    told = note.type if note.kind not in (Kind.OVERDUE, RETRY) else ""
    return mark, word, ": ".join(filter(None, (told, note.reason)))


def _outlook(view: StateView, now: datetime) -> Iterator[Row]:
    """Yield what the saga waits for, what is open, and what is still to come."""
    wait = view.waiting_for
    if wait is not None:
        yield Row("wait", now, drawing.WAITING, "waiting", wait.step or "", wait.who, _wait(wait, now))
    for at, item in enumerate(view.open):
        what = f"{item.problem}; what would close it: {'; '.join(item.closed_by)}"
        yield Row(f"open/{at}", now, drawing.TROUBLE, "open", item.step, item.service, what)
    rest = [name for name in view.remaining_steps if wait is None or name != wait.step]
    if rest:
        is_backward = any(step.undo_status for step in view.steps)
        yield Row("rest", now, drawing.TO_COME, "to undo" if is_backward else "to come", "", "", ", ".join(rest))


def _wait(wait: WaitView, now: datetime) -> str:
    passed = _roughly(max(timedelta(0), now - wait.since))
    most = f" of {_roughly(wait.until - wait.since)}" if wait.until else ""
    return f"{passed}{most} for {wait.what}"


def _roughly(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{seconds:.1f} s" if seconds < 100 else lasting(duration // timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class _Columns:
    step: int
    service: int


def _columns(view: StateView, told: Iterable[Row]) -> _Columns:
    """Return column widths that stay the same while the saga goes on, if its table is known."""
    steps = [step.name for step in view.steps] or [row.step for row in told]
    services = [step.service for step in view.steps] or [row.service for row in told]
    return _Columns(max(map(len, steps), default=0), max(map(len, services), default=0))


def _lines(row: Row, when: str, columns: _Columns, look: Look) -> list[Line]:
    """Return a row's line, with more lines below it if the explanation does not fit."""
    shape = row.mark.ascii if look.ascii_only else row.mark.shape
    parts = [Part(f"{when:>9}", Tone.FAINT), Part(f"  {shape} {row.word:<{_WORD}}  ", row.mark.tone)]
    if row.step or row.service:
        parts.append(Part(f"{row.step:<{columns.step}}"))
        parts.append(Part(f"  {row.service:<{columns.service}}  ", Tone.FAINT))
    tone = row.mark.tone if row.mark.shape == drawing.END.shape else Tone.PLAIN
    indent = sum(len(part.text) for part in parts)
    room = max(_LEAST_ROOM, look.width - indent) if look.width is not None else max(1, len(row.what))
    first, *rest = wrap(row.what, room) or [""]
    lines = [Line((*parts, Part(first, tone)), row.key)]
    lines += (Line((Part(" " * indent), Part(more, tone)), f"{row.key}/{at}") for at, more in enumerate(rest))
    return lines
