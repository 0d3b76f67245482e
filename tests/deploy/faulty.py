"""A shop with one fault for each check of the script: a proxy that changes what the real one answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TypeVar

import httpx

Told = TypeVar("Told")


@dataclass(frozen=True)
class Fault:
    """What is changed, and how the script tells of it.

    ``asked`` changes a request's target; ``answered`` the status and text of the answers to some targets.
    """

    noticed: str
    asked: Callable[[str], str] = lambda target: target
    at: str = "$^"
    answered: Callable[[int, str], tuple[int, str]] = lambda status, text: (status, text)


def _json(change: Callable[[Told], None]) -> Callable[[int, str], tuple[int, str]]:
    def changed(status: int, text: str) -> tuple[int, str]:
        told = json.loads(text)
        change(told)
        return status, json.dumps(told)

    return changed


def _sick(health: dict[str, dict[str, dict[str, str]]]) -> None:
    health["services"]["stock-service"]["status"] = "degraded"


def _a_cent_less(order: dict[str, str]) -> None:
    order["totalAmount"] = "299.98"


def _forget_the_release(state: dict[str, list[dict[str, str]]]) -> None:
    state["history"] = [note for note in state.get("history", []) if note["type"] != "StockReleased"]


FAULTS = (
    Fault(
        "it does not say: that all is well, and so is each of order-service stock-service payment-service "
        "notification-service coordinator",
        at="GET /health$",
        answered=_json(_sick),
    ),
    Fault(
        "it does not say: a confirmed order over 299.99, a cent of it an adjustment",
        at=r"GET /api/orders/\w+$",
        answered=_json(_a_cent_less),
    ),
    Fault(
        "/metrics lacks, or has as something else: duration_seconds:histogram",
        at="GET /metrics$",
        answered=lambda status, text: (status, text.replace("saga_duration_seconds", "saga_duration_s")),
    ),
    Fault("it does not say: exactly ", asked=lambda target: re.sub(r"&status=Completed$", "", target)),
    Fault("it does not say: exactly ", asked=lambda target: re.sub(r"&to=\d+$", "", target)),
    Fault(
        "it does not say: the way back, newest step first",
        at=r"GET /api/choreographedsaga/state/\w+$",
        answered=_json(_forget_the_release),
    ),
    Fault(
        "expected 422",
        at="POST /api/orders/choreographed-saga$",
        answered=lambda status, text: (400 if status == 422 else status, text),
    ),
)


@contextmanager
def faulty(base_url: str) -> Iterator[str]:
    """Yield the base URL of a shop with all the faults, before the real one."""
    with httpx.Client(base_url=base_url, timeout=45, trust_env=False) as client:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                self._pass_on()

            do_POST = do_PUT = do_DELETE = do_GET

            def _pass_on(self) -> None:
                target = self.path
                for fault in FAULTS:
                    target = fault.asked(target)
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                named = ("content-type", "idempotency-key", "authorization")
                kept = {name: self.headers[name] for name in named if name in self.headers}
                answer = client.request(self.command, target, content=body, headers=kept)
                status, text = answer.status_code, answer.text
                for fault in FAULTS:
                    if re.match(fault.at, f"{self.command} {self.path}") and status < 500:
                        status, text = fault.answered(status, text)
                told = text.encode()
                self.send_response(status)
                for name in ("content-type", "location"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
