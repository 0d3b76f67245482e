"""The gateway finds a container that was replaced: the same name, another address."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from sagastream.ports import free_port
from tests.deploy.processes import PERIOD_S, bare_environment, running, tail
from tests.deploy.test_gateway import WORDS
from tests.needs import ROOT, program

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="needs a second loopback address"),
]


class NameServer:
    """Answers every question with one address, which may be changed."""

    def __init__(self) -> None:
        self.address = "127.0.0.1"
        self._wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wire.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> str:
        self._thread.start()
        return f"127.0.0.1:{self._wire.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._wire.sendto(b"", self._wire.getsockname())
        self._thread.join()
        self._wire.close()

    def _serve(self) -> None:
        while (asked := self._wire.recvfrom(512))[0]:
            question, sender = asked
            # The same id and question, one answer: its name is the question's, type A, class IN, an hour to live.
            head = question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:]
            answer = b"\xc0\x0c\0\1\0\1" + (3600).to_bytes(4, "big") + b"\0\4" + socket.inet_aton(self.address)
            self._wire.sendto(head + answer, sender)


@contextmanager
def saying(word: str, address: str, port: int) -> Iterator[None]:
    """Run a service that answers every request with one word."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(word.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer((address, port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_name_is_looked_up_again(tmp_path: Path) -> None:
    port, gateway, names = free_port(), free_port(), NameServer()
    log = tmp_path / "gateway.log"
    with ExitStack() as stack:
        stack.enter_context(saying("the old one", "127.0.0.1", port))
        stack.enter_context(saying("the new one", "127.0.0.2", port))
        words = dict.fromkeys(WORDS, f"some-service:{port}") | {"RESOLVER": stack.enter_context(names)}
        environment = bare_environment(LISTEN=f"127.0.0.1:{gateway}", RUN_DIR=str(tmp_path / "run"), **words)
        environment["PATH"] += f":{program('nginx', 'nginx-light').parent}"
        stack.enter_context(running([ROOT / "deploy/gateway.sh"], environment, log))
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{gateway}", trust_env=False))

        def comes(word: str) -> bool:
            bound = time.monotonic() + 20
            while time.monotonic() < bound:
                try:
                    if client.get("/api/orders/x").text == word:
                        return True
                except httpx.HTTPError:
                    pass
                time.sleep(PERIOD_S)
            return False

        assert comes("the old one"), tail(log)
        names.address = "127.0.0.2"
        assert comes("the new one"), tail(log)
