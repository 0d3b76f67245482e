"""The payment service's requests to a provider, and the answers. Owns the types; performs no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class OutcomeUnknown(Exception):
    """The provider gave no reliable answer: the call may or may not have taken effect.

    Let it propagate: the step is retried with the same key, or its key is closed.
    """


@dataclass(frozen=True, slots=True)
class Charged:
    """The money was taken; ``is_given_back`` tells whether it has been refunded since, in full."""

    reference: str
    amount_cents: int
    currency: str
    is_given_back: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """No money was taken, and none will be under this key; ``reason`` is for human readers."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refund:
    """The amount refunded under a key, now or earlier; zero if nothing had been taken."""

    amount_cents: int


@dataclass(frozen=True, slots=True)
class Closed:
    """No charge under the key can succeed any more; ``taken`` is the one that did, even if refunded since."""

    taken: Charged | None


class Gateway(Protocol):
    """A payment provider that recognises repeated calls by their key.

    Every method may be repeated with the same key and then returns the same answer.
    It does **not** promise that a call whose caller timed out has not taken effect, or will not do so later:
    only ``close`` settles that.

    Raises: ``OutcomeUnknown`` on a time-out, a connection error or an answer that states neither
    success nor refusal.
    """

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        """Charge the amount, once; refused for good if the key was closed before.

        A refunded charge is not taken again and does not count as paid: the repeated answer says ``is_given_back``.
        """
        ...

    async def refund(self, key: str) -> Refund:
        """Refund everything taken under the key; an unknown key is not an error."""
        ...

    async def close(self, key: str) -> Closed:
        """Forbid every later charge under the key, even one already under way, and return the charge taken, if any."""
        ...
