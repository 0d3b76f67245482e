"""The command that names a store, once. From then on a process with `STORE` set uses only the store of that name."""

from __future__ import annotations

import sys
from argparse import Namespace

from sagastream.bus import Bus
from sagastream.cli.exits import DONE, FAILED
from sagastream.cli.sight import with_bus
from sagastream.keys import COORDINATOR, Keys
from sagastream.settings import Settings
from sagastream.store import name_store


def init(words: Namespace, settings: Settings) -> int:
    """Name the store of these settings."""

    async def name(bus: Bus) -> int:
        if await name_store(bus, Keys(settings.key_prefix, COORDINATOR), words.name):
            print(f"the store is called {words.name}; start every service with STORE={words.name}")
            return DONE
        print("sagastream: the store has another name already; look at STORE and REDIS_URL", file=sys.stderr)
        return FAILED

    return with_bus(settings, name)
