"""End endless answers when their process stops. Plain ASGI; knows no route."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ENDLESS = b"text/event-stream"


class EndedAtStop:
    """Tell a route that streams events that its client has gone, once ``stop`` is set; the client sees a clean end.

    Without this, the server would wait for the stream, as for any pending answer, until its shutdown time-out.
    """

    def __init__(self, app: ASGIApp, stop: asyncio.Event) -> None:
        self._app = app
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and end its answer at the stop if it is endless."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        is_endless, is_complete, is_read = asyncio.Event(), False, False

        async def watched(message: Message) -> None:
            nonlocal is_complete
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                if headers.get(b"content-type", b"").startswith(_ENDLESS):
                    is_endless.set()
            elif message["type"] == "http.response.body":
                is_complete = not message.get("more_body", False)
            await send(message)

        async def stopped() -> Message:
            await is_endless.wait()
            await self._stop.wait()
            return {"type": "http.disconnect"}

        async def received() -> Message:
            nonlocal is_read
            if not is_read:  # a route that reads the body waits for nothing else
                message = await receive()
                is_read = not message.get("more_body", False)
                return message
            either = [asyncio.ensure_future(receive()), asyncio.ensure_future(stopped())]
            try:
                done, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                return done.pop().result()
            finally:
                for task in either:
                    task.cancel()

        await self._app(scope, received, watched)
        if is_endless.is_set() and not is_complete and self._stop.is_set():
            await send({"type": "http.response.body", "body": b"", "more_body": False})
