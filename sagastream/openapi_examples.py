"""Complete the examples of an OpenAPI document: add the nulls that FastAPI leaves out of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import JsonValue

_REFERENCE = "#/components/schemas/"


def complete(document: Mapping[str, Any]) -> None:
    """Add to the examples of a document's schemas the null fields that are missing."""
    schemas = document.get("components", {}).get("schemas", {})
    for schema in schemas.values():
        if "examples" in schema:
            schema["examples"] = [_whole(schema, example, schemas) for example in schema["examples"]]


def _whole(schema: Mapping[str, Any], example: JsonValue, schemas: Mapping[str, Any]) -> JsonValue:
    """Return an example with null for every field that its schema requires and that it lacks."""
    if name := str(schema.get("$ref", "")).removeprefix(_REFERENCE):
        return _whole(schemas[name], example, schemas)
    for one in schema.get("anyOf", ()):  # at most one of them is an object or a list
        example = _whole(one, example, schemas)
    if isinstance(example, list):
        return [_whole(schema.get("items", {}), each, schemas) for each in example]
    if not isinstance(example, dict):
        return example
    fields = schema.get("properties", {})
    told = {name: _whole(fields.get(name, {}), value, schemas) for name, value in example.items()}
    return told | {name: None for name in schema.get("required", ()) if name not in told}
