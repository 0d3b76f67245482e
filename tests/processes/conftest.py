"""The shops that tests share: starting one takes longer than most tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.processes.crew import Crew, crew
from tests.processes.dev_shop import DevShop, dev_shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop_in_one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevShop]:
    """The whole shop in one process, with the deadlines it is shipped with."""
    async with dev_shop(tmp_path_factory.mktemp("one")) as shop:
        yield shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_crew(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crew]:
    """Every process by itself, with short deadlines."""
    async with crew(tmp_path_factory.mktemp("crew"), PAYMENT_TIMEOUT="0.5", PROVIDER_SLOW="2") as shop:
        yield shop


@pytest_asyncio.fixture(loop_scope="session")
async def shop(shared_crew: Crew) -> AsyncIterator[Crew]:
    """The shared crew, complete again after each test."""
    yield shared_crew
    await shared_crew.restore()
