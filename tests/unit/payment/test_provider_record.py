"""Both records keep every call in order; the file outlives its process and is held by one at a time."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from payment_service.provider import Provider
from payment_service.provider_books import Asked, Call, Outcome
from payment_service.provider_record import FileRecord, MemoryRecord, Record, RecordDamaged, RecordInUse, read


def call(number: int) -> Call:
    """Return a call that can be told from others."""
    return Call(at_ms=number, call=Asked.CLOSE, key=f"key-{number}", outcome=Outcome.CLOSED)


@pytest.fixture(params=["file", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Record]:
    """Return a maker of records that all mean the same one."""
    if request.param == "file":
        return lambda: FileRecord(tmp_path / "provider" / "calls.jsonl")
    kept = MemoryRecord()
    return lambda: kept


async def test_what_is_appended_is_replayed_in_order(make: Callable[[], Record]) -> None:
    """The next provider learns every call."""
    async with make() as record:
        for number in range(5):
            record.append(call(number))

    async with make() as record:
        assert list(record.replay()) == [call(number) for number in range(5)]


async def test_pages_show_every_call_once(make: Callable[[], Record]) -> None:
    """Following `next` walks the record; at its end the last page says so, and later calls follow it."""
    async with make() as record:
        for number in range(5):
            record.append(call(number))

        first = record.page(0, 3)
        assert first.next is not None
        second = record.page(first.next, 3)

        assert first.calls + second.calls == tuple(call(number) for number in range(5))
        assert second.next is None


async def test_an_empty_record_has_an_empty_page(make: Callable[[], Record]) -> None:
    """Nothing yet is not an error."""
    async with make() as record:
        page = record.page(0, 3)

        assert (page.calls, page.next) == ((), None)


async def test_a_position_at_which_no_call_begins_is_refused(make: Callable[[], Record]) -> None:
    """A made-up position never shows half a call."""
    async with make() as record:
        record.append(call(1))

        for position in (-1, 2, 10_000):
            with pytest.raises(ValueError, match="no call begins"):
                record.page(position, 3)


async def test_a_record_is_held_by_one_provider_at_a_time(tmp_path: Path) -> None:
    """Two providers on one file would each take the same money."""
    path = tmp_path / "calls.jsonl"

    async with FileRecord(path):
        with pytest.raises(RecordInUse, match="PAYMENT_PROVIDER_URL"):
            async with FileRecord(path):
                pass

    async with FileRecord(path) as record:
        record.append(call(1))


async def test_a_record_is_for_its_owner_only(tmp_path: Path) -> None:
    """It says what was taken for which order."""
    async with FileRecord(tmp_path / "calls.jsonl"):
        assert (tmp_path / "calls.jsonl").stat().st_mode & 0o777 == 0o600


async def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    """A call whose write was torn was never answered, so it did not happen; the next one is readable."""
    path = tmp_path / "calls.jsonl"
    async with FileRecord(path) as record:
        record.append(call(1))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert list(read(path)) == [call(1)]

    async with FileRecord(path) as record:
        record.append(call(2))

        assert list(record.replay()) == [call(1), call(2)]


@pytest.mark.parametrize("torn", [b"", b"{", b'{"atMs":1'])
async def test_a_first_line_that_is_torn_leaves_an_empty_record(torn: bytes, tmp_path: Path) -> None:
    """Also a file without any whole line can be opened."""
    path = tmp_path / "calls.jsonl"
    path.write_bytes(torn)

    async with FileRecord(path) as record:
        assert list(record.replay()) == []
        assert path.read_bytes() == b""


async def test_a_call_that_is_being_written_is_on_no_page_yet(tmp_path: Path) -> None:
    """The page ends before it and says where to go on; whole calls are written with the names that are documented."""
    path = tmp_path / "calls.jsonl"
    async with FileRecord(path) as record:
        record.append(call(1))
        whole = path.read_bytes()
        path.write_bytes(whole + b'{"atMs":2,"ca')

        page = record.page(0, 10)

        assert (page.calls, page.next) == ((call(1),), len(whole))
        assert json.loads(whole) == {"atMs": 1, "call": "close", "key": "key-1", "outcome": "closed"}


async def test_damage_in_the_middle_is_named_by_its_line(tmp_path: Path) -> None:
    """Money is not moved on half-read books."""
    path = tmp_path / "calls.jsonl"
    async with FileRecord(path) as record:
        record.append(call(1))
    path.write_bytes(path.read_bytes() + b"not a call\n" + path.read_bytes())

    with pytest.raises(RecordDamaged, match="line 2"):
        list(read(path))


async def test_a_provider_that_does_not_open_for_damage_leaves_its_record_to_the_next(tmp_path: Path) -> None:
    """Whoever has mended the file need not look for who still holds it."""
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"not a call\n")
    with pytest.raises(RecordDamaged):
        async with Provider(FileRecord(path)):
            pass
    path.write_bytes(b"")

    async with Provider(FileRecord(path)) as provider:
        assert (await provider.close("key")).taken is None


async def test_an_overlong_call_leaves_nothing(tmp_path: Path) -> None:
    """A call that cannot be written is not half written."""
    path = tmp_path / "calls.jsonl"
    async with FileRecord(path) as record:
        with pytest.raises(OSError, match="cannot be recorded"):
            record.append(call(1).model_copy(update={"key": "x" * 100_000}))

    assert path.read_bytes() == b""


@contextmanager
def room_up_to(size: int) -> Iterator[None]:
    """Let no file of this process become larger, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_call_for_which_the_disk_has_room_in_part_leaves_nothing(tmp_path: Path) -> None:
    """Whoever asked is told that it failed; once there is room, the record goes on and no line is damaged."""
    path = tmp_path / "calls.jsonl"
    async with FileRecord(path) as record:
        record.append(call(1))
        size = path.stat().st_size
        with room_up_to(size + 10), pytest.raises(OSError, match="free some space, the call is not recorded"):
            record.append(call(2))
        assert path.stat().st_size == size
        record.append(call(3))

        assert list(record.replay()) == [call(1), call(3)]


def test_an_absent_file_has_no_calls(tmp_path: Path) -> None:
    """Reading the books of a shop that never charged anybody works."""
    assert list(read(tmp_path / "calls.jsonl")) == []
