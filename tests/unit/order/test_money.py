"""Money between its text and its minor units, without a trace of rounding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from money import Currency, currency

EUR = Currency("EUR", 2)


@pytest.mark.parametrize(
    ("literal", "cents"),
    [
        ("299.99", 29999),
        ("300", 30000),
        ("0.1", 10),
        ("0.01", 1),
        ("0", 0),
        ("9999999999.99", 999_999_999_999),
    ],
)
def test_a_plain_decimal_becomes_minor_units(literal: str, cents: int) -> None:
    """What is written is what is charged."""
    assert EUR.parse(literal) == cents


@pytest.mark.parametrize(
    "literal",
    [
        "", " 1", "1 ", "1\n", "-1", "+1", "-0", "1.", ".5", "01", "1e3", "1E3", "1e1000000", "1_000", "1,5",
        "NaN", "Infinity", "0x10", "١٢", "1.001", "1.000", "12345678901", "1.2.3", "9" * 5000,
        "0." + "1" * 5000,
    ],
)  # fmt: skip
def test_anything_else_is_refused(literal: str) -> None:
    """No sign, exponent, blank, foreign digit or excess of digits is taken for money."""
    with pytest.raises(ValueError, match="must"):
        EUR.parse(literal)


@pytest.mark.parametrize(
    ("code", "literal", "cents", "shown"),
    [("JPY", "500", 500, "500"), ("KWD", "1.234", 1234, "1.234"), ("USD", "0.05", 5, "0.05")],
)
def test_a_currency_has_its_own_number_of_decimals(code: str, literal: str, cents: int, shown: str) -> None:
    """Yen have no minor unit, dinars have a thousand."""
    assert currency(code).parse(literal) == cents
    assert currency(code).show(cents) == shown


def test_an_unknown_currency_is_refused_by_name() -> None:
    """A typing error in CURRENCY stops the service, and says so."""
    with pytest.raises(ValueError, match="'EURO' is unknown; set CURRENCY"):
        currency("EURO")


def test_a_limit_is_cut_to_the_decimals_there_are() -> None:
    """A tolerance of 0.05 is none in a currency without decimals, never more than was asked."""
    assert EUR.parse_at_most("0.05") == 5
    assert EUR.parse_at_most("0.059") == 5
    assert currency("JPY").parse_at_most("0.05") == 0


def test_a_negative_difference_is_shown_with_its_sign() -> None:
    """An adjustment may be negative."""
    assert EUR.show(-1) == "-0.01"
    assert currency("JPY").show(-7) == "-7"


@given(cents=st.integers(0, 999_999_999_999), code=st.sampled_from(["EUR", "JPY", "KWD"]))
def test_what_is_shown_is_read_back_the_same(cents: int, code: str) -> None:
    """Showing and reading are each other's inverse."""
    money = currency(code)
    if cents < 10 ** (10 + money.exponent):
        assert money.parse(money.show(cents)) == cents
