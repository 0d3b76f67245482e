"""The requests of clients, and the check of their sums. Pure: bytes in, a request or field errors out.

Source: CONTRACT parts A and D, and its decision 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from money import Currency
from order_service import exact_json
from order_service.fields import MAX_CENTS, Amount, CustomerId, Email, Id, OneToMany, PaymentMethod, Quantity, Words
from sagastream.problems import worded

MAX_ERRORS = 50
EXAMPLE_ORDER = {
    "customerId": "customer-1",
    "storeId": "store-1",
    "paymentMethod": "CreditCard",
    "totalAmount": 299.99,
    "items": [{"productId": "product-1", "quantity": 2, "unitPrice": 149.99, "totalPrice": 299.98}],
    "email": "ann@example.org",
}
EXAMPLE_USER_ORDER = {
    "userId": "customer-1",
    "items": [{"productId": "product-1", "productName": "Espresso machine", "quantity": 2, "price": 149.99}],
}

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; ``at`` is its path from the body's root."""

    at: tuple[str | int, ...]
    message: str


class Invalid(Exception):
    """A request is refused; carries an error for every wrong field."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LineRequest(_Request):
    """One line: a quantity of a product, its unit price and their product."""

    product_id: Id = Field(alias="productId")
    quantity: Quantity
    unit_price_cents: Amount = Field(alias="unitPrice")
    total_price_cents: Amount = Field(alias="totalPrice")


class OrderRequest(_Request):
    """An order as a customer sends it; amounts are converted to minor units on reading."""

    customer_id: CustomerId = Field(alias="customerId")
    store_id: Id = Field(alias="storeId")
    payment_method: PaymentMethod = Field(alias="paymentMethod")
    total_amount_cents: Amount = Field(alias="totalAmount")
    items: Annotated[tuple[LineRequest, ...], *OneToMany]
    email: Email | None = None


class UserLineRequest(_Request):
    """One line of a user's order: a quantity of a product and its unit price."""

    product_id: Id = Field(alias="productId")
    product_name: Words | None = Field(default=None, alias="productName")
    quantity: Quantity
    price_cents: Amount = Field(alias="price")


class UserOrderRequest(_Request):
    """An order as a user sends it; store and payment method are the shop's defaults, the total the sum of the lines."""

    user_id: CustomerId = Field(alias="userId")
    items: Annotated[tuple[UserLineRequest, ...], *OneToMany]

    @property
    def total_cents(self) -> int:
        """Return the sum of the lines."""
        return sum(line.quantity * line.price_cents for line in self.items)


class CancelRequest(_Request):
    """Why a customer wants to cancel an order."""

    reason: Words = "cancelled by the customer"


def read_order(body: bytes, currency: Currency, tolerance_cents: int) -> OrderRequest:
    """Return the order that a body holds.

    Raises: ``NotExactJson``, or ``Invalid`` naming every wrong field, or every sum that does not agree.
    """
    request = _validated(OrderRequest, body, currency)
    if wrong := list(_wrong_sums(request, currency, tolerance_cents)):
        raise Invalid(wrong)
    return request


def read_user_order(body: bytes, currency: Currency) -> UserOrderRequest:
    """Return the order that a user's body holds.

    Raises: ``NotExactJson``, or ``Invalid`` naming every wrong field.
    """
    request = _validated(UserOrderRequest, body, currency)
    if request.total_cents > MAX_CENTS:
        total, most = currency.show(request.total_cents), currency.show(MAX_CENTS)
        raise Invalid([FieldError(("items",), f"the lines come to {total}, more than {most}")])
    return request


def read_cancellation(body: bytes) -> CancelRequest:
    """Return the cancellation that a body holds; an empty body gets the default reason.

    Raises: ``NotExactJson``, or ``Invalid`` naming every wrong field.
    """
    return _validated(CancelRequest, body or b"{}", None)


def _validated(model: type[Model], body: bytes, currency: Currency | None) -> Model:
    value = exact_json.parse(body)
    try:
        return model.model_validate(value, context=currency)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_ERRORS]
        raise Invalid(
            [FieldError(each["loc"], worded(each["type"], each["msg"], each["loc"])) for each in found]
        ) from None


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
