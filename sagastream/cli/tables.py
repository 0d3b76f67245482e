"""The commands that need only a project's tables: their check, diagrams, transitions and AsyncAPI document."""

from __future__ import annotations

import inspect
import json
import sys
from typing import TYPE_CHECKING

from sagastream.project import Project, ProjectError, load
from sagastream.saga.definition import Saga

if TYPE_CHECKING:
    from sagastream.participant import Participant


def check(project: Project) -> int:
    """Print the mismatches and return the exit code."""
    problems = misfits(project)
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    return 1 if problems else 0


def misfits(project: Project) -> list[str]:
    """Return the mismatches between the project's tables and participants, a sentence each.

    Raises: ``ProjectError`` for a target that is neither.
    """
    from sagastream.saga.check import check

    return check(every_saga(project), participants(project))


def participants(project: Project) -> list[Participant]:
    """Return the project's participants.

    Raises: ``ProjectError`` for a target that is no participant.
    """
    from sagastream.participant import Participant

    found = []
    for target in project.participants:
        loaded = load(target, project.root)
        participant = loaded() if inspect.isfunction(loaded) else loaded
        if not isinstance(participant, Participant):
            raise ProjectError(f"{target!r} is neither a Participant nor a function that returns one")
        found.append(participant)
    return found


def diagram(project: Project, name: str | None) -> int:
    """Print the sequence diagrams of one saga or all, and return the exit code."""
    from sagastream.saga.diagram import diagram

    for saga in _chosen(project, name):
        sys.stdout.write(f"{diagram(saga)}\n")
    return 0


def transitions(project: Project, name: str | None) -> int:
    """Print the transitions of one saga or all, and return the exit code."""
    from sagastream.saga.transitions import transitions

    for saga in _chosen(project, name):
        sys.stdout.write(transitions(saga))
    return 0


def asyncapi(project: Project, prefix: str) -> int:
    """Print the AsyncAPI document of the project, and return the exit code."""
    from sagastream.asyncapi import document

    told = document(list(sagas(project).values()), participants(project), prefix)
    sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return 0


def _chosen(project: Project, name: str | None) -> list[Saga]:
    known = sagas(project)
    if name is not None and name not in known:
        raise ProjectError(f"there is no saga {name!r}; there are {', '.join(known) or 'none'}")
    return [saga for each, saga in known.items() if name in (None, each)]


def sagas(project: Project) -> dict[str, Saga]:
    """Return the project's tables by name, each in its latest version, with which new sagas begin.

    Raises: ``ProjectError`` for a target that is no table.
    """
    from sagastream.saga.check import latest_of

    return {saga.name: saga for saga in latest_of(every_saga(project))}


def every_saga(project: Project) -> list[Saga]:
    """Return the project's tables in every version named: a saga keeps the version it began with.

    Raises: ``ProjectError`` for a target that is no table.
    """
    found = []
    for target in project.sagas:
        saga = load(target, project.root)
        if not isinstance(saga, Saga):
            raise ProjectError(f"{target!r} is not a Saga")
        found.append(saga)
    return found
