"""How often messages were given out: the server counts it. What no attempt was made of is not to count."""

from __future__ import annotations

from collections.abc import Sequence

from sagastream.bus import Bus
from sagastream.errors import ReplyError
from sagastream.intake import Intake
from sagastream.replies import listed, texts


class Deliveries:
    """Of the messages of one reader. At each start it is given all that it has in hand once more."""

    def __init__(self, bus: Bus, intake: Intake) -> None:
        self._bus = bus
        self._intake = intake

    async def counts(self, names: Sequence[str]) -> dict[str, int]:
        """Return how often each was given out, 0 for what is not pending."""
        places = [name.partition("|") for name in names]
        asked = [("XPENDING", stream, self._intake.group, entry, entry, 1) for stream, _, entry in places]
        found = dict.fromkeys(names, 0)
        for name, reply in zip(names, await self._bus.query.pipeline(asked), strict=True):
            for pending in [] if isinstance(reply, ReplyError) else listed(reply):
                found[name] = int(texts(pending)[3])
        return found

    async def take_back(self, names: Sequence[str]) -> None:
        """Let it not count that these were given out just now: nobody took them up."""
        counts = await self.counts(names)
        places = [(name.partition("|"), count - 1) for name, count in counts.items() if count]
        reader = self._intake.consumer
        await self._bus.writer.pipeline([
            ("XCLAIM", stream, self._intake.group, reader, 0, entry, "RETRYCOUNT", count, "JUSTID")
            for (stream, _, entry), count in places
        ])  # fmt: skip
