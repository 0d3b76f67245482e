"""The arguments of the command `sagastream`, and their help."""

from __future__ import annotations

import argparse
from pathlib import Path

from sagastream.cli.arguments import cursor, instant, limit, matching, one_of, saga_id, whole
from sagastream.cli.completion import SHELLS
from sagastream.cli.exits import MEANINGS
from sagastream.cli.repair_words import add_repairs
from sagastream.keys import OWNER
from sagastream.saga.lifecycle import Status
from sagastream.version import VERSION

_CODES = "\n".join(f"  {code:<5}{meaning}" for code, meaning in MEANINGS.items())
_ENDS = f"""exit codes:
{_CODES}

Operators' commands talk to the shop at BASE_URL, or to the one that runs here with the same DATA_DIR.
sagas, show, streams, watch, audit and doctor read the server named by REDIS_URL, or the one of the shop that runs here
with the same DATA_DIR. See `sagastream COMMAND --help`."""
_WATCH = """Without SAGA_ID it prints news of every saga, one line each, until Ctrl-C. With SAGA_ID it draws that saga's
timeline and ends when the saga does: exit 0 if it is Completed, 4 if it ended otherwise, 3 if there is no such saga.
With --json each line is one JSON object.

● done      ✗ refused      ! overdue, gave up, cancelled ...   ◀ turned back   → asked   ■ ended
↶ undone    ⊘ barred       ↻ tried or asked again              ≡ delivered again
… waiting   ○ to come       ☞ an operator"""
_STREAMS = """One line for each group on each stream. LAG: entries it has not read, ? if removed entries make it
unknowable. PENDING: entries read but not acknowledged. Both with the age of the oldest. CONSUMERS: its processes."""
_STORE_NAME = r"[A-Za-z0-9_.-]{1,64}"
_AUDIT = """Without SAGA_ID it compares everything: records, histories, ledgers, events, counters, and the project's own
books by the rules it names under `audits`. It only reads and may run beside a shop at work; what is not decided yet is
counted as unknown. Exit 5 if some rule does not hold.
Coordinators audit too, and keep each difference until they see it resolved: list them with --kept. A difference that
can never be seen resolved, such as one of trimmed events, is dropped with --take-back one-end 'saga SAGA_ID'.
docs/reference/audit.md says what each rule proves and what it cannot."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    wide = argparse.RawDescriptionHelpFormatter
    root = argparse.ArgumentParser(
        prog="sagastream", description="Choreographed sagas on Redis Streams.", epilog=_ENDS, formatter_class=wide
    )
    root.add_argument("--version", action="version", version=VERSION)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_running(commands)
    commands.add_parser("check", help="report mismatches between saga tables and participants")
    forget = commands.add_parser("forget", help="stop keeping stream entries for a group that is gone for good")
    forget.add_argument(
        "group", metavar="GROUP", type=matching(OWNER.pattern, "no group's name"), help="its name, such as webhooks"
    )
    forget.add_argument("event", metavar="EVENT", nargs="?", help="only an event that it no longer handles")
    forget.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    name = matching(_STORE_NAME, "no name of 1 to 64 letters, digits, '_', '.' and '-'")
    init = commands.add_parser("init", help="name the store, so that nothing starts on another, empty one")
    init.add_argument("name", metavar="NAME", type=name, help="letters, digits, `_`, `.` and `-`")
    diagram = commands.add_parser("diagram", help="print a saga's sequence diagram")
    diagram.add_argument("saga", nargs="?")
    transitions = commands.add_parser("transitions", help="print every state of a saga, every event, and what follows")
    transitions.add_argument("saga", nargs="?")
    shell = commands.add_parser("completion", help="print a shell completion script")
    shell.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f'{" or ".join(SHELLS)}: eval "$(…)" reads it')
    commands.add_parser("asyncapi", help="print every stream and its messages as AsyncAPI 3")
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument("--json", action="store_true", help="print JSON, as the HTTP routes answer")

    sagas = commands.add_parser("sagas", parents=[json], help="list sagas, the newest first")
    sagas.add_argument("--status", type=one_of(Status, "no status"), help=f"only these: {', '.join(Status)}")
    sagas.add_argument("--process", metavar="NAME", help="only sagas of this table")
    sagas.add_argument("--initiator", metavar="ID", help="only sagas begun for this initiator")
    when = "2026-01-31T12:00:00Z, milliseconds since 1970, or so long ago: 90s, 15m, 2h, 7d"
    sagas.add_argument("--from", dest="from_ms", type=instant, metavar="INSTANT", help=f"begun at or after: {when}")
    sagas.add_argument("--to", dest="to_ms", type=instant, metavar="INSTANT", help="begun at or before")
    sagas.add_argument("--limit", type=limit, default=50, metavar="N", help="how many at most, 1 to 200 (50)")
    sagas.add_argument("--cursor", type=cursor, help="`next` of the page before")
    show = commands.add_parser(
        "show", parents=[json], help="show a saga's timeline", epilog="Exit 3 if there is no such saga."
    )
    show.add_argument("saga_id", type=saga_id, metavar="SAGA_ID")
    commands.add_parser(
        "streams", parents=[json], help="list streams with their readers and lag", epilog=_STREAMS,
        formatter_class=wide,
    )  # fmt: skip
    watch = commands.add_parser(
        "watch",
        parents=[json],
        help="follow a saga, or all of them, live",
        epilog=_WATCH,
        formatter_class=wide,
    )
    watch.add_argument("saga_id", type=saga_id, metavar="SAGA_ID", nargs="?")
    audit = commands.add_parser(
        "audit",
        parents=[json],
        help="compare all that is stored about sagas, and report differences",
        epilog=_AUDIT,
        formatter_class=wide,
    )
    audit.add_argument("saga_id", type=saga_id, metavar="SAGA_ID", nargs="?")
    audit.add_argument("--at-rest", action="store_true", help="nothing is under way: report what is left over")
    audit.add_argument(
        "--wait", type=float, default=10.0, metavar="SECONDS", help="wait for rest for at most so long (10)"
    )
    audit.add_argument(
        "--acknowledged", type=Path, metavar="FILE", help="ids of sagas that must exist, one on each line"
    )
    audit.add_argument(
        "--kept", action="store_true", help="only differences that coordinators found and have not seen resolved"
    )
    audit.add_argument(
        "--take-back", nargs=2, metavar=("RULE", "ABOUT"), help="drop one of these that you have resolved"
    )
    commands.add_parser("doctor", parents=[json], help="report what is wrong, each with the command that helps")
    add_repairs(commands, json)
    return root


def _add_running(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    port = argparse.ArgumentParser(add_help=False)
    port.add_argument("--port", type=whole(0, 65_535, "not a port"), help="the port to listen on, 0 for a free one")
    dev = commands.add_parser("dev", parents=[port], help="run the whole project here")
    dev.add_argument("--procs", action="store_true", help="one process per service instead of one for all")
    dev.add_argument("--no-restart", action="store_true", help="leave processes that died alone")
    service = commands.add_parser("service", parents=[port], help="run one service, named by its factory")
    service.add_argument("target", metavar="MODULE:FUNCTION")
    service.add_argument("--name", required=True)
    service.add_argument("--of", help=argparse.SUPPRESS)
    participant = commands.add_parser("participant", parents=[port], help="run one service of the project")
    participant.add_argument("name")
    commands.add_parser("coordinator", parents=[port], help="run the project's coordinator")
    front = commands.add_parser("front", parents=[port], help="run the base URL in front of services elsewhere")
    front.add_argument("--of", help=argparse.SUPPRESS)
    passed_on = "where a service is: /services/NAME/... is passed on to it; once for each service"
    front.add_argument("--upstream", action="append", default=[], metavar="NAME=URL", help=passed_on)
