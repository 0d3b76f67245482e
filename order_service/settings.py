"""The environment variables of the order service. Holds no instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from money import Currency, currency
from order_service.fields import Id, PaymentMethod


class OrderSettings(BaseModel):
    """Settings of the order service; every field is the environment variable of the same name.

    An empty variable counts as absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = "EUR"
    """The shop's one currency; it must be the same for all services.

    A product priced in another currency is not sold until it gets a new price.
    """
    order_total_tolerance: str = "0.05"
    """The largest allowed difference between the total of an order and the sum of its lines."""
    order_default_store: Id = "store-1"
    """The store of orders that do not name one."""
    order_default_payment_method: PaymentMethod = "CreditCard"
    """The payment method of orders that do not name one."""
    order_deadline_pace: float = Field(default=1.0, ge=0.001, le=1000, allow_inf_nan=False)
    """The factor by which every deadline of an order is multiplied; it must be the same for all processes of a shop."""

    @field_validator("currency")
    @classmethod
    def _is_known(cls, code: str) -> str:
        return currency(code).code

    @field_validator("order_total_tolerance")
    @classmethod
    def _is_an_amount(cls, literal: str) -> str:
        Currency("", 0).parse_at_most(literal)
        return literal

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings in an environment.

        Raises: ``ValueError`` naming each unusable variable.
        """
        told = {name: environment.get(name.upper()) for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in told.items() if value})
