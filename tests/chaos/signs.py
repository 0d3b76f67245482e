"""What shows that the defences were at work: counted by the processes, by the provider, and in the streams."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping

import httpx

from payment_service.app import record_path
from payment_service.provider_books import Asked, Call, Outcome
from payment_service.provider_record import read as read_calls
from sagastream.event import StepBarred
from sagastream.keys import Keys
from tests.chaos.faults import Kind, Sign
from tests.chaos.scene import CAST, GROUPS, PAYMENT_TIMEOUT_S, SILENCE_S, SLOW_S, Scene
from tests.processes.shop import PREFIX

_EVERY_S = 1.5
_COUNTED = {Sign.DUPLICATE: "duplicates_total", Sign.CONFLICT: "conflicts_total"}
_SERIES = re.compile(r"^choreographed_saga_(duplicates_total|conflicts_total)\{[^}]*\} (\S+)$", re.MULTILINE)
_UNKNOWN = "OutcomeUnknown"
_LATE_METHODS = {"TimeoutAfterCharge": Kind.SILENT_PROVIDER, "SlowProvider": Kind.SLOW_PROVIDER}
assert min(SILENCE_S, SLOW_S) > PAYMENT_TIMEOUT_S  # else those methods would be answered in time


class Signs:
    """Reads what every process has counted, again and again, for what a process counted ends with it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._counted: dict[tuple[str, int, str], float] = {}

    async def follow(self, stop: asyncio.Event) -> None:
        """Read until told to stop."""
        while not stop.is_set():
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Read once; a process that cannot answer right now is passed over."""
        await asyncio.gather(*(self._read(name) for name in CAST))

    async def _read(self, name: str) -> None:
        pid = self._scene.crew.pid(name)
        try:
            answer = await self._scene.crew.http.get(f"{self._scene.crew.url(name)}/metrics", timeout=1.0)
        except httpx.HTTPError:
            return
        for series, value in _SERIES.findall(answer.text):
            self._counted[name, pid, series] = float(value)

    async def told(self, claims: int) -> dict[Sign, int]:
        """Return how often each sign was seen."""
        counted: Counter[str] = Counter()
        for (_, _, series), value in self._counted.items():
            counted[series] += int(value)
        streams = [Keys(PREFIX, group).events(StepBarred.type_name()) for group in GROUPS.values()]
        lengths = await self._scene.insist_all([("XLEN", stream) for stream in streams])
        logs = self._scene.data_dir.glob("payment-service-*.log")
        return {
            Sign.CLAIM: claims,
            **{sign: counted[series] for sign, series in _COUNTED.items()},
            Sign.BARRED: sum(length for length in lengths if isinstance(length, int)),
            Sign.CLOSED_KEY: sum(call.outcome is Outcome.CLOSED for call in self._calls()),
            Sign.UNKNOWN_PAYMENT: sum(log.read_text(errors="replace").count(_UNKNOWN) for log in logs),
        }

    def of_the_provider(self) -> Mapping[Kind, int]:
        """Return how often the provider itself failed, by its own record."""
        found: Counter[Kind] = Counter()
        for call in self._calls():
            if call.outcome is Outcome.BROKEN:
                found[Kind.BROKEN_PROVIDER] += 1
            elif call.call is Asked.CHARGE and call.outcome is Outcome.CHARGED and call.method in _LATE_METHODS:
                found[_LATE_METHODS[call.method]] += 1
        return found

    def _calls(self) -> list[Call]:
        return list(read_calls(record_path(self._scene.data_dir)))
