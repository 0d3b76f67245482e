"""Who may do what only the shop's own people may: whoever shows the operators' token. Answers 401 to all others."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Header, Security
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
NOT_ADMITTED = {401: "The header `Authorization: Bearer TOKEN` is missing, or is not the token of this service"}


class Admission:
    """The doors of one process, each a dependency of routes.

    ``operator`` asks for the token always; without one nobody passes. ``staff`` asks for it where it was set on
    purpose: where it was not, nothing listens beyond the loopback address.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings.operator_token
        self._made = made_token(settings)

    async def operator(self, shown: Shown) -> None:
        """Let pass who shows the token.

        Raises: ``Problem`` 401.
        """
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


def _must_be(token: SecretStr, shown: HTTPAuthorizationCredentials | None) -> None:
    if shown is None:
        told = "this needs the header 'Authorization: Bearer TOKEN' with the OPERATOR_TOKEN of this service"
    elif secrets.compare_digest(shown.credentials.encode("utf-8", "replace"), token.get_secret_value().encode()):
        return
    else:
        told = "that is not the OPERATOR_TOKEN of this service"
    raise Problem(401, told, headers=_CHALLENGE)
