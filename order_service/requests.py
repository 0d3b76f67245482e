"""What a client may ask for, and whether it adds up. Pure: bytes in, a request or field errors out.

Source: CONTRACT part A and its decisions 2 and 7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from money import Currency
from order_service import exact_json
from order_service.exact_json import Number

MAX_QUANTITY = 1_000_000
MAX_LINES = 100
MAX_ERRORS = 50
_EMAIL = re.compile(
    r"(?=[^@]{1,64}@[^@]{1,190}\Z)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_WHOLE = re.compile(r"[1-9][0-9]{0,6}")


Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; ``at`` is the way to it from the body's root."""

    at: tuple[str | int, ...]
    message: str


class Invalid(Exception):
    """A request that cannot be taken, with every field that is wrong."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


def _cents(value: object, info: ValidationInfo) -> int:
    literal = value.literal if isinstance(value, Number) else value
    if not isinstance(literal, str) or not isinstance(info.context, Currency):
        raise ValueError("must be a decimal string or a JSON number, like 299.99")
    cents = info.context.parse(literal)
    if cents == 0:
        raise ValueError("must be more than zero")
    return cents


def _quantity(value: object) -> int:
    if isinstance(value, Number) and _WHOLE.fullmatch(value.literal) and int(value.literal) <= MAX_QUANTITY:
        return int(value.literal)
    raise ValueError(f"must be a whole number from 1 to {MAX_QUANTITY}")


def _lines(value: object) -> object:
    # Before the lines are looked at: a refused line would otherwise count as missing.
    if isinstance(value, list) and not 1 <= len(value) <= MAX_LINES:
        raise ValueError(f"must hold 1 to {MAX_LINES} lines, not {len(value)}")
    return value


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("must be an e-mail address like ann@example.org")
    return value


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Amount = Annotated[
    int,
    BeforeValidator(_cents),
    WithJsonSchema({
        "anyOf": [
            {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,3})?$"},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 9999999999.99},
        ],
        "description": "a plain decimal with at most the currency's decimals",
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


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LineRequest(_Request):
    """One line: so many pieces of a product at a unit price, and what that makes."""

    product_id: Id = Field(alias="productId")
    quantity: Quantity
    unit_price_cents: Amount = Field(alias="unitPrice")
    total_price_cents: Amount = Field(alias="totalPrice")


Lines = Annotated[
    tuple[LineRequest, ...],
    BeforeValidator(_lines),
    Field(json_schema_extra={"minItems": 1, "maxItems": MAX_LINES}),
]


class OrderRequest(_Request):
    """An order as a customer sends it; amounts are in minor units once it is read."""

    customer_id: Id = Field(alias="customerId")
    store_id: Id = Field(alias="storeId")
    payment_method: PaymentMethod = Field(alias="paymentMethod")
    total_amount_cents: Amount = Field(alias="totalAmount")
    items: Lines
    email: Email | None = None


class CancelRequest(_Request):
    """Why a customer wants an order undone."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = (
        "cancelled by the customer"
    )


def read_order(body: bytes, currency: Currency, tolerance_cents: int) -> OrderRequest:
    """Return the order a body asks for.

    Raises: ``NotExactJson``, or ``Invalid`` naming every field that is wrong, and the sums that do not agree.
    """
    request = _validated(OrderRequest, body, currency)
    if wrong := list(_wrong_sums(request, currency, tolerance_cents)):
        raise Invalid(wrong)
    return request


def read_cancellation(body: bytes) -> CancelRequest:
    """Return the cancellation a body asks for; an empty body gives no particular reason.

    Raises: ``NotExactJson``, or ``Invalid`` naming every field that is wrong.
    """
    return _validated(CancelRequest, body or b"{}", None)


def _validated(model: type[Model], body: bytes, currency: Currency | None) -> Model:
    value = exact_json.parse(body)
    try:
        return model.model_validate(value, context=currency)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_ERRORS]
        raise Invalid([FieldError(each["loc"], each["msg"]) for each in found]) from None


def _wrong_sums(request: OrderRequest, currency: Currency, tolerance_cents: int) -> Iterator[FieldError]:
    for at, line in enumerate(request.items):
        product = line.quantity * line.unit_price_cents
        if product != line.total_price_cents:
            made = f"{line.quantity} x {currency.show(line.unit_price_cents)} is {currency.show(product)}"
            yield FieldError(("items", at, "totalPrice"), f"{made}, not {currency.show(line.total_price_cents)}")
    lines = sum(line.total_price_cents for line in request.items)
    apart = abs(request.total_amount_cents - lines)
    if apart > tolerance_cents:
        yield FieldError(
            ("totalAmount",),
            f"the total {currency.show(request.total_amount_cents)} and the sum of the lines "
            f"{currency.show(lines)} differ by {currency.show(apart)}, "
            f"more than {currency.show(tolerance_cents)}",
        )
