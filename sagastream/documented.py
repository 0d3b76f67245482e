"""Document in OpenAPI the problems that a route may answer. Owns their schema; ``problems`` answers them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from sagastream.problems import MEDIA_TYPE, RETRY_AFTER_S

_ERROR = {
    "type": "object",
    "required": ["field", "in", "detail"],
    "properties": {
        "field": {"type": "string", "description": "dotted, empty for the whole"},
        "in": {"type": "string", "examples": ["body"]},
        "detail": {"type": "string"},
        "pointer": {"type": "string", "description": "JSON pointer into the body"},
    },
}
_SCHEMA = {
    "title": "Problem",
    "description": "RFC 9457 problem details",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "what happened and what to do next, for people"},
        "errors": {"type": "array", "minItems": 1, "items": _ERROR},
    },
}
_GENERAL = {
    400: "The body is not JSON",
    413: "The body is too large",
    422: "Something that was sent is not what it must be",
    503: "Not now, try again later",
}
_RETRY_AFTER = {
    "description": "seconds to stay away",
    "schema": {"type": "integer", "minimum": 1, "examples": [RETRY_AFTER_S]},
}
_CHALLENGE = {
    "description": "how to show a token",
    "schema": {"type": "string", "examples": ['Bearer realm="operator"']},
}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": _CHALLENGE},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": _RETRY_AFTER},
}


def problems(
    told: Mapping[int, str] | None = None, *, takes_body: bool = False, may_come: bool = False
) -> dict[int | str, dict[str, object]]:
    """Return the ``responses`` of a route: its own problems, and those that every route may answer.

    ``told`` maps a status to its meaning for this route. Every route may refuse a request as invalid or be unavailable.
    If the missing thing ``may_come``, a 404 may say when to ask again.
    """
    general = {status: text for status, text in _GENERAL.items() if takes_body or status not in (400, 413)}
    responses: dict[int | str, dict[str, object]] = {
        status: _response(status, text) for status, text in sorted({**general, **(told or {})}.items())
    }
    if may_come:
        again = "where it may be there soon: seconds until it is worth asking again"
        responses[404]["headers"] = {"Retry-After": {**_RETRY_AFTER, "description": again}}
    return responses


def located(what: str) -> dict[str, object]:
    """Return the documentation of an answer whose ``Location`` header says where to find ``what``."""
    place = {"type": "string", "format": "uri-reference"}
    return {"headers": {"Location": {"description": f"where {what} is shown", "schema": place}}}


def _response(status: int, text: str) -> dict[str, object]:
    example: dict[str, object] = {"type": "about:blank", "title": _title(status), "status": status, "detail": text}
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        error = {"field": "limit", "in": "query", "detail": "Input should be greater than or equal to 1"}
        example |= {"detail": "limit: Input should be greater than or equal to 1", "errors": [error]}
    response: dict[str, object] = {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": _SCHEMA, "example": example}},
    }
    if status in _HEADERS:
        response["headers"] = _HEADERS[HTTPStatus(status)]
    return response


def _title(status: int) -> str:
    return "Invalid request" if status == HTTPStatus.UNPROCESSABLE_ENTITY else HTTPStatus(status).phrase
