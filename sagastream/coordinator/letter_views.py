"""The requests and answers about dead letters. Pure; owns their shape."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sagastream.answers import Answer, Moment, instant
from sagastream.coordinator import examples
from sagastream.coordinator.letter import Dealt, Letter, Place
from sagastream.coordinator.repair_views import ActorName, Reason
from sagastream.masking import legible, masked, masked_json, masked_message
from sagastream.saga.lifecycle import Status

_STATUSES = frozenset(map(str, Status))


class DropRequest(BaseModel):
    """Why it is done, and by whom unless the header ``X-Operator`` names the operator."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"actor": "ann", "reason": "a test of last year"}]}
    )

    reason: Reason
    actor: ActorName | None = None


class ReplayRequest(DropRequest):
    """A replay. ``data``, which must fit the event's model, replaces its payload; null replays it unchanged."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"actor": "ann", "reason": "the service is mended"},
                {"actor": "ann", "reason": "the address was wrong", "data": {"orderId": "o-1", "email": "a@b.example"}},
            ]
        }
    )

    data: dict[str, JsonValue] | None = None


class LetterView(Answer):
    """A dead letter at a glance. ``owner`` could not handle it; ``saga`` is the coordinator.

    ``sagaStatus`` is how its saga stands now, null if no saga is known. If that saga has ended by itself, an open
    letter of one of its steps should only be dropped.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.LETTER]})

    id: str
    owner: str
    at: Moment
    type: str | None
    saga_id: str | None
    saga_status: Status | None
    reason: str
    attempts: int
    fate: Dealt
    dealt_by: str | None
    dealt_because: str | None
    dealt_at: Moment | None


class WholeLetterView(LetterView):
    """A whole dead letter: the message as it came, and the data it was replayed with if they were different."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.WHOLE_LETTER]})

    stream: str
    entry: str
    message: dict[str, str] = Field(description="the message's fields as they came")
    replayed_data: str | None


class LetterPage(Answer):
    """Dead letters, the newest first; ``next`` is the cursor of the next page, null at the end."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.LETTERS]})

    letters: list[LetterView]
    next: str | None


def place_of(cursor: str | None) -> Place | None:
    """Return the place a cursor names."""
    if cursor is None:
        return None
    id_, _, owner = cursor.partition(".")
    return Place.of(id_, owner)


def masked_letter(letter: Letter) -> Letter:
    """Return a letter whose e-mail addresses and card numbers are masked, wherever they occur."""
    dealt = letter.dealt
    if dealt is not None:
        data = {"data": masked_json(dealt["data"])} if "data" in dealt else {}
        dealt = {**dealt, "reason": masked(dealt["reason"]), **data}
    return replace(letter, reason=masked(letter.reason), fields=masked_message(letter.fields), dealt=dealt)


def glance(letter: Letter) -> LetterView:
    """Return a letter at a glance."""
    dealt, type_ = letter.dealt or {}, letter.fields.get("type")
    status = Status(letter.saga_status) if letter.saga_status in _STATUSES else None
    return LetterView(
        id=letter.place.id, owner=letter.place.owner, at=instant(letter.place.ms),
        type=type_ and legible(type_), saga_id=letter.saga_id or None, saga_status=status,
        reason=legible(letter.reason), attempts=letter.attempts, fate=letter.fate, dealt_by=dealt.get("actor"),
        dealt_because=dealt.get("reason"), dealt_at=instant(int(dealt["at"])) if dealt else None,
    )  # fmt: skip


def whole(letter: Letter) -> WholeLetterView:
    """Return everything about a letter."""
    return WholeLetterView(
        **dict(glance(letter)), stream=legible(letter.stream), entry=legible(letter.entry),
        message={legible(name): legible(text) for name, text in letter.fields.items()},
        replayed_data=(letter.dealt or {}).get("data"),
    )  # fmt: skip
