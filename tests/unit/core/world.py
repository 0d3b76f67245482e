"""A small world in virtual time: one in-memory server, workers that can be cut off, and hands to append events with.

The workers are the real ones, on the shipped script; only server, clock and wires are the test's.
It is long because all of it is one world: its hands share a server, a clock and the names of what was told.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, Protocol

from sagastream.bus import Bus, Command, Reply
from sagastream.consumer import Consumer
from sagastream.coordinator.tracker import Coordinator
from sagastream.entrance import Entrance
from sagastream.envelope import Envelope, flattened, instant, pairs
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.event import Event, StepRequest
from sagastream.keys import COORDINATOR, Keys
from sagastream.ledger import Remembered, parse
from sagastream.participant import Participant
from sagastream.replies import entries, listed, named, texts
from sagastream.saga.definition import Saga
from sagastream.settings import Settings
from sagastream.telemetry import Telemetry
from sagastream.testing import virtual_time
from sagastream.testing.line import UNWILLING
from sagastream.testing.memory_connection import MemoryConnection
from sagastream.testing.memory_server import MemoryServer

P = ParamSpec("P")
SAGA = "saga-1"
BATCH = 200


class Worker(Protocol):
    """What runs until told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        ...


def in_virtual_time(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Play an async test on a virtual clock: hours pass at once, and every run is the same."""

    @wraps(test)
    def play(*args: P.args, **kwargs: P.kwargs) -> None:
        virtual_time.run(test(*args, **kwargs))  # type: ignore[arg-type]  # an async function gives a coroutine

    return play


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let something go on for as long as the block takes."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Wire:
    """The way of one worker to the server; it counts what passes and can lose or cut it at any command.

    ``on_way_there`` and ``on_way_back`` are asked about each command: return None to let it pass, ``"lost"`` to
    raise ``ServerUnavailable``, ``"late"`` to raise it after five seconds, ``"dead"`` to let nothing of this worker
    happen ever again.
    """

    def __init__(self, server: MemoryServer) -> None:
        self.sent: list[Command] = []
        self.calls = 0
        self.on_way_there: Callable[[Command], str | None] = lambda command: None
        self.on_way_back: Callable[[Command], str | None] = lambda command: None
        self.is_dead = asyncio.Event()
        self._connection = _Counting(server, self)

    @property
    def bus(self) -> Bus:
        """Return the worker's connections."""
        return Bus(self._connection, self._connection, self._connection)

    def commands(self, *names: str) -> list[Command]:
        """Return what was sent of these commands, or everything."""
        return [command for command in self.sent if not names or command[0] in names]

    def lose_replies(self, name: str, times: int = 1) -> None:
        """Lose the next replies to a command; the command itself happens."""
        self.on_way_back = _for_some(name, times, "lost")

    def lose_requests(self, name: str) -> None:
        """Lose the next command of a name before it happens."""
        self.on_way_there = _for_some(name, 1, "lost")

    def die_after(self, name: str, about: bytes = b"") -> None:
        """End the worker between a command and its reply; ``about`` is in the last argument of the one meant."""
        self.on_way_back = _for_some(name, 1, "dead", about)

    def die_before(self, name: str, about: bytes = b"") -> None:
        """End the worker before a command reaches the server."""
        self.on_way_there = _for_some(name, 1, "dead", about)

    def refuse_all(self) -> None:
        """Be as a server that cannot be reached."""
        self.on_way_there = lambda command: "lost"

    def heal(self) -> None:
        """Let everything pass again."""
        self.on_way_there = self.on_way_back = lambda command: None

    async def passes(self, verdict: str | None) -> None:
        """Do to a command what was decided."""
        if verdict == "late":
            await asyncio.sleep(5)
        if verdict in ("lost", "late"):
            raise ServerUnavailable("lost on its way")
        if verdict == "dead":
            self.is_dead.set()
        if self.is_dead.is_set():
            await asyncio.get_running_loop().create_future()


class _Counting(MemoryConnection):
    def __init__(self, server: MemoryServer, wire: Wire) -> None:
        async def before(command: Command) -> None:
            wire.sent.append(command)
            await wire.passes(wire.on_way_there(command))

        async def after(command: Command) -> None:
            await wire.passes(wire.on_way_back(command))

        super().__init__(server, before=before, after=after)
        self._wire = wire

    async def _execute(self, command: Command) -> Reply:
        try:
            return await super()._execute(command)
        except ReplyError as error:
            raise ServerUnavailable(str(error)) if error.code in UNWILLING else error from None

    async def execute(self, *command: str | int | float | bytes) -> Reply:
        self._wire.calls += 1
        return await super().execute(*command)

    async def pipeline(self, commands: Any) -> Any:  # noqa: ANN401  # as the base class
        self._wire.calls += 1
        return await super().pipeline(commands)


def _for_some(name: str, times: int, verdict: str, about: bytes = b"") -> Callable[[Command], str | None]:
    left = itertools.repeat(verdict, times)
    about = b">" if name == "XREADGROUP" else about  # new entries: of its own a worker that has just begun has none

    def decide(command: Command) -> str | None:
        last = command[-1] if isinstance(command[-1], bytes) else str(command[-1]).encode()
        return next(left, None) if command[0] == name and about in last else None

    return decide


class World:
    """The server, its clock, and what a test asks and tells."""

    def __init__(self, *, sweep_s: float = 0.025, **settings: Any) -> None:  # noqa: ANN401  # any setting
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        self.loop = loop
        self.clock_step_ms = 0
        self.sweep_s = sweep_s
        self.server = MemoryServer(self.now_ms)
        self.keys = Keys("w:", COORDINATOR)
        self.settings = Settings(
            **{"key_prefix": "w:", "batch": BATCH, "block": timedelta(seconds=2), **settings}  # type: ignore[arg-type]
        )
        self._names = itertools.count(1)

    def now_ms(self) -> int:
        """Return the server's time."""
        return self.loop.epoch_ms() + self.clock_step_ms

    def wire(self) -> Wire:
        """Return a new way to the server."""
        return Wire(self.server)

    def consumer(
        self,
        participant: Participant,
        wire: Wire | None = None,
        *,
        ordinal: int = 1,
        resources: Mapping[type, object] | None = None,
        telemetry: Telemetry | None = None,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> Consumer:
        """Return a participant's worker, not yet running."""
        return Consumer(
            participant, bus=(wire or self.wire()).bus, settings=self._settings(ordinal), resources=resources,
            telemetry=telemetry or Telemetry(participant.name), chance=chance,
        )  # fmt: skip

    def coordinator(self, *sagas: Saga, wire: Wire | None = None, ordinal: int = 1) -> Coordinator:
        """Return a coordinator, not yet running; its sweep comes every ``sweep_s`` virtual seconds."""
        return Coordinator(
            sagas, bus=(wire or self.wire()).bus, settings=self._settings(ordinal), telemetry=Telemetry(COORDINATOR),
            ticker=self._every,
        )  # fmt: skip

    def entrance(self, participant: Participant, wire: Wire | None = None) -> Entrance:
        """Return where sagas are begun from outside."""
        return Entrance(participant, bus=(wire or self.wire()).bus, settings=self.settings)

    @asynccontextmanager
    async def running(self, *workers: Worker) -> AsyncIterator[None]:
        """Let workers run and stop them cleanly at the end."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(worker.run(stop), name=f"worker-{at}") for at, worker in enumerate(workers)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def until_dead(self, worker: Worker, wire: Wire) -> None:
        """Let a worker run until its wire is cut, and take it away."""
        task = asyncio.create_task(worker.run(asyncio.Event()))
        await asyncio.wait_for(wire.is_dead.wait(), 3600)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def until(self, claim: Callable[[], object], within: timedelta = timedelta(hours=1)) -> None:
        """Wait until a claim holds."""
        ends_at = self.loop.time() + within.total_seconds()
        while not claim():
            assert self.loop.time() < ends_at, "waited in vain"
            await asyncio.sleep(0.01)

    async def quiet(self) -> None:
        """Wait until every group has read and acknowledged everything."""
        await asyncio.sleep(0.01)
        await self.until(lambda: not self.unsettled())

    async def work(self, *workers: Worker) -> None:
        """Let workers run until there is nothing more to do."""
        async with self.running(*workers):
            await self.quiet()

    def unsettled(self) -> list[str]:
        """Return the streams of which some group has entries to read or to acknowledge."""
        return [stream for stream, about in self._groups() if about["pending"] != "0" or about["lag"] != "0"]

    def in_hand(self) -> int:
        """Return how many messages were read and are not acknowledged."""
        return sum(int(about["pending"]) for _, about in self._groups())

    def _groups(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        for stream in self.streams():
            for group in listed(self.server.call("XINFO", "GROUPS", stream)):
                yield stream, named(group)

    def streams(self) -> list[str]:
        """Return the names of all streams."""
        return [name for name in texts(self.server.call("KEYS", "*")) if self.server.call("TYPE", name) == "stream"]

    def call(self, command: str, owner: str, key: str, *arguments: str | int) -> Reply:
        """Send a command about an owner's key, past all wires."""
        return self.server.call(command, self.keys.of(owner).key(key), *arguments)

    def tell(self, event: Event, saga_id: str = SAGA, id: str | None = None, **attributes: str) -> str:
        """Append an event by hand; return its entry id. Attributes of the envelope can be forged."""
        fields = self.fields(event, saga_id, f"{event.type_name()}-{next(self._names)}" if id is None else id)
        fields |= attributes
        return self.append(event.by, event.type_name(), {name: value for name, value in fields.items() if value != "-"})

    def fields(self, event: Event, saga_id: str, id: str) -> dict[str, str]:
        """Return an event as it travels."""
        return pairs(
            Envelope(
                id=id, source=event.by, type=event.type_name(), subject=saga_id, saga_id=saga_id, cause="cause-1",
                initiator="customer-1", definition="trip", definition_version="1", data=event.payload(),
                time=instant(self.now_ms()),
            ).fields()
        )  # fmt: skip

    def append(self, by: str, type_name: str, fields: Mapping[str, str]) -> str:
        """Append any fields to a stream of events."""
        return str(self.call("XADD", by, f"events:{type_name}", "*", *flattened(fields)))

    def ask(self, participant: str, request: StepRequest, saga_id: str = SAGA) -> None:
        """Ask a participant as the coordinator does."""
        fields = self.fields(request, saga_id, f"{request.type_name()}-{next(self._names)}")
        self.call("XADD", COORDINATOR, f"requests:{participant}", "*", *flattened(fields))

    def events(self, by: str, event: type[Event], saga_id: str | None = None) -> list[dict[str, str]]:
        """Return the events of one type, as published."""
        told = entries(self.call("XRANGE", by, f"events:{event.type_name()}", "-", "+"))
        return [fields for _, fields in told if saga_id in (None, fields["correlationid"])]

    def ledger(self, participant: str, handler: str, saga_id: str = SAGA) -> Remembered:
        """Return what a participant remembers of one handler."""
        text = self.call("HGET", participant, f"ledger:{saga_id}", handler)
        return parse(None if text is None else str(text))

    def letters(self, owner: str) -> list[dict[str, Any]]:
        """Return the dead letters of an owner, the message decoded."""
        found = []
        for _, fields in entries(self.call("XRANGE", owner, "letters", "-", "+")):
            letter: dict[str, Any] = dict(fields)
            letter["message"] = json.loads(letter["message"])
            found.append(letter)
        return found

    def hash(self, owner: str, key: str) -> dict[str, str]:
        """Return a hash."""
        return named(self.call("HGETALL", owner, key))

    def status(self, saga_id: str = SAGA) -> str:
        """Return the status of a saga, empty if there is no record of it."""
        return self.hash(COORDINATOR, f"record:{saga_id}").get("status", "")

    def counts(self) -> dict[str, int]:
        """Return what was counted, without durations."""
        return {name: int(n) for name, n in self.hash(COORDINATOR, "counts").items() if "duration" not in name}

    def history(self, saga_id: str = SAGA) -> list[dict[str, Any]]:
        """Return the history of a saga."""
        return [json.loads(line) for line in texts(self.call("LRANGE", COORDINATOR, f"history:{saga_id}", 0, -1))]

    def requests(self, participant: str) -> list[str]:
        """Return what a participant was asked, as ``UndoRequested RoomHeld``."""
        told = entries(self.call("XRANGE", COORDINATOR, f"requests:{participant}", "-", "+"))
        return [f"{fields['type']} {json.loads(fields['data'])['step']}" for _, fields in told]

    async def _every(self, period: timedelta, call: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(max(self.sweep_s, period.total_seconds()))
            await call()

    def _settings(self, ordinal: int) -> Settings:
        return self.settings.model_copy(update={"consumer": ordinal})
