"""The provider's routes. Translates HTTP to the provider and back; decides nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query

from payment_service.provider import KeyReused, Provider, ProviderBroken
from payment_service.provider_messages import (
    Balance,
    ChargeAnswer,
    ChargeRequest,
    CloseAnswer,
    KeyRequest,
    Records,
    RefundAnswer,
)
from sagastream.documented import problems


def provider_routes(provider: Provider) -> APIRouter:
    """Return the provider's routes."""
    router = APIRouter(tags=["payment provider"])

    @router.post(
        "/charges",
        operation_id="charge",
        responses=problems(
            {409: "The key stands for another charge", 500: "The provider is broken, as this method asks"},
            takes_body=True,
        ),
    )
    async def charge(request: ChargeRequest) -> ChargeAnswer:
        """Charge an amount under a key, once."""
        try:
            answer = await provider.charge(request.key, request.amount_cents, request.currency, request.method)
        except ProviderBroken as error:
            raise HTTPException(500, str(error)) from error
        except KeyReused as error:
            raise HTTPException(409, str(error)) from error
        return ChargeAnswer.of(answer)

    @router.post("/refunds", operation_id="refund", responses=problems(takes_body=True))
    async def refund(request: KeyRequest) -> RefundAnswer:
        """Refund everything taken under a key."""
        return RefundAnswer.of(await provider.refund(request.key))

    @router.post("/closes", operation_id="closeKey", responses=problems(takes_body=True))
    async def close(request: KeyRequest) -> CloseAnswer:
        """Forbid every later charge under a key and return the charge taken before, if any."""
        return CloseAnswer.of(await provider.close(request.key))

    @router.get("/records", operation_id="listCalls", response_model_exclude_defaults=True, responses=problems())
    async def records(
        after: Annotated[int, Query(ge=0, description="`next` of the page before")] = 0,
        limit: Annotated[int, Query(ge=1, le=5000, description="how many at most")] = 1000,
    ) -> Records:
        """Return the recorded calls, oldest first."""
        try:
            return Records.of(provider.page(after, limit))
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    @router.get("/balance/{key:path}", operation_id="readBalance", responses=problems())
    async def balance(key: Annotated[str, Path(description="as it was sent with the charge")]) -> Balance:
        """Return the balance of a key; zero for an unknown key."""
        return Balance.of(key, provider.account(key))

    return router
