"""The shop's money: integers of minor units inside, decimal text at the edge.

Owns the only conversion between the two. No ``float`` or ``Decimal`` appears, so nothing is ever rounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,9})(?:\.([0-9]{1,18}))?")
_EXPONENTS = {
    0: "CLP ISK JPY KRW PYG UGX VND XAF XOF XPF",
    2: "AED ARS AUD BGN BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR KES MAD MXN MYR NGN NOK"
    " NZD PEN PHP PKR PLN RON RSD SAR SEK SGD THB TRY TWD UAH USD UYU ZAR",
    3: "BHD IQD JOD KWD LYD OMR TND",
}


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency and how many decimals its minor unit has (Source: ISO 4217)."""

    code: str
    exponent: int

    def parse(self, literal: str) -> int:
        """Return the minor units of a plain decimal such as ``299.99``.

        At most ten digits before the point and as many after it as the currency has decimals; no sign, exponent,
        leading zero, blank or digit outside ASCII.
        Raises: ``ValueError`` stating the expected form.
        """
        found = _AMOUNT.fullmatch(literal)
        if found is None:
            raise ValueError("must be a plain decimal of at most ten digits before the point, like 299.99")
        decimals = found[2] or ""
        if len(decimals) > self.exponent:
            raise ValueError(f"must have at most {self.exponent} decimals, as {self.code} has")
        return self._units(found[1], decimals)

    def parse_at_most(self, literal: str) -> int:
        """Return the largest number of minor units not above a plain decimal (for limits such as 0.05).

        Raises: ``ValueError`` as ``parse`` does, but never for too many decimals.
        """
        found = _AMOUNT.fullmatch(literal)
        if found is None:
            raise ValueError(f"{literal!r} is not a plain decimal like 0.05")
        return self._units(found[1], (found[2] or "")[: self.exponent])

    def show(self, cents: int) -> str:
        """Return minor units as a decimal with all the currency's decimals."""
        digits = f"{abs(cents):0{self.exponent + 1}d}"
        sign = "-" if cents < 0 else ""
        if self.exponent == 0:
            return sign + digits
        return f"{sign}{digits[: -self.exponent]}.{digits[-self.exponent :]}"

    def _units(self, whole: str, decimals: str) -> int:
        return int(whole + decimals.ljust(self.exponent, "0"))


def currency(code: str) -> Currency:
    """Return the currency of an ISO 4217 code.

    Raises: ``ValueError`` for a code this shop does not know.
    """
    for exponent, codes in _EXPONENTS.items():
        if code in codes.split():
            return Currency(code, exponent)
    raise ValueError(f"currency {code!r} is unknown; set CURRENCY to an ISO 4217 code such as EUR")
