"""Copies of what a shop exported, each with one family renamed, and a Prometheus that scrapes them all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.monitoring.prometheus_server import Prometheus, prometheus, until

LABEL = "renamed"
NOTHING = "nothing"
"""The copy in which every family keeps its name."""
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Copies(ThreadingHTTPServer):
    """Serves the copies at ``/<family>``; nothing before there is a text."""

    def __init__(self, families: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Copy)
        self.families = [NOTHING, *families]
        self.texts: tuple[str, str] | None = None
        """What the shop exported before and after its work: the first scrape of each copy finds what was before."""
        self.asked: set[str] = set()
        self.prometheus: Prometheus

    def scraped(self, before: str, after: str) -> Prometheus:
        """Let the copies of these texts be scraped, and return the Prometheus that knows them."""
        self.texts = before, after

        def as_scraped() -> Prometheus | None:
            server = self.prometheus.settled()
            return server if server.value("min(sum_over_time(up[1m]) * up)") >= 3 else None

        return until(as_scraped, "every copy is scraped three times")


@contextmanager
def copies(families: Sequence[str], directory: Path) -> Iterator[Copies]:
    """Serve copies around the block."""
    with Copies(families) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            with prometheus(_config(server, directory)) as scraping:
                server.prometheus = scraping
                yield server
        finally:
            server.shutdown()
            thread.join()


class _Copy(BaseHTTPRequestHandler):
    server: Copies

    def do_GET(self) -> None:
        family, copies = self.path[1:], self.server
        if copies.texts is None:
            self.send_error(503)
            return
        text = copies.texts[family in copies.asked]
        copies.asked.add(family)
        body = re.sub(rf"\b{family}(?=_bucket|_sum|_count|[ {{])", f"{family}_{LABEL}", text).encode()
        self.send_response(200)
        self.send_header("Content-Type", _CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError):  # a scraper that is ended hangs up on what it asked for
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def _config(server: Copies, directory: Path) -> Path:
    targets = ", ".join(
        f"{{targets: ['127.0.0.1:{server.server_port}'], labels: {{__metrics_path__: /{family}, {LABEL}: {family}}}}}"
        for family in server.families
    )
    config = directory / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
        f"scrape_configs: [{{job_name: copies, static_configs: [{targets}]}}]\n"
    )
    return config
