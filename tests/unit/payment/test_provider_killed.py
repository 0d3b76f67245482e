"""What a provider has answered is in its record when the process is killed in the next instant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from payment_service.provider_books import Outcome, accounts
from payment_service.provider_record import read

pytestmark = pytest.mark.processes

PROVIDER = """
import asyncio, sys
from pathlib import Path
from payment_service.provider import Provider
from payment_service.provider_record import FileRecord

async def main() -> None:
    async with Provider(FileRecord(Path(sys.argv[1]))) as provider:
        for number in range(10**9):
            await provider.charge(f"key-{number}", 500, "EUR", "CreditCard")
            print(number, flush=True)

asyncio.run(main())
"""


def test_killing_the_provider_loses_no_answered_call(tmp_path: Path) -> None:
    """Three lives on one record: each knows what the last one answered, and the lock goes with its holder."""
    path = tmp_path / "calls.jsonl"
    answered = set()
    for life in range(3):
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        with subprocess.Popen(
            [sys.executable, "-c", PROVIDER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                answered.add(int(line))
                if int(line) == 500 * (life + 1):
                    process.kill()
                    break
            answered.update(int(line) for line in process.stdout.read().splitlines()[:-1])

    calls = list(read(path))
    books = accounts(calls)
    charges = [call.key for call in calls if call.outcome is Outcome.CHARGED]
    assert all(books[f"key-{number}"].kept_cents == 500 for number in answered)
    assert len(charges) == len(set(charges)), "a key was charged in two lives"
    assert len(calls) > len(charges), "the later lives charged keys of the first again, and were answered"
