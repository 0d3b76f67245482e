"""Removes records of sagas that ended long ago, by how they ended. Speaks Redis; never touches an unfinished saga.

Removed records are counted, so that the counters of ended sagas can still be compared with the records stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from sagastream import keys as names
from sagastream.clock import ms_of
from sagastream.coordinator.fleet import read_processes
from sagastream.coordinator.records import CHANGES_KEPT
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.keys import CHANGES, COUNTS
from sagastream.reader import Reader
from sagastream.replies import texts
from sagastream.saga.lifecycle import Status
from sagastream.settings import Settings
from sagastream.ticker import Ticker, every
from sagastream.transaction import Transaction, Transactor

log = structlog.get_logger(__name__)

PERIOD = timedelta(minutes=1)
AT_ONCE = 200
SHARE = 4  # the pause after a page, in multiples of the time it took: others use the server too


def kept(settings: Settings) -> dict[Status, timedelta]:
    """Return how long sagas are kept, by how they ended."""
    return {
        Status.COMPLETED: settings.keep_completed,
        Status.COMPENSATED: settings.keep_undone,
        Status.FAILED: settings.keep_undone,
        Status.ABORTED: settings.keep_aborted,
    }


class Retention:
    """The removal of old records by one coordinator; any number of coordinators may run it."""

    def __init__(
        self, reader: Reader, transactor: Transactor, keep: Mapping[Status, timedelta], ticker: Ticker = every
    ) -> None:
        self._reader = reader
        self._transactor = transactor
        self._keep = {status: kept // timedelta(milliseconds=1) for status, kept in keep.items() if status.is_end}
        self._ticker = ticker

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep periodically until ``stop`` is set."""
        await self._ticker(PERIOD, self.sweep_safely, stop)

    async def sweep_safely(self) -> None:
        """Sweep once; stop early while the server is in trouble."""
        try:
            removed = await self.sweep()
        except (ServerUnavailable, ReplyError) as error:
            log.warning("retention.put_off", error=str(error))
            return
        if removed:
            log.info("sagas.removed", count=removed)

    async def sweep(self) -> int:
        """Remove every saga whose retention time is over; return how many."""
        processes = await read_processes(self._reader)
        return sum(
            [
                await self._sweep(names.index("status", status, process), status, kept_ms)
                for status, kept_ms in self._keep.items()
                for process in processes
            ]
        )

    async def _sweep(self, index: str, status: Status, kept_ms: int) -> int:
        removed = passed_over = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            now_ms = ms_of(await self._reader.command("TIME"))
            # By start: a saga that started too recently cannot have ended early enough.
            found = await self._reader.command(
                "ZRANGE",
                self._reader.keys.key(index),
                "-inf",
                now_ms - kept_ms,
                "BYSCORE",
                "LIMIT",
                passed_over,
                AT_ONCE,
            )
            saga_ids = texts(found)
            batch = await self._batch(status, saga_ids, now_ms - kept_ms)
            if batch:
                outcomes = (await self._transactor.commit(batch)).outcomes
                gone = sum(outcome.is_ok for outcome in outcomes)
                removed += gone
                passed_over += len(saga_ids) - gone
            else:
                passed_over += len(saga_ids)
            if len(saga_ids) < AT_ONCE:
                return removed
            await asyncio.sleep((loop.time() - began) * SHARE)

    async def _batch(self, status: Status, saga_ids: list[str], ended_before_ms: int) -> list[Transaction]:
        told = await self._reader.read_each(
            map(names.record, saga_ids), "version", "status", "ended_ms", "process", "initiator", "started_ms"
        )
        batch = []
        for saga_id, fields in zip(saga_ids, told, strict=True):
            if isinstance(fields, ReplyError):
                continue
            version, stored, ended_ms, process, initiator, started_ms = fields
            ended = ended_ms or ""  # or not written by this library: it must not stop the removal of others
            if version is not None and stored == status and ended.isdecimal() and int(ended) <= ended_before_ms:
                removal = self._removal(saga_id, version, status, process or "", initiator or "")
                if started_ms is None:  # so it was not counted as started either
                    removal.tally(COUNTS, {f"unbegun|{process or ''}": 1})
                batch.append(removal)
        return batch

    def _removal(self, saga_id: str, version: str, status: Status, process: str, initiator: str) -> Transaction:
        tx = Transaction(self._reader, saga_id=saga_id, key=saga_id, now_ms=0)
        tx.expect(names.record(saga_id), "version", version)
        tx.remove(names.record(saga_id))
        tx.remove(names.history(saga_id))
        indexes = [("all",), ("status", status, process), ("process", process)]
        for what in [*indexes, ("initiator", initiator)] if initiator else indexes:
            tx.unschedule(names.index(*what), saga_id)
        tx.tally(COUNTS, {f"removed|{process}|{status}": 1})
        tx.mention(CHANGES, saga_id, most=CHANGES_KEPT)
        return tx
