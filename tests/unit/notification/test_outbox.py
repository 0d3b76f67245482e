"""The file outbox: one whole file per message, however often it is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from notification_service.channels import Channel, MailOrOutbox, Message, NotSent, Receipt, Undeliverable
from notification_service.mail import file_name
from notification_service.outbox import FileOutbox

SENDER = "shop@example.org"
MESSAGE = Message("saga-1.notify", "order-1", "ada@example.com", "Subject", "Body\n", 1_767_225_600_123)


@pytest.fixture
def outbox(tmp_path: Path) -> FileOutbox:
    """Return an outbox whose directory is not there yet."""
    return FileOutbox(tmp_path / "outbox", sender=SENDER)


async def test_a_repeated_message_is_one_file(outbox: FileOutbox, tmp_path: Path) -> None:
    """Sent again, also by two workers at once, it replaces itself and leaves nothing beside it."""
    receipts = [await outbox.send(MESSAGE)]
    receipts += await asyncio.gather(outbox.send(MESSAGE), outbox.send(replace(MESSAGE, at_ms=1)))

    assert len(set(receipts)) == 1
    assert isinstance(receipts[0], Receipt)
    (file,) = (tmp_path / "outbox").iterdir()
    assert file.suffix == ".eml"
    assert receipts[0].message_id in file.read_text()


async def test_each_message_has_a_file_of_its_own(outbox: FileOutbox, tmp_path: Path) -> None:
    await outbox.send(MESSAGE)
    await outbox.send(replace(MESSAGE, key="saga-1.tell_cancelled"))

    assert len(list((tmp_path / "outbox").iterdir())) == 2


async def test_of_many_sent_at_once_only_what_fails_is_not_sent(outbox: FileOutbox, tmp_path: Path) -> None:
    """They are written together, and each is answered for itself."""
    in_the_way = replace(MESSAGE, key="saga-2.notify")
    (tmp_path / "outbox" / file_name(in_the_way)).mkdir(parents=True)
    many = [replace(MESSAGE, key=f"saga-{n}.notify") for n in range(5)]

    answers = await asyncio.gather(*(outbox.send(message) for message in many), return_exceptions=True)

    assert [type(answer) for answer in answers] == [Receipt, Receipt, NotSent, Receipt, Receipt]
    assert len(list((tmp_path / "outbox").glob("[!.]*.eml"))) == 5
    assert not list((tmp_path / "outbox").glob("*.part"))


async def test_files_are_for_their_owner_only(outbox: FileOutbox, tmp_path: Path) -> None:
    """They hold addresses."""
    await outbox.send(MESSAGE)

    (file,) = (tmp_path / "outbox").iterdir()
    assert file.stat().st_mode & 0o077 == 0


async def test_what_is_no_address_is_refused_for_good(outbox: FileOutbox, tmp_path: Path) -> None:
    answer = await outbox.send(replace(MESSAGE, to="nobody"))

    assert answer == Undeliverable("outbox", "the address is not of the form name@domain")
    assert not (tmp_path / "outbox").exists()


async def test_an_outbox_that_cannot_be_written_decides_nothing(tmp_path: Path) -> None:
    """The step is tried again once there is room."""
    (tmp_path / "outbox").write_text("in the way")

    with pytest.raises(NotSent, match="cannot be written"):
        await FileOutbox(tmp_path / "outbox", sender=SENDER).send(MESSAGE)


class Letterbox:
    """A channel that takes everything."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Take it."""
        return Receipt(self.name, message.key)


async def test_those_without_an_address_are_served_by_the_outbox() -> None:
    channel: Channel = MailOrOutbox(mail=Letterbox("email"), outbox=Letterbox("outbox"))

    assert await channel.send(MESSAGE) == Receipt("email", MESSAGE.key)
    assert await channel.send(replace(MESSAGE, to=None)) == Receipt("outbox", MESSAGE.key)
