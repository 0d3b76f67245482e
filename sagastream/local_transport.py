"""An httpx transport to an app in this process that streams answers; httpx's own waits for an answer's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
from starlette.types import ASGIApp, Message

_WAITING = 8  # pieces that may wait for a slow reader; then the app waits


class LocalTransport(httpx.AsyncBaseTransport):
    """Sends requests to an app. If the app fails before it answers, the answer is 500, as from a server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer as soon as it begins."""
        body = await request.aread()
        scope: dict[str, object] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
        }
        answer = _Answer(body, has_content=request.method != "HEAD")
        answer.task = asyncio.create_task(self._run(scope, answer))
        try:
            status, headers = await answer.begun
        except asyncio.CancelledError:
            await answer.aclose()
            raise
        return httpx.Response(status, headers=headers, stream=answer)

    async def _run(self, scope: dict[str, object], answer: _Answer) -> None:
        end: httpx.ReadError | None = None
        try:
            await self._app(scope, answer.receive, answer.send)
        except Exception as error:  # as a server does: answer in the app's place, or break off its answer
            end = httpx.ReadError(f"the app failed while it answered: {type(error).__name__}")
        if not answer.begun.done():
            answer.begun.set_result((500, []))
            end = None
        await answer.pieces.put(end)


class _Answer(httpx.AsyncByteStream):
    def __init__(self, body: bytes, *, has_content: bool) -> None:
        self.task: asyncio.Task[None] | None = None
        self.begun: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = asyncio.get_running_loop().create_future()
        self.pieces: asyncio.Queue[bytes | httpx.ReadError | None] = asyncio.Queue(_WAITING)
        self._body: bytes | None = body
        self._has_content = has_content
        self._is_closed = asyncio.Event()

    async def receive(self) -> Message:
        """Return the body to the app, and later a disconnect once the reader has gone."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._is_closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Accept a piece of the answer."""
        if message["type"] == "http.response.start":
            self.begun.set_result((message["status"], list(message.get("headers", ()))))
        elif message.get("body") and self._has_content:
            await self.pieces.put(message["body"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self.pieces.get()) is not None:
            if isinstance(piece, httpx.ReadError):
                raise piece
            yield piece

    async def aclose(self) -> None:
        """End the app's work on this answer if it is still going on."""
        self._is_closed.set()
        if self.task is not None and not self.task.done():
            self.task.cancel()
            await asyncio.wait({self.task})
