"""Messages that could not be handled, kept whole with the reason.

Shape: stream ``letters`` under the owner's root; fields ``message`` (JSON: stream, id, fields), ``reason``,
``attempts``, ``saga``. The reason is masked because it may quote the message; the message itself is not masked, because
it must stay replayable.
"""

from __future__ import annotations

import json

from sagastream.intake import Message
from sagastream.keys import LETTERS
from sagastream.masking import masked
from sagastream.transaction import Transaction


def put_away(tx: Transaction, message: Message, *, reason: str, attempts: int) -> None:
    """Add the dead letter to a transaction of the participant that could not handle the message."""
    whole = json.dumps({"stream": message.stream, "id": message.id, "fields": message.fields})
    tx.append(
        LETTERS,
        ["message", whole, "reason", masked(reason[:2000]), "attempts", str(attempts), "saga",
         message.fields.get("correlationid", "")[:64]],
    )  # fmt: skip
