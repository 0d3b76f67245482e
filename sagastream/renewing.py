"""Renew again and again a live consumer's claims on messages that may wait for outside calls. Settles nothing.

An outside call and the queue for it may take longer than ``claim_idle``, after which other consumers claim messages. A
consumer that dies, hangs or is cut off does not renew, and others take over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.intake import Intake
from sagastream.retries import Retries
from sagastream.work import Work

log = structlog.get_logger(__name__)


class Renewing:
    """Renews the claims of one consumer on the works in ``in_hand`` at a steady pace.

    It runs as a task of its own, because the consumer may be waiting for a free place, for a read, or for its last
    calls before it stops. For the same reason it calls ``beside`` each time, which the consumer cannot do meanwhile.
    """

    def __init__(
        self,
        intake: Intake,
        retries: Retries,
        in_hand: Mapping[str, Work],
        *,
        every: timedelta,
        beside: Callable[[], None],
    ) -> None:
        self._intake = intake
        self._retries = retries
        self._in_hand = in_hand
        self._every_s = every.total_seconds()
        self._beside = beside

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            self._beside()
            try:
                await self._renew()
            except ServerUnavailable:
                pass  # the loop logs it; the next try comes before any claim lapses
            except ReplyError as error:
                log.error("claims.not_renewed", group=self._intake.group, error=str(error))

    async def _renew(self) -> None:
        await self._retries.renew(self._in_hand)
        await self._intake.renew([work.message for work in self._in_hand.values() if work.may_wait_outside])
