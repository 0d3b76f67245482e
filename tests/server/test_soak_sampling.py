"""What a soak reads of a real server."""

from __future__ import annotations

from pathlib import Path

from bench.soak.sampling import size_mb, used_mb
from sagastream import connect
from sagastream.bus import Command
from sagastream.embedded import EmbeddedServer
from sagastream.settings import Settings


async def test_keys_take_what_the_server_uses_for_them(tmp_path: Path) -> None:
    """With all that it keeps of each in its own tables, some hundred bytes an order."""
    with EmbeddedServer(tmp_path) as server:
        bus = connect(server.url, name="soak", block=Settings().block)
        try:
            before = await used_mb(bus.query)
            names = [f"saga:{{order}}:order:{number:032x}" for number in range(40_000)]
            for at in range(0, len(names), 1000):
                page = names[at : at + 1000]
                commands: list[Command] = [("HSET", name, "status", "Confirmed", "lines", "x" * 60) for name in page]
                commands += [("PEXPIRE", name, 10**8) for name in page if at < len(names) // 2]
                await bus.writer.pipeline(commands)
            found = await size_mb(bus.query, names)
            used = await used_mb(bus.query) - before
        finally:
            await bus.close()

    assert abs(found - used) < 0.1 * used
