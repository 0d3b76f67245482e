"""The command `sagastream`. Reads words, calls what they mean, turns errors into one line."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from sagastream import logs
from sagastream.dev import run_in_one
from sagastream.errors import SagastreamError
from sagastream.project import Project, ProjectError, load, read_project
from sagastream.saga.definition import Saga
from sagastream.settings import Settings
from sagastream.standalone import run_front, run_service
from sagastream.supervisor import run_in_many
from sagastream.version import VERSION


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 1 for a failure, told in one line, and 2 for wrong words."""
    words = _parser().parse_args(arguments)
    try:
        settings = Settings()
        return _run(words, settings)
    except ValidationError as error:
        for one in error.errors():
            print(f"sagastream: {'.'.join(map(str, one['loc'])).upper()}: {one['msg']}", file=sys.stderr)
    except SagastreamError as error:
        print(f"sagastream: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def _run(words: argparse.Namespace, settings: Settings) -> int:
    project = read_project()
    match words.command:
        case "dev":
            if words.no_restart:
                settings = settings.model_copy(update={"restart": False})
            logs.configure(settings)
            run = run_in_many if words.procs else run_in_one
            asyncio.run(run(project, settings, settings.port if words.port is None else words.port))
        case "front":
            logs.configure(settings, "front")
            upstreams = dict(_named(pair) for pair in words.upstream)
            asyncio.run(run_front(project, settings, upstreams, words.port))
        case "service":
            _serve(project, settings, words.name, words.target, words.port)
        case "participant":
            _serve(project, settings, *project.service(words.name), words.port)
        case "coordinator":
            _serve(project, settings, *project.service("coordinator"), words.port)
        case "check":
            return _check(project)
        case "diagram":
            return _diagram(project, words.saga)
    return 0


def _serve(project: Project, settings: Settings, name: str, target: str, port: int | None) -> None:
    logs.configure(settings, name)
    asyncio.run(run_service(name, target, settings, project.root, port))


def _check(project: Project) -> int:
    from sagastream.participant import Participant
    from sagastream.saga.check import check

    sagas = _sagas(project)
    participants = []
    for target in project.participants:
        found = load(target, project.root)
        participant = found() if inspect.isfunction(found) else found
        if not isinstance(participant, Participant):
            raise ProjectError(f"{target!r} is neither a Participant nor a function that returns one")
        participants.append(participant)
    problems = check(list(sagas.values()), participants)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _diagram(project: Project, name: str | None) -> int:
    from sagastream.saga.diagram import diagram

    sagas = _sagas(project)
    if name is not None and name not in sagas:
        raise ProjectError(f"there is no saga {name!r}; there are {', '.join(sagas) or 'none'}")
    for known, saga in sagas.items():
        if name in (None, known):
            print(diagram(saga))
    return 0


def _sagas(project: Project) -> dict[str, Saga]:
    sagas = {}
    for target in project.sagas:
        found = load(target, project.root)
        if not isinstance(found, Saga):
            raise ProjectError(f"{target!r} is not a Saga")
        sagas[found.name] = found
    return sagas


def _named(pair: str) -> tuple[str, str]:
    name, is_pair, url = pair.partition("=")
    if not is_pair:
        raise ProjectError(f"--upstream takes NAME=URL, not {pair!r}")
    return name, url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sagastream", description="Choreographed sagas on Redis Streams.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    port = argparse.ArgumentParser(add_help=False)
    port.add_argument("--port", type=int, help="the port to listen on, 0 for a free one")

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
    front = commands.add_parser("front", parents=[port], help="run the base URL before services elsewhere")
    front.add_argument("--of", help=argparse.SUPPRESS)
    front.add_argument("--upstream", action="append", default=[], metavar="NAME=URL")
    commands.add_parser("check", help="report sagas and participants that do not fit")
    diagram = commands.add_parser("diagram", help="print a saga's sequence diagram")
    diagram.add_argument("saga", nargs="?")
    return parser


if __name__ == "__main__":
    sys.exit(main())
