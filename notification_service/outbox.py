"""The channel that writes messages to files, for development and for customers without an address."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from notification_service.channels import Message, NotSent, Receipt, Undeliverable
from notification_service.mail import NotAnAddress, file_name, mail, message_id
from sagastream.coalescer import Coalescer

CHANNEL = "outbox"
_AT_ONCE = 100


class FileOutbox:
    """Writes one ``.eml`` per message; a repeated message replaces its file.

    A file exists whole or not at all, readable by its owner only. It is not synced to disk. Creating a file sometimes
    waits for the disk, which would block the whole process, so a thread creates them: all pending ones at once,
    because switching to a thread and back takes as long as one file.
    """

    def __init__(self, directory: Path, *, sender: str) -> None:
        self._directory = directory
        self._sender = sender
        self._mine = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._files: Coalescer[tuple[Path, bytes], None] = Coalescer(self._make, limit=_AT_ONCE)

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Write the message.

        Raises: ``NotSent`` if the file cannot be written.
        """
        try:
            written = mail(message, self._sender).as_bytes()
        except NotAnAddress as error:
            return Undeliverable(CHANNEL, str(error))
        try:
            await self._files.ask((self._directory / file_name(message), written))
        except OSError as error:
            raise NotSent(f"the outbox cannot be written: {error.strerror}") from None
        return Receipt(CHANNEL, message_id(message, self._sender))

    async def _make(self, files: Sequence[tuple[Path, bytes]]) -> Sequence[OSError | None]:
        return await asyncio.to_thread(lambda: [self._made(path, content) for path, content in files])

    def _made(self, path: Path, content: bytes) -> OSError | None:
        try:
            self._replace(path, content)
        except OSError as error:
            return error
        return None

    def _replace(self, path: Path, content: bytes) -> None:
        # Two workers may write the same message at once (a paused one and its successor): each
        # writes a file of its own, and the last rename wins with the same content.
        part = self._directory / f".{path.name}.{self._mine}-{next(self._numbers)}.part"
        try:
            try:
                file = _opened(part)
            except FileNotFoundError:
                self._directory.mkdir(parents=True, exist_ok=True)
                file = _opened(part)
            with open(file, "wb", buffering=0) as unbuffered:
                if unbuffered.write(content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
