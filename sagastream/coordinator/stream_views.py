"""The views of streams and of those who read them. Pure; owns their shape."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ConfigDict, Field

from sagastream.answers import Answer, Moment, instant
from sagastream.coordinator import examples
from sagastream.coordinator.readers import Group, Stream
from sagastream.masking import legible


class ConsumerView(Answer):
    """One process of a group."""

    name: str
    pending: int = Field(description="entries it has read and not settled")
    asked_age_ms: int | None = Field(
        description="how long ago it asked for entries, which who waits does every few seconds; null: the server, a "
        "Redis before 7.2, does not tell"
    )
    given_age_ms: int | None = Field(description="how long ago it was given any; null if it never was")


class GroupView(Answer):
    """One group of consumers, on one stream. Ages are those of entries, null if there is none."""

    name: str
    lag: int | None = Field(description="entries it has not read; null: nobody can tell, for entries were removed")
    pending: int = Field(description="entries it has read and not settled")
    oldest_pending_age_ms: int | None
    oldest_unread_age_ms: int | None
    consumers: list[ConsumerView]
    missing: bool = Field(description="it was there once; nothing is trimmed from the stream until it is back")


class StreamView(Answer):
    """One stream, and all groups that read it."""

    name: str
    owner: str = Field(description="who publishes on it; `saga` is the coordinator")
    length: int
    groups: list[GroupView]
    problem: str | None = Field(description="why it cannot be read as a stream; null for every sound one")


class StreamsView(Answer):
    """Every stream, by name, as of one instant of the server's clock."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.STREAMS]})

    at: Moment
    streams: list[StreamView]


def shown(now_ms: int, streams: Sequence[Stream]) -> StreamsView:
    """Return the view of the streams."""
    return StreamsView(
        at=instant(now_ms),
        streams=[
            StreamView(
                name=one.name,
                owner=one.owner,
                length=one.length,
                groups=[_group(group, now_ms) for group in one.groups],
                problem=one.problem,
            )
            for one in streams
        ],
    )


def _group(group: Group, now_ms: int) -> GroupView:
    return GroupView(
        name=legible(group.name),
        lag=group.lag,
        pending=group.pending,
        oldest_pending_age_ms=_age_ms(group.oldest_pending_ms, now_ms),
        oldest_unread_age_ms=_age_ms(group.oldest_unread_ms, now_ms),
        consumers=[
            ConsumerView(
                name=legible(each.name),
                pending=each.pending,
                asked_age_ms=each.asked_age_ms,
                given_age_ms=each.given_age_ms,
            )
            for each in group.consumers
        ],
        missing=group.is_missing,
    )


def _age_ms(since_ms: int | None, now_ms: int) -> int | None:
    return max(0, now_ms - since_ms) if since_ms is not None else None
