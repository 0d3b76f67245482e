"""What a group takes up again and again and never settles: handling it ends the process, or never ends. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.doctor.patient import Patient
from sagastream.replies import listed, named, texts

OFTEN = 5
_AT_MOST = 100  # pending entries a stream


@dataclass(frozen=True, slots=True)
class TakenUp:
    """An entry that was given out so often; ``saga_id`` is empty where it does not say of which saga it is."""

    stream: str
    entry: str
    times: int
    saga_id: str

    @property
    def told(self) -> str:
        """Return it in words."""
        return (
            f"{self.entry} on {self.stream} was taken up {self.times} times and never settled:"
            " handling it may end the process; its log tells"
        )


async def taken_up(patient: Patient, group: str, streams: Iterable[str]) -> TakenUp | None:
    """Return what was given out most often, at least ``OFTEN`` times; not what waits for its next attempt.

    Raises: ``ReplyError`` for a stream that may not be looked at.
    """
    found = [one for stream in streams for one in await _often(patient, group, stream)]
    if not found:
        return None
    times, stream, entry = max(found)
    told = listed(await patient.bus.query.execute("XRANGE", stream, entry, entry))
    about = named(listed(told[0])[1]) if told else {}
    return TakenUp(stream, entry, times, about.get("correlationid", ""))


async def _often(patient: Patient, group: str, stream: str) -> list[tuple[int, str, str]]:
    pending = listed(await patient.bus.query.execute("XPENDING", stream, group, "-", "+", _AT_MOST))
    read = [(int(times), entry) for entry, _, _, times in map(texts, pending)]
    often = [(times, entry) for times, entry in read if times >= OFTEN]
    if not often:
        return []
    waiting = await patient.bus.query.execute(
        "ZMSCORE", patient.keys.of(group).key(names.RETRIES), *(f"{stream}|{entry}" for _, entry in often)
    )
    return [(times, stream, entry) for (times, entry), due in zip(often, listed(waiting), strict=True) if due is None]
