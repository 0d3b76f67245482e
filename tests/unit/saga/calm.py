"""The calm after everything that may happen: everybody comes back and does what is left."""

from __future__ import annotations

from sagastream.ledger import State
from sagastream.saga.progress import Kind, Request
from tests.unit.saga.true_world import OPEN, Asking, World


def settle(world: World, turns: int = 60) -> None:
    """Let all that is due be done, read and answered until the saga has ended, or for so many turns."""
    for _ in range(turns):
        before = (len(world.published), len(world.requests), len(world.turns))
        for name in world.names[1:]:
            # What gave up was buried and comes no more by itself.
            if world.can_perform(name) and world.ledgers[name].state in OPEN - {State.GAVE_UP}:
                world.perform(name, State.DONE)
        for asking in dict.fromkeys(world.requests):
            if not _is_answered(world, asking):
                world.serve(asking)
        if world.unread:
            world.read(sorted(world.unread))
        if not world.turns or world.turns[-1].status.is_end:
            return
        if before == (len(world.published), len(world.requests), len(world.turns)):
            timer_ms = world.turns[-1].timer_ms
            assert timer_ms is not None
            world.now_ms = max(world.now_ms + 1, timer_ms)
            world.sweep(world.mark())


def _is_answered(world: World, asking: Asking) -> bool:
    kinds = {
        Request.UNDO: (Kind.UNDONE, Kind.BARRED, Kind.REFUSED, Kind.LOST),
        Request.BAR: (Kind.DONE, Kind.BARRED, Kind.REFUSED, Kind.LOST),
        Request.RETRY: (Kind.DONE, Kind.REFUSED),
    }
    told = (happening for at, happening in enumerate(world.published) if at not in world.dropped)
    return any(happening.step == asking.step and happening.kind in kinds[asking.request] for happening in told)
