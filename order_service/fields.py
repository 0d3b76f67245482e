"""The fields of client requests: what each may hold, and its description in OpenAPI. Pure.

Amounts are read from their literal, so that nothing is ever rounded (Source: CONTRACT decision 7).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

from money import Currency
from order_service.exact_json import Number
from sagastream.masking import masked

MAX_QUANTITY = 1_000_000
MAX_LINES = 100
MAX_CENTS = 999_999_999_999  # what an event may carry
_EMAIL = re.compile(
    r"(?=[^@]{1,64}@[^@]{1,190}\Z)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_WHOLE = re.compile(r"[1-9][0-9]{0,6}")


def _cents(value: object, info: ValidationInfo) -> int:
    literal = value.literal if isinstance(value, Number) else value
    if not isinstance(literal, str) or not isinstance(info.context, Currency):
        raise ValueError("must be a decimal string or a JSON number, like 299.99")
    cents = info.context.parse(literal)
    if cents == 0:
        raise ValueError("must be more than zero")
    if cents > MAX_CENTS:
        raise ValueError(f"must be at most {info.context.show(MAX_CENTS)}")
    return cents


def _quantity(value: object) -> int:
    if isinstance(value, Number) and _WHOLE.fullmatch(value.literal) and int(value.literal) <= MAX_QUANTITY:
        return int(value.literal)
    raise ValueError(f"must be a whole number from 1 to {MAX_QUANTITY}")


def _lines(value: object) -> object:
    # Checked before the lines themselves: a refused line would otherwise count as missing.
    if isinstance(value, list) and not 1 <= len(value) <= MAX_LINES:
        raise ValueError(f"must hold 1 to {MAX_LINES} lines, not {len(value)}")
    return value


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("must be an e-mail address like ann@example.org")
    return value


def _customer(value: str) -> str:
    # Operators see a saga's customer id and search by it, so it cannot be masked: it must not hold a card number.
    if masked(value) != value:
        raise ValueError("must be an id of the shop's own like customer-1; this has the form of a card number")
    return value


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CustomerId = Annotated[Id, AfterValidator(_customer), Field(description="never the number of a payment card")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Amount = Annotated[
    int,
    BeforeValidator(_cents),
    WithJsonSchema({
        "anyOf": [
            {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,3})?$"},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 9999999999.99},
        ],
        "description": "a plain decimal above zero with at most the currency's decimals",
    }),
]  # fmt: skip
Quantity = Annotated[
    int,
    BeforeValidator(_quantity),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_QUANTITY}),
]
Email = Annotated[str, AfterValidator(_email), WithJsonSchema({"type": "string", "format": "email"})]
PaymentMethod = Literal[
    "CreditCard",
    "PayPal",
    "BankTransfer",
    "DeclinedCard",
    "invalid_card",
    "TimeoutAfterCharge",
    "BrokenProvider",
    "SlowProvider",
]
OneToMany = (BeforeValidator(_lines), Field(json_schema_extra={"minItems": 1, "maxItems": MAX_LINES}))
