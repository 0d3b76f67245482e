"""The requests and answers of repairs of many sagas. Pure; owns their shape."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sagastream.answers import Answer, Moment, instant, moment
from sagastream.coordinator import examples
from sagastream.coordinator.campaign import Campaign, Count, Plan, State
from sagastream.coordinator.finding import Search
from sagastream.coordinator.instant import Instant
from sagastream.coordinator.listing import Filter
from sagastream.coordinator.repair_views import ActorName, Evidence, Reason
from sagastream.saga.attention import Effect
from sagastream.saga.lifecycle import Status
from sagastream.saga.repair import Act, Action

MOST_PER_SECOND = 200.0


class FilterRequest(BaseModel):
    """Which unfinished sagas: those in one status that also match every other field given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Status = Status.NEEDS_ATTENTION
    business_process: str | None = Field(None, alias="businessProcess", pattern=r"^[a-z][a-z0-9_-]{0,63}$")
    initiator_id: str | None = Field(None, alias="initiatorId", min_length=1, max_length=256)
    from_: Instant | None = Field(None, alias="from")
    to: Instant | None = None
    older_than: float | None = Field(
        None, alias="olderThan", ge=0, le=10**9, strict=True, description="begun so many seconds ago"
    )
    step: str | None = Field(None, min_length=1, max_length=200, description="the step it waits at")
    stuck: bool | None = Field(None, strict=True)
    why: str | None = Field(None, min_length=1, max_length=200, description="words of its reason")
    id: str | None = Field(None, pattern=r"^[!-~]{1,256}$", description="what its id or its initiator's begins with")

    @model_validator(mode="after")
    def _is_unfinished(self) -> FilterRequest:
        if self.status.is_end:
            raise ValueError(f"what is {self.status} has ended and stays as it is")
        return self

    def search(self, now_ms: int) -> Search:
        """Return the search; sagas that begin later never match it."""
        to_ms = min(now_ms - int((self.older_than or 0) * 1000), self.to if self.to is not None else now_ms)
        within = Filter(self.status, self.business_process, self.initiator_id, self.from_, to_ms)
        return Search(within, self.step, self.stuck, self.why, self.id)


class PreviewRequest(BaseModel):
    """What would be done to which sagas; ``resolve`` also needs the step, the effect to state, and the evidence."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "action": "retry",
                    "filter": {"businessProcess": "order", "step": "charge payment", "olderThan": 300},
                    "reason": "the card company is reachable again",
                    "actor": "ann",
                }
            ]
        },
    )

    action: Act
    filter: FilterRequest
    reason: Reason
    actor: ActorName | None = None
    step: str = Field("", max_length=200)
    effect: Effect | None = None
    evidence: Evidence = ""

    @model_validator(mode="after")
    def _has_evidence(self) -> PreviewRequest:
        is_stated = bool(self.step and self.effect and self.evidence.strip())
        if self.action is Act.RESOLVE and not is_stated:
            raise ValueError("to resolve, say 'step', 'effect' and 'evidence'")
        if self.action is not Act.RESOLVE and (self.step or self.effect or self.evidence):
            raise ValueError("'step', 'effect' and 'evidence' are for resolve; the filter has a 'step' of its own")
        return self

    def wanted(self, actor: str) -> Action:
        """Return the action."""
        return Action(self.action, actor, self.reason, self.step, self.effect, self.evidence)


class CampaignRequest(PreviewRequest):
    """A repair of at most ``atMost`` sagas, ``perSecond`` of them, until too many fail."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "action": "retry",
                    "filter": {"businessProcess": "order", "step": "charge payment", "olderThan": 300},
                    "reason": "the card company is reachable again",
                    "actor": "ann",
                    "atMost": 15000,
                    "perSecond": 20,
                }
            ]
        },
    )

    at_most: int = Field(alias="atMost", ge=1, le=10**7, strict=True, description="the `count` that the preview told")
    per_second: float = Field(20.0, alias="perSecond", ge=0.01, le=MOST_PER_SECOND, allow_inf_nan=False, strict=True)
    stop_at: float = Field(
        0.1,
        alias="stopAtErrorRate",
        ge=0,
        le=1,
        allow_inf_nan=False,
        strict=True,
        description="of the visits, the share that may be refused, fail, or be followed by a new dead letter",
    )


class StopRequest(BaseModel):
    """Why a repair is stopped, and by whom unless the header ``X-Operator`` names the operator."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"actor": "ann", "reason": "it does not help"}]}
    )

    reason: Reason
    actor: ActorName | None = None


class Sample(Answer):
    """One of the sagas, and what the action would lead to as the saga stands."""

    saga_id: str
    waits_for: str | None
    why: str | None
    would: Annotated[Count, Field(description="what its visit would count as")]
    told: str


class PreviewView(Answer):
    """How many sagas match, exactly or at least, and some of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.PREVIEW]})

    action: Act
    count: int
    exact: bool
    sample: list[Sample]


class CampaignView(Answer):
    """A repair of many sagas as it stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CAMPAIGN]})

    id: str
    action: Act
    actor: str
    reason: str
    state: State
    at_most: int
    per_second: float
    stop_at_error_rate: float
    created_at: Moment
    ended_at: Moment | None
    visited: int
    changed: int
    unchanged: int
    refused: int
    failed: int
    problem: str | None = Field(description="the last visit's that was refused or failed")
    why: str | None = Field(description="why it ended")


def shown(campaign: Campaign) -> CampaignView:
    """Return the view of a campaign."""
    plan: Plan = campaign.plan
    return CampaignView(
        id=campaign.id, action=plan.action.act, actor=plan.action.actor, reason=plan.action.reason,
        state=campaign.state, at_most=plan.most, per_second=plan.per_second, stop_at_error_rate=plan.stop_at,
        created_at=instant(campaign.created_ms), ended_at=moment(campaign.ended_ms),
        visited=campaign.visited, changed=campaign.count(Count.CHANGED),
        unchanged=campaign.count(Count.UNCHANGED), refused=campaign.count(Count.REFUSED),
        failed=campaign.count(Count.FAILED), problem=campaign.problem or None, why=campaign.why or None,
    )  # fmt: skip
