"""sagastream: choreographed sagas on Redis Streams."""

from sagastream.bus import Bus, connect
from sagastream.consumer import Consumer
from sagastream.entrance import Begun, Conflict, Entrance, UnknownSaga
from sagastream.event import Event, Refusal
from sagastream.participant import Participant
from sagastream.reader import Reader
from sagastream.retry import Retry
from sagastream.saga.definition import Saga, Step
from sagastream.settings import Settings
from sagastream.transaction import Transaction

__all__ = [
    "Begun",
    "Bus",
    "Conflict",
    "Consumer",
    "Entrance",
    "Event",
    "Participant",
    "Reader",
    "Refusal",
    "Retry",
    "Saga",
    "Settings",
    "Step",
    "Transaction",
    "UnknownSaga",
    "connect",
]
