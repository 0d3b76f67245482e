"""Make the targets of redirects relative, as plain ASGI. Makes and follows no redirect."""

from __future__ import annotations

import re
from itertools import takewhile

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PLACE = re.compile(rb"https?://[^/?#]*(?P<path>[^?#]*)(?P<rest>.*)")


class RelativeRedirects:
    """Replace a redirect's host by a path relative to the requested one.

    This process knows the client's address only from its ``Host`` header, and only the gateway knows whether the client
    used TLS: an absolute redirect could make a client send its token unencrypted. Nor does this process know which
    prefix a front or a gateway has removed from the path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and return its answer with a relative ``Location`` if it is a redirect."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        here = scope.get("raw_path") or scope["path"].encode()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _REDIRECTS:
                headers = message["headers"]
                there = [(n, self.place_from(here, value) if n == b"location" else value) for n, value in headers]
                message = {**message, "headers": there}
            await send(message)

        await self._app(scope, receive, told)

    @staticmethod
    def place_from(here: bytes, place: bytes) -> bytes:
        """Return a place relative to a path; the result never begins with a slash or with text like a scheme."""
        found = _PLACE.fullmatch(place)
        if found is None:
            return place
        *above, _ = here.removeprefix(b"/").split(b"/")
        *folders, last = found["path"].lstrip(b"/").split(b"/")
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(above, folders, strict=False)))
        steps = [*[b".."] * (len(above) - shared), *folders[shared:], last]
        if not steps[0] or b":" in steps[0]:
            steps.insert(0, b".")
        return b"/".join(steps) + found["rest"]
