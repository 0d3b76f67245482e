"""What followers are sent says of every saga that changed how it is, or that it is not theirs any more."""

from __future__ import annotations

import json

import pytest

from sagastream.live.messages import Batch, Change, Wanted, frame, reset
from sagastream.saga.lifecycle import Status

POSITION = "1767225600000-0"
STARTED = Change("order", "Started", '{"sagaId":"one"}')
COMPLETED = Change("order", "Completed", '{"sagaId":"two"}')
OTHER = Change("trip", "Completed", '{"sagaId":"three"}')
BATCH = Batch(POSITION, {"one": STARTED, "two": COMPLETED, "three": OTHER, "four": Change()})


def told(message: bytes | None) -> tuple[list[str], list[str]]:
    """Return the ids of the sagas that a message shows, and of those it says are gone."""
    assert message is not None
    name, event, data, *rest = message.decode().split("\r\n")
    assert (name, event, rest) == (f"id: {POSITION}", "event: sagas", ["", ""])
    message_ = json.loads(data.removeprefix("data: "))
    assert message_["at"] == "2026-01-01T00:00:00.000Z"
    return [saga["sagaId"] for saga in message_["sagas"]], message_["gone"]


@pytest.mark.parametrize(
    ("wanted", "shown", "gone"),
    [
        (Wanted(), ["one", "two", "three"], ["four"]),
        (Wanted(status=Status.COMPLETED), ["two", "three"], ["one", "four"]),
        (Wanted(process="order"), ["one", "two"], ["four"]),
        (Wanted(Status.COMPLETED, "order"), ["two"], ["one", "four"]),
        (Wanted(Status.COMPLETED, "trip"), ["three"], ["four"]),
    ],
)
def test_each_client_is_told_of_what_it_follows(wanted: Wanted, shown: list[str], gone: list[str]) -> None:
    """A saga of another process never was in the client's list; one of another status may have been."""
    assert told(BATCH.message(wanted)) == (shown, gone)


def test_what_concerns_nobody_is_no_message() -> None:
    assert Batch(POSITION, {"three": OTHER}).message(Wanted(process="order")) is None


def test_a_message_is_written_once_for_all_who_want_the_same() -> None:
    assert BATCH.message(Wanted(process="order")) is BATCH.message(Wanted(process="order"))


def test_of_a_saga_in_two_batches_the_later_stands() -> None:
    both = Batch("1-0", {"two": STARTED, "five": STARTED}).then(BATCH)

    assert both.position == POSITION
    assert both.changes["two"] is COMPLETED
    assert both.changes["five"] is STARTED


def test_a_position_before_anything_is_no_id_and_no_instant() -> None:
    """A browser that comes back names the last id it got; this one would mean nothing."""
    assert reset("0-0", "new") == b'event: reset\r\ndata: {"at": null, "why": "new"}\r\n\r\n'
    assert frame("figures", "{}") == b"event: figures\r\ndata: {}\r\n\r\n"
