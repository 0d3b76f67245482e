"""What must never be said of the true world, and never be asked in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sagastream.ledger import State
from sagastream.saga import lifecycle
from sagastream.saga.advance import Advance
from sagastream.saga.definition import BEGINNING
from sagastream.saga.lifecycle import Status
from sagastream.saga.progress import Kind, Request
from tests.unit.saga.true_world import World


def lies(world: World, ended: Status | None) -> Iterator[str]:
    """Yield what the record says that is not so."""
    if not world.turns:
        return
    status = world.turns[-1].status
    # A request made before its step was proven, answered after the ledger forgot it: the bar contradicts the end.
    is_contradicted = status is Status.NEEDS_ATTENTION and any(ledger.is_lost for ledger in world.ledgers.values())
    if ended is not None and status is not ended and not is_contradicted:
        yield f"{ended} was left for {status}"
    if not status.is_end and world.turns[-1].timer_ms is None:
        yield f"{status} and nobody will look again"
    if status.is_end and world.turns[-1].timer_ms is not None:
        yield f"{status} and still looked at"
    states = {name: ledger.state for name, ledger in world.ledgers.items()}
    steps = world.names[1:]
    if status is Status.COMPLETED:
        yield from (f"Completed, but {name} has no effect" for name in steps if not world.ledgers[name].has_effect)
    if status in (Status.COMPENSATED, Status.FAILED):
        yield from (f"{status}, but {name} has an effect" for name in steps if world.ledgers[name].has_effect)
        if world.saga.cancelled_by is not None and states[BEGINNING] is not State.UNDONE:
            yield f"{status}, but its beginning is {states[BEGINNING]}"
        was_done = any(world.ledgers[name].was_done for name in steps)
        if was_done is not (status is Status.COMPENSATED):
            yield f"{status}, but it is {was_done} that something was done"
    pivot = world.saga.pivot
    if pivot is not None and world.ledgers[pivot].was_done:
        yield from (f"{name} is undone after the pivot" for name in world.names if states[name] is State.UNDONE)


def wrong_asks(world: World, turn: Advance) -> Iterator[str]:
    """Yield requests that should not have been made: oldest first, or to undo what must stay."""
    pivot_at = world.saga.pivot_at
    upto = pivot_at if pivot_at is not None else len(world.saga.steps)
    for ask in turn.asks:
        at = world.names.index(ask.step) - 1
        must_not_go_on = (lifecycle.is_turned_back, lifecycle.is_in_doubt)
        if ask.request is Request.RETRY and any(told(world.saga, turn.progress) for told in must_not_go_on):
            yield f"{ask.step} is to be tried again though the saga may not go on"
        if ask.request is Request.BAR and at != pivot_at:
            yield f"{ask.step} is asked to judge and is no pivot"
        if ask.request is not Request.UNDO:
            continue
        if pivot_at is not None and (at >= pivot_at or world.ledgers[world.saga.steps[pivot_at].name].was_done):
            yield f"{ask.step} is to be undone after the pivot"
        for newer in world.saga.steps[at + 1 : upto]:
            known = world.ledgers[newer.name]
            failed = turn.progress.has(newer.name, Kind.UNDO_GAVE_UP, Kind.LOST)
            if not failed and (known.has_effect or world.may_still_happen(newer.name)):
                yield f"{ask.step} is to be undone before {newer.name}, which is {known.state or 'unknown'}"


def story(turns: Sequence[Advance]) -> str:
    """Return how a record came to stand as it does, a line a turn."""
    return "\n".join(
        f"{turn.status:16} {[f'{h.step} {h.kind}' for h in turn.news]}"
        f" asks {[f'{a.request} {a.step} {a.times}' for a in turn.asks]}"
        for turn in turns
    )
