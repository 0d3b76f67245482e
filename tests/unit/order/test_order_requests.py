"""What a client may send as an order, byte by byte."""

from __future__ import annotations

import json
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from money import Currency
from order_service.exact_json import NotExactJson, parse
from order_service.requests import Invalid, read_cancellation, read_order, read_user_order

EUR = Currency("EUR", 2)
TOLERANCE = 5
LINE = {"productId": "product-1", "quantity": 2, "unitPrice": 149.99, "totalPrice": 299.98}
ORDER = {
    "customerId": "customer-1",
    "storeId": "store-1",
    "paymentMethod": "CreditCard",
    "totalAmount": 299.99,
    "items": [LINE],
}

USER_LINE: dict[str, object] = {
    "productId": "product-1",
    "productName": "Espresso machine",
    "quantity": 2,
    "price": 149.99,
}
USER_ORDER = {
    "userId": "user-1",
    "items": [USER_LINE, {"productId": "product-3", "productName": "Beans", "quantity": 1, "price": "24.90"}],
}


def _body(**changes: object) -> bytes:
    return json.dumps({**ORDER, **changes}).encode()


def _line(**changes: object) -> bytes:
    return _body(items=[{**LINE, **changes}])


def _wrong(body: bytes) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(Invalid) as caught:
        read_order(body, EUR, TOLERANCE)
    return {error.at: error.message for error in caught.value.errors}


def test_the_documented_example_is_taken() -> None:
    """A's own order says 299.99 with a line of 299.98; the total is what counts."""
    order = read_order(_body(), EUR, TOLERANCE)

    assert order.total_amount_cents == 29999
    assert (order.items[0].unit_price_cents, order.items[0].total_price_cents) == (14999, 29998)
    assert order.email is None


def test_amounts_may_be_strings_or_numbers_and_mean_the_same() -> None:
    """A number keeps its literal, so 0.1 is ten cents and not a binary fraction near it."""
    line = '{"productId":"p","quantity":3,"unitPrice":%s,"totalPrice":%s}'
    text = '{"customerId":"c","storeId":"s","paymentMethod":"PayPal","totalAmount":%s,"items":[%s]}'
    as_numbers = text % ("0.30", line % ("0.1", "0.3"))
    as_strings = text % ('"0.3"', line % ('"0.10"', '"0.3"'))

    assert read_order(as_numbers.encode(), EUR, 0) == read_order(as_strings.encode(), EUR, 0)


@pytest.mark.parametrize(
    "literal",
    [
        "-1",
        "0",
        "0.00",
        "1e2",
        "1E400",
        "299.999",
        "99999999999",
        "true",
        "null",
        '"٣"',
        '"1_000"',
        '"NaN"',
        "[]",
        "{}",
    ],
)
def test_an_amount_that_is_none_is_refused_at_its_field(literal: str) -> None:
    """Negative, zero, absurd and mistyped amounts name the field they stand in."""
    body = _body().replace(b'"totalAmount": 299.99', b'"totalAmount": ' + literal.encode())

    assert list(_wrong(body)) == [("totalAmount",)]


def test_an_amount_that_no_event_carries_is_refused_where_a_currency_has_three_decimals() -> None:
    """Nine digits before the point are the most then; whoever sends ten is told, and nothing breaks later."""
    dinar = Currency("KWD", 3)
    line = {"productId": "p", "quantity": 1, "unitPrice": "999999999.999", "totalPrice": "999999999.999"}
    most = {"totalAmount": "999999999.999", "items": [line]}

    assert read_order(_body(**most), dinar, 0).total_amount_cents == 999_999_999_999
    with pytest.raises(Invalid, match=r"at most 999999999\.999"):
        read_order(_body(**{**most, "totalAmount": "1000000000.000"}), dinar, 2**62)


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001, 1.5, 2.0, "2", True, None, 10**30])
def test_a_quantity_is_a_whole_number_within_bounds(quantity: object) -> None:
    """Pieces are counted, not measured; more than a million is a typing error."""
    assert list(_wrong(_line(quantity=quantity))) == [("items", 0, "quantity")]


def test_a_million_pieces_are_not_bad_input() -> None:
    """A shortage is decided by stock, not by the form of the request."""
    body = _body(
        totalAmount="10000.00",
        items=[{"productId": "p", "quantity": 1_000_000, "unitPrice": "0.01", "totalPrice": "10000"}],
    )

    assert read_order(body, EUR, TOLERANCE).items[0].quantity == 1_000_000


@pytest.mark.parametrize("field", ["customerId", "storeId"])
@pytest.mark.parametrize("value", ["", "a b", "a:b", "é", "x" * 65, "a\n", 7, None, "a/b"])
def test_an_id_outside_its_alphabet_is_refused(field: str, value: object) -> None:
    """Ids become parts of names in the store and must not break out of them."""
    assert list(_wrong(_body(**{field: value}))) == [(field,)]


def test_unknown_and_missing_fields_are_refused_by_name() -> None:
    """Nothing is silently ignored, and the inner spelling of a field is not offered beside the outer one."""
    body = {**ORDER, "cusomterId": "x", "customer_id": "x"}
    del body["customerId"]

    assert set(_wrong(json.dumps(body).encode())) == {("customerId",), ("cusomterId",), ("customer_id",)}


def test_an_unknown_payment_method_is_refused() -> None:
    """The set is closed; refusing cards exist, but not fantasy ones."""
    assert list(_wrong(_body(paymentMethod="Barter"))) == [("paymentMethod",)]


@pytest.mark.parametrize("count", [0, 101])
def test_an_order_has_one_to_a_hundred_lines(count: int) -> None:
    """Neither an empty order nor an endless one is taken."""
    assert list(_wrong(_body(items=[LINE] * count))) == [("items",)]
    assert len(read_order(_body(items=[LINE] * 100, totalAmount="29998.00"), EUR, 0).items) == 100


def test_a_line_must_multiply_exactly() -> None:
    """No tolerance within a line: its sum is arithmetic, not rounding."""
    wrong = _wrong(_body(items=[LINE, {**LINE, "totalPrice": 299.99}], totalAmount=599.97))

    assert wrong == {("items", 1, "totalPrice"): "2 x 149.99 is 299.98, not 299.99"}


def test_a_total_out_of_tolerance_names_both_sums() -> None:
    """Whoever has to mend the client sees the numbers."""
    assert _wrong(_body(totalAmount=300.04)) == {
        ("totalAmount",): "the total 300.04 and the sum of the lines 299.98 differ by 0.06, more than 0.05"
    }
    assert read_order(_body(totalAmount=300.03), EUR, TOLERANCE).total_amount_cents == 30003
    assert read_order(_body(totalAmount=299.93), EUR, TOLERANCE).total_amount_cents == 29993


CARDS = ("4111111111111111", "4111-1111-1111-1111", "3782-822463-10005", "6304000000000000000")


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_is_nobodys_id(card: str) -> None:
    """It would be shown to everybody who looks at sagas. The answer says why, and does not repeat it."""
    by_user = json.dumps({**USER_ORDER, "userId": card}).encode()

    wrong = _wrong(_body(customerId=card))
    with pytest.raises(Invalid) as caught:
        read_user_order(by_user, EUR)

    assert list(wrong) == [("customerId",)]
    assert [error.at for error in caught.value.errors] == [("userId",)]
    for message in (*wrong.values(), str(caught.value)):
        assert "card number" in message
        assert card not in message


@pytest.mark.parametrize("id", ["4111111111111112", "1700000000000000000", "9875ada24959509786963e93cd2b4098", "4711"])
def test_numbers_that_are_no_cards_may_be_ids(id: str) -> None:
    """No check digit, no issuer's first digit, part of a longer id, too short."""
    assert read_order(_body(customerId=id), EUR, TOLERANCE).customer_id == id


@pytest.mark.parametrize("email", ["ann@example.org", "a.b+c@sub.example.co", "o'hara@localhost"])
def test_an_address_people_have_is_taken(email: str) -> None:
    """Plain addresses, with tags and quotes, pass."""
    assert read_order(_body(email=email), EUR, TOLERANCE).email == email


@pytest.mark.parametrize(
    "email",
    ["", "ann", "@b", "a@", "a b@c.de", "a@b..c", ".a@b.c", "a@-b.c", "a@b\r\nBcc: x@y.z", "a@b\n",
     "x" * 65 + "@b.c", "a@" + ".".join(["b" * 60] * 4), "ä@b.c", "a@b@c", "<a@b.c>", 7],
)  # fmt: skip
def test_an_address_that_could_harm_a_mail_is_refused(email: object) -> None:
    """A second header line, a list or half an address never reaches the mailer."""
    assert list(_wrong(_body(email=email))) == [("email",)]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b'{"a": 1, "b": 2, "b": 3}', "'b' stands twice"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'{"a": ["\\udfff"]}', "surrogate"),
        (b'"\xff"', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"[" * 60_000, "nested too deeply"),
    ],
)
def test_doubtful_json_is_refused(body: bytes, why: str) -> None:
    """What two parsers could read differently is not taken."""
    with pytest.raises(NotExactJson, match=why):
        read_order(body, EUR, TOLERANCE)


@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"null", b"true"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    """The error points at the body itself."""
    assert list(_wrong(body)) == [()]


def test_a_flood_of_errors_is_cut() -> None:
    """A hostile body is not answered with a larger one."""
    assert len(_wrong(_body(**{f"x{n}": 1 for n in range(1000)}))) == 50


def test_a_cancellation_may_say_why() -> None:
    """The reason is optional, bounded and printable."""
    assert read_cancellation(b"").reason == "cancelled by the customer"
    assert read_cancellation(b'{"reason": "too slow"}').reason == "too slow"
    for body in (b'{"reason": ""}', b'{"reason": "a\\nb"}', b'{"why": "x"}', b'{"reason": 7}'):
        with pytest.raises(Invalid):
            read_cancellation(body)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list(ORDER)), inner),
))  # fmt: skip
def test_whatever_is_sent_is_taken_or_refused(value: object) -> None:
    """No body makes the reader fail in any other way."""
    with pytest.raises((Invalid, NotExactJson)):
        read_order(json.dumps(value).encode(), EUR, TOLERANCE)


def test_a_name_that_stands_twice_is_found_in_one_look() -> None:
    """Among as many as a body can hold; looked for one by one it would take hundreds of times what reading takes."""
    sound = [f'"{number:x}": 1' for number in range(6000)]
    twice = f"{{{', '.join([*sound, sound[-1]])}}}".encode()
    once = f"{{{', '.join(sound)}}}".encode()

    def took_s(body: bytes) -> float:
        begun_s = process_time()
        with suppress(NotExactJson):
            parse(body)
        return process_time() - begun_s

    assert min(took_s(twice) for _ in range(3)) < 20 * min(took_s(once) for _ in range(3))
