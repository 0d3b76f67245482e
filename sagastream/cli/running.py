"""The commands that run until they are stopped: a whole project, or one process of it."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Sequence

import structlog

from sagastream import logs
from sagastream.cli.tables import misfits
from sagastream.dev import run_in_one
from sagastream.project import Project, ProjectError
from sagastream.settings import Settings
from sagastream.standalone import run_front, run_service
from sagastream.supervisor import run_in_many

_log = structlog.get_logger()


def run(words: Namespace, settings: Settings, project: Project) -> None:
    """Run the requested processes."""
    match words.command:
        case "dev":
            if words.no_restart:
                settings = settings.model_copy(update={"restart": False})
            logs.configure(settings)
            _look_over(project)
            run = run_in_many if words.procs else run_in_one
            asyncio.run(run(project, settings, settings.port if words.port is None else words.port))
        case "front":
            logs.configure(settings, "front")
            asyncio.run(run_front(project, settings, _upstreams(words.upstream), words.port))
        case "service":
            _serve(project, settings, words.name, words.target, words.port)
        case "participant":
            _serve(project, settings, *project.service(words.name), words.port)
        case "coordinator":
            _serve(project, settings, *project.service("coordinator"), words.port)


def _look_over(project: Project) -> None:
    """Log what `check` would report; run all the same, as the project may be unfinished."""
    if not project.services:
        raise ProjectError(
            f"{project.root / 'pyproject.toml'}: [tool.sagastream] names no services to run;"
            ' add services = ["module:create_service"]'
        )
    for problem in misfits(project):
        _log.warning("table.does_not_fit", problem=problem)


def _serve(project: Project, settings: Settings, name: str, target: str, port: int | None) -> None:
    logs.configure(settings, name)
    asyncio.run(run_service(name, target, settings, project.root, port))


def _upstreams(pairs: Sequence[str]) -> dict[str, str]:
    """Return the address of each service.

    Raises: ``ProjectError``.
    """
    upstreams: dict[str, str] = {}
    for pair in pairs:
        name, is_pair, url = pair.partition("=")
        if not is_pair:
            raise ProjectError(f"--upstream takes NAME=URL, not {pair!r}")
        if name in upstreams:
            raise ProjectError(f"--upstream names {name} twice: of several processes tell it the gateway's address")
        upstreams[name] = url
    return upstreams
