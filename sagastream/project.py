"""Read what a project consists of from ``[tool.sagastream]`` in its ``pyproject.toml``. Runs nothing.

| key            | means                                                                                   |
|----------------|-----------------------------------------------------------------------------------------|
| `services`     | factories ``"module:function"``; ``order_service.app:create`` is named ``order-service``, |
|                | after its package; several of one package are tables ``name``, ``service``               |
| `companions`   | tables ``name``, ``service``, ``url_setting``: further processes with ``PROCS=1``; all   |
|                | others get the address in the environment variable ``url_setting``                      |
| `sagas`        | tables ``"module:attribute"``, for ``check`` and ``diagram``                            |
| `participants` | participants, or functions that return one, for ``check``                               |
| `audits`       | ``sagastream.audit.Audit`` values: rules of the project for `audit`                     |
| `hint`         | what to try next: a text, or the name of a file with it; ``{url}`` is the base URL      |
"""

from __future__ import annotations

import importlib
import inspect
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sagastream.errors import SagastreamError
from sagastream.service import Context


class ProjectError(SagastreamError):
    """The project's description cannot be used; the message says where and why."""


class Named(BaseModel):
    """A service: its name and its factory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    service: str


class Companion(BaseModel):
    """A further process besides the services."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    service: str
    url_setting: str


def _named(told: object) -> object:
    if not isinstance(told, str):
        return told
    if not all(told.partition(":")):
        raise ValueError(f'{told!r} must be "module:function"')
    return {"name": service_name(told), "service": told}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    services: tuple[Annotated[Named, BeforeValidator(_named)], ...] = ()
    companions: tuple[Companion, ...] = ()
    sagas: tuple[str, ...] = ()
    participants: tuple[str, ...] = ()
    audits: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class Project:
    """A project: its services by name, in the order of their declaration, and what else the table lists."""

    root: Path
    services: dict[str, str]
    companions: tuple[Companion, ...]
    sagas: tuple[str, ...]
    participants: tuple[str, ...]
    hint: str
    audits: tuple[str, ...] = ()

    def service(self, name: str) -> tuple[str, str]:
        """Return name and factory of the service called ``name`` or ``name-service``.

        **Raises**: ``ProjectError`` that lists the known names.
        """
        for known in (name, f"{name}-service"):
            if known in self.services:
                return known, self.services[known]
        raise ProjectError(f"there is no service {name!r}; there are {', '.join(self.services) or 'none'}")


def read_project(start: Path | None = None) -> Project:
    """Return the project of the nearest ``pyproject.toml`` that describes one, from ``start`` upwards.

    **Raises**: ``ProjectError`` if there is none, or it cannot be read.
    """
    start = (start or Path.cwd()).resolve()
    for root in (start, *start.parents):
        file = root / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("sagastream")
        except ValueError as error:
            raise ProjectError(f"{file} is not TOML: {error}") from error
        if table is None:
            continue
        try:
            told = _Table.model_validate(table)
        except ValidationError as error:
            raise ProjectError(f"{file}: [tool.sagastream]: {_first(error)}") from error
        hint = told.hint
        if hint and "\n" not in hint and (root / hint).is_file():
            hint = (root / hint).read_text()
        services: dict[str, str] = {}
        for one in told.services:
            if one.name in services:
                raise ProjectError(f"{file}: [tool.sagastream]: services: {_of_one_name(one, services[one.name])}")
            services[one.name] = one.service
        return Project(root, services, told.companions, told.sagas, told.participants, hint.strip(), told.audits)
    raise ProjectError(f"no pyproject.toml with [tool.sagastream] in {start} or above it")


def _of_one_name(one: Named, other: str) -> str:
    are = f"{other!r} and {one.service!r} are both called {one.name!r}"
    after = ", after their package" if one.name == service_name(one.service) else ""
    return f'{are}{after}; name them: {{name = "…", service = "{other}"}}'


def _first(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    is_unknown = first["type"] == "extra_forbidden"
    where = ".".join(str(part) for part in first["loc"]) or "all of it"
    if first["type"] == "tuple_type":
        return f'{where}: it must be a list, such as ["trip:TRIP"]'
    return f"{where}: {'there is no such key' if is_unknown else first['msg'].removeprefix('Value error, ')}"


def service_name(target: str) -> str:
    """Return the name of a factory's service: the factory's package, in the form of a host name."""
    return target.partition(":")[0].partition(".")[0].replace("_", "-")


def load(target: str, root: Path | None = None) -> object:
    """Return the object that ``"module:attribute"`` names, searching ``root`` too.

    **Raises**: ``ProjectError`` if there is no such module or attribute; exceptions of the module itself propagate.
    """
    if root is not None and str(root) not in sys.path:
        sys.path.insert(0, str(root))
    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise ProjectError(f'{target!r} must be "module:name", such as "{module_name}:create_service"')
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ProjectError(f"{target!r}: there is no module {error.name!r}") from error
    found: object = getattr(module, attribute, None)
    if found is None:
        raise ProjectError(f"{target!r}: module {module_name!r} has no {attribute!r}")
    return found


def load_factory(target: str, root: Path | None = None) -> Callable[[Context], object]:
    """Return a service's factory; the caller checks what the factory returns.

    **Raises**: ``ProjectError``.
    """
    found = load(target, root)
    if not callable(found) or inspect.iscoroutinefunction(found) or not _takes_one(found):
        raise ProjectError(f"{target!r} is not a function that takes a context and returns a service")
    return cast("Callable[[Context], object]", found)


def _takes_one(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        return True  # its signature is unknown
    return True
