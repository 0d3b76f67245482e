"""The order saga in Restate: a handler of durable steps with a list of compensations, as in its guide to sagas.

Served by one hypercorn; called through the ingress by the given number of concurrent callers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterable

import hypercorn.asyncio
import hypercorn.config
import restate

checkout = restate.Service("checkout")


def _step(name: str, order: str) -> Callable[[], Awaitable[dict[str, str]]]:
    async def done() -> dict[str, str]:
        return {"step": name, "order": order}

    return done


@checkout.handler()
async def place(ctx: restate.Context, order: str) -> str:
    """Perform five steps; undo those that were done, newest first, if one is refused."""
    undo = []
    try:
        for name in ("create", "reserve", "charge", "confirm", "notify"):
            undo.append(name)
            await ctx.run_typed(name, _step(name, order))
    except restate.TerminalError:
        for name in reversed(undo):
            await ctx.run_typed(f"undo {name}", _step(f"undo {name}", order))
        raise
    return order


async def main(sagas: int, ingress: str, admin: str, port: int, callers: int) -> None:
    """Serve, register, and time."""
    stop = asyncio.Event()
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    serving = asyncio.create_task(hypercorn.asyncio.serve(restate.app([checkout]), config, shutdown_trigger=stop.wait))
    await asyncio.sleep(0.5)
    told = urllib.request.Request(
        f"{admin}/deployments", json.dumps({"uri": f"http://127.0.0.1:{port}"}).encode(),
        {"content-type": "application/json"},
    )  # fmt: skip
    await asyncio.to_thread(urllib.request.urlopen, told)
    async with restate.create_client(ingress) as client:

        async def call(numbers: Iterable[int]) -> None:
            for number in numbers:
                await client.service_call(place, arg=f"order-{number}")

        await call(range(-10, 0))
        numbers = iter(range(sagas))
        began = time.perf_counter()
        await asyncio.gather(*(call(numbers) for _ in range(callers)))
        print(json.dumps({"sagas": sagas, "seconds": time.perf_counter() - began}))
    stop.set()
    await serving


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
