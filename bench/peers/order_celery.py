"""The order saga in Celery: a chain of five tasks over Redis, acknowledged after they ran; no results are kept.

As a program it sends the chains and waits until the last task of each has been counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable

import redis
from celery import Celery, chain

DONE = "bench:done"
url = os.environ["BROKER_URL"]
app = Celery("order", broker=url)
app.conf.update(
    task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=16, broker_pool_limit=10,
    worker_hijack_root_logger=False, task_store_errors_even_if_ignored=False, worker_enable_remote_control=False,
    worker_send_task_events=False,
)  # fmt: skip
counting = redis.Redis.from_url(url)


def _next(order: dict[str, str], name: str) -> dict[str, str]:
    return {**order, "step": name}


@app.task(name="create")
def create(order: dict[str, str]) -> dict[str, str]:
    """Create the order."""
    return _next(order, "create")


@app.task(name="reserve")
def reserve(order: dict[str, str]) -> dict[str, str]:
    """Reserve the order's goods."""
    return _next(order, "reserve")


@app.task(name="charge")
def charge(order: dict[str, str]) -> dict[str, str]:
    """Charge the card."""
    return _next(order, "charge")


@app.task(name="confirm")
def confirm(order: dict[str, str]) -> dict[str, str]:
    """Confirm the order."""
    return _next(order, "confirm")


@app.task(name="notify")
def notify(order: dict[str, str]) -> None:
    """Notify the customer, and count."""
    counting.incr(DONE)


def main(sagas: int) -> None:
    """Send and time; a worker must be running."""

    def send(names: Iterable[str]) -> None:
        for name in names:
            chain(create.s({"order": name}), reserve.s(), charge.s(), confirm.s(), notify.s()).apply_async()

    def until(count: int) -> None:
        while int(counting.get(DONE) or 0) < count:
            time.sleep(0.005)

    send(f"warm-{number}" for number in range(20))
    until(20)
    began = time.perf_counter()
    send(f"order-{number}" for number in range(sagas))
    until(20 + sagas)
    print(json.dumps({"sagas": sagas, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
