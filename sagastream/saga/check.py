"""Checks that sagas and participants fit together, before anything runs. Pure; changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sagastream import event as library
from sagastream.event import Event, Refusal
from sagastream.keys import COORDINATOR
from sagastream.participant import Handler, Participant
from sagastream.saga.definition import Saga, Step


def check(sagas: Sequence[Saga], participants: Sequence[Participant]) -> list[str]:
    """Return what does not fit, one sentence each; empty if everything fits.

    Only the latest version of a table is judged, because new sagas begin with it. What exists for an older version may
    stay.
    """
    latest = latest_of(sagas)
    older = [saga for saga in sagas if saga not in latest]
    problems = [
        f"two participants are named {name!r}"
        for name, count in Counter(one.name for one in participants).items()
        if count > 1
    ]
    problems += [
        f"two tables are named {name!r} and of version {version}"
        for (name, version), count in Counter((saga.name, saga.version) for saga in sagas).items()
        if count > 1
    ]
    cast = {participant.name: participant for participant in participants}
    for saga in latest:
        problems += (f"saga {saga.name!r}: {problem}" for problem in _of_saga(saga, cast))
    for participant in participants:
        problems += (f"participant {participant.name!r}: {problem}" for problem in _of_participant(participant, sagas))
    problems += _unheard(latest, older, participants)
    return problems


def latest_of(sagas: Iterable[Saga]) -> list[Saga]:
    """Return the latest version of each table, in the order in which their names first occur."""
    latest: dict[str, Saga] = {}
    for saga in sagas:
        if saga.name not in latest or latest[saga.name].version < saga.version:
            latest[saga.name] = saga
    return list(latest.values())


def _of_saga(saga: Saga, cast: dict[str, Participant]) -> Iterator[str]:
    for name in saga.participants:
        if name not in cast:
            yield f"no participant is named {name!r}"
    if saga.begun_by in cast:
        yield from _of_beginning(saga, cast[saga.begun_by])
    for at, step in enumerate(saga.steps):
        if step.by in cast:
            yield from _of_step(saga, at, cast[step.by])


def _of_beginning(saga: Saga, participant: Participant) -> Iterator[str]:
    begins = saga.begins_with.type_name()
    told = participant.beginnings.get(begins)
    if told is None:
        yield f"nobody begins it: {participant.name!r} does not declare begins({begins}, …)"
    elif (told.saga, told.version) != (saga.name, saga.version):
        yield (
            f"{participant.name!r} declares that {begins} begins {told.saga!r} version {told.version},"
            f" the table is {saga.name!r} version {saga.version}"
        )
    if saga.cancelled_by is not None:
        yield from _undo_problems("its beginning", saga.begins_with, saga.cancelled_by, participant)


def _of_step(saga: Saga, at: int, participant: Participant) -> Iterator[str]:
    step = saga.steps[at]
    handler = participant.performing(step.done.type_name())
    if handler is None:
        yield f"nobody performs {step.name!r}: no handler of {step.by!r} returns {step.done.type_name()}"
    else:
        trigger = saga.steps[at - 1].done if at else saga.begins_with
        yield from _handler_problems(step, handler, trigger)
        if handler.is_outside and not saga.is_after_pivot(at) and step.done.type_name() not in participant.closes:
            yield (
                f"{step.name!r} calls outside before it is certain, and {step.by!r} has no @close for"
                f" {step.done.type_name()}"
            )
        if not handler.is_outside and step.done.type_name() in participant.closes:
            yield (
                f"{step.by!r} has a @close for {step.done.type_name()}, yet {step.by}.{handler.name}, which performs"
                f" {step.name!r}, does not say outside=True"
            )
    if step.undone is not None:
        yield from _undo_problems(repr(step.name), step.done, step.undone, participant)
    elif step.done.type_name() in participant.undos:
        yield f"{step.name!r} is never undone, yet {step.by!r} offers @undo for {step.done.type_name()}"


def _handler_problems(step: Step, handler: Handler, trigger: type[Event]) -> Iterator[str]:
    where = f"{step.by}.{handler.name}"
    if handler.takes is not trigger:
        yield (
            f"{where} performs {step.name!r} on {handler.takes.type_name()},"
            f" but the step before it says done by {trigger.type_name()}"
        )
    if handler.may_say_nothing:
        yield f"{where} may return None, and {step.name!r} would then be neither done nor refused"
    refusals = [kind for kind in handler.publishes if issubclass(kind, Refusal)]
    for kind in refusals:
        if kind is not step.refused:
            yield f"{where} may refuse {step.name!r} by {kind.type_name()}, which the table does not name"
    if step.refused is not None and step.refused not in refusals:
        yield f"nobody publishes {step.refused.type_name()}: {where} does not return it"
    if handler.retry.longest() >= step.within:
        yield (
            f"the retries of {where} may take {handler.retry.longest().total_seconds():g} s,"
            f" but {step.name!r} must be done within {step.within.total_seconds():g} s"
        )


def _undo_problems(what: str, done: type[Event], undone: type[Event], participant: Participant) -> Iterator[str]:
    undo = participant.undos.get(done.type_name())
    if undo is None:
        yield f"nobody undoes {what}: {participant.name!r} has no @undo for {done.type_name()}"
    elif undone not in undo.publishes:
        yield f"nobody publishes {undone.type_name()}: {participant.name}.{undo.name} does not return it"


def _of_participant(participant: Participant, sagas: Sequence[Saga]) -> Iterator[str]:
    for done in sorted(participant.undos.keys() - _done_by(participant.name, sagas)):
        yield f"it offers @undo for {done}, which is no step of any saga"
    for done in sorted(participant.closes.keys() - _done_by(participant.name, sagas)):
        yield f"it offers @close for {done}, which is no step of any saga"
    known = {saga.begins_with.type_name() for saga in sagas}
    for name in sorted(participant.beginnings.keys() - known):
        yield f"it begins {participant.beginnings[name].saga!r} by {name}, and there is no such saga"


def _done_by(name: str, sagas: Iterable[Saga]) -> set[str]:
    found = {saga.begins_with.type_name() for saga in sagas if saga.begun_by == name}
    return found | {step.done.type_name() for saga in sagas for step in saga.steps if step.by == name}


def _unheard(latest: Sequence[Saga], older: Sequence[Saga], participants: Sequence[Participant]) -> Iterator[str]:
    """Yield handlers of events that nobody publishes."""
    published: set[type[Event]] = {saga.cancellation for saga in latest if saga.cancellation is not None}
    published |= {kind for saga in older for kind in saga.event_types()}  # some of their publishers may be gone
    for participant in participants:
        published |= {beginning.event for beginning in participant.beginnings.values()}
        published |= {kind for handler in participant.functions for kind in handler.publishes}
    for participant in participants:
        for handler in participant.handlers.values():
            is_library = handler.takes.by == COORDINATOR or handler.takes.__module__ == library.__name__
            if handler.takes not in published and not is_library:
                yield f"{participant.name}.{handler.name} handles {handler.takes.type_name()}, which nobody publishes"
