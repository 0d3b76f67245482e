"""The limit: the server's throughput if Python cost nothing.

The commands of the real engine for a number of sagas are recorded by a ``relay``. They are then replayed
to a fresh server that holds the same initial work: over plain sockets, as many as the engine had, encoded
beforehand, as fast as the server accepts them. So scripts, payloads, reads and batches are the engine's own, every id
is new to the server, and the acknowledged entries are those in the replies. A run counts only if at its end every
saga has the status it had under the engine, and every entry read is acknowledged.

Limitations. It is a limit for *these* commands: larger ones lower it, so the server's CPU time per saga is shown
beside every ratio to it. No command waits for a decision, and reads do not block, which costs the server a little
less than the engine's. Batches have the sizes of the recording. The relay and the sender are Python too, but the
sender's time is shown: as long as it is far below the server's, the server is the bottleneck.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from bench.load import lay_ready
from bench.meter import Ended, Meter
from bench.mix import Mix, mixed
from bench.processes import Processes
from bench.relay import relayed
from bench.replay import NotAsRecorded, Replay
from bench.runs import WITHIN_S, Case, Figures
from bench.workers import NAMES, running
from sagastream.embedded import EmbeddedServer

LIMIT = "limit"
_TAIL_S = 0.3  # after the last end, for the acknowledgements that follow it


async def recorded(case: Case) -> Mix:
    """Run a case through a relay and return the mix of its commands.

    Raises: ``NotAsRecorded`` if the sagas do not end as they must.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, EmbeddedServer(Path(directory)) as server:
        async with Meter(server.url) as meter:
            await meter.set_appendfsync("no")
            await lay_ready(server.url, case.sagas, declined=case.declined)
            async with relayed(server.url) as (url, recording):
                if case.arrangement == "one":
                    async with running(NAMES, url):
                        ended = await _ended(meter, case)
                else:
                    with Processes(NAMES, url) as processes:
                        processes.set_off()
                        ended = await _ended(meter, case)
    if not case.is_true(ended):
        raise NotAsRecorded(f"while recording, {ended.by_status} of {case.sagas} sagas ended")
    return mixed(recording)


async def replayed(mix: Mix, case: Case) -> Figures:
    """Replay a mix to a server of its own that holds the case's initial work.

    Raises: ``NotAsRecorded`` if a saga ends differently, or an entry was not read and acknowledged.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, EmbeddedServer(Path(directory)) as server:
        async with Meter(server.url) as meter:
            await meter.set_appendfsync(case.appendfsync)
            await lay_ready(server.url, case.sagas, declined=case.declined)
            with Replay(mix, server.url) as replay:
                server_before, python_before = await meter.server_cpu_s(), time.process_time()
                began = time.perf_counter()
                replay.play()
                seconds = time.perf_counter() - began
                python = time.process_time() - python_before
                server_cpu = await meter.server_cpu_s() - server_before
            ended = await meter.until_ended(case.sagas, within_s=0)
            version = await meter.server_version()
    if not case.is_true(ended) or not replay.sent.read == replay.sent.acknowledged == mix.entries:
        raise NotAsRecorded(f"{ended.by_status} of {case.sagas} sagas ended, {replay.sent} of {mix.entries} entries")
    return Figures(case, Ended(seconds, ended.by_status), server_cpu, python, version)


async def _ended(meter: Meter, case: Case) -> Ended:
    ended = await meter.until_ended(case.sagas, within_s=WITHIN_S)
    await asyncio.sleep(_TAIL_S)
    return ended
