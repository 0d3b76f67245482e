"""The command `sagastream`. Parses arguments, calls the command's function, turns errors into one line."""

from __future__ import annotations

import errno
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sagastream.cli.exits import DONE, FAILED, INTERRUPTED
from sagastream.cli.repair_words import REPAIRS
from sagastream.cli.words import parser
from sagastream.errors import SagastreamError, ServerUnavailable
from sagastream.project import Project, ProjectError, read_project
from sagastream.saga.definition import Saga
from sagastream.settings import Settings

if TYPE_CHECKING:
    from sagastream.participant import Participant


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `sagastream --help` lists them."""
    words = parser().parse_args(arguments)
    try:
        return _run(words, Settings())
    except ValidationError as error:
        for one in error.errors():
            where = "".join(f"{str(part).upper()}: " for part in one["loc"])
            print(f"sagastream: {where}{one['msg'].removeprefix('Value error, ')}", file=sys.stderr)
    except ServerUnavailable as error:
        print(f"sagastream: the server cannot serve right now: {error}", file=sys.stderr)
    except SagastreamError as error:
        print(f"sagastream: {error}", file=sys.stderr)
    except BrokenPipeError:
        # The reader of a pipe has closed it; flushing the buffered rest at exit must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise  # a bug of ours; the other two are the machine's
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"sagastream: {where}{error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    return FAILED


def _run(words: Namespace, settings: Settings) -> int:
    # Each command imports only what it needs: showing a saga must not take as long to start as a shop.
    if words.command in ("sagas", "show", "streams", "watch"):
        return _look(words, settings)
    if words.command in REPAIRS:
        return _repair(words, settings)
    if words.command == "forget":
        from sagastream.cli.forgetting import forget_group

        return forget_group(words, settings, _tables(), _cast())
    if words.command == "init":
        from sagastream.cli.naming import init

        return init(words, settings)
    if words.command == "completion":
        from sagastream.cli.completion import completion

        sys.stdout.write(completion(parser(), words.shell))
        return DONE
    project = read_project()
    match words.command:
        case "check":
            from sagastream.cli.tables import check

            return check(project)
        case "diagram":
            from sagastream.cli.tables import diagram

            return diagram(project, words.saga)
        case "asyncapi":
            from sagastream.cli.tables import asyncapi

            return asyncapi(project, settings.key_prefix)
        case "audit":
            return _audit(words, settings, project)
        case "doctor":
            return _doctor(settings, project, words)
        case "transitions":
            from sagastream.cli.tables import transitions

            return transitions(project, words.saga)
        case _:
            from sagastream.cli.running import run
            from sagastream.tracing import traced

            with traced(settings):
                run(words, settings, project)
    return DONE


def _audit(words: Namespace, settings: Settings, project: Project) -> int:
    from sagastream.cli.auditing import audit_sagas, audits
    from sagastream.cli.sight import with_bus
    from sagastream.cli.tables import every_saga, participants

    tables, cast, rules = every_saga(project), participants(project), audits(project)
    return with_bus(settings, lambda bus: audit_sagas(words, bus, settings, tables, cast, rules))


def _doctor(settings: Settings, project: Project, words: Namespace) -> int:
    from sagastream.cli.doctoring import doctor
    from sagastream.cli.sight import with_bus
    from sagastream.cli.tables import every_saga, participants

    tables, cast, services = every_saga(project), participants(project), project.services
    return with_bus(settings, lambda bus: doctor(words, bus, settings, tables, cast, services), must_run=True)


def _repair(words: Namespace, settings: Settings) -> int:
    if words.command == "dead-letters":
        from sagastream.cli.lettering import dead_letters

        return dead_letters(words, settings)
    from sagastream.cli.repairing import repair

    return repair(words, settings)


def _look(words: Namespace, settings: Settings) -> int:
    from sagastream.cli.looking import list_sagas, show_saga
    from sagastream.cli.sight import with_bus
    from sagastream.cli.streams import list_streams
    from sagastream.cli.watching import watch

    look = {"sagas": list_sagas, "show": show_saga, "streams": list_streams, "watch": watch}[words.command]
    sagas = _tables()
    return with_bus(
        settings, lambda bus: look(words, bus, settings.key_prefix, sagas), must_run=words.command == "watch"
    )


def _cast() -> list[Participant]:
    from sagastream.cli.tables import participants

    try:
        return participants(read_project())
    except ProjectError:
        return []  # reported where the tables are read


def _tables() -> list[Saga]:
    from sagastream.cli.tables import every_saga

    try:
        return every_saga(read_project())
    except ProjectError as error:
        print(f"sagastream: {error}; steps are shown by their events only", file=sys.stderr)
        return []
