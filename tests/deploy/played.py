"""The compose file played without containers: the same commands, settings, order and health checks, on loopback.

What is not played: images (``test_image.py`` tries what they are made of), networks, limits, Prometheus and Grafana.
"""

from __future__ import annotations

import re
import shlex
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import run
from typing import Any

import httpx

from sagastream.embedded import ping
from sagastream.ports import free_port
from sagastream.server_program import find_server
from tests.deploy.compose import config
from tests.deploy.processes import bare_environment, running, wait_until
from tests.needs import ROOT, program

NOT_PLAYED = ("prometheus", "grafana")


@dataclass
class Containers:
    """Services of the compose file, each on a free port instead of an address of its own."""

    directory: Path
    services: dict[str, Any]
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in self.services}
        self._own_ports = {name: _own_port(name, service) for name, service in self.services.items()}

    @property
    def base_url(self) -> str:
        """Return where the gateway is."""
        return f"http://{self.address('gateway')}"

    def address(self, name: str) -> str:
        """Return where a service is here."""
        return f"127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> Path:
        """Return where the output of a service is."""
        return self.directory / f"{name}.log"

    def data_dir(self, name: str) -> Path:
        """Return what a service finds at ``/data``."""
        return self.directory / "data" / name

    def order(self) -> Iterator[list[str]]:
        """Yield those that may start together, by what they depend on."""
        started: set[str] = set()
        while waiting := [name for name in self.services if name not in started]:
            ready = [name for name in waiting if set(self.services[name].get("depends_on", ())) <= started]
            assert ready, f"{waiting} wait for each other"
            yield ready
            started |= set(ready)

    def command(self, name: str) -> list[str | Path]:
        """Return what the container runs, here."""
        service = self.services[name]
        words = [self._here(word) for word in (*service.get("entrypoint", ()), *service.get("command", ()))]
        if name == "redis":
            data = self.data_dir(name)
            data.mkdir(parents=True)
            return [
                find_server(None),
                *words[1:],
                *shlex.split(f"--bind 127.0.0.1 --port {self.ports[name]} --dir {data}"),
            ]
        if name == "gateway":
            return [word.replace("/etc/gateway", str(ROOT / "deploy")) for word in words]
        at = next(index for index, word in enumerate(words) if word.startswith("--port"))
        own = [f"--port={self.ports[name]}"]
        after = at + (1 if "=" in words[at] else 2)
        return [sys.executable, "-m", "sagastream.cli", *words[:at], *own, *words[after:]]

    def environment(self, name: str) -> dict[str, str]:
        """Return what the container is told, here; the image's own words included."""
        told = {key: self._here(str(value)) for key, value in self.services[name].get("environment", {}).items()}
        if name == "gateway":
            nginx = program("nginx", "nginx-light").parent
            path = f"{nginx}:{bare_environment()['PATH']}"
            run_dir = str(self.directory / "gateway")
            told |= {"PATH": path, "LISTEN": self.address(name), "RUN_DIR": run_dir, "RESOLVER": "127.0.0.1"}
            return bare_environment(**told)
        image = {
            "PYTHONPATH": str(ROOT),
            "HOST": "127.0.0.1",
            "LOG_FORMAT": "json",
            "DATA_DIR": str(self.data_dir(name)),
        }
        return bare_environment(**{**image, **told})

    def is_healthy(self, name: str) -> bool:
        """Ask as the container's health check does; nginx's and the server's with what is here."""
        if name == "redis":
            return ping(self.ports[name]).startswith(b"+PONG")
        if name == "gateway":
            try:
                return httpx.get(f"{self.base_url}/livez", trust_env=False).is_success
            except httpx.HTTPError:
                return False
        _, _, script, port = self.services[name]["healthcheck"]["test"]
        assert int(port) == self._own_ports[name], f"the health check of {name} asks {port}"
        if not _listens(self.ports[name]):  # a whole Python per question would hold up what is starting
            return False
        return run([sys.executable, ROOT / script, str(self.ports[name])], timeout=10).returncode == 0

    def _here(self, word: str) -> str:
        def moved(match: re.Match[str]) -> str:
            assert int(match[2]) == self._own_ports[match[1]], f"{match[0]}: {match[1]} listens elsewhere"
            return self.address(match[1])

        names = "|".join(sorted(self.services, key=len, reverse=True))
        return re.sub(rf"(?<![\w-])({names}):(\d+)\b", moved, word)


@contextmanager
def played(directory: Path, names: Sequence[str] | None = None) -> Iterator[Containers]:
    """Run the services of the compose file around the block, each once those it depends on are healthy."""
    program("nginx", "nginx-light")
    every = {name: service for name, service in config()["services"].items() if name not in NOT_PLAYED}
    containers = Containers(directory, every if names is None else {name: every[name] for name in names})
    with ExitStack() as stack:
        for together in containers.order():
            started = {
                name: stack.enter_context(
                    running(containers.command(name), containers.environment(name), containers.log(name))
                )
                for name in together
            }
            for name, process in started.items():
                wait_until(partial(containers.is_healthy, name), f"{name} is healthy", process, containers.log(name))
        yield containers


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _own_port(name: str, service: dict[str, Any]) -> int:
    if name == "redis":
        return 6379
    if name == "gateway":
        return int(service["environment"]["LISTEN"])
    (port,) = re.findall(r"--port[= ](\d+)", " ".join(service["command"]))
    return int(port)
