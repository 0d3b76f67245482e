"""A shop that does not answer as it publishes: what a real one answers, changed on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

_OF_THE_CONNECTION = {"connection", "content-length", "date", "host", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Answer:
    """An answer on its way."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def without(self, field: str) -> Answer:
        """Return it without a field of its body, at any depth."""
        return replace(self, body=json.dumps(_without(json.loads(self.body), field)).encode())


Distortion = Callable[[str, str, Answer], Answer]
"""What becomes of the answer to a method and a path."""


@contextmanager
def distorting(base_url: str, distortion: Distortion) -> Iterator[str]:
    """Serve a distorted copy of a shop around the block, at the yielded base URL."""
    with httpx.Client(base_url=base_url, timeout=30, trust_env=False) as client:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(client, distortion))
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(client: httpx.Client, distortion: Distortion) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_THE_CONNECTION}
            try:
                told = client.request(self.command, self.path, content=body, headers=headers)
            except httpx.LocalProtocolError:  # what was sent is no HTTP
                self.send_error(400)
                return
            answer = Answer(told.status_code, dict(told.headers), told.content)
            answer = distortion(self.command, self.path.partition("?")[0], answer)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in (*_OF_THE_CONNECTION, "content-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self._pass_on
            raise AttributeError(name)

    return Handler


def _without(value: object, field: str) -> object:
    if isinstance(value, dict):
        return {name: _without(one, field) for name, one in value.items() if name != field}
    return [_without(one, field) for one in value] if isinstance(value, list) else value
