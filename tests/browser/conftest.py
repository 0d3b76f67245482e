"""One browser and one stand for all tests of the console: both take longer to start than a test takes."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.chromium import Chromium, chromium
from tests.browser.page import Page, opened
from tests.browser.stand import COMPENSATED, COMPENSATING, COMPLETED, FAILED, STUCK, WAITING, Stand, stand
from tests.needs import program

LETTER = {
    "id": "a-letter",
    "type": "OrderCreated",
    "source": "order",
    "correlationid": "stuck-03",
    "data": '{"orderId":"order-3","email":"ann@example.org"}',
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    program("chromium")
    profile = tmp_path_factory.mktemp("browser")
    async with chromium(profile / "profile") as running:
        yield running
    shutil.rmtree(profile, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Chromium) -> AsyncIterator[Page]:
    """A page that has no fault to the end of the test."""
    async with opened(browser) as shown:
        yield shown
        assert shown.faults == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def full(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    """A stand with sagas in every status, many that are stuck, a dead letter and a repair that goes on."""
    async with stand(tmp_path_factory.mktemp("stand")) as shop:
        await shop.count_from_now()
        for number in range(20):
            way = COMPENSATED if number % 5 == 3 else COMPLETED
            await shop.tell(f"order-{number:02}", *way, begun_s_ago=900 - 40 * number, initiator=f"customer-{number}")
        await shop.tell("completed-1", *COMPLETED, begun_s_ago=62)
        await shop.tell("compensated-1", *COMPENSATED, begun_s_ago=48, initiator="customer-7")
        await shop.tell("failed-1", *FAILED, begun_s_ago=47)
        await shop.tell("started-1")
        await shop.tell("waiting-1", *WAITING, initiator="customer-4")
        await shop.tell("compensating-1", *COMPENSATING)
        for number in range(15):
            saga = f"stuck-{number:02}"
            await shop.tell(saga, *STUCK, begun_s_ago=7200 - number * 60, initiator=f"customer-{number}")
            await shop.let_pass(saga)
        await shop.tell("aborted-1", *STUCK, begun_s_ago=8000)
        await shop.operate("sagas/aborted-1/abort", reason="settled by telephone")
        await shop.bury("stock", "KeyError: 'storeId'", LETTER)
        nobodys = {"status": "NeedsAttention", "id": "nobody-is-called-so"}
        await shop.operate("repairs", action="retry", reason="the bank is open", filter=nobodys, atMost=1, perSecond=1)
        yield shop
