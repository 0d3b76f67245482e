"""Drives campaigns: one saga after another, evenly paced; each visit is stored together with its effect.

Any number of coordinators may run. The one that drives a campaign holds it for a while and renews the hold with every
visit; when it dies, another goes on after the last saga stored. If two believe that they drive a campaign, its guard
refuses one of them, so no saga is visited twice. Implements ``sagastream.service.Worker``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import structlog

from sagastream.bus import Bus
from sagastream.clock import ms_of, server_ms
from sagastream.coordinator import campaign as campaigns
from sagastream.coordinator import trail
from sagastream.coordinator.campaign import Campaign, Count, State
from sagastream.coordinator.finding import Finding, place
from sagastream.coordinator.listing import Listing
from sagastream.coordinator.records import Records
from sagastream.coordinator.repair import Repaired, Repairs
from sagastream.errors import ReplyError, SagastreamError, ServerUnavailable, Undecodable
from sagastream.keys import COORDINATOR, LETTERS, OPEN_CAMPAIGNS, Keys
from sagastream.pages import Position
from sagastream.reader import Reader
from sagastream.saga.definition import Saga
from sagastream.saga.repair import Because
from sagastream.settings import Settings
from sagastream.store import StoreMark, WrongStore
from sagastream.together import set_within
from sagastream.transaction import OutcomeKind, Transaction, Transactor

log = structlog.get_logger(__name__)

LOOK = timedelta(seconds=1)  # how soon a new campaign, or one whose driver died, is noticed
HOLD = timedelta(seconds=10)
_CHUNK = 10  # sagas looked up at a time; everything else in this process waits meanwhile
_MS = timedelta(milliseconds=1)


class Lost(SagastreamError):
    """Another coordinator drives the campaign now, or it was stopped."""


class Campaigner:
    """Drives the campaigns of one coordinator."""

    name = "repairs"

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> None:
        keys = Keys(settings.key_prefix, COORDINATOR)
        self._me = f"{COORDINATOR}-{settings.consumer}"
        self._query = bus.query
        self._reader = Reader(bus.query, keys)
        self._store = StoreMark(bus, keys, name=settings.store)
        self._finding = Finding(sagas, Listing(Records(bus, keys)))
        self._repairs = Repairs(sagas, bus=bus, settings=settings)
        self._transactor = Transactor(bus.writer, keys, retention=settings.ledger_retention)
        participants = dict.fromkeys(name for saga in sagas for name in saga.participants)
        self._letters = [keys.of(name).key(LETTERS) for name in (*participants, COORDINATOR)]
        self._driven: dict[str, asyncio.Task[None]] = {}
        self._illegible: set[str] = set()
        self._is_running = False

    async def run(self, stop: asyncio.Event) -> None:
        """Drive open campaigns until ``stop`` is set; a visit under way is still stored."""
        self._is_running = True
        try:
            while not stop.is_set():
                with suppress(ServerUnavailable, ReplyError, WrongStore):
                    await self._look(stop)
                await set_within(stop, LOOK)
            await asyncio.gather(*self._driven.values(), return_exceptions=True)
        finally:
            self._is_running = False
            for task in self._driven.values():
                task.cancel()

    def is_ready(self) -> bool:
        """Tell whether campaigns are looked for."""
        return self._is_running

    def describe(self) -> Mapping[str, str | int | float | bool | None]:
        """Return the state of this campaigner, for people."""
        return {"driving": ", ".join(self._driven) or None}

    async def letters(self) -> int:
        """Return how many dead letters there are in all."""
        return (await self._glance())[1]

    async def _glance(self) -> tuple[int, int]:
        """Return the server's time, and how many dead letters there are in all."""
        time, *lengths = await self._query.pipeline([("TIME",), *(("XLEN", stream) for stream in self._letters)])
        if isinstance(time, ReplyError):
            raise time
        return ms_of(time), sum(length for length in lengths if isinstance(length, int))

    async def _look(self, stop: asyncio.Event) -> None:
        await self._store.look()
        for id_ in await self._reader.members(OPEN_CAMPAIGNS, count=100, newest_first=False):
            if id_ in self._driven:
                continue
            campaign = await self._legible(id_)
            now_ms = await server_ms(self._query)
            if campaign is None or (_held_for(campaign, now_ms) > timedelta(0) and campaign.by != self._me):
                continue
            tx = self._transaction(now_ms)
            claimed = campaigns.claims(tx, campaign, self._me, now_ms + HOLD // _MS)
            if (await self._transactor.commit([tx])).outcomes[0].is_ok:
                task = asyncio.create_task(self._drive_safely(claimed, stop), name=f"repair:{id_}")
                self._driven[id_] = task
                task.add_done_callback(lambda _, id_=id_: self._driven.pop(id_, None))  # type: ignore[misc]  # bound

    async def _legible(self, id: str) -> Campaign | None:
        """Return a campaign, None if there is none that can be read here; log one that cannot be read only once."""
        try:
            return await campaigns.load(self._reader, id)
        except Undecodable as error:
            if id not in self._illegible:
                log.error("repair.cannot_be_read", error=str(error))
            self._illegible.add(id)
            return None

    async def _drive_safely(self, campaign: Campaign, stop: asyncio.Event) -> None:
        try:
            await self._drive(campaign, stop)
        except (Lost, ServerUnavailable, ReplyError) as error:
            # The coordinator that next finds it unheld goes on after the last visit that was stored.
            log.warning("repair.interrupted", repair=campaign.id, error=str(error))
        except Exception as error:  # no single saga is to blame, so none can be skipped
            log.error("repair.failed", repair=campaign.id, exc_info=error)
            why = f"{type(error).__name__} when sagas were looked for; the log of the coordinator says more"
            with suppress(SagastreamError):  # any coordinator that takes it up comes to the same end
                fresh = await campaigns.load(self._reader, campaign.id)
                if fresh is not None and fresh.by == self._me:
                    await self._end(fresh, State.STOPPED, why)

    async def _drive(self, campaign: Campaign, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        at = Position.of(campaign.cursor) if campaign.cursor else None
        next_at = loop.time()
        while not stop.is_set():
            now_ms = await server_ms(self._query)
            campaign = await self._held(campaign, now_ms)  # the last match may be long ago
            page = await self._finding.page(campaign.plan.search, at, _CHUNK, now_ms)
            for stored in page.sagas:
                if campaign.visited >= campaign.plan.most:
                    return await self._end(campaign, State.DONE, "as many were visited as the preview told")
                while (wait := timedelta(seconds=next_at - loop.time())) > timedelta(0) and not stop.is_set():
                    await set_within(stop, min(wait, HOLD / 2))
                    if wait > HOLD / 2:
                        campaign = await self._held(campaign, await server_ms(self._query))
                if stop.is_set():
                    return None
                next_at = max(next_at, loop.time() - 1) + 1 / campaign.plan.per_second
                now_ms, letters = await self._glance()
                why = campaign.reason_to_stop(letters)
                if why is not None:
                    return await self._end(campaign, State.STOPPED, why)
                campaign = await self._visit(campaign, stored.record.progress.saga_id, place(stored).cursor(), now_ms)
            if page.next is None:
                return await self._end(campaign, State.DONE, "there are no more")
            at = page.next

    async def _held(self, campaign: Campaign, now_ms: int) -> Campaign:
        """Extend the hold on a campaign whose next visit is far away; a coordinator taking it over would visit at once.

        Raises: ``Lost``.
        """
        if _held_for(campaign, now_ms) > HOLD / 2:
            return campaign
        tx = self._transaction(now_ms)
        held = campaigns.claims(tx, campaign, self._me, now_ms + HOLD // _MS)
        if not (await self._transactor.commit([tx])).outcomes[0].is_ok:
            raise Lost("somebody else goes on with it, or stopped it")
        return held

    async def _visit(self, campaign: Campaign, saga_id: str, cursor: str, now_ms: int) -> Campaign:
        """Act on one saga and store that it was visited, in one commit."""
        problem = ""
        while True:
            done: Repaired | None = None
            if not problem:
                try:
                    done = await self._repairs.decide(saga_id, campaign.plan.action, now_ms)
                    # The saga may have gone on since it was found: nobody asked for this action on it as it stands now.
                    if done is not None and not self._finding.fits(campaign.plan.search, done.record, now_ms):
                        done = None
                except (ServerUnavailable, ReplyError):
                    raise
                except Undecodable as error:
                    problem = str(error)
                except Exception as error:  # a fault in one saga must not stop the visits of others
                    log.error("saga.cannot_be_repaired", saga_id=saga_id, repair=campaign.id, exc_info=error)
                    problem = f"{type(error).__name__} when it was to be decided"
            what, told = counted(done, problem)
            if done is not None and done.verdict.turn is not None:
                tx = self._repairs.transaction(done, done.verdict.turn, campaign.plan.action, now_ms, campaign.id)
            else:
                tx = self._transaction(now_ms)
            visited = campaign.visits(
                tx, what, cursor=cursor, until_ms=now_ms + HOLD // _MS, problem=f"{saga_id}: {told}" if told else ""
            )
            (outcome,) = (await self._transactor.commit([tx])).outcomes
            if outcome.is_ok:
                return visited
            if outcome.kind is not OutcomeKind.REFUSED:
                if problem:
                    raise Lost(f"the visit of {saga_id} cannot be stored: {outcome.detail}")
                problem = f"{outcome.kind}: {outcome.detail}"
                continue
            fresh = await campaigns.load(self._reader, campaign.id)
            if fresh is None or (fresh.state, fresh.cursor, fresh.by) != (State.RUNNING, campaign.cursor, self._me):
                raise Lost("somebody else goes on with it, or stopped it")
            now_ms = await server_ms(self._query)

    async def _end(self, campaign: Campaign, state: State, why: str) -> None:
        now_ms = await server_ms(self._query)
        tx = self._transaction(now_ms)
        campaign.ends(tx, state, why, now_ms)
        trail.record(
            tx, id=campaign.id, action=f"repair {state}", actor=COORDINATOR, reason=why, repair=campaign.id,
            told=f"{campaign.visited} visited, {campaign.count(Count.CHANGED)} changed",
        )  # fmt: skip
        if not (await self._transactor.commit([tx])).outcomes[0].is_ok:
            raise Lost("somebody else goes on with it, or stopped it")
        log.info("repair.ended", repair=campaign.id, state=state, why=why, visited=campaign.visited)

    def _transaction(self, now_ms: int) -> Transaction:
        return Transaction(self._reader, saga_id="", key="", now_ms=now_ms)


def counted(done: Repaired | None, problem: str) -> tuple[Count, str]:
    """Return what a visit counts as, and its problem if any; a saga that ended or went on meanwhile is none."""
    if problem:
        return Count.FAILED, problem
    if done is None:
        return Count.UNCHANGED, ""
    if done.verdict.refused is not None and done.verdict.refused is not Because.ENDED:
        return Count.REFUSED, done.verdict.told
    return (Count.CHANGED if done.verdict.turn is not None else Count.UNCHANGED), ""


def _held_for(campaign: Campaign, now_ms: int) -> timedelta:
    """Return how long no other coordinator may drive a campaign; far too long means that the clock was set back."""
    left = (campaign.until_ms - now_ms) * _MS
    return left if left <= 2 * HOLD else timedelta(0)
