"""The order saga in DBOS: a workflow of five steps, called from the given number of threads."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, DBOSConfig


@DBOS.step()
def step(name: str, order: str) -> dict[str, str]:
    """Perform a step."""
    return {"step": name, "order": order}


@DBOS.workflow()
def place(order: str) -> str:
    """Perform five steps; undo those that were done, newest first, if one fails."""
    undo = []
    try:
        for name in ("create", "reserve", "charge", "confirm", "notify"):
            undo.append(name)
            step(name, order)
    except Exception:
        for name in reversed(undo):
            step(f"undo {name}", order)
        raise
    return order


def main(sagas: int, url: str, callers: int) -> None:
    """Launch and time."""
    config: DBOSConfig = {
        "name": "bench", "system_database_url": url, "sys_db_pool_size": callers, "run_admin_server": False,
        "log_level": "ERROR",
    }  # fmt: skip
    DBOS(config=config)
    DBOS.launch()
    with ThreadPoolExecutor(callers) as threads:
        list(threads.map(place, (f"warm-{number}" for number in range(10))))
        began = time.perf_counter()
        list(threads.map(place, (f"order-{number}" for number in range(sagas))))
        print(json.dumps({"sagas": sagas, "seconds": time.perf_counter() - began}))
    DBOS.destroy()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
