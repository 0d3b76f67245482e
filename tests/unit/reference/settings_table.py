"""The tables of settings, drawn from the classes that read them. ``python -m tests.unit.reference.settings_table``."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from coordinator.settings import CoordinatorSettings
from notification_service.settings import NotificationSettings
from order_service.settings import OrderSettings
from payment_service.settings import PaymentSettings, ProviderSettings
from sagastream.settings import Settings

PARTS: dict[str, type[BaseModel]] = {
    "Every process": Settings,
    "Orders": OrderSettings,
    "Payments": PaymentSettings,
    "The simulated payment provider": ProviderSettings,
    "Notifications": NotificationSettings,
    "The coordinator": CoordinatorSettings,
}


def tables() -> str:
    """Return the tables of all settings as Markdown."""
    return "\n".join(f"## {title}\n\n{_table(settings)}" for title, settings in PARTS.items())


def _table(settings: type[BaseModel]) -> str:
    said = dict(_said(settings))
    lines = ["| variable | default | means |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        means = said.get(name, "").replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{name.upper()}` | {_shown(field.default)} | {means} |")
    return "\n".join(lines) + "\n"


def _said(settings: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield each field with the docstring below it."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(body, ast.ClassDef)
    for field, told in zip(body.body, body.body[1:], strict=False):
        match field, told:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())


def _shown(default: object) -> str:
    match default:
        case None:
            return ""
        case timedelta():
            seconds = default.total_seconds()
            return f"`P{default.days}D`" if seconds >= 86_400 and seconds % 86_400 == 0 else f"`{seconds:g}`"
        case bool():
            return f"`{int(default)}`"
        case Enum():
            return f"`{default.value}`"
    assert default is not PydanticUndefined, "a setting without a default"
    return f"`{default}`"


if __name__ == "__main__":
    print(tables())  # noqa: T201  # what it is for
