"""The continuous audit: follows the traces of sagas in a share of the time, and reports where they differ.

Any number of coordinators may run it; one holds it for a while, and when that one dies another goes on. A saga is
judged once, some seconds after its end; one found wrong is looked at again until it no longer is. Implements
``sagastream.service.Worker``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from sagastream.audit import results
from sagastream.audit.cut import cut
from sagastream.audit.findings import Difference, Findings
from sagastream.audit.looking import Looking
from sagastream.audit.results import Standing
from sagastream.audit.rules import COUNTS, INDEXED, RULES, TIMER
from sagastream.audit.scene import Audit, Pause, Scene
from sagastream.audit.sums import sizes_agree
from sagastream.audit.turns import Turns
from sagastream.audit.walk import Walk
from sagastream.bus import Bus
from sagastream.clock import server_ms
from sagastream.errors import SagastreamError, ServerUnavailable
from sagastream.keys import COORDINATOR, Keys
from sagastream.reader import Reader
from sagastream.saga.definition import Saga
from sagastream.settings import Settings
from sagastream.ticker import Ticker, every
from sagastream.transaction import Transaction, Transactor

log = structlog.get_logger(__name__)

PAGE = 5  # sagas at a time; everything else in this process waits while they are judged
HOLD = timedelta(minutes=1)
STRETCH = timedelta(minutes=1)  # of a round, after which its findings so far are stored, whatever happens next
WHOLE = timedelta(minutes=10)  # between two passes over the project's own books
TURN = timedelta(seconds=10)  # of such a pass per round, so that sagas are judged meanwhile however long it takes
AGAIN = 50  # known differences looked at again in a round
OVERDUE_MS = 600_000  # a saga without a terminal event is looked up by its record after this
_MS = timedelta(milliseconds=1)


class Lost(SagastreamError):
    """Another coordinator has taken the audit over."""


class Auditor:
    """Audits the sagas of the given tables for one coordinator, and the project's own books now and then.

    ``AUDIT_EVERY`` is the period between rounds, 0 for never; ``AUDIT_SHARE`` is the share of the time it may take.
    """

    name = "auditor"

    def __init__(
        self,
        sagas: Sequence[Saga],
        *,
        bus: Bus,
        settings: Settings,
        projects: Sequence[Audit] = (),
        ticker: Ticker = every,
    ) -> None:
        self._keys = Keys(settings.key_prefix, COORDINATOR)
        self._me = f"{COORDINATOR}-{settings.consumer}"
        self._period = settings.audit_every
        self._share = settings.audit_share
        self._query = bus.query
        self._reader = Reader(bus.query, self._keys)
        self._transactor = Transactor(bus.writer, self._keys, retention=settings.ledger_retention)
        self._scene = Scene(bus.query, settings, sagas, page=PAGE, pause=self._rest)
        self._projects = tuple(projects)
        self._ticker = ticker
        self._walk: Walk | None = None
        self._books: Turns[Findings] | None = None
        self._worked_since = self._hold_at = 0.0
        self._standing = Standing()
        self._differences = 0
        self._again_from = 0
        self._trouble: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Audit until ``stop`` is set."""
        if not self._period:
            await stop.wait()
            return
        try:
            await self._ticker(self._period, self.round_safely, stop)
        finally:
            await self._close_books()

    def is_ready(self) -> bool:
        """Tell that nothing waits for the audit."""
        return True

    def describe(self) -> Mapping[str, str | int | float | bool | None]:
        """Return the state of this auditor, for people."""
        return {
            "auditing": self._walk is not None,
            "held": self._walk.held if self._walk else None,
            "differences": self._differences,
            "trouble": self._trouble,
        }

    async def round_safely(self) -> None:
        """Audit what came since the last round; while the server is in trouble, leave it to the next time."""
        try:
            await self.round()
        except (SagastreamError, OSError, ValueError) as error:
            self._walk = None  # it may have handed over what it held; the next round goes on where the last one ended
            await self._close_books()
            if str(error) != self._trouble:
                log.warning("audit.interrupted", error=str(error))
            self._trouble = str(error)
        else:
            self._trouble = None

    async def round(self) -> bool:
        """Audit what came since the last round, or a stretch of it; return False if another coordinator audits."""
        now_ms = await server_ms(self._query)
        standing = await results.read_standing(self._query, self._keys)
        if (standing.holder != self._me and standing.until_ms > now_ms) or not await self._hold(standing, now_ms):
            self._walk = None
            await self._close_books()
            return False
        self._worked_since = asyncio.get_running_loop().time()
        known = await results.read_found(self._query, self._keys)
        walk = self._walk or Walk(self._scene, from_ms=standing.resume_ms)
        self._walk = None  # set again only if the round completes
        findings = Findings(RULES)
        cut_ms = await cut(self._scene, now_ms)
        judged = await self._follow(walk, findings, cut_ms, now_ms)
        is_whole_round = walk.read_until_ms >= cut_ms
        again = self._next(known)
        looking = Looking(self._scene, findings)
        await looking.again(again)
        await sizes_agree(self._scene, findings)
        whole = await self._whole(standing, now_ms)
        kept = [each for each in known if not self._is_judged_anew(each, again, whole)]
        found = [*kept, *findings.differences, *(whole.differences if whole else ())]
        now = replace(
            self._standing, resume_ms=walk.resume_ms, round_ms=now_ms if is_whole_round else standing.round_ms,
            judged=standing.judged + judged,
            whole_ms=now_ms if whole else standing.whole_ms,
            rules=tuple(rule.name for project in self._projects for rule in project.rules),
        )  # fmt: skip
        tx = self._transaction(now_ms)
        results.conclude(tx, self._standing, now, known, found)
        if not (await self._transactor.commit([tx])).outcomes[0].is_ok:
            return False
        for difference in found:
            if difference not in known:
                log.error("audit.difference", rule=difference.rule, saga_id=difference.saga_id, about=difference.about,
                          expected=difference.expected, found=difference.found)  # fmt: skip
        self._walk, self._differences = walk, len(found)
        return True

    def _next(self, known: Sequence[Difference]) -> list[Difference]:
        """Return the known differences whose turn it is: permanent ones must not hide that others were repaired."""
        of_sagas = [each for each in known if each.saga_id]
        start = self._again_from if self._again_from < len(of_sagas) else 0
        self._again_from = start + AGAIN
        return of_sagas[start : start + AGAIN]

    async def _hold(self, standing: Standing, now_ms: int) -> bool:
        """Take the audit, or extend the hold on it; return False if another coordinator was faster."""
        tx = self._transaction(now_ms)
        held = results.hold(tx, standing, self._me, max(now_ms + HOLD // _MS, standing.until_ms + 1))
        if not (await self._transactor.commit([tx])).outcomes[0].is_ok:
            return False
        self._standing = held
        self._hold_at = asyncio.get_running_loop().time() + HOLD.total_seconds() / 3
        return True

    async def _follow(self, walk: Walk, findings: Findings, cut_ms: int, now_ms: int) -> int:
        """Judge, for one stretch, the sagas that have ended and those whose end was never reported; return how many."""
        looking, judged = Looking(self._scene, findings), 0
        loop = asyncio.get_running_loop()
        stretch_until = loop.time() + STRETCH.total_seconds()
        async for page in walk.until(cut_ms, is_enough=lambda: loop.time() >= stretch_until):
            await looking.judge(page, walk.read_until_ms)
            judged += len(page)
        overdue = await walk.overdue(now_ms - OVERDUE_MS)
        if overdue:
            await looking.judge(overdue, walk.read_until_ms)
        await looking.stray(walk.strays)
        walk.strays = {}
        await looking.second()
        return judged + len(overdue)

    async def _whole(self, held: Standing, now_ms: int) -> Findings | None:
        """Continue trying the project's rules if it is time; return None until all were tried."""
        if self._books is None:
            if not self._projects or now_ms - held.whole_ms < WHOLE // _MS:
                return None
            self._books = Turns(self._compare)
        if not await self._books.go_on(asyncio.get_running_loop().time() + TURN.total_seconds()):
            return None
        books, self._books = self._books, None
        try:
            return books.result()
        except (Lost, ServerUnavailable):
            raise
        except Exception as error:  # the library's own rules do not depend on the project's
            log.error("audit.project_failed", exc_info=error)
            return None

    async def _compare(self, give_way: Pause) -> Findings:
        async def pause() -> None:
            await self._rest()
            await give_way()

        findings = Findings(rule for project in self._projects for rule in project.rules)
        for project in self._projects:
            await project.compare(replace(self._scene, pause=pause), findings)
        return findings

    async def _close_books(self) -> None:
        books, self._books = self._books, None
        if books is not None:
            await books.end()

    def _is_judged_anew(self, known: Difference, again: Sequence[Difference], whole: Findings | None) -> bool:
        """Tell whether this round judges a known difference again."""
        if any(known.rule == rule.name for project in self._projects for rule in project.rules):
            return whole is not None and whole.could_try(known.rule)
        is_of_all = not known.saga_id and known.rule in (COUNTS.name, INDEXED.name, TIMER.name)
        return is_of_all or known in again

    async def _rest(self) -> None:
        """Rest so long that the work since the last rest took no more than its share of the time.

        Raises: ``Lost``.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._hold_at and not await self._hold(self._standing, await server_ms(self._query)):
            raise Lost("another coordinator audits now")
        worked = loop.time() - self._worked_since
        await asyncio.sleep(worked * (1 / self._share - 1))
        self._worked_since = loop.time()

    def _transaction(self, now_ms: int) -> Transaction:
        return Transaction(self._reader, saga_id="", key="", now_ms=now_ms)
