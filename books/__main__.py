"""``python -m books``: compare the shop's books; exit 0 if they agree, 1 if not, 2 while sagas are unfinished.

With ``--running``, unfinished sagas do not change the exit code: they are checked for what must hold at all times.
``--wait SECONDS`` gives them time to end. Uses ``REDIS_URL``, or the running shop's server, or starts
the shop's server for the time of the comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from datetime import timedelta

from books.facts import Books
from books.reading import Sources, read_books
from books.report import report
from books.rules import check
from sagastream import Settings, connect
from sagastream.coordinator.retention import kept
from sagastream.embedded import server_url
from sagastream.errors import SagastreamError

AGREE, DIFFER, UNDER_WAY, UNREADABLE = 0, 1, 2, 3


def main() -> int:
    """Print the books and return the exit code."""
    parser = argparse.ArgumentParser(prog="books", description=__doc__)
    parser.add_argument("--running", action="store_true", help="allow sagas that have not ended")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long they may take to end")
    asked = parser.parse_args()
    settings = Settings()
    try:
        with server_url(settings) as url:
            books = asyncio.run(_settled(settings, url, asked.wait))
    except (SagastreamError, ValueError, OSError) as error:
        sys.stderr.write(f"the books cannot be read: {error}\n")
        return UNREADABLE
    checked = check(books)
    sys.stdout.write(report(books, checked))
    if any(each.differences for each in checked):
        sys.stdout.write("\nthe books differ\n")
        return DIFFER
    if books.under_way and not asked.running:
        sys.stdout.write(f"\n{books.under_way} not ended; what has ended agrees\n")
        return UNDER_WAY
    sys.stdout.write("\nthe books agree\n")
    return AGREE


async def _settled(settings: Settings, url: str, wait_s: float) -> Books:
    bus = connect(url, name="books", block=timedelta(0))
    calls = settings.data_dir / "provider" / "calls.jsonl"
    outbox, shortest = settings.data_dir / "outbox", min(kept(settings).values())
    sources = Sources(bus.query, settings.key_prefix, calls, outbox, shortest)
    until = time.monotonic() + wait_s
    try:
        while True:
            begun = time.monotonic()
            books = await read_books(sources)
            read = time.monotonic()
            if not books.under_way or read >= until:
                return books
            await asyncio.sleep(max(0.2, read - begun))  # leaves the server idle at least half of the time
    finally:
        await bus.close()


if __name__ == "__main__":
    sys.exit(main())
