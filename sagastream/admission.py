"""Admit requests that carry the operators' token to the routes reserved for them. Answers 401 to all others."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from sagastream.problems import Problem
from sagastream.settings import Settings
from sagastream.tokens import made_token

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="operator"'}
_BEARER = HTTPBearer(
    scheme_name="operatorToken", auto_error=False, description="the `OPERATOR_TOKEN` of the service that is asked"
)
Shown = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
Actor = Annotated[
    str | None,
    Header(
        alias="X-Operator",
        pattern=r"^[!-~]([ -~]{0,62}[!-~])?$",
        description="who does it, unless the body says so",
        examples=["ann"],
    ),
]
NOT_ADMITTED = {
    401: "The header `Authorization: Bearer TOKEN` is missing, or is not the token of this service",
    403: "A page of another site asks",
}


class Admission:
    """The checks of one process, each a dependency of routes.

    ``operator`` always requires the token; without one it admits no request. ``staff`` requires it only if
    ``OPERATOR_TOKEN`` is set; if it is not, the process listens on the loopback address only.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings.operator_token
        self._made = made_token(settings)

    async def operator(self, request: Request, shown: Shown) -> None:
        """Admit a request with the token, unless a page of another site made the browser send it.

        Raises: ``Problem`` 401, 403.
        """
        _must_be_of_this_site(request)
        token = self._given or self._made
        if token is None:
            told = "operators have no token here: set OPERATOR_TOKEN for this process and start it again"
            raise Problem(401, told, headers=_CHALLENGE)
        _must_be(token, shown)

    async def staff(self, shown: Shown) -> None:
        """Admit a request with the token, or every request if no token is set.

        Raises: ``Problem`` 401.
        """
        if self._given is not None:
            _must_be(self._given, shown)


def _must_be_of_this_site(request: Request) -> None:
    """Refuse requests from pages of other sites: browsers name the site truthfully, programs send no such header."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:  # an old browser, or a connection without encryption
        is_ours = origin is None or _host(origin) == request.headers.get("host", "").lower()
    if not is_ours:
        raise Problem(403, "a page of another site asks; operators act from the console of this one")


def _host(origin: str) -> str:
    return origin.partition("://")[2].lower()


def _must_be(token: SecretStr, shown: HTTPAuthorizationCredentials | None) -> None:
    if shown is None:
        told = "this needs the header 'Authorization: Bearer TOKEN' with the OPERATOR_TOKEN of this service"
    elif secrets.compare_digest(shown.credentials.encode("utf-8", "replace"), token.get_secret_value().encode()):
        return
    else:
        told = "that is not the OPERATOR_TOKEN of this service"
    raise Problem(401, told, headers=_CHALLENGE)
