"""Identify the store, so that no process silently starts over on an empty one. Speaks Redis.

Shape: hash ``store`` under an owner's root: ``format`` (of everything written there), ``born`` (made once, never
changed). The coordinators' hash also holds ``name`` if a person named the store with `sagastream init`; a process with
the setting ``STORE`` works only on a store of that name.
"""

from __future__ import annotations

import secrets

from sagastream.bus import Bus
from sagastream.durability import read_info
from sagastream.errors import SagastreamError
from sagastream.keys import COORDINATOR, STORE, Keys
from sagastream.replies import listed

FORMAT = 1


class WrongStore(SagastreamError):
    """The server is not the one this process must work on; nothing is read or written until it is."""


class StoreMark:
    """The identity of one owner's store; remembers within this process which store it has seen."""

    def __init__(self, bus: Bus, keys: Keys, *, name: str | None = None) -> None:
        self._bus = bus
        self._keys = keys
        self._name = name
        self._born: str | None = None
        self._run: str | None = None

    @property
    def born(self) -> str | None:
        """Return the ``born`` mark seen in the store, None if none was seen yet."""
        return self._born

    async def check(self) -> None:
        """Check that the store is the right one; mark it if it is new.

        Raises: ``WrongStore``, as ``look`` does.
        """
        await self.look()
        if self._born is None:
            key = self._keys.key(STORE)
            await self._bus.writer.execute("HSETNX", key, "born", secrets.token_hex(8))
            await self._bus.writer.execute("HSETNX", key, "format", str(FORMAT))
            self._born = str(await self._bus.query.execute("HGET", key, "born"))

    async def look(self) -> None:
        """Check that the store is the right one; write nothing there.

        Raises: ``WrongStore`` if the store was emptied or replaced since we last looked, has another name than the
        required one, or was written by a newer version.
        """
        if self._name is not None:
            await self._check_name(self._name)
        key, known = self._keys.key(STORE), self._born
        form, born = listed(await self._bus.query.execute("HMGET", key, "format", "born"))
        if form is not None and (not str(form).isdigit() or int(str(form)) > FORMAT):
            raise WrongStore(
                f"{key!r} says format {form}, this version knows {FORMAT}: install the version that wrote it"
            )
        # Of two concurrent looks, the one that saw no mark may be answered last.
        if known is not None and born != known:
            raise WrongStore(f"{key!r} is {'gone' if born is None else 'another one'}: is this the right server?")
        if self._born is None and born is not None:
            self._born = str(born)

    async def is_as_it_was(self) -> bool:
        """Tell whether the server's run is that of the last call; another run may lack writes that were confirmed.

        A replica that took over lacks the writes that had not reached it; a restarted server lacks those that were not
        on disk. Return False at the first call, and if the server does not report its run.
        """
        before, self._run = self._run, (await read_info(self._bus.query)).get("run_id")
        return self._run is not None and self._run == before

    async def _check_name(self, wanted: str) -> None:
        key = self._keys.of(COORDINATOR).key(STORE)
        name = await self._bus.query.execute("HGET", key, "name")
        if name != wanted:
            found = "has no name" if name is None else f"is called {name!r}"
            raise WrongStore(
                f"the store {found}, STORE says {wanted!r}: is its data gone? If it is meant to be new, "
                f"run `sagastream init {wanted}`"
            )


async def name_store(bus: Bus, keys: Keys, name: str) -> bool:
    """Give a store its name; return False if it already has another one."""
    key = keys.of(COORDINATOR).key(STORE)
    await bus.writer.execute("HSETNX", key, "name", name)
    return await bus.query.execute("HGET", key, "name") == name
