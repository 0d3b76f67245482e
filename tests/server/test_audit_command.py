"""The command `audit` on a real server: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from sagastream import Runtime, Settings
from sagastream.audit import results
from sagastream.audit.findings import Difference
from sagastream.audit.report import SHOWN
from sagastream.cli import main
from sagastream.cli.auditing import NotKept, audit_sagas
from sagastream.cli.exits import DIFFERENT, DONE
from sagastream.cli.words import parser
from sagastream.keys import COORDINATOR, Keys
from sagastream.reader import Reader
from sagastream.replies import texts
from sagastream.transaction import Transaction, Transactor
from tests.trip import TRIP, TripBooked, bank, desk, hotel

SETTINGS = Settings(key_prefix="audited:", block=timedelta(milliseconds=50))
KEYS = Keys(SETTINGS.key_prefix, COORDINATOR)


@pytest.fixture
async def trips(server_url: str) -> AsyncIterator[Runtime]:
    """Let one trip be done, one declined and one refused, in a database that was emptied of earlier ones."""
    async with Runtime(server_url, participants=[desk, hotel, bank], sagas=[TRIP], settings=SETTINGS) as runtime:
        await runtime.change(hotel, lambda tx: tx.set("rooms", {"free": 10}))
        wishes = [TripBooked(nights=2), TripBooked(nights=3, card="bad"), TripBooked(nights=99)]
        begun = [await runtime.begin(trip, key=str(number)) for number, trip in enumerate(wishes)]
        assert all([await runtime.ended(saga.saga_id) for saga in begun])
        yield runtime
    keys = await runtime.bus.query.execute("KEYS", f"{SETTINGS.key_prefix}*")
    await runtime.bus.query.execute("DEL", *(str(key) for key in keys if keys))  # type: ignore[union-attr]
    await runtime.bus.close()


async def run(trips: Runtime, *words: str) -> int:
    """Run the command as it was said."""
    said = parser().parse_args(["audit", *words])
    return await audit_sagas(said, trips.bus, SETTINGS, [TRIP], [desk, hotel, bank], [])


async def test_a_sound_server_is_clean(trips: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule has its line, and the last one says the verdict."""
    assert await run(trips, "--at-rest") == DONE

    told = capsys.readouterr().out
    assert told.startswith("3 sagas: ")
    assert re.search(r"^ledgers-equal-records +3 +0 +0$", told, re.MULTILINE)
    assert told.endswith("\nnothing differs\n")


async def test_a_difference_is_told_with_its_rule_and_what_to_do(
    trips: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rule, saga, what was expected and found, and what to do next; the exit code is not that of success."""
    (saga_id,) = await _listed(trips, "index:status:Completed:trip")
    await trips.bus.query.execute("ZADD", KEYS.key("timers"), 10**13, saga_id)

    assert await run(trips, "--at-rest") == DIFFERENT

    told = capsys.readouterr().out
    assert f"  saga {saga_id}\n    expected  no timer, for it is Completed\n    found     one at 10000000000000" in told
    assert "  what to do: a running saga without a timer" in told
    assert told.endswith("2 differences; docs/reference/audit.md says what each rule proves\n")


async def test_what_the_coordinators_keep_is_listed_and_taken_back_by_the_same_words(
    trips: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    """The alert counts it although the audit finds nothing any more: its events were trimmed, and it is settled."""
    late = Difference("one-end", "saga of-old", "one terminal event", "two", "of-old", (("events:SagaCompleted", 1),))
    other = Difference("counters-equal-records", "started|trip", "3", "4")
    standing = await results.read_standing(trips.bus.query, KEYS)
    tx = Transaction(Reader(trips.bus.query, KEYS), saga_id="", key="", now_ms=0)
    results.conclude(tx, standing, standing, [], [late, other])
    await Transactor(trips.bus.writer, KEYS, retention=timedelta(days=1)).commit([tx])

    assert await run(trips, "--kept") == DIFFERENT
    told = capsys.readouterr().out
    assert "one-end:\n  saga of-old\n    expected  one terminal event\n    found     two\n" in told
    assert told.endswith("2 differences; docs/reference/audit.md says what each rule proves\n")

    assert await run(trips) == DONE
    assert "the coordinators keep what they found before, in 2 places: audit --kept" in capsys.readouterr().err

    assert await run(trips, "--take-back", "one-end", "saga of-old") == DONE
    with pytest.raises(NotKept, match="no difference 'one-end' about 'saga of-old'; audit --kept lists them"):
        await run(trips, "--take-back", "one-end", "saga of-old")
    capsys.readouterr()

    assert await run(trips, "--kept", "--json") == DIFFERENT
    assert json.loads(capsys.readouterr().out) == [
        {"rule": other.rule, "about": other.about, "sagaId": None, "expected": "3", "found": "4"}
    ]
    await run(trips, "--take-back", other.rule, other.about)
    capsys.readouterr()
    assert await run(trips, "--kept") == DONE
    assert capsys.readouterr().out == "nothing differs\n"


async def test_sagas_of_an_older_version_are_judged_by_their_own_table(
    trips: Runtime, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The project names both for as long as sagas of the older one are kept."""
    (tmp_path / "older_and_newer.py").write_text(
        "from dataclasses import replace\nfrom tests.trip import TRIP as OLDER\nNEWER = replace(OLDER, version=2)\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[tool.sagastream]\nsagas = ["older_and_newer:OLDER", "older_and_newer:NEWER"]\n'
        'participants = ["tests.trip:desk", "tests.trip:hotel", "tests.trip:bank"]\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", server_url)
    monkeypatch.setenv("KEY_PREFIX", SETTINGS.key_prefix)

    code = await asyncio.to_thread(main, ["audit", "--at-rest", "--json"])

    readable = next(
        rule for rule in json.loads(capsys.readouterr().out)["rules"] if rule["rule"] == "records-are-readable"
    )
    assert (code, readable["compared"], readable["unknown"]) == (DONE, 3, {})


async def test_one_saga_can_be_audited_by_itself(trips: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    """Its events are looked for where they must stand."""
    (saga_id,) = await _listed(trips, "index:status:Compensated:trip")

    assert await run(trips, saga_id, "--json") == DONE
    assert await run(trips, "unknown", "--json") == DIFFERENT

    sound, absent = map(json.loads, capsys.readouterr().out.splitlines())
    assert sound["statuses"] == {"Compensated": 1}
    assert {rule["rule"]: rule["compared"] for rule in sound["rules"]}["effects-have-events"] == 1
    assert absent["differences"][0]["sagaId"] == "unknown"
    assert absent["differences"][0]["expected"] == "a record, for it was asked about by this id"


async def test_what_was_acknowledged_must_exist(
    trips: Runtime, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever noted what was answered can have it compared, as a program reads it."""
    ids = [*await _listed(trips, "index:all"), "promised"]
    (tmp_path / "ids").write_text("\n".join(ids))

    assert await run(trips, "--json", "--acknowledged", str(tmp_path / "ids")) == DIFFERENT

    told = json.loads(capsys.readouterr().out)
    assert [(each["rule"], each["sagaId"]) for each in told["differences"]] == [("begun-sagas-exist", "promised")]
    assert not told["isClean"]


async def test_many_differences_are_cut_short(trips: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    """A report stays readable; how many there are is told."""
    for number in range(SHOWN + 5):
        await trips.bus.query.execute("HSET", KEYS.key("counts"), f"started|ghost-{number:02}", 1)

    assert await run(trips) == DIFFERENT

    assert "  and 5 more; --json" in capsys.readouterr().out


async def _listed(trips: Runtime, index: str) -> list[str]:
    return texts(await trips.bus.query.execute("ZRANGE", KEYS.key(index), 0, -1))
