"""The channel that writes messages to files, for development and for customers without an address."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from notification_service.channels import Message, NotSent, Receipt, Undeliverable
from notification_service.mail import NotAnAddress, file_name, mail, message_id

CHANNEL = "outbox"


class FileOutbox:
    """Writes one ``.eml`` per message; a repeated message replaces its file.

    A file is there whole or not at all, for its owner only. It is not forced to the disk.
    """

    def __init__(self, directory: Path, *, sender: str) -> None:
        self._directory = directory
        self._sender = sender

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Write the message.

        Raises: ``NotSent`` if the file cannot be written.
        """
        try:
            written = mail(message, self._sender).as_bytes()
        except NotAnAddress as error:
            return Undeliverable(CHANNEL, str(error))
        try:
            self._replace(self._directory / file_name(message), written)
        except OSError as error:
            raise NotSent(f"the outbox cannot be written: {error.strerror}") from None
        return Receipt(CHANNEL, message_id(message, self._sender))

    def _replace(self, path: Path, content: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        # Two workers may write the same message at once (a paused one and the one that took over): each
        # writes a file of its own, and the last rename wins with the same content.
        with NamedTemporaryFile(dir=self._directory, prefix=".", suffix=".part", delete=False) as part:
            try:
                part.write(content)
                part.flush()
                os.replace(part.name, path)
            except BaseException:
                os.unlink(part.name)
                raise
