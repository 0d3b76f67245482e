"""`test-choreographed-saga.sh` passes against every way to run the shop, and notices what is wrong with one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.deploy.compose import TOKEN
from tests.deploy.faulty import FAULTS, faulty
from tests.deploy.played import Containers
from tests.deploy.processes import bare_environment
from tests.needs import ROOT, program
from tests.processes.dev_shop import dev_shop

pytestmark = pytest.mark.processes

SCRIPT = ROOT / "test-choreographed-saga.sh"
NAMES = (
    "service health",
    "a successful saga",
    "statistics and metrics",
    "state filtering and querying",
    "date range filtering",
    "compensation tracking",
    "error handling",
)
ALL_PASS = [*(f"PASS {number} {name}" for number, name in enumerate(NAMES, 1)), "PASS: all 7 checks passed"]


async def tried(url: str, patience: int = 30, token: str = "") -> tuple[int, list[str]]:
    """Run the script against a base URL and return its exit code and what it said."""
    for name in ("bash", "curl", "jq"):
        program(name)
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        url,
        env=bare_environment(PATIENCE=str(patience), **({"OPERATOR_TOKEN": token} if token else {})),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 120)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, said.decode().splitlines()


async def test_it_passes_against_the_shop_in_one_process_which_two_try_at_once(tmp_path: Path) -> None:
    async with dev_shop(tmp_path) as shop:
        url = str(shop.http.base_url)
        one, other = await asyncio.gather(tried(url), tried(f"{url}/"))

    assert one == other == (0, [f"trying {url}", *ALL_PASS])


async def test_it_passes_against_the_shop_in_many_processes(tmp_path: Path) -> None:
    async with dev_shop(tmp_path, "--procs") as shop:
        url = str(shop.http.base_url)
        assert await tried(url) == (0, [f"trying {url}", *ALL_PASS])


async def test_it_passes_against_single_services_behind_the_gateway(containers: Containers) -> None:
    url = containers.base_url

    assert await tried(url, token=TOKEN) == (0, [f"trying {url}", *ALL_PASS])


async def test_it_says_when_it_must_be_told_the_token(containers: Containers) -> None:
    """Where a token is set, only who shows it fills the shelves."""
    code, said = await tried(containers.base_url)

    assert code == 1
    assert "     this shop has operators: set OPERATOR_TOKEN to what it was started with" in said


async def test_one_fault_for_each_check_fails_all_seven_each_for_its_reason(containers: Containers) -> None:
    with faulty(containers.base_url) as url:
        code, said = await tried(url, token=TOKEN)

    reasons = re.findall(r"^FAIL \d .*\n     (.*)", "\n".join(said), re.MULTILINE)
    assert (code, said[-1]) == (1, "FAIL: of 7 checks these failed: 1 2 3 4 5 6 7")
    assert [reason[: len(fault.noticed)] for reason, fault in zip(reasons, FAULTS, strict=True)] == [
        fault.noticed for fault in FAULTS
    ]


async def test_where_nobody_answers_every_check_fails() -> None:
    code, said = await tried("http://127.0.0.1:9", patience=0)

    assert (code, said[-1]) == (1, "FAIL: of 7 checks these failed: 1 2 3 4 5 6 7")
