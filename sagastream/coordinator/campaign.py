"""Campaigns: one action on many sagas, paced, kept in Redis so that its driver may die. Decides nothing.

Shape of ``campaign:<id>``: ``plan`` (JSON), ``state``, ``cursor`` (the last saga visited; with ``state`` and ``by`` it
guards every write), ``by`` and ``until_ms`` (which coordinator drives it, and until when no other may), ``changed``,
``unchanged``, ``refused``, ``failed``, ``problem`` (the latest), ``letters`` (how many dead letters there were at the
start), ``created_ms``, ``ended_ms``, ``why``. ``campaigns`` and ``campaigns:open`` hold the ids by time of creation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from sagastream import keys as names
from sagastream.coordinator.finding import Search
from sagastream.coordinator.listing import Filter
from sagastream.errors import Undecodable
from sagastream.keys import CAMPAIGNS, OPEN_CAMPAIGNS
from sagastream.reader import Reader
from sagastream.saga.attention import Effect
from sagastream.saga.lifecycle import Status
from sagastream.saga.repair import Act, Action
from sagastream.transaction import Transaction

FEW = 20  # visits before a share of failures means anything


class State(StrEnum):
    """Where a campaign stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


class Count(StrEnum):
    """The result of visiting a saga."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to which sagas: at most ``most`` of them, ``per_second``, until too many fail.

    ``stop_at`` is the share of visits that may fail: refused, failed, or followed by a new dead letter.
    """

    action: Action
    search: Search
    most: int
    per_second: float
    stop_at: float


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it stands; instants are epoch ms."""

    id: str
    plan: Plan
    state: State
    created_ms: int
    cursor: str = ""
    by: str = ""
    until_ms: int = 0
    counts: Mapping[Count, int] | None = None
    letters: int = 0
    problem: str = ""
    why: str = ""
    ended_ms: int | None = None

    def count(self, *kinds: Count) -> int:
        """Return how many visits had one of these results."""
        return sum((self.counts or {}).get(kind, 0) for kind in kinds)

    @property
    def visited(self) -> int:
        """Return how many sagas were visited."""
        return self.count(*Count)

    def reason_to_stop(self, letters: int) -> str | None:
        """Return why the campaign must stop, given how many dead letters there are now; None while it may go on."""
        fresh = max(0, letters - self.letters)
        failures = self.count(Count.REFUSED, Count.FAILED) + fresh
        if self.visited < FEW or failures <= self.plan.stop_at * self.visited:
            return None
        last = f"; the last problem: {self.problem}" if self.problem else ""
        return f"of {self.visited} visits {failures} failed ({fresh} of them as new dead letters){last}"

    def visits(self, tx: Transaction, what: Count, *, cursor: str, until_ms: int, problem: str) -> Campaign:
        """Add one visit to a transaction, valid only while the campaign is unchanged; return the campaign after it."""
        key = names.campaign(self.id)
        self.guards(tx)
        tx.set(key, {"cursor": cursor, "until_ms": until_ms, **({"problem": problem[:500]} if problem else {})})
        tx.increase(key, what, 1)
        counts = {**(self.counts or {}), what: self.count(what) + 1}
        return replace(self, cursor=cursor, until_ms=until_ms, counts=counts, problem=problem or self.problem)

    def ends(self, tx: Transaction, state: State, why: str, now_ms: int) -> None:
        """Add the end of the campaign to a transaction."""
        self.guards(tx)
        tx.set(names.campaign(self.id), {"state": state, "why": why, "ended_ms": now_ms})
        tx.unschedule(OPEN_CAMPAIGNS, self.id)

    def guards(self, tx: Transaction) -> None:
        """Make a transaction fail if another coordinator drives the campaign, or if it was stopped."""
        key = names.campaign(self.id)
        tx.expect(key, "state", State.RUNNING)
        tx.expect(key, "cursor", self.cursor)
        tx.expect(key, "by", self.by)


def begins(tx: Transaction, campaign: Campaign) -> None:
    """Add a new campaign to a transaction."""
    key = names.campaign(campaign.id)
    tx.expect(key, "state", None)
    tx.set(
        key,
        {"plan": _written(campaign.plan), "state": campaign.state, "cursor": "", "by": "", "until_ms": 0,
         "letters": campaign.letters, "created_ms": campaign.created_ms},
    )  # fmt: skip
    tx.schedule(CAMPAIGNS, campaign.id, campaign.created_ms)
    tx.schedule(OPEN_CAMPAIGNS, campaign.id, campaign.created_ms)


def claims(tx: Transaction, campaign: Campaign, by: str, until_ms: int) -> Campaign:
    """Add to a transaction that ``by`` drives the campaign from now on; return the campaign after it."""
    campaign.guards(tx)
    tx.set(names.campaign(campaign.id), {"by": by, "until_ms": until_ms})
    return replace(campaign, by=by, until_ms=until_ms)


async def load(reader: Reader, id: str) -> Campaign | None:
    """Return a campaign, None if there is none.

    Raises: ``Undecodable`` for one that cannot be read here, such as one written by a later release.
    """
    stored = await reader.read_all(names.campaign(id))
    if "plan" not in stored:
        return None
    try:
        return _campaign(id, stored)
    except (KeyError, TypeError, ValueError) as error:
        raise Undecodable(f"repair {id} cannot be read here: {type(error).__name__}: {error}"[:500]) from None


def _campaign(id: str, stored: Mapping[str, str]) -> Campaign:
    return Campaign(
        id=id,
        plan=_plan(stored["plan"]),
        state=State(stored["state"]),
        created_ms=int(stored["created_ms"]),
        cursor=stored["cursor"],
        by=stored["by"],
        until_ms=int(stored["until_ms"]),
        counts={kind: int(stored.get(kind, 0)) for kind in Count},
        letters=int(stored["letters"]),
        problem=stored.get("problem", ""),
        why=stored.get("why", ""),
        ended_ms=int(stored["ended_ms"]) if "ended_ms" in stored else None,
    )


def _written(plan: Plan) -> str:
    return json.dumps(asdict(plan))


def _plan(written: str) -> Plan:
    told = json.loads(written)
    action, search = told["action"], told["search"]
    within = search["filter"]
    return Plan(
        action=Action(
            **{**action, "act": Act(action["act"]), "effect": Effect(action["effect"]) if action["effect"] else None}
        ),
        search=Search(**{**search, "filter": Filter(**{**within, "status": Status(within["status"])})}),
        most=told["most"],
        per_second=told["per_second"],
        stop_at=told["stop_at"],
    )
