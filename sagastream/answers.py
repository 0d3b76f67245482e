"""The parts that all HTTP answers share: a model with camelCase names, and instants. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    PlainSerializer(_written, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


class Answer(BaseModel):
    """A frozen answer in camelCase."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


def moment(ms: int | None) -> datetime | None:
    """Return epoch milliseconds as an instant, None for None."""
    return None if ms is None else instant(ms)


def instant(ms: int) -> datetime:
    """Return epoch milliseconds as an instant."""
    return _EPOCH + timedelta(milliseconds=ms)
