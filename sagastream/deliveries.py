"""Count how often messages were delivered. The server counts; deliveries without an attempt are taken back."""

from __future__ import annotations

from collections.abc import Sequence

from sagastream.bus import Bus
from sagastream.errors import ReplyError
from sagastream.intake import Intake
from sagastream.replies import listed, texts


class Deliveries:
    """The delivery counts of one reader's messages. At each start the server delivers all its pending ones again."""

    def __init__(self, bus: Bus, intake: Intake) -> None:
        self._bus = bus
        self._intake = intake

    async def counts(self, names: Sequence[str]) -> dict[str, int]:
        """Return how often each message was delivered, 0 if it is not pending."""
        places = [name.partition("|") for name in names]
        asked = [("XPENDING", stream, self._intake.group, entry, entry, 1) for stream, _, entry in places]
        found = dict.fromkeys(names, 0)
        for name, reply in zip(names, await self._bus.query.pipeline(asked), strict=True):
            for pending in [] if isinstance(reply, ReplyError) else listed(reply):
                found[name] = int(texts(pending)[3])
        return found

    async def take_back(self, names: Sequence[str]) -> None:
        """Take back the latest delivery of these messages from the count: no attempt was made."""
        counts = await self.counts(names)
        places = [(name.partition("|"), count - 1) for name, count in counts.items() if count]
        reader = self._intake.consumer
        await self._bus.writer.pipeline([
            ("XCLAIM", stream, self._intake.group, reader, 0, entry, "RETRYCOUNT", count, "JUSTID")
            for (stream, _, entry), count in places
        ])  # fmt: skip
