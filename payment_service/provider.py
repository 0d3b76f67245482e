"""A simulated payment provider: answers, delays and fails by payment method. Not part of the shop.

It must never read the shop's data: its record is the independent one that the books are compared with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from payment_service import provider_books as books
from payment_service.gateway import Charged, Closed, Refund, Refused
from payment_service.provider_books import EMPTY, Account, Call, Outcome, Terms
from payment_service.provider_record import Page, Record


class ProviderBroken(Exception):
    """The provider fails with an internal error (HTTP 500)."""


class KeyReused(Exception):
    """A key was reused for a different charge; the caller has a bug."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the provider treats one payment method (Source: CONTRACT A)."""

    refusal: str = ""
    failures: int = 0
    is_slow: bool = False
    is_silent: bool = False

    @property
    def waits(self) -> bool:
        """Tell whether a charge takes time."""
        return self.is_slow or self.is_silent


BEHAVIOURS = {
    "CreditCard": Behaviour(),
    "PayPal": Behaviour(),
    "BankTransfer": Behaviour(),
    "DeclinedCard": Behaviour(refusal="the card was declined"),
    "invalid_card": Behaviour(refusal="the card is not valid"),
    "TimeoutAfterCharge": Behaviour(is_silent=True),
    "BrokenProvider": Behaviour(failures=2),
    "SlowProvider": Behaviour(is_slow=True),
}
UNSUPPORTED = Behaviour(refusal="the payment method is not supported")


@dataclass(frozen=True, slots=True)
class Delays:
    """How long a slow charge takes before it lands, and how long a silent one delays its answer after landing."""

    slow: timedelta = timedelta(seconds=2)
    silence: timedelta = timedelta(seconds=30)


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Provider:
    """The provider itself; a context manager that replays its record on opening.

    Every key is kept for ever, in memory too (some hundred bytes each): a forgotten one
    could be charged twice. A call goes on when its caller gives up, as it would over a network.
    """

    def __init__(
        self,
        record: Record,
        *,
        delays: Delays | None = None,
        now_ms: Callable[[], int] = _wall_clock_ms,
    ) -> None:
        self._record = record
        self._delays = delays or Delays()
        self._now_ms = now_ms
        self._accounts: dict[str, Account] = {}
        self._calls: set[asyncio.Task[Charged | Refused]] = set()

    async def __aenter__(self) -> Self:
        """Open the record and rebuild the account of every key from it.

        Raises: ``RecordInUse``, ``RecordDamaged``.
        """
        await self._record.__aenter__()
        try:
            self._accounts = books.accounts(self._record.replay())
        except BaseException:
            await self._record.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the calls under way, landed or not, and close the record."""
        calls = tuple(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        await self._record.__aexit__()

    async def charge(self, key: str, amount_cents: int, currency: str, method: str) -> Charged | Refused:
        """Charge the amount once, with the behaviour of the method.

        Raises: ``ProviderBroken`` if the method is set to fail, ``KeyReused`` if the key stands for another charge.
        """
        behaviour, terms = BEHAVIOURS.get(method, UNSUPPORTED), Terms(amount_cents, currency, method)
        if not behaviour.waits or self.account(key).is_answered:
            return self._land(key, terms, behaviour)
        return await self._outlive(self._charge_in_time(key, terms, behaviour))

    async def refund(self, key: str) -> Refund:
        """Refund everything taken under the key, once."""
        account = self._book(books.refund(self.account(key), key, self._now_ms()))
        return Refund(account.refunded_cents)

    async def close(self, key: str) -> Closed:
        """Forbid every charge under the key that has not landed yet, and return the one that has, if any."""
        account = self._book(books.close(self.account(key), key, self._now_ms()))
        return Closed(account.charged)

    def account(self, key: str) -> Account:
        """Return the account of a key."""
        return self._accounts.get(key, EMPTY)

    def page(self, after: int, limit: int) -> Page:
        """Return recorded calls from a position on.

        Raises: ``ValueError`` for a position at which no call begins.
        """
        return self._record.page(after, limit)

    async def _charge_in_time(self, key: str, terms: Terms, behaviour: Behaviour) -> Charged | Refused:
        if behaviour.is_slow:
            await asyncio.sleep(self._delays.slow.total_seconds())
        answer = self._land(key, terms, behaviour)
        if behaviour.is_silent:
            await asyncio.sleep(self._delays.silence.total_seconds())
        return answer

    def _land(self, key: str, terms: Terms, behaviour: Behaviour) -> Charged | Refused:
        # No await between reading the account and answering: a close comes wholly before this (and the
        # charge is refused) or wholly after it (and the close reports the charge).
        account = self.account(key)
        if account.terms is not None and account.terms != terms:
            raise KeyReused(f"key {key!r} stands for {account.terms}, not for {terms}")
        call = books.charge(account, key, terms, self._now_ms(), refusal=behaviour.refusal, failures=behaviour.failures)
        account = self._book(call)
        if call.outcome is Outcome.BROKEN:
            raise ProviderBroken(f"failure {account.failures} under key {call.key!r}")
        return account.standing or Refused(account.refusal)

    def _book(self, call: Call) -> Account:
        self._record.append(call)  # first: an unrecorded call must not be answered
        account = books.after(self.account(call.key), call)
        self._accounts[call.key] = account
        return account

    async def _outlive(self, call: Coroutine[object, object, Charged | Refused]) -> Charged | Refused:
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait([task])  # unlike awaiting the task, does not cancel it when the caller is cancelled
        if task.cancelled():
            raise ProviderBroken("the provider was stopped during the call")
        return task.result()

    def _ended(self, task: asyncio.Task[Charged | Refused]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # retrieve it: no caller may be left to do so
