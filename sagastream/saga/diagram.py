"""A saga drawn as a Mermaid sequence diagram, from its table alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sagastream.event import BarRequested, StepBarred, UndoRequested
from sagastream.keys import COORDINATOR
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.lifecycle import Status

_INDENT = "    "
_COORDINATOR = "coordinator"
# Words that mean something else where Mermaid expects a name.
_TAKEN = frozenset({
    "activate", "actor", "alt", "and", "as", "autonumber", "box", "break", "coordinator",
    "create", "critical", "deactivate", "destroy", "else", "end", "link", "links", "loop",
    "note", "opt", "option", "over", "par", "participant", "rect", "title",
})  # fmt: skip


def diagram(saga: Saga) -> str:
    """Return the diagram: the way forward, each refusal, and what happens if it is uncertain how far the saga came."""
    lines = [_declared(name) for name in (*saga.participants, COORDINATOR)]
    branches = [(f"{saga.name}: every step is done", list(_forward(saga)))]
    branches += ((f"{saga.steps[at].name} is refused", list(_refused(saga, at))) for at in _refusable(saga))
    branches.append((_doubt(saga), list(_uncertain(saga))))
    for at, (title, messages) in enumerate(branches):
        lines.append(f"{'else' if at else 'alt'} {title}")
        lines += (_INDENT + message for message in messages)
    lines.append("end")
    return "\n".join(["sequenceDiagram", *(_INDENT + line for line in lines)])


def _forward(saga: Saga) -> Iterator[str]:
    by, event = saga.begun_by, saga.begins_with
    for step in saga.steps:
        yield f"{_actor(by)}->>{_actor(step.by)}: {event.type_name()}"
        if step.pivot:
            yield f"Note over {_actor(step.by)}: {step.name} is the pivot, from here on nothing is undone"
        by, event = step.by, step.done
    yield f"{_actor(by)}->>{_actor(COORDINATOR)}: {event.type_name()}"
    yield _end(Status.COMPLETED)


def _refused(saga: Saga, at: int) -> Iterator[str]:
    step = saga.steps[at]
    assert step.refused is not None  # only refusable steps are drawn refused
    yield f"{_actor(step.by)}->>{_actor(COORDINATOR)}: {step.refused.type_name()}"
    yield from _undone(saga, at)
    yield _end(Status.COMPENSATED if at else Status.FAILED)


def _uncertain(saga: Saga) -> Iterator[str]:
    if saga.pivot_at is not None:
        pivot = saga.steps[saga.pivot_at]
        yield f"{_actor(COORDINATOR)}->>{_actor(pivot.by)}: {BarRequested.type_name()} ({pivot.name})"
        yield f"alt {pivot.name} is done already"
        yield f"{_INDENT}{_actor(pivot.by)}->>{_actor(COORDINATOR)}: {pivot.done.type_name()}"
        yield f"{_INDENT}Note over {_actor(COORDINATOR)}: the saga goes on forward"
        yield "else it is not, and now never will be"
        yield f"{_INDENT}{_actor(pivot.by)}->>{_actor(COORDINATOR)}: {StepBarred.type_name()}"
        yield from (_INDENT + line for line in _undone(saga, saga.pivot_at))
        yield _INDENT + _end(Status.COMPENSATED, Status.FAILED)
        yield "end"
    else:
        yield from _undone(saga, len(saga.steps))
        yield _end(Status.COMPENSATED, Status.FAILED)


def _undone(saga: Saga, upto: int) -> Iterator[str]:
    """Yield the undo of every step before a position, newest first."""
    for step in reversed(saga.steps[:upto]):
        if step.undone is not None:
            yield from _asked(step.by, step.name, step.undone.type_name())
    if saga.cancelled_by is not None:
        yield from _asked(saga.begun_by, BEGINNING, saga.cancelled_by.type_name())


def _asked(by: str, step: str, undone: str) -> Iterator[str]:
    yield f"{_actor(COORDINATOR)}->>{_actor(by)}: {UndoRequested.type_name()} ({step})"
    yield f"{_actor(by)}->>{_actor(COORDINATOR)}: {undone}"


def _refusable(saga: Saga) -> list[int]:
    return [at for at, step in enumerate(saga.steps) if step.refused is not None and not saga.is_after_pivot(at)]


def _doubt(saga: Saga) -> str:
    cancelled = ", or the saga is cancelled" if saga.cancellation is not None else ""
    return f"a step is overdue or gave up{cancelled}"


def _end(*statuses: Status) -> str:
    return f"Note over {_actor(COORDINATOR)}: {' or '.join(statuses)}"


def _declared(name: str) -> str:
    is_plain = name == COORDINATOR or _actor(name) == name
    return f"participant {_actor(name)}" if is_plain else f"participant {_actor(name)} as {name}"


def _actor(name: str) -> str:
    if name == COORDINATOR:
        return _COORDINATOR
    plain = name.replace("-", "_")
    return f"{plain}_" if plain in _TAKEN else plain
