"""The arguments of the operators' commands: repairs, dead letters, the audit trail."""

from __future__ import annotations

import argparse
import getpass
import math
import re
from typing import TYPE_CHECKING, TypeAlias

from sagastream.cli.arguments import instant, limit, matching, one_of, saga_id
from sagastream.saga.attention import Effect
from sagastream.saga.lifecycle import Status
from sagastream.saga.repair import Act

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # what add_subparsers() returns
REPAIRS = (*Act, "repairs", "dead-letters", "trail")
UNFINISHED = tuple(status for status in Status if not status.is_end)
_NAME = r"[!-~]([ -~]{0,62}[!-~])?"
_HELP = {
    Act.COMPENSATE: "compensate sagas whose pivot is not done",
    Act.RETRY: "send every open request of sagas again at once",
    Act.RESOLVE: "state what is true of a step, on evidence",
    Act.ABORT: "close sagas, leaving open what is open",
}
_MANY = """With SAGA_IDs it repairs these one by one. Without, a filter selects unfinished sagas of one status
(NeedsAttention by default). The command first shows what would happen, and asks for confirmation unless --yes is given.
Repairs of many run in the coordinator, at a limited pace, and continue if this command ends.

The command talks to the shop at BASE_URL, or to the one that runs here with the same DATA_DIR. The token comes from
OPERATOR_TOKEN, or from its run directory. Exit 3: no such saga; 6: refused; 7: not confirmed."""


def add_repairs(commands: Commands, json: argparse.ArgumentParser) -> None:
    """Add the operators' commands."""
    wide = argparse.RawDescriptionHelpFormatter
    name = matching(_NAME, "no name of 1 to 64 printable ASCII characters")
    operator = argparse.ArgumentParser(add_help=False)
    operator.add_argument("--as", dest="actor", type=name, metavar="NAME", default=_user(), help="who does it (you)")
    does = argparse.ArgumentParser(add_help=False, parents=[json, operator])
    does.add_argument("--reason", required=True, help="why; stored in the history and in the audit trail")
    does.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    for act in Act:
        one = commands.add_parser(act.value, parents=[does], help=_HELP[act], epilog=_MANY, formatter_class=wide)
        one.add_argument("saga_ids", metavar="SAGA_ID", nargs="*", type=saga_id)
        if act is Act.RESOLVE:
            one.add_argument("--step", required=True, help="the step it is about, such as 'charge payment'")
            effect = one_of(Effect, "no effect")
            one.add_argument("--effect", required=True, type=effect, choices=list(Effect), help="what is true of it")
            one.add_argument("--evidence", required=True, help="how that is known: a statement, a ticket")
        _add_filter(one)
    repairs = commands.add_parser("repairs", parents=[json, operator], help="list repairs of many sagas, or stop one")
    repairs.add_argument("repair_id", metavar="REPAIR_ID", nargs="?", type=matching(r"[0-9a-f]{16}", "no repair's id"))
    repairs.add_argument("--stop", metavar="REASON", help="stop it after the saga it is at")
    trail = commands.add_parser("trail", parents=[json], help="show who did what to which saga, when and why")
    trail.add_argument("--saga", type=saga_id, metavar="SAGA_ID")
    trail.add_argument("--actor", metavar="NAME")
    trail.add_argument("--action", metavar="ACTION", help="such as retry, or 'letter dropped'")
    _add_page(trail)
    _add_letters(commands, json, does)


def _add_filter(one: argparse.ArgumentParser) -> None:
    which = one.add_argument_group("which sagas, without SAGA_IDs")
    which.add_argument(
        "--status", type=one_of(UNFINISHED, "no status that can be repaired"), help=f"one of {', '.join(UNFINISHED)}"
    )
    which.add_argument("--process", metavar="NAME", help="only sagas of this table")
    which.add_argument("--initiator", metavar="ID", help="only sagas begun for this initiator")
    which.add_argument("--at", metavar="STEP", help="only those that wait at this step")
    which.add_argument("--older-than", type=instant, metavar="AGE", help="begun so long ago: 90s, 15m, 2h, 7d")
    which.add_argument("--why", metavar="WORDS", help="only those whose reason contains this")
    which.add_argument("--stuck", action="store_true", help="only those that make no progress")
    which.add_argument(
        "--per-second", type=_number, default=20.0, metavar="N", help="how many a second, at most 200 (20)"
    )
    which.add_argument("--stop-at", type=_number, default=0.1, metavar="SHARE", help="stop when this share fails (0.1)")
    which.add_argument("--no-wait", action="store_true", help="do not wait for the end")


def _add_letters(commands: Commands, json: argparse.ArgumentParser, does: argparse.ArgumentParser) -> None:
    letters = commands.add_parser("dead-letters", help="list, show, replay and drop messages that could not be handled")
    verbs = letters.add_subparsers(dest="verb", required=True, metavar="VERB")
    listed = verbs.add_parser("list", parents=[json], help="list them, the newest first")
    listed.add_argument("--owner", metavar="NAME", help="only this participant's; the coordinator is 'saga'")
    listed.add_argument("--saga", type=saga_id, metavar="SAGA_ID")
    listed.add_argument("--fate", choices=["open", "replayed", "dropped"], default="open", help="open unless told")
    _add_page(listed)
    shown = verbs.add_parser("show", parents=[json], help="show one, e-mail addresses and card numbers masked")
    shown.add_argument("--unmasked", action="store_true", help="show these unmasked")
    replayed = verbs.add_parser("replay", parents=[does], help="send one to its owner again")
    replayed.add_argument("--data", metavar="JSON", help="with this instead of its data; @FILE reads a file")
    dropped = verbs.add_parser("drop", parents=[does], help="close one that needs no action")
    ended = "close all whose sagas have ended, wholly done or wholly undone"
    all_ended = verbs.add_parser("drop-ended", parents=[does], help=ended)
    all_ended.add_argument("--owner", metavar="NAME", help="only this participant's (everybody's but of webhooks)")
    aborted = "also those of aborted sagas, whose letters can only be dropped: look at what they left open first"
    all_ended.add_argument("--aborted", action="store_true", help=aborted)
    letter_id = matching(r"\d{1,15}-\d{1,10}", "no letter's id, such as 1700000000000-0")
    for verb in (shown, replayed, dropped):
        verb.add_argument("owner", metavar="OWNER")
        verb.add_argument("letter_id", metavar="LETTER_ID", type=letter_id)


def _add_page(one: argparse.ArgumentParser) -> None:
    one.add_argument("--limit", type=limit, default=50, metavar="N", help="1 to 200 (50)")
    one.add_argument("--cursor", help="`next` of the page before")


def _user() -> str | None:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        return None
    return name if re.fullmatch(_NAME, name) else None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return number
