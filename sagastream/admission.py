"""Who may do what only the shop's own people may: whoever shows the operators' token. Answers 401 to all others."""

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
    """The doors of one process, each a dependency of routes.

    ``operator`` asks for the token always; without one nobody passes. ``staff`` asks for it where it was set on
    purpose: where it was not, nothing listens beyond the loopback address.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings.operator_token
        self._made = made_token(settings)

    async def operator(self, request: Request, shown: Shown) -> None:
        """Let pass who shows the token, unless a page of another site has a browser show it.

        Raises: ``Problem`` 401, 403.
        """
        _must_be_of_this_site(request)
        token = self._given or self._made
        if token is None:
            told = "operators have no token here: set OPERATOR_TOKEN for this process and start it again"
            raise Problem(401, told, headers=_CHALLENGE)
        _must_be(token, shown)

    async def staff(self, shown: Shown) -> None:
        """Let pass who shows the token, and everybody where none was set.

        Raises: ``Problem`` 401.
        """
        if self._given is not None:
            _must_be(self._given, shown)


def _must_be_of_this_site(request: Request) -> None:
    """Browsers tell whose page asks; programs tell nothing, and no page can make a browser tell what is not so."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:  # an old browser, or one that came without encryption
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
