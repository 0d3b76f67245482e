"""A mailbox holds a bounded number of batches, hands them out as one, and never hides that it gave some up."""

from __future__ import annotations

import asyncio

from sagastream.live.mailbox import MOST_BATCHES, Bell, Mailbox
from sagastream.live.messages import Batch, Change, Wanted


def batch(number: int, saga_id: str = "one") -> Batch:
    """Return a batch in which one saga changed."""
    return Batch(f"{number}-0", {saga_id: Change("order", "Started", f'{{"sagaId":"{saga_id}","n":{number}}}')})


async def test_batches_that_had_to_wait_come_as_one_with_sagas_as_they_are_last() -> None:
    mailbox = Mailbox(Wanted())
    for number in range(1, 4):
        mailbox.changed(batch(number))
    mailbox.changed(batch(4, "two"))

    (message,) = await mailbox.take()

    assert message.startswith(b"id: 4-0\r\n")
    assert message.count(b"sagaId") == 2
    assert b'"n":3' in message


async def test_a_client_that_takes_nothing_is_told_to_load_everything_again() -> None:
    """What comes after that is kept again."""
    mailbox = Mailbox(Wanted())
    for number in range(1, MOST_BATCHES + 3):
        mailbox.changed(batch(number))

    first, second = await mailbox.take()

    assert first.startswith(f"id: {MOST_BATCHES + 1}-0\r\nevent: reset".encode())
    assert second.startswith(f"id: {MOST_BATCHES + 2}-0\r\nevent: sagas".encode())


async def test_of_what_is_told_of_all_sagas_only_the_latest_is_kept() -> None:
    mailbox = Mailbox(Wanted())
    mailbox.told(b"old")
    mailbox.changed(batch(1))
    mailbox.told(b"new")

    assert (await mailbox.take())[1:] == [b"new"]


async def test_nothing_is_taken_before_there_is_something() -> None:
    mailbox = Mailbox(Wanted())
    taking = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    assert not taking.done()

    mailbox.ended()

    assert (await taking, mailbox.is_ended) == ([], True)


async def test_a_bell_rings_for_its_own_saga_and_for_what_may_have_been_missed() -> None:
    bell = Bell("one")
    rung = asyncio.create_task(bell.rung())
    bell.changed(batch(1, "two"))
    bell.told(b"figures")
    await asyncio.sleep(0)
    assert not rung.done()

    bell.changed(batch(2))
    await rung
    bell.missed("3-0", "trimmed")
    await bell.rung()
    bell.ended()
    await bell.rung()

    assert bell.is_ended
