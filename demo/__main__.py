"""``python -m demo``: play the shop's demo; exit 0 if every saga ended as expected and the books agree.

Exit 1: a saga ended otherwise, or the books differ. Exit 2: the shop could not be run. ``DATA_DIR`` keeps the
demo's data; without it a temporary directory is used and removed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from books.facts import Books
from books.reading import Sources, read_books
from books.report import report
from books.rules import NOTICE_MS, check
from demo.play import Stage
from demo.scenes import SCENES, Scene
from demo.shop import PREFIX, Shop, ShopTrouble, running_shop
from sagastream.cli.screen import Screen
from sagastream.drawing import Line, Part, Tone
from sagastream.errors import SagastreamError

AS_ANNOUNCED, OTHERWISE, NOT_PLAYED, INTERRUPTED = 0, 1, 2, 130
_SETTLE_WITHIN = timedelta(seconds=3)


def main(scenes: Sequence[Scene] = SCENES) -> int:
    """Play the demo and return the exit code."""
    with ExitStack() as stack:
        stack.enter_context(_ended_by(signal.default_int_handler))
        given = os.environ.get("DATA_DIR")
        data_dir = Path(given or stack.enter_context(_temporary())).resolve()
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            return asyncio.run(_until_told(_play(scenes, data_dir, Screen(), is_kept=bool(given))))
        except (ShopTrouble, SagastreamError) as error:
            sys.stderr.write(f"the demo cannot go on: {error}\n")
            return NOT_PLAYED
        except (KeyboardInterrupt, asyncio.CancelledError):
            return INTERRUPTED


@contextmanager
def _ended_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle SIGTERM around the block: a terminated demo must still end the shop and remove its files."""
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _until_told(play: Coroutine[Any, Any, int]) -> int:
    """Await it; SIGTERM cancels it, like Ctrl-C, since an exception raised inside the loop could lose other tasks."""
    loop, playing = asyncio.get_running_loop(), asyncio.ensure_future(play)
    with _ended_by(lambda *_: loop.call_soon_threadsafe(playing.cancel)):
        return await playing


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="sagastream-demo-", ignore_cleanup_errors=True)


async def _play(scenes: Sequence[Scene], data_dir: Path, screen: Screen, *, is_kept: bool) -> int:
    begun = time.monotonic()
    screen.say("Starting the shop: four services and their coordinator in one process, and a server of its own.")
    async with running_shop(data_dir) as shop:
        screen.say(f"It is open at {shop.url}. Customers come, one after the other:")
        stage = Stage(shop, screen)
        await stage.open()
        kept = [await stage.play(number, scene) for number, scene in enumerate(scenes, 1)]
        do_agree = await _compare_books(shop, screen)
    told = f"{sum(kept)} of {len(kept)} sagas ended as announced, the books {'agree' if do_agree else 'DIFFER'}"
    is_well = all(kept) and do_agree
    took = f" ({time.monotonic() - begun:.1f} s)"
    screen.say("", Line((Part(told, Tone.FORWARD if is_well else Tone.STOPPED), Part(took, Tone.FAINT))))
    if is_kept:
        screen.say(f"Look again: DATA_DIR={data_dir} {sys.executable} -m sagastream.cli sagas")
    return AS_ANNOUNCED if is_well else OTHERWISE


async def _compare_books(shop: Shop, screen: Screen) -> bool:
    """Show the books; return whether they agree."""
    books = await _settled(shop)
    checked = check(books)
    title = "The books: orders, stock, payments, mails, and what the payment provider itself wrote down."
    screen.say("", Line((Part(title, Tone.STRONG),)), *report(books, checked).splitlines())
    return not books.under_way and not any(each.differences for each in checked)


async def _settled(shop: Shop) -> Books:
    """Return the books once they agree, or as they are when that takes too long."""
    sources = Sources(shop.bus.query, PREFIX, shop.data_dir / "provider" / "calls.jsonl", shop.data_dir / "outbox")
    until = time.monotonic() + _SETTLE_WITHIN.total_seconds()
    while True:
        # A cancellation notice may arrive some time after its saga's end; here all of them must have arrived.
        read = await read_books(sources)
        books = replace(read, now_ms=read.now_ms + NOTICE_MS)
        is_settled = not books.under_way and not any(each.differences for each in check(books))
        if is_settled or time.monotonic() > until:
            return books
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
