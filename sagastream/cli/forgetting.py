"""The command `forget`: stop keeping entries for a group that is gone for good, or of an event it no longer handles."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import timedelta

from sagastream.bus import Bus
from sagastream.cli.exits import DONE, FAILED, NOT_CONFIRMED
from sagastream.cli.repairing import confirmed
from sagastream.cli.sight import with_bus
from sagastream.coordinator.lags import owners
from sagastream.forgetting import forget
from sagastream.keys import COORDINATOR, WEBHOOKS, Keys
from sagastream.participant import Participant
from sagastream.saga.definition import Saga
from sagastream.settings import Settings


def forget_group(
    words: Namespace, settings: Settings, sagas: Sequence[Saga], participants: Sequence[Participant]
) -> int:
    """Forget a group after confirmation; refuse one that takes part in a saga here.

    For such a participant, only an event that it does not handle may be forgotten.
    """
    needed = [saga.name for saga in sagas if words.group in (*saga.participants, COORDINATOR)]
    here = next((each for each in participants if each.name == words.group), None)
    if words.event is not None and here is not None:
        if words.event in here.handlers:
            print(f"sagastream: {words.group} handles {words.event}, which cannot be forgotten", file=sys.stderr)
            return FAILED
    elif needed or words.group == COORDINATOR:
        what = f"saga {needed[0]!r}" if needed else "every saga"
        print(f"sagastream: {words.group} takes part in {what} and cannot be forgotten", file=sys.stderr)
        return FAILED
    if not sagas and words.group != WEBHOOKS:
        told = f"without the tables of a project nobody knows whether {words.group} is needed, nor who publishes for it"
        print(f"sagastream: {told}: run this where its pyproject.toml is", file=sys.stderr)
        return FAILED
    what = f"what {words.group} has not settled" + (f" of {words.event}" if words.event else "")
    if not confirmed(words, f"{what} is lost to it; forget it?"):
        return NOT_CONFIRMED

    async def do(bus: Bus) -> int:
        keys, watch = Keys(settings.key_prefix, words.group), 2 * settings.block + timedelta(seconds=1)
        print(f"watching for {watch.total_seconds():g} s whether {words.group} is at work", file=sys.stderr)
        for stream in await forget(bus, keys, owners(sagas), watch=watch, event=words.event):
            print(stream)
        return DONE

    return with_bus(settings, do)
