"""Begins, shows and stops repairs of many sagas; ``campaigner`` drives them. Speaks Redis; decides nothing."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from sagastream.bus import Bus
from sagastream.clock import server_ms
from sagastream.coordinator import campaign as campaigns
from sagastream.coordinator import trail
from sagastream.coordinator.campaign import Campaign, Count, Plan, State
from sagastream.coordinator.campaigner import Campaigner, counted
from sagastream.coordinator.finding import Finding, Search
from sagastream.coordinator.listing import Listing, Stored
from sagastream.coordinator.records import Records
from sagastream.coordinator.repair import Repairs
from sagastream.errors import SagastreamError, Undecodable
from sagastream.keys import CAMPAIGNS, COORDINATOR, Keys
from sagastream.pages import Position
from sagastream.reader import Reader
from sagastream.saga.definition import Saga
from sagastream.saga.repair import Action
from sagastream.settings import Settings
from sagastream.transaction import OutcomeKind, Transaction, Transactor

log = structlog.get_logger(__name__)

MOST_COUNTED = 20_000  # sagas examined by a preview
SAMPLE = 10
_CHUNK = 50  # small, so that a preview does not hold up others in this process


class CannotBegin(SagastreamError):
    """The campaign could not be stored; the message says why."""


@dataclass(frozen=True, slots=True)
class Preview:
    """How many sagas match, exactly or at least, and what the action would lead to for some of them."""

    count: int
    is_exact: bool
    sample: tuple[tuple[Stored, Count, str], ...]


class Campaigns:
    """The campaigns of the given tables."""

    def __init__(self, sagas: Sequence[Saga], *, bus: Bus, settings: Settings) -> None:
        keys = Keys(settings.key_prefix, COORDINATOR)
        self._query = bus.query
        self._reader = Reader(bus.query, keys)
        self.finding = Finding(sagas, Listing(Records(bus, keys)))
        self._repairs = Repairs(sagas, bus=bus, settings=settings)
        self._transactor = Transactor(bus.writer, keys, retention=settings.ledger_retention)
        self._campaigner = Campaigner(sagas, bus=bus, settings=settings)

    async def preview(self, action: Action, search: Search) -> Preview:
        """Count the sagas and decide for some what the action would lead to; changes nothing."""
        now_ms = await server_ms(self._query)
        first = await self.finding.page(search, None, SAMPLE, now_ms)
        sample = []
        for stored in first.sagas:
            try:
                done = await self._repairs.decide(stored.record.progress.saga_id, action, now_ms)
                problem = ""
            except Undecodable as error:
                done, problem = None, str(error)
            what, _ = counted(done, problem)
            sample.append((stored, what, done.verdict.told if done is not None else problem))
        count, is_exact = await self._count(search, now_ms)
        return Preview(max(count, len(sample)), is_exact, tuple(sample))

    async def begin(self, plan: Plan, now_ms: int) -> Campaign:
        """Store a campaign; a campaigner notices it within a second.

        Raises: ``CannotBegin``.
        """
        letters = await self._campaigner.letters()
        campaign = Campaign(secrets.token_hex(8), plan, State.RUNNING, now_ms, letters=letters)
        tx = Transaction(self._reader, saga_id="", key="", now_ms=now_ms)
        campaigns.begins(tx, campaign)
        action = plan.action
        trail.record(
            tx, id=campaign.id, action=f"repair begun: {action.act}", actor=action.actor, reason=action.reason,
            told=f"at most {plan.most} sagas, {plan.per_second:g} per second", step=action.step,
            effect=action.effect or "", evidence=action.evidence, repair=campaign.id,
        )  # fmt: skip
        (outcome,) = (await self._transactor.commit([tx])).outcomes
        if not outcome.is_ok:
            raise CannotBegin(f"the repair cannot be stored: {outcome.kind}: {outcome.detail}")
        return campaign

    async def find(self, id: str) -> Campaign | None:
        """Return a campaign, None if there is none.

        Raises: ``Undecodable``.
        """
        return await campaigns.load(self._reader, id)

    async def latest(self, most: int) -> list[Campaign]:
        """Return the most recent campaigns; one that cannot be read here is left out, and logged."""
        found = []
        for id_ in await self._reader.members(CAMPAIGNS, count=most):
            try:
                found.append(await self.find(id_))
            except Undecodable as error:
                log.error("repair.cannot_be_read", error=str(error))
        return [campaign for campaign in found if campaign is not None]

    async def stop(self, id: str, actor: str, reason: str) -> Campaign | None:
        """Stop a campaign and return it, None if there is none; one that has ended stays as it is.

        Raises: ``CannotBegin`` if the stop cannot be stored.
        """
        while True:
            campaign = await self.find(id)
            if campaign is None or campaign.state is not State.RUNNING:
                return campaign
            now_ms = await server_ms(self._query)
            tx = Transaction(self._reader, saga_id="", key="", now_ms=now_ms)
            campaign.ends(tx, State.STOPPED, f"{actor}: {reason}", now_ms)
            trail.record(
                tx, id=id, action="repair stopped", actor=actor, reason=reason, repair=id,
                told=f"{campaign.visited} visited, {campaign.count(Count.CHANGED)} changed",
            )  # fmt: skip
            (outcome,) = (await self._transactor.commit([tx])).outcomes
            if outcome.kind not in (OutcomeKind.OK, OutcomeKind.REFUSED):
                raise CannotBegin(f"{outcome.kind}: {outcome.detail}")

    async def _count(self, search: Search, now_ms: int) -> tuple[int, bool]:
        indexed = await self.finding.indexed(search)
        if indexed is not None:
            return indexed, True
        count = scanned = 0
        at: Position | None = None
        while True:
            page = await self.finding.page(search, at, _CHUNK, now_ms)
            count += len(page.sagas)
            scanned += page.looked_at
            if page.next is None:
                return count, True
            if scanned >= MOST_COUNTED:
                return count, False
            at = page.next
