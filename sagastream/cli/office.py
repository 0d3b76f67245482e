"""Client of the shop's operator routes, for commands. Speaks HTTP; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self
from urllib.parse import quote

import httpx
from pydantic import JsonValue

from sagastream.errors import SagastreamError
from sagastream.settings import Settings
from sagastream.tokens import operator_token

_TIMEOUT_S = 30.0
_NO_ROUTE = "there is nothing at /"  # the wording of ``problems``
_PERHAPS = "it may have been done all the same; look before you ask again"
Answer = dict[str, JsonValue]


class NoShop(SagastreamError):
    """No shop is set, or none answers; the message says how to set one, or what remains unknown."""


class Refused(SagastreamError):
    """The shop refused; ``status`` is the answer's, the message its reason."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


class Office:
    """The client of one shop, with its token, on behalf of one operator."""

    def __init__(self, settings: Settings, actor: str | None) -> None:
        token = operator_token(settings)
        if token is None:
            raise NoShop(
                "operators must show a token: set OPERATOR_TOKEN to that of the shop, or DATA_DIR to the directory of "
                "one that runs here"
            )
        self._actor = actor
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._http = httpx.Client(base_url=_url(settings), headers=headers, timeout=_TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, *path: str, **query: str | int | None) -> Answer:
        """Return the answer of a route.

        Raises: ``Refused``, ``NoShop``.
        """
        told = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", path, params=told)

    def post(self, *path: str, body: Mapping[str, JsonValue]) -> Answer:
        """Request an action on the operator's behalf, and return the answer.

        Raises: ``Refused``, ``NoShop``.
        """
        named = {"actor": self._actor} if self._actor is not None else {}
        return self._ask("POST", path, json={**body, **named})

    def _ask(self, method: str, path: tuple[str, ...], **rest: object) -> Answer:
        place = "/api/v1/" + "/".join(quote(part, safe="") for part in path)
        try:
            answer = self._http.request(method, place, **rest)  # type: ignore[arg-type]  # params or json
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            if method == "GET" or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                raise NoShop(f"{self._http.base_url} cannot be asked: {said}") from None
            raise NoShop(f"{self._http.base_url} was asked and did not answer ({said}): {_PERHAPS}") from None
        try:
            found: Answer = answer.json()
            if answer.is_success:
                return found
            told = str(found["detail"])
        except (ValueError, KeyError, TypeError):
            raise NoShop(self._no_shop(method, answer.status_code)) from None
        if answer.status_code == 404 and told.startswith(_NO_ROUTE):
            raise NoShop(
                f"{self._http.base_url} offers no {place}: set BASE_URL to that of the whole shop, or give its "
                "coordinator what is missing (docs/how-to/write-a-saga.md)"
            )
        raise Refused(answer.status_code, told)

    def _no_shop(self, method: str, status: int) -> str:
        if status >= 500:
            perhaps = f": {_PERHAPS}" if method != "GET" else ""
            return f"{self._http.base_url} cannot reach the shop right now: it answered {status}{perhaps}"
        return f"{self._http.base_url} is no shop: it answered {status} without JSON; set BASE_URL to that of the shop"


def _url(settings: Settings) -> str:
    if settings.base_url is not None:
        return settings.base_url
    try:
        return (settings.data_dir / "run" / "shop.url").read_text().strip()
    except OSError:
        raise NoShop(
            f"no shop runs with {settings.data_dir}: set BASE_URL, or DATA_DIR to that of a shop running here"
        ) from None
