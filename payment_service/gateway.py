"""What the payment service asks of a provider, and the answers. Owns the words; reaches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class OutcomeUnknown(Exception):
    """The provider gave no answer that can be relied on: the call may or may not have happened.

    Let it propagate: the step is tried again with the same key, or its key is closed.
    """


@dataclass(frozen=True, slots=True)
class Charged:
    """The money was taken; ``is_given_back`` says that it was refunded since, so that none of it is held any more."""

    reference: str
    amount_cents: int
    currency: str
    is_given_back: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """No money was taken, and none will be under this key; ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refund:
    """What was given back under a key, now or earlier; zero where nothing had been taken."""

    amount_cents: int


@dataclass(frozen=True, slots=True)
class Closed:
    """No charge under the key can succeed any more; ``taken`` is the one that did, refunded since or not."""

    taken: Charged | None


class Gateway(Protocol):
    """A payment provider that recognises repeated calls by their key.

    Every method may be repeated with the same key and then answers the same again.
    It does **not** promise that a call whose caller gave up has not happened, or will not happen yet:
    only ``close`` settles that.

    Raises: ``OutcomeUnknown`` on a time-out, trouble with the connection or an answer that says neither
    success nor refusal.
    """

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        """Take the money, once; refused for good if the key was closed before.

        What was given back is not taken again, and is not paid: who asks once more is told so.
        """
        ...

    async def refund(self, key: str) -> Refund:
        """Give back everything taken under the key; a key never heard of is not an error."""
        ...

    async def close(self, key: str) -> Closed:
        """Forbid every later charge under the key, also one already on its way, and say what was taken."""
        ...
