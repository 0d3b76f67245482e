"""What the tables of a project tell without running anything: whether they fit, and how they look."""

from __future__ import annotations

import inspect
import sys

from sagastream.project import Project, ProjectError, load
from sagastream.saga.definition import Saga


def check(project: Project) -> int:
    """Print what does not fit and return the exit code."""
    from sagastream.participant import Participant
    from sagastream.saga.check import check

    participants = []
    for target in project.participants:
        found = load(target, project.root)
        participant = found() if inspect.isfunction(found) else found
        if not isinstance(participant, Participant):
            raise ProjectError(f"{target!r} is neither a Participant nor a function that returns one")
        participants.append(participant)
    problems = check(list(sagas(project).values()), participants)
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    return 1 if problems else 0


def diagram(project: Project, name: str | None) -> int:
    """Print the sequence diagrams of one saga or all, and return the exit code."""
    from sagastream.saga.diagram import diagram

    known = sagas(project)
    if name is not None and name not in known:
        raise ProjectError(f"there is no saga {name!r}; there are {', '.join(known) or 'none'}")
    for each, saga in known.items():
        if name in (None, each):
            sys.stdout.write(f"{diagram(saga)}\n")
    return 0


def sagas(project: Project) -> dict[str, Saga]:
    """Return the project's tables by name.

    Raises: ``ProjectError`` for something that is no table.
    """
    found = {}
    for target in project.sagas:
        saga = load(target, project.root)
        if not isinstance(saga, Saga):
            raise ProjectError(f"{target!r} is not a Saga")
        found[saga.name] = saga
    return found
