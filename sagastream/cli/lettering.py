"""The command `dead-letters`: list, show, replay, drop, one or all of ended sagas. Prints; calls the shop's routes."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from sagastream.cli.exits import DONE, NOT_CONFIRMED, WRONG_WORDS
from sagastream.cli.office import Answer, Office, Refused
from sagastream.cli.repairing import confirmed, told
from sagastream.cli.screen import Screen
from sagastream.keys import WEBHOOKS
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings

_WHOLE = frozenset({Status.COMPLETED, Status.COMPENSATED, Status.FAILED})


def dead_letters(words: Namespace, settings: Settings) -> int:
    """Run the command and return the exit code."""
    with Office(settings, getattr(words, "actor", None)) as office:
        try:
            match words.verb:
                case "list":
                    return _list(words, office)
                case "show":
                    unmasked = "true" if words.unmasked else None
                    return _show(words, office.get("dead-letters", words.owner, words.letter_id, unmasked=unmasked))
                case "drop-ended":
                    return _drop_ended(words, office)
                case _:
                    return _deal(words, office)
        except Refused as refused:
            return told(refused)


def _list(words: Namespace, office: Office) -> int:
    page = office.get(
        "dead-letters", owner=words.owner, sagaId=words.saga, fate=words.fate, limit=words.limit, cursor=words.cursor
    )
    if words.json:
        print(json.dumps(page))
        return DONE
    for one in cast("Sequence[Answer]", page["letters"]):
        Screen().say(_line(one))
    if page["next"] is not None:
        print(f"there are more: --cursor {page['next']}", file=sys.stderr)
    elif not page["letters"]:
        print("no such letters", file=sys.stderr)
    return DONE


def _show(words: Namespace, letter: Answer) -> int:
    if words.json:
        print(json.dumps(letter))
        return DONE
    screen = Screen()
    screen.say(_line(letter), f"from {letter['stream']} {letter['entry']}")
    for name, value in cast("dict[str, str]", letter["message"]).items():
        screen.say(f"  {name}: {value}")
    if letter["dealtBy"] is not None:
        screen.say(f"{letter['fate']} by {letter['dealtBy']} at {letter['dealtAt']}: {letter['dealtBecause']}")
    if letter["replayedData"] is not None:
        screen.say(f"  with {letter['replayedData']}")
    return DONE


def _deal(words: Namespace, office: Office) -> int:
    body: dict[str, JsonValue] = {"reason": words.reason}
    if words.verb == "replay" and words.data is not None:
        try:
            text = Path(words.data[1:]).read_text() if words.data.startswith("@") else words.data
            body["data"] = json.loads(text)
        except (OSError, ValueError) as error:
            print(f"sagastream: --data: {error}", file=sys.stderr)
            return WRONG_WORDS
    letter = office.get("dead-letters", words.owner, words.letter_id)
    Screen(sys.stderr).say(_line(letter), f"  data: {cast('dict[str, str]', letter['message']).get('data', '')}")
    if not confirmed(words, f"{words.verb} it?"):
        return NOT_CONFIRMED
    _tell(words, office.post("dead-letters", words.owner, words.letter_id, words.verb, body=body))
    return DONE


def _drop_ended(words: Namespace, office: Office) -> int:
    """Drop the open letters of sagas that have ended: everything they asked for was done or undone without them.

    Letters of sagas closed by a person only on request: they cannot be replayed, but may have left effects.
    """
    ended = _WHOLE | {Status.ABORTED} if words.aborted else _WHOLE
    found = [one for one in _open(words.owner, office) if one["sagaStatus"] in ended and _is_meant(words, one)]
    screen = Screen(sys.stderr)
    for one in found:
        screen.say(_line(one))
    if not found:
        print("no such letters", file=sys.stderr)
        return DONE
    if not confirmed(words, f"drop {len(found)} of them?"):
        return NOT_CONFIRMED
    worst = DONE
    for one in found:
        try:
            place = str(one["owner"]), str(one["id"])
            _tell(words, office.post("dead-letters", *place, "drop", body={"reason": words.reason}))
        except Refused as refused:  # another operator dealt with it, or its saga was contradicted meanwhile
            worst = max(worst, told(refused))
    return worst


def _tell(words: Namespace, answer: Answer) -> None:
    if words.json:
        print(json.dumps(answer))
    else:
        Screen().say(_line(answer))


def _is_meant(words: Namespace, one: Answer) -> bool:
    return words.owner is not None or one["owner"] != WEBHOOKS  # webhook letters are reports that were not delivered


def _open(owner: str | None, office: Office) -> Iterator[Answer]:
    cursor: str | None = None
    while True:
        page = office.get("dead-letters", owner=owner, fate="open", limit=200, cursor=cursor)
        yield from cast("Sequence[Answer]", page["letters"])
        if page["next"] is None:
            return
        cursor = str(page["next"])


def _line(one: Answer) -> str:
    stands = f" ({one['sagaStatus']})" if one["sagaStatus"] else ""
    about = f"{one['type'] or 'no event'} of saga {one['sagaId'] or '?'}{stands}"
    return f"{one['at']}  {one['owner']} {one['id']}  {about}  {one['fate']}  after {one['attempts']}: {one['reason']}"
