"""Close connections whose client does not complete the head of a request in time. Speaks HTTP; knows no app.

uvicorn waits for ever for the head of a first request, and of a later request once its first byte has arrived: a few
thousand such connections, which cost their client nothing, would use up the descriptors for all others.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_WITHIN = timedelta(seconds=10)


class Impatient(H11Protocol):
    """A connection that is closed if a request's head is not complete in time; ``BodyGuard`` limits bodies."""

    within = HEADERS_WITHIN
    _giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the time limit."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Process received data; an incomplete head must be complete in time, however slowly data keeps coming."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._rest()
        elif self._giving_up is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the time limit."""
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._giving_up = self.loop.call_later(self.within.total_seconds(), self._give_up)

    def _rest(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _give_up(self) -> None:
        self._giving_up = None
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


def impatient(within: timedelta) -> type[Impatient]:
    """Return a protocol class for uvicorn that closes connections after ``within``."""
    return type("Impatient", (Impatient,), {"within": within})
