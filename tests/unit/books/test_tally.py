"""What happened outside is added up on disk, and is what adding it up in memory gives."""

from __future__ import annotations

import json
import resource
from collections import Counter
from itertools import islice
from pathlib import Path

from books.facts import Account
from books.reading import read_accounts, recorded
from books.tally import Tally

MEGABYTE = 2**20


def in_memory() -> int:
    """Return how many bytes of this process are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def recording(path: Path, sagas: int) -> Path:
    """Write a provider's record of sagas that were charged, every third given back."""
    with path.open("w") as file:
        for number in range(sagas):
            call = {"call": "charge", "key": f"{number:064x}.charge", "outcome": "charged", "amountCents": number}
            file.write(json.dumps(call) + "\n")
            if number % 3 == 0:
                file.write(json.dumps(call | {"call": "refund", "outcome": "refunded"}) + "\n")
    return path


def test_it_adds_up_as_memory_does(tmp_path: Path) -> None:
    calls = recording(tmp_path / "calls.jsonl", 100)
    expected = read_accounts(calls)

    with Tally() as tally:
        told = recorded(calls)
        while page := list(islice(told, 7)):
            tally.add_calls(page)
        found = tally.accounts([f"{number:064x}" for number in range(100)])

    assert found == expected
    assert found[f"{3:064x}.charge"] == Account(3, 3, 1)


def test_what_nobody_asked_for_is_left() -> None:
    with Tally() as tally:
        tally.add_calls([
            ("s1.charge", Account(500, 0, 1)), ("s2.charge", Account(700, 0, 1)), ("s2.fee", Account(70, 0, 1)),
            ("s3.charge", Account(900, 900, 1)), ("s4", Account(5, 0, 1)),
        ])  # fmt: skip

        assert tally.accounts(["s1", "s9"]) == {"s1.charge": Account(500, 0, 1)}
        assert tally.accounts(["s1"]) == {"s1.charge": Account(500, 0, 1)}
        assert list(tally.kept_for_nobody()) == [("s2", 770), ("s4", 5)]


def test_mails_are_counted_by_order_and_step() -> None:
    with Tally() as tally:
        for mails in ([("o1", "notify"), ("o1", "notify")], [("o2", "tell_cancelled"), ("o1", "notify")], []):
            tally.add_mails(mails)

        assert tally.mails("o1") == {"notify": 3}
        assert tally.mails("o2") == Counter(tell_cancelled=1)
        assert tally.mails("o3") == {}


def test_a_long_record_takes_no_memory(tmp_path: Path) -> None:
    """A provider never forgets a key; an audit must not grow with them."""
    calls = recording(tmp_path / "calls.jsonl", 100_000)
    before = in_memory()

    with Tally() as tally:
        told = recorded(calls)
        while page := list(islice(told, 500)):
            tally.add_calls(page)
        assert len(tally.accounts([f"{99_999:064x}"])) == 1

        assert in_memory() - before < 8 * MEGABYTE


def test_the_currencies_of_a_key_are_those_of_its_charges() -> None:
    """As when they are added up in memory; a refund says nothing of it."""
    changes = [
        ("s1.charge", Account(500, 0, 1, "EUR")), ("s1.charge", Account(0, 500)), ("s2.charge", Account(0, 0)),
        ("s2.charge", Account(1, 0, 1, "EUR")), ("s2.charge", Account(1, 0, 1, "USD")),
    ]  # fmt: skip
    with Tally() as tally:
        tally.add_calls(changes)

        assert tally.accounts(["s1", "s2"]) == {
            "s1.charge": Account(500, 500, 1, "EUR"),
            "s2.charge": Account(2, 0, 2, "EUR+USD"),
        }
    assert changes[0][1].plus(changes[1][1]) == Account(500, 500, 1, "EUR")
    assert changes[2][1].plus(changes[3][1]).plus(changes[4][1]) == Account(2, 0, 2, "EUR+USD")
