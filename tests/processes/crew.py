"""The shop as containers run it: each process started, frozen and killed by the test, all of them on one wire."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from sagastream.embedded import EmbeddedServer
from sagastream.ports import free_port
from tests.processes.child import Child, environment
from tests.processes.shop import Shop
from tests.processes.until import until
from tests.processes.wire import Wire

ORDER, STOCK, PAYMENT = "order-service/1", "stock-service/1", "payment-service/1"
NOTIFICATION, COORDINATOR = "notification-service/1", "coordinator/1"
PROVIDER, FRONT = "payment-provider/1", "front/1"
ALL = (PROVIDER, ORDER, STOCK, PAYMENT, NOTIFICATION, COORDINATOR, FRONT)
PACE = 0.05  # of the deadlines: 1.5 s, 3 s, 1.5 s, and 15 s for the whole
_PROVIDER = ("service", "payment_service.app:create_provider_service", "--name", "payment-provider")


class Crew(Shop):
    """A shop of single processes, each named as its connections are: service and number."""

    def __init__(
        self,
        ports: Mapping[str, int],
        wire: Wire,
        data_dir: Path,
        settings: Mapping[str, str],
        *,
        works_within_s: float = 60.0,
    ) -> None:
        super().__init__(f"http://127.0.0.1:{ports[FRONT]}", wire.url, data_dir)
        self.wire = wire
        self._works_within_s = works_within_s
        self._ports = dict(ports)
        self._settings = {**settings, "REDIS_URL": wire.url}
        self._children: dict[str, Child] = {}

    async def start(self, *who: str, **settings: str) -> None:
        """Start processes and wait until they work."""
        for name in who:
            service, _, number = name.partition("/")
            port = self._ports.setdefault(name, free_port())
            told = environment(self.data_dir, **{**self._settings, "CONSUMER": number, **settings})
            log = self.data_dir / f"{service}-{number}.log"
            self._children[name] = Child([*_arguments(service), "--port", str(port)], told, log)
        await self.work(*who)

    async def work(self, *who: str) -> None:
        """Wait until processes work."""
        for name in who:
            await self._works(name)

    def kill(self, name: str) -> None:
        """Kill a process, also a frozen one."""
        self._children[name].kill()

    def freeze(self, name: str) -> None:
        """Stop a process in its tracks."""
        self._children[name].signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a process go on."""
        self._children[name].signal(signal.SIGCONT)

    def pid(self, name: str) -> int:
        """Return the process id a process has, or had."""
        return self._children[name].pid

    def exit_code(self, name: str) -> int | None:
        """Return with what a process ended, the negative of a signal if it was killed; None while it runs."""
        return self._children[name].exit_code

    def url(self, name: str) -> str:
        """Return the base URL of one process."""
        return f"http://127.0.0.1:{self._ports[name]}"

    async def end(self, name: str) -> int:
        """Ask a process to end and return its exit code."""
        return await self._children.pop(name).end()

    def errors(self, name: str) -> list[str]:
        """Return what a process logged as errors."""
        log = (self.data_dir / f"{name.replace('/', '-')}.log").read_text()
        return [line for line in log.splitlines() if '"level": "error"' in line]

    async def restore(self) -> None:
        """Bring everybody back who is part of the crew, whatever a test has done to them, and nobody else."""
        self.wire.clear()
        for name, child in list(self._children.items()):
            child.signal(signal.SIGCONT)
            if name not in ALL:
                await self.end(name)
        await self.start(*(name for name in ALL if name not in self._children or not self._children[name].is_running))

    async def end_all(self) -> None:
        """End every process."""
        await asyncio.gather(*(child.end() for child in self._children.values()))

    async def _works(self, name: str) -> None:
        child, url = self._children[name], f"{self.url(name)}/readyz"

        async def ask() -> bool:
            assert child.is_running, child.said()
            try:
                return (await self.http.get(url, timeout=5)).is_success
            except httpx.HTTPError:
                return False

        await until(ask, f"{name} works", self._works_within_s)


@asynccontextmanager
async def crew(data_dir: Path, **settings: str) -> AsyncIterator[Crew]:
    """Run a crew on a server of its own around the block; at its end every process is waited for."""
    with EmbeddedServer(data_dir) as server:
        async with Wire(server.port) as wire, crew_on(wire, data_dir, **settings) as shop:
            yield shop


@asynccontextmanager
async def crew_on(wire: Wire, data_dir: Path, **settings: str) -> AsyncIterator[Crew]:
    """Run a crew on a wire around the block; at its end every process is waited for."""
    ports = {name: free_port() for name in ALL}
    provider = f"http://127.0.0.1:{ports[PROVIDER]}"
    told = {"PAYMENT_PROVIDER_URL": provider, "ORDER_DEADLINE_PACE": str(PACE), **settings}
    async with Crew(ports, wire, data_dir, told) as shop:
        try:
            await shop.start(*ALL)
            yield shop
        finally:
            await shop.end_all()


def _arguments(service: str) -> Sequence[str]:
    if service == "payment-provider":
        return _PROVIDER
    if service in ("front", "coordinator"):
        return (service,)
    return ("participant", service)
