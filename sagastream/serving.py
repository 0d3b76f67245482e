"""Serve one app on one socket until stopped. Owns signals and the HTTP server; knows no particular app."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import math
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sagastream.blocking import blocking_is_told
from sagastream.endless import EndedAtStop
from sagastream.errors import SagastreamError
from sagastream.settings import Settings
from sagastream.slow_clients import HEADERS_WITHIN, impatient

_log = structlog.get_logger()

_OPEN_REQUESTS = timedelta(seconds=3)
_BACKLOG = 2048
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SAID_EVERY = timedelta(seconds=10)


class PortInUse(SagastreamError):
    """Another process listens on the port; stop it or choose another ``PORT``."""


class Exposed(SagastreamError):
    """Other machines would be served, and nothing would keep them from what only operators may do."""


def listen(settings: Settings, port: int) -> socket.socket:
    """Return a socket that listens at ``settings.host``; port 0 takes a free one.

    **Raises**: ``PortInUse``; ``Exposed`` for any address but loopback while ``OPERATOR_TOKEN`` is not set.
    """
    host = settings.host
    if settings.operator_token is None and not _is_loopback(host):
        raise Exposed(
            f"HOST={host} serves other machines, and OPERATOR_TOKEN is not set: set it to a long random text, such as "
            "the output of `openssl rand -hex 32`, or leave HOST at 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Given the protocol, the event loop sends each piece of an answer at once; otherwise the second piece waits 40 ms
    # for the client's delayed acknowledgement of the first.
    wire = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        wire.bind((host, port))
        wire.listen(_BACKLOG)
    except OSError as error:
        wire.close()
        raise PortInUse(f"cannot listen on {host}:{port} ({error.strerror}); try another PORT") from error
    return wire


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(wire: socket.socket) -> str:
    """Return the base URL at which a listening socket can be reached from this machine."""
    host, port = wire.getsockname()[:2]
    named = {"127.0.0.1": "localhost", "0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://{f'[{named}]' if ':' in named else named}:{port}"


@contextlib.contextmanager
def stopped_by_signals(at_once: Callable[[], None] = lambda: None) -> Iterator[asyncio.Event]:
    """Yield an event that SIGINT and SIGTERM set; a second SIGINT calls ``at_once`` and ends the process."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def asked(sign: signal.Signals) -> None:
        if stop.is_set() and sign is signal.SIGINT:
            at_once()
            os._exit(130)
        stop.set()

    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, asked, sign)
    try:
        yield stop
    finally:
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sign)


async def serve(
    app: ASGIApp,
    wire: socket.socket,
    stop: asyncio.Event,
    on_ready: Callable[[], None] = lambda: None,
    *,
    headers_within: timedelta = HEADERS_WITHIN,
) -> bool:
    """Serve until ``stop`` is set, then let open requests end; return False if the app did not start.

    A connection whose request head is incomplete after ``headers_within`` is closed.

    **Raises**: ``OSError``, ``SagastreamError`` if the app did not start for a reason that a person can fix; any other
    reason is logged.
    """
    opening = _Opening(EndedAtStop(app, stop))
    config = uvicorn.Config(
        opening,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        http=impatient(headers_within),
        ws="none",
        timeout_graceful_shutdown=int(_OPEN_REQUESTS.total_seconds()),
    )
    server = _Server(config, on_ready)

    async def relay() -> None:
        await stop.wait()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(_Scarcity())
    relaying = asyncio.create_task(relay())
    try:
        with blocking_is_told():
            await server.serve(sockets=[wire])
    except SystemExit:  # how uvicorn reports that the app did not start
        if opening.failure is not None:
            raise opening.failure from None
        return False
    finally:
        loop.set_exception_handler(before)
        relaying.cancel()
    return server.started


class _Scarcity:
    """Logs at intervals that connections cannot be accepted for lack of descriptors or memory.

    asyncio would fill the disk: each second it tries 2048 times in a row to accept, and logs each failure with a
    traceback. Each failure also schedules a restart of listening a second later, and each of these restarts is logged
    too if the socket is closed by then.
    """

    def __init__(self) -> None:
        self._again_at = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, ValueError) and "_start_serving" in str(context.get("message")):
            return
        if not isinstance(error, OSError) or error.errno not in _SCARCE or "socket" not in context:
            return loop.default_exception_handler(context)
        if loop.time() >= self._again_at:
            self._again_at = loop.time() + _SAID_EVERY.total_seconds()
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            _log.error("connections.not_taken", error=str(error), descriptors=soft, help="raise `ulimit -n`")


class _Opening:
    """An app that keeps the reason why it could not start, unless that is a bug; a kept reason is not logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: OSError | SagastreamError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await self._app(scope, receive, send)
        told: Message | None = None

        async def held_back(message: Message) -> None:
            nonlocal told
            if message["type"] == "lifespan.startup.failed":
                told = message  # has a traceback; the exception itself is raised next
            else:
                await send(message)

        try:
            await self._app(scope, receive, held_back)
        except Exception as error:
            if told is not None:
                if isinstance(error, OSError | SagastreamError):
                    self.failure, told = error, {"type": told["type"]}
                await send(told)
            raise


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _settle()
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The signals are ours (`stopped_by_signals`): a process is more than its HTTP server.
        yield


def _settle() -> None:
    # Objects alive now live to the end: excluding them from garbage collection cuts the p99 by three quarters.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
