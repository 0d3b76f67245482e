"""The subject of the checks: one server, and the tables and participants that use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sagastream.bus import Bus
from sagastream.keys import COORDINATOR, Keys
from sagastream.participant import Participant
from sagastream.saga.definition import Saga
from sagastream.settings import Settings


@dataclass(frozen=True)
class Patient:
    """A server with the tables and participants of one project."""

    bus: Bus
    settings: Settings
    sagas: Sequence[Saga]
    participants: Sequence[Participant]

    @property
    def keys(self) -> Keys:
        """Return the names of the coordinators' keys."""
        return Keys(self.settings.key_prefix, COORDINATOR)

    @property
    def owners(self) -> tuple[str, ...]:
        """Return all owners of keys there."""
        return (*(participant.name for participant in self.participants), COORDINATOR)
