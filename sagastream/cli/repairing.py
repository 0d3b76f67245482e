"""The commands that repair sagas: show, confirm, do, report. Prints; calls the shop's routes."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from sagastream.cli.exits import DONE, NO_SUCH_SAGA, NOT_CONFIRMED, REFUSED, WRONG_WORDS
from sagastream.cli.office import Answer, Office, Refused
from sagastream.cli.screen import Screen
from sagastream.saga.lifecycle import Status
from sagastream.saga.repair import Act
from sagastream.settings import Settings

_LOOK_S = 0.5


def repair(words: Namespace, settings: Settings) -> int:
    """Run the command and return the exit code."""
    with Office(settings, getattr(words, "actor", None)) as office:
        try:
            if words.command == "repairs":
                return _repairs(words, office)
            if words.command == "trail":
                return _trail(words, office)
            return _one_by_one(words, office) if words.saga_ids else _many(words, office)
        except Refused as refused:
            return told(refused)


def told(refused: Refused) -> int:
    """Print why a request was refused and return the exit code."""
    Screen(sys.stderr).say(f"sagastream: {refused}")
    return NO_SUCH_SAGA if refused.status == 404 else REFUSED


def confirmed(words: Namespace, question: str) -> bool:
    """Tell whether the operator confirms."""
    if words.yes:
        return True
    if not sys.stdin.isatty():
        print("sagastream: nobody is here to confirm it; say --yes", file=sys.stderr)
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _one_by_one(words: Namespace, office: Office) -> int:
    screen = Screen(sys.stderr)
    for saga_id in words.saga_ids:
        _show(screen, office.get("sagas", saga_id))
    if not confirmed(words, f"{words.command} {len(words.saga_ids)} of them?"):
        return NOT_CONFIRMED
    worst = DONE
    for saga_id in words.saga_ids:
        try:
            answer = office.post("sagas", saga_id, words.command, body=_body(words))
        except Refused as refused:
            worst = max(worst, told(refused))
            continue
        _say(words, answer, lambda one: f"{one['sagaId']}  {_status(one)}  {one['told']}")
    return worst


def _many(words: Namespace, office: Office) -> int:
    body = {"action": words.command, "filter": _filter(words), **_body(words)}
    preview = office.post("repairs", "preview", body=body)
    count, is_exact = cast(int, preview["count"]), preview["exact"]
    screen = Screen(sys.stderr)
    which = words.status or Status.NEEDS_ATTENTION
    others = "" if count or words.status else "; --status says which others to look for"
    screen.say(f"{'' if is_exact else 'at least '}{count} sagas that are {which}{others}")
    for one in cast("Sequence[Answer]", preview["sample"]):
        screen.say(f"  {one['sagaId']}  {one['why'] or ''}", f"    {one['would']}: {one['told']}")
    if not count:
        return DONE
    if not confirmed(words, f"{words.command} {count} sagas, {words.per_second:g} per second?"):
        return NOT_CONFIRMED
    pace = {"atMost": count, "perSecond": words.per_second, "stopAtErrorRate": words.stop_at}
    begun = office.post("repairs", body={**body, **pace})
    return _followed(words, office, begun)


def _followed(words: Namespace, office: Office, begun: Answer) -> int:
    repair, last, screen = begun, "", Screen(sys.stderr)
    with screen.progress(words.command, cast("int", begun["atMost"])) as done:
        while not words.no_wait and repair["endedAt"] is None:
            time.sleep(_LOOK_S)
            repair = office.get("repairs", str(begun["id"]))
            done(cast("int", repair["visited"]))
            line = _progress(repair)
            if line != last and not words.json and not screen.is_live:
                print(line, file=sys.stderr)
            last = line
    _say(words, repair, _progress)
    return REFUSED if repair["state"] == "stopped" else DONE


def _repairs(words: Namespace, office: Office) -> int:
    if words.repair_id is None:
        if words.stop is not None:
            print("sagastream: say which repair is to be stopped", file=sys.stderr)
            return WRONG_WORDS
        each = cast("Sequence[Answer]", office.get("repairs"))
        for repair in each:
            _say(words, repair, _progress)
        if not each and not words.json:
            print("no repairs of many sagas", file=sys.stderr)
    elif words.stop is not None:
        _say(words, office.post("repairs", words.repair_id, "stop", body={"reason": words.stop}), _progress)
    else:
        _say(words, office.get("repairs", words.repair_id), _progress)
    return DONE


def _trail(words: Namespace, office: Office) -> int:
    page = office.get(
        "audit", sagaId=words.saga, actor=words.actor, action=words.action, limit=words.limit, cursor=words.cursor
    )
    if words.json:
        print(json.dumps(page))
        return DONE
    for entry in cast("Sequence[Answer]", page["entries"]):
        about = entry["sagaId"] or entry["letter"] or entry["repair"] or ""
        Screen().say(f"{entry['at']}  {entry['actor']}  {entry['action']}  {about}  {entry['reason']}: {entry['told']}")
    if page["next"] is not None:
        print(f"there are more: --cursor {page['next']}", file=sys.stderr)
    elif not page["entries"]:
        print("no such entries", file=sys.stderr)
    return DONE


def _show(screen: Screen, saga: Answer) -> None:
    screen.say(f"{saga['sagaId']}  {saga['status']}  {saga['failureReason'] or ''}".rstrip())
    wait = cast("Answer | None", saga["waitingFor"])
    if wait is not None:
        step = f"{wait['step']}: " if wait["step"] else ""
        screen.say(f"  waits for {wait['who']} since {wait['since']}: {step}{wait['what']}")
    for item in cast("Sequence[Answer]", saga["open"]):
        closed_by = "; ".join(cast("Sequence[str]", item["closedBy"]))
        screen.say(f"  open: {item['step']} ({item['service']}): {item['problem']}", f"    closed by {closed_by}")


def _body(words: Namespace) -> dict[str, JsonValue]:
    body: dict[str, JsonValue] = {"reason": words.reason}
    if words.command == Act.RESOLVE:
        body |= {"step": words.step, "effect": words.effect, "evidence": words.evidence}
    return body


def _filter(words: Namespace) -> dict[str, JsonValue]:
    told: Mapping[str, JsonValue] = {
        "status": words.status, "businessProcess": words.process, "initiatorId": words.initiator, "step": words.at,
        "to": words.older_than, "why": words.why, "stuck": True if words.stuck else None,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _progress(repair: Answer) -> str:
    counts = ", ".join(f"{repair[name]} {name}" for name in ("changed", "unchanged", "refused", "failed"))
    why = f": {repair['why']}" if repair["why"] else ""
    return (
        f"repair {repair['id']} ({repair['action']} by {repair['actor']}) {repair['state']}{why}; "
        f"{repair['visited']} of at most {repair['atMost']} visited: {counts}"
    )


def _status(answer: Answer) -> JsonValue:
    return cast(Answer, answer["saga"])["status"]


def _say(words: Namespace, answer: Answer, line: Callable[[Answer], str]) -> None:
    if words.json:
        print(json.dumps(answer))
    else:
        Screen().say(line(answer))
