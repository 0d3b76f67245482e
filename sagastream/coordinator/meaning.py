"""What an event means to a saga table: which fact about which step. Decodes only the payloads it needs. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from sagastream import keys as names
from sagastream.envelope import Envelope
from sagastream.errors import DefinitionError, Undecodable, UnknownTable
from sagastream.event import LIBRARY_FACTS, LIFECYCLE, LedgerLost, Refusal, StepBarred, StepGaveUp
from sagastream.keys import COORDINATOR, WEBHOOKS, Keys
from sagastream.masking import masked
from sagastream.saga.definition import BEGINNING, Saga
from sagastream.saga.progress import Fact, Happening, Kind, Progress
from sagastream.work import payload

LONGEST_REASON = 500


@dataclass(frozen=True)
class Meaning:
    """One saga table, looked up by event."""

    saga: Saga
    by_type: dict[str, tuple[str, Kind]]
    by_done: dict[str, str]
    with_reason: frozenset[str]

    @cached_property
    def last(self) -> str:
        """Return the name of the last step, which ends a saga that goes forward."""
        return self.saga.steps[-1].name

    @cached_property
    def shortest(self) -> timedelta:
        """Return the shortest time that anything may take before it is overdue."""
        whole = self.saga.within or self.saga.patience
        return min(whole, self.saga.patience, *(step.within for step in self.saga.steps))

    def of(self, envelope: Envelope, taken_ms: int) -> Happening | None:
        """Return what an event reports, None if it means nothing to the table.

        ``taken_ms`` is when the server took the event: a later instant in the event is not believed.

        Raises: ``Undecodable`` if a payload that is needed makes no sense.
        """
        meant = self.by_type.get(envelope.type)
        if meant is not None:
            reason = _reason(envelope) if envelope.type in self.with_reason else ""
            return Happening(*meant, Fact(min(envelope.at_ms, taken_ms), envelope.id, reason))
        match envelope.type:
            case "StepBarred":
                return self._about(payload(StepBarred, envelope.data).step, Kind.BARRED, envelope, taken_ms)
            case "StepGaveUp":
                gave_up = payload(StepGaveUp, envelope.data)
                kind = Kind.UNDO_GAVE_UP if gave_up.undoing else Kind.GAVE_UP
                return self._about(gave_up.step, kind, envelope, taken_ms, gave_up.reason)
            case "LedgerLost":
                lost = payload(LedgerLost, envelope.data)
                return self._about(lost.step, Kind.LOST, envelope, taken_ms, lost.reason)
        return None

    def _about(self, done: str, kind: Kind, envelope: Envelope, taken_ms: int, reason: str = "") -> Happening | None:
        step = self.by_done.get(done)
        if step is None:
            return None
        return Happening(step, kind, Fact(min(envelope.at_ms, taken_ms), envelope.id, storable(reason)))


class Meanings:
    """The tables a coordinator knows, by name and version.

    Raises (when built): ``DefinitionError`` for two tables of the same name and version.
    """

    def __init__(self, sagas: Sequence[Saga]) -> None:
        self.sagas = tuple(sagas)
        self._known: dict[tuple[str, str], Meaning] = {}
        for saga in sagas:
            key = (saga.name, str(saga.version))
            if key in self._known:
                raise DefinitionError(f"two tables named {saga.name!r} of version {saga.version}")
            self._known[key] = _meaning(saga)

    def of(self, definition: str, version: str) -> Meaning:
        """Return the table a saga began with.

        Raises: ``UnknownTable`` if this coordinator does not know it.
        """
        meaning = self._known.get((definition, version))
        if meaning is None:
            table = f"no table {definition[:64]!r} of version {version[:16]!r} is known here"
            raise UnknownTable(f"{table}: ask a coordinator of the release that has it")
        return meaning

    def table(self, progress: Progress) -> Saga | None:
        """Return the table a saga began with, None if it is unknown here."""
        meaning = self._known.get((progress.definition, str(progress.version)))
        return meaning.saga if meaning is not None else None

    def types(self) -> set[str]:
        """Return every event type that has a meaning for one of the tables."""
        told = {kind.type_name() for saga in self.sagas for kind in saga.event_types()}
        return told | {kind.type_name() for kind in LIBRARY_FACTS}

    def publications(self) -> list[str]:
        """Return the names of the streams a coordinator of these tables publishes on."""
        asked = {participant for saga in self.sagas for participant in saga.participants}
        return [names.requests(owner) for owner in (*sorted(asked), COORDINATOR, WEBHOOKS)] + [
            names.events(kind.type_name()) for kind in LIFECYCLE
        ]

    def streams(self, keys: Keys) -> list[str]:
        """Return every stream on which facts about these sagas appear; the last one holds replays of dead letters."""
        found: dict[str, None] = {}
        for saga in self.sagas:
            for kind in saga.event_types():
                found[keys.of(kind.by).events(kind.type_name())] = None
            for participant in saga.participants:
                for kind in LIBRARY_FACTS:
                    found[keys.of(participant).events(kind.type_name())] = None
        return [*found, keys.requests(COORDINATOR)]


def _meaning(saga: Saga) -> Meaning:
    by_type = {saga.begins_with.type_name(): (BEGINNING, Kind.DONE)}
    by_done = {saga.begins_with.type_name(): BEGINNING}
    if saga.cancelled_by is not None:
        by_type[saga.cancelled_by.type_name()] = (BEGINNING, Kind.UNDONE)
    if saga.cancellation is not None:
        by_type[saga.cancellation.type_name()] = (BEGINNING, Kind.CANCELLED)
    for step in saga.steps:
        by_done[step.done.type_name()] = step.name
        for event, kind in ((step.done, Kind.DONE), (step.refused, Kind.REFUSED), (step.undone, Kind.UNDONE)):
            if event is not None:
                by_type[event.type_name()] = (step.name, kind)
    with_reason = frozenset(
        kind.type_name() for kind in saga.event_types() if issubclass(kind, Refusal) or kind is saga.cancellation
    )
    return Meaning(saga, by_type, by_done, with_reason)


def _reason(envelope: Envelope) -> str:
    try:
        told = json.loads(envelope.data)
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"{envelope.type}: {error}") from None
    reason = told.get("reason", "") if isinstance(told, dict) else ""
    return storable(reason) if isinstance(reason, str) else ""


def storable(reason: str) -> str:
    """Return a reason as it is stored: shortened, of whole characters, and masked; a customer may have written it."""
    return masked(reason[:LONGEST_REASON].encode("utf-8", "replace").decode())
