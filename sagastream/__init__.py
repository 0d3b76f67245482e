"""sagastream: choreographed sagas on Redis Streams."""

from sagastream.bus import Bus, connect
from sagastream.consumer import Consumer
from sagastream.coordinator.tracker import Coordinator
from sagastream.entrance import Begun, Conflict, Entrance, UnknownSaga
from sagastream.errors import (
    CannotApply,
    DefinitionError,
    ReplyError,
    SagastreamError,
    ServerUnavailable,
    TooLarge,
)
from sagastream.event import Event, Refusal
from sagastream.ledger import State
from sagastream.participant import Participant
from sagastream.reader import Reader
from sagastream.retry import Retry
from sagastream.runtime import Runtime
from sagastream.saga.definition import Saga, Step
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings
from sagastream.store import WrongStore
from sagastream.transaction import Transaction

__all__ = [
    "Begun",
    "Bus",
    "CannotApply",
    "Conflict",
    "Consumer",
    "Coordinator",
    "DefinitionError",
    "Entrance",
    "Event",
    "Participant",
    "Reader",
    "Refusal",
    "ReplyError",
    "Retry",
    "Runtime",
    "Saga",
    "SagastreamError",
    "ServerUnavailable",
    "Settings",
    "State",
    "Status",
    "Step",
    "TooLarge",
    "Transaction",
    "UnknownSaga",
    "WrongStore",
    "connect",
]
