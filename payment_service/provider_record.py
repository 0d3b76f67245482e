"""The provider's append-only record of its calls, one line each. Speaks files; decides nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, Self

from pydantic import ValidationError

from payment_service.provider_books import Call
from sagastream.errors import SagastreamError

LONGEST_LINE = 64 * 1024


class RecordInUse(SagastreamError):
    """Another provider is writing this record; both would take the same money."""


class RecordDamaged(SagastreamError):
    """A line in the middle of the record is not a call; restore the file before any further charge or refund."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, oldest first, and the position of the next ones (None at the end for now)."""

    calls: tuple[Call, ...]
    next: int | None


class Record(Protocol):
    """An append-only list of calls; a context manager that opens and closes it."""

    async def __aenter__(self) -> Self:
        """Open it for writing."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        ...

    def append(self, call: Call) -> None:
        """Record one call; once this returns, the end of the process cannot lose it."""
        ...

    def replay(self) -> Iterator[Call]:
        """Yield every call, oldest first."""
        ...

    def page(self, after: int, limit: int) -> Page:
        """Return calls from a position on; the first position is 0, later ones come from earlier pages."""
        ...


class FileRecord:
    """A record in a file of JSON lines, locked by one process at a time.

    Each call is one write to an append-only descriptor, so ``kill -9`` loses none. It is **not** synced to
    disk: a power loss may lose the last calls.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    async def __aenter__(self) -> Self:
        """Open and lock the file, and cut off a torn last line: its call was never answered.

        Raises: ``RecordInUse`` if another process holds the lock.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise RecordInUse(
                f"{self._path} is held by another provider; reach that one by PAYMENT_PROVIDER_URL"
            ) from None
        self._file = file
        os.ftruncate(file, _end_of_last_line(file))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the file, which releases the lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def append(self, call: Call) -> None:
        """Write one call as one line, wholly or not at all.

        Raises: ``OSError`` if it cannot be written; then no part of it stays in the file.
        """
        line = call.model_dump_json(by_alias=True, exclude_defaults=True).encode() + b"\n"
        if len(line) > LONGEST_LINE:
            raise OSError(f"a call of {len(line)} bytes cannot be recorded; the most is {LONGEST_LINE}")
        before = os.fstat(self._file).st_size
        written = os.write(self._file, line)
        if written != len(line):
            os.ftruncate(self._file, before)
            raise OSError(
                f"{self._path} took {written} of {len(line)} bytes; free some space, the call is not recorded"
            )

    def replay(self) -> Iterator[Call]:
        """Yield every call, oldest first.

        Raises: ``RecordDamaged`` naming the first line that is not a call.
        """
        return read(self._path)

    def page(self, after: int, limit: int) -> Page:
        """Return calls from a position (a byte offset) on.

        Raises: ``ValueError`` for a position at which no call begins.
        """
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if not 0 <= after <= size or (after and os.pread(file.fileno(), 1, after - 1) != b"\n"):
                raise ValueError(f"no call begins at {after}; pass on what an earlier page gave as next")
            file.seek(after)
            lines = [line for line in islice(file, limit) if line.endswith(b"\n")]
        position = after + sum(map(len, lines))
        calls = tuple(Call.model_validate_json(line) for line in lines)
        return Page(calls, position if position < size else None)


class MemoryRecord:
    """A record in memory, as long as the object lives: for simulations and benchmarks, where no process is killed."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def __aenter__(self) -> Self:
        """Do nothing: memory needs no opening."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: the recorded calls stay for the next provider."""

    def append(self, call: Call) -> None:
        """Record one call."""
        self.calls.append(call)

    def replay(self) -> Iterator[Call]:
        """Yield every call, oldest first."""
        return iter(tuple(self.calls))

    def page(self, after: int, limit: int) -> Page:
        """Return calls from a position (an index) on.

        Raises: ``ValueError`` for a position at which no call begins.
        """
        if not 0 <= after <= len(self.calls):
            raise ValueError(f"no call begins at {after}; pass on what an earlier page gave as next")
        calls = tuple(self.calls[after : after + limit])
        position = after + len(calls)
        return Page(calls, position if position < len(self.calls) else None)


def read(path: Path) -> Iterator[Call]:
    """Yield the calls of a record file, even while a provider writes it; an absent file has none.

    Raises: ``RecordDamaged`` naming the first line that is not a call.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # the write is in progress, or was torn by the end of the process
            try:
                yield Call.model_validate_json(line)
            except ValidationError as error:
                problem = error.errors(include_url=False, include_input=False)[0]["msg"]
                raise RecordDamaged(f"{path} line {number} is not a call: {problem}") from None


def _end_of_last_line(file: int) -> int:
    size = os.fstat(file).st_size
    begin = max(0, size - LONGEST_LINE)
    tail = os.pread(file, size - begin, begin)
    return begin + tail.rfind(b"\n") + 1
