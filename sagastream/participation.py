"""List the streams that a participant reads, and those on which it publishes. Pure."""

from __future__ import annotations

from sagastream import keys as names
from sagastream.event import LIBRARY_FACTS
from sagastream.keys import Keys
from sagastream.participant import Participant


def subscriptions(participant: Participant, keys: Keys) -> list[str]:
    """Return the streams a participant reads: those of the events it handles, and the coordinator's requests to it."""
    events = [keys.of(handler.takes.by).events(type_name) for type_name, handler in participant.handlers.items()]
    return [*events, keys.requests(participant.name)]


def publications(participant: Participant) -> list[str]:
    """Return the names of the streams on which a participant is declared to publish."""
    declared = [kind for handler in participant.functions for kind in handler.publishes]
    begun = [beginning.event for beginning in participant.beginnings.values()]
    return [names.events(kind.type_name()) for kind in (*declared, *begun, *LIBRARY_FACTS)]
