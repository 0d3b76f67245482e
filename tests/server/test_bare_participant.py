"""The documented participant, which knows nothing but Redis commands, takes part in sagas beside the library's own."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sagastream import Settings, connect
from sagastream.envelope import derived_id
from sagastream.event import StepBarred
from sagastream.keys import Keys
from tests.documents import ROOT, blocks
from tests.server.agency import Agency
from tests.trip import CardCharged, CardDeclined, CardRefunded, bank, desk, hotel

DOCUMENT = ROOT / "docs" / "reference" / "cloudevents-redis-streams.md"
# What a participant is told about one saga, one after the other, and what it publishes: the tables of the document.
TOLD = [
    (["good"], ["CardCharged"]),
    (["good", "good"], ["CardCharged"]),
    (["bad", "bad"], ["CardDeclined"]),
    (["good", "undo"], ["CardCharged", "CardRefunded"]),
    (["good", "undo", "undo", "good"], ["CardCharged", "CardRefunded", "CardRefunded"]),
    (["good", "undo", "bar", "retry"], ["CardCharged", "CardRefunded", "CardRefunded", "CardRefunded"]),
    (["good", "bar", "retry"], ["CardCharged", "CardCharged", "CardCharged"]),
    (["bad", "undo", "bar"], ["CardDeclined", "StepBarred", "StepBarred"]),
    (["bad", "retry"], ["CardDeclined", "CardDeclined"]),
    (["undo", "good"], ["StepBarred"]),
    (["bar", "good", "undo", "retry"], ["StepBarred", "StepBarred", "StepBarred"]),
    (["retry", "good"], ["CardCharged"]),
    (["undo seen"], ["LedgerLost"]),
    (["bar old"], ["LedgerLost"]),
]


@pytest.fixture
async def agency(server_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Agency]:
    prefix = f"{derived_id(request.node.name)[:8]}:"
    settings = Settings(redis_url=server_url, key_prefix=prefix, block=timedelta(seconds=0.1))
    (block,) = blocks(DOCUMENT, "python")
    program = tmp_path / block.file
    program.write_text(block.text)
    bus = connect(server_url, name="test", block=settings.block)
    await bus.writer.execute("HSET", Keys(prefix, "hotel").key("rooms"), "free", 10)
    yield Agency(bus, settings, program)
    await bus.close()


async def free(agency: Agency) -> str:
    return str(await agency.bus.query.execute("HGET", agency.keys.of("hotel").key("rooms"), "free"))


async def test_a_participant_of_bare_commands_takes_part_to_the_completion(agency: Agency) -> None:
    """One card is charged, one is bad: the first trip is completed, the second undone; the auditor agrees."""
    async with agency.everybody_else():
        with agency.bank():
            good, bad = await agency.book("good"), await agency.book("bad", card="bad")
            await agency.reaches(good, "Completed")
            await agency.reaches(bad, "Compensated")
            assert await agency.is_true()

    assert await free(agency) == "9"
    assert len(await agency.entries(CardCharged, "bank", good)) == 1
    assert len(await agency.entries(CardDeclined, "bank", bad)) == 1


async def test_it_undoes_what_it_did_and_says_so_again_when_asked_again(agency: Agency) -> None:
    """The trip is turned back after the charge and before its pivot, which waits for a desk that is away."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(agency.working(agency.coordinator(), agency.consumer(hotel)))
        stack.enter_context(agency.bank())
        saga_id = await agency.book("turned-back")
        await agency.reaches(saga_id, "InProgress")
        (charged,) = await agency.comes(CardCharged, "bank", saga_id)
        await agency.turn_back(saga_id)
        async with agency.working(agency.consumer(desk)):
            await agency.reaches(saga_id, "Compensated")
            (refunded,) = await agency.entries(CardRefunded, "bank", saga_id)
            await agency.again(agency.keys.requests("bank"))
            first, second = await agency.comes(CardRefunded, "bank", saga_id, times=2)
            await agency.again(agency.keys.of("hotel").events("RoomHeld"))
            assert await agency.is_true()

    assert first == second == refunded
    assert refunded["causationid"] != charged["id"] != refunded["id"]
    assert await free(agency) == "10"
    assert len(await agency.entries(CardCharged, "bank", saga_id)) == 1


async def test_a_step_that_is_to_be_undone_before_it_happened_is_barred_for_good(agency: Agency) -> None:
    """The bank is away until the trip has been turned back: it never charges, and announces no refund."""
    async with agency.everybody_else():
        saga_id = await agency.book("never")
        await agency.reaches(saga_id, "InProgress")
        await agency.turn_back(saga_id)
        await agency.reaches(saga_id, "Compensating")
        with agency.bank():
            await agency.reaches(saga_id, "Compensated")
            await agency.again(agency.keys.of("hotel").events("RoomHeld"))
            assert await agency.is_true()

    assert len(await agency.entries(StepBarred, "bank", saga_id)) == 1
    assert not await agency.entries(CardCharged, "bank", saga_id)
    assert not await agency.entries(CardRefunded, "bank", saga_id)
    assert await free(agency) == "10"


async def test_what_was_read_before_a_crash_is_handled_after_it_and_once(agency: Agency) -> None:
    """Read and not decided, decided and not settled: the next life finds both among its own."""
    stream = agency.keys.of("hotel").events("RoomHeld")
    async with agency.everybody_else():
        with agency.bank():
            lived = await agency.book("lived")
            await agency.reaches(lived, "Completed")
        unread = await agency.book("unread")
        await agency.reaches(unread, "InProgress")
        await agency.again(stream)
        read = await agency.bus.reader.execute(
            "XREADGROUP", "GROUP", "bank", "bank-1", "COUNT", 10, "STREAMS", stream, ">"
        )
        assert read, "the life before this one got so far"
        with agency.bank():
            await agency.reaches(unread, "Completed")
            assert await agency.is_true()

    assert len(await agency.entries(CardCharged, "bank", unread)) == 1
    assert await free(agency) == "8"


@pytest.mark.parametrize("who", ["the library", "the document"])
async def test_both_kinds_of_participants_answer_alike(agency: Agency, who: str) -> None:
    """Whatever comes in whatever order; what is said again is said under the same id, for the same cause."""
    async with AsyncExitStack() as stack:
        if who == "the library":
            await stack.enter_async_context(agency.working(agency.consumer(bank)))
        else:
            stack.enter_context(agency.bank())
        for saga_id, (told, expected) in ((f"saga-{at}", case) for at, case in enumerate(TOLD)):
            for number, one in enumerate(told):
                await agency.tell(saga_id, one, number)
            found = await agency.published(saga_id)

            assert sorted(type for type, _, _ in found) == sorted(expected), (told, found)
            assert [type for type, _, _ in found][:1] == expected[:1]
            assert len(set(found)) == len(set(expected)), (told, found)


async def test_two_of_its_processes_that_decide_at_once_decide_once(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one finds that the ledger says something else than it has read, and writes nothing."""
    monkeypatch.setenv("KEY_PREFIX", agency.settings.key_prefix)
    program = runpy.run_path(str(agency.program))
    place = urlsplit(agency.settings.redis_url or "")
    about = {"correlationid": "saga-1", "id": "held"}

    def both() -> list[bool]:
        redis = program["Redis"](place.hostname, place.port)
        with redis.socket, redis.file:
            charged = program["event"](redis, about, "CardCharged", {"nights": 1})
            return [program["decide"](redis, about, "", "done", charged) for _ in range(2)]

    assert await asyncio.to_thread(both) == [True, False]
    assert [type for type, _, _ in await agency.published("saga-1")] == ["CardCharged"]
