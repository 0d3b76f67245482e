"""Says again and again what is in hand here and may wait outside, so that nobody takes it from who is alive.

A call and the queue for it may take longer than a silent consumer is waited for. Settles nothing; whoever dies, hangs
or is cut off says nothing, and others take over.
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
    """Renews the claims of one consumer; ``in_hand`` is looked at each time.

    It keeps pace by itself: the consumer may be waiting for room, for a read, or for its last calls before it stops.
    So whatever the consumer cannot do while it waits, ``beside``, is called each time too.
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
                pass  # the loop says so; it is tried again before anybody takes what is in hand
            except ReplyError as error:
                log.error("claims.not_renewed", group=self._intake.group, error=str(error))

    async def _renew(self) -> None:
        await self._retries.renew(self._in_hand)
        await self._intake.renew([work.message for work in self._in_hand.values() if work.may_wait_outside])
