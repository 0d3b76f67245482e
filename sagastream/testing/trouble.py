"""Faults between two steps of the event loop: planned by step, because steps are dense while work is done.

Each of them changes the surroundings; no code of the library takes part.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sagastream import keys as names
from sagastream.errors import ReplyError
from sagastream.keys import COORDINATOR, Keys
from sagastream.ledger import parse
from sagastream.saga.definition import BEGINNING
from sagastream.saga.repair import Act, Action
from sagastream.testing.faults import PLANNED, Fault
from sagastream.testing.memory_keyspace import Hash
from sagastream.testing.memory_stream_log import Stream
from sagastream.testing.truth import POISON

if TYPE_CHECKING:
    from sagastream.testing.stage import Stage

AGAIN_LATER = 15  # steps until a fault that found no occasion looks for one again
OCCASIONS = 60
_OOM = frozenset({b"SET", b"HSET", b"HINCRBY", b"RPUSH", b"ZADD", b"XADD", b"XGROUP"})
_READONLY = _OOM | {b"DEL", b"HDEL", b"ZREM", b"PEXPIRE", b"XACK", b"XCLAIM", b"XAUTOCLAIM", b"XREADGROUP"}
_STEPS_BACK_MS = (-60_000, -3_000, 3_000, 60_000, 900_000)

Blow = Callable[["Stage", random.Random], str | None]
"""Inject the fault, or find no occasion for it (None); return its line of the timeline."""


def plan(stage: Stage) -> None:
    """Schedule the faults of this seed."""
    chance = stage.storm.chance("plan")
    for fault in PLANNED:
        times = chance.choice((1, 1, 1, 3))
        steps = [stage.loop.steps + int(10 ** chance.uniform(0.7, 3.2)) for _ in range(times)]
        if fault not in stage.storm.kinds:
            continue
        for at, step in enumerate(steps):
            site = f"step.{step}.{fault.name.lower()}"
            blow = partial(_strike, stage, fault, site, stage.storm.chance(f"{site} {at}"), OCCASIONS)
            stage.loop.at_step(step, blow)


def _strike(stage: Stage, fault: Fault, site: str, chance: random.Random, occasions: int) -> None:
    storm = stage.storm
    if storm.is_over or (storm.only is not None and site not in storm.only):
        return
    told = _BLOWS[fault](stage, chance)
    if told is not None:
        storm.strikes(fault, site)
        stage.tell(told)
    elif occasions:
        again = partial(_strike, stage, fault, site, chance, occasions - 1)
        stage.loop.at_step(stage.loop.steps + AGAIN_LATER, again)


def _kill(stage: Stage, chance: random.Random) -> str | None:
    actor = chance.choice(stage.actors)
    if not actor.is_alive:
        return None
    actor.kill()
    return f"{actor.name} was killed wherever it was"


def _pause(stage: Stage, chance: random.Random) -> str | None:
    actor = chance.choice(stage.actors)
    actor.pause(actor.luck.pause())
    return f"{actor.name} was paused wherever it was"


def _repeat(stage: Stage, chance: random.Random) -> str | None:
    found = _any_entry(stage, chance)
    if found is None:
        return None
    stream, fields = found
    _append(stage, stream, fields)
    return f"published again: {_named(fields)}"


def _poison(stage: Stage, chance: random.Random) -> str | None:
    found = _any_entry(stage, chance)
    if found is None:
        return None
    stream, fields = found
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    told["id"], told["data"] = (
        f"{POISON.decode()}{stage.loop.steps}",
        chance.choice(("{", "[]", '{"unheard":"of"}', "")),
    )
    stage.truth.poisoned.add(told["correlationid"])
    _append(stage, stream, [part for pair in told.items() for part in pair])
    return f"published with a payload nobody can read: {_named(fields)}"


def _restart(stage: Stage, chance: random.Random) -> str | None:
    stage.server.restart()
    return "the server was restarted"


def _refuse(stage: Stage, chance: random.Random) -> str | None:
    code, refused = chance.choice((("OOM", _OOM), ("READONLY", _READONLY)))
    seconds = chance.choice((0.2, 2.0, 15.0))

    def refuses(name: bytes) -> ReplyError | None:
        return ReplyError(code, "the server takes no writes") if name in refused else None

    def heal() -> None:
        stage.server.refuses = None
        stage.tell("the server takes writes again")

    stage.server.refuses = refuses
    stage.loop.call_later(seconds, heal)
    return f"the server answers {code} for {seconds} s"


def _step_clock(stage: Stage, chance: random.Random) -> str | None:
    step_ms = chance.choice(_STEPS_BACK_MS)
    stage.clock_offset_ms += step_ms
    stage.has_gone_back |= step_ms < 0
    return f"the server's clock was set by {step_ms / 1000:+g} s"


def _lose_ledger(stage: Stage, chance: random.Random) -> str | None:
    """Delete one participant's ledger of a saga, after the coordinator has seen its effects.

    Only while no message is on its way to the participant: a redelivered one would be handled a second time,
    which no library can prevent.
    """
    keys = Keys(stage.settings.key_prefix, COORDINATOR)
    values = stage.server.space.values
    for saga_id in chance.sample(list(stage.begun.values()), len(stage.begun)):
        seen = stage.truth.done_steps(saga_id)
        for by in chance.sample(sorted(seen), len(seen)):
            ledger = keys.of(by).key(names.ledger(saga_id)).encode()
            stored = values.get(ledger)
            if not isinstance(stored, Hash) or not _is_idle(stage, by):
                continue
            states = {field.decode(): parse(text.decode()).state for field, text in stored.items()}
            if not seen[by] >= {field for field, state in states.items() if state or field == BEGINNING}:
                continue
            stage.truth.lose(saga_id, by, states)
            stage.server.space.remove(ledger)
            return f"the ledger of {by} has lost {saga_id}"
    return None


def _operate(stage: Stage, chance: random.Random) -> str | None:
    """Have a person compensate a saga, retry it, or, now and then, close it as it is."""
    if not stage.begun:
        return None
    number = chance.choice(list(stage.begun))
    act = chance.choice((*(Act.COMPENSATE,) * 6, *(Act.RETRY,) * 5, Act.ABORT))
    action = Action(act, actor="somebody", reason="the stage wants it")
    stage.acting.append(stage.loop.create_task(stage.operate(stage.begun[number], action)))
    return f"somebody wants to {act} saga {number}"


def _is_idle(stage: Stage, participant: str) -> bool:
    """Tell whether a participant has read and settled all its entries, and no worker of it is processing any."""
    if any(actor.may_repeat for actor in stage.actors if actor.name.rpartition("-")[0] == participant):
        return False
    group = participant.encode()
    for stream in stage.server.space.values.values():
        if isinstance(stream, Stream) and group in stream.groups:
            reading = stream.groups[group]
            if reading.pending or reading.last_id < stream.last_id:
                return False
    return True


def _any_entry(stage: Stage, chance: random.Random) -> tuple[str, list[str]] | None:
    """Return an entry that was published before, of a saga whose ledgers are whole."""
    streams = [
        (key, value)
        for key, value in stage.server.space.values.items()
        if isinstance(value, Stream) and value.order and value.groups
    ]
    if not streams:
        return None
    key, stream = chance.choice(streams)
    fields = [part.decode() for part in stream.entries[chance.choice(stream.order)]]
    saga_id = dict(zip(fields[::2], fields[1::2], strict=True)).get("correlationid")
    if saga_id is None or saga_id in stage.truth.harmed:
        return None
    return key.decode(), fields


def _append(stage: Stage, stream: str, fields: list[str]) -> None:
    refuses, stage.server.refuses = stage.server.refuses, None
    stage.server.call("XADD", stream, "*", *fields)
    stage.server.refuses = refuses


def _named(fields: list[str]) -> str:
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    return f"{told['type']} {told['id']} of {told['correlationid']}"


_BLOWS: dict[Fault, Blow] = {
    Fault.KILLED_ANYWHERE: _kill,
    Fault.PAUSED: _pause,
    Fault.REPEATED: _repeat,
    Fault.POISONED: _poison,
    Fault.RESTARTED: _restart,
    Fault.REFUSING: _refuse,
    Fault.CLOCK_STEPPED: _step_clock,
    Fault.LEDGER_LOST: _lose_ledger,
    Fault.OPERATED: _operate,
}
