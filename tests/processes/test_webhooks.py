"""A whole shop tells how sagas end: a receiver that hangs while the coordinator is killed, and the documented one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from sagastream.offspring import dies_with_parent
from sagastream.ports import free_port
from sagastream.webhooks.participant import WebhookView
from sagastream.webhooks.signing import headers, keys_of
from tests.documents import ROOT, blocks
from tests.processes.child import environment
from tests.processes.dev_shop import DevShop, dev_shop
from tests.processes.orders import an_order
from tests.processes.until import until
from tests.unit.webhooks.receiver import OK, SECRET, Receiver, Request, receiving

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
DOCUMENT = ROOT / "docs" / "how-to" / "webhooks.md"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory, port: int) -> AsyncIterator[DevShop]:
    """A shop of several processes that tells whoever listens at a port of this test."""
    told = {
        "WEBHOOK_URL": f"http://127.0.0.1:{port}/",
        "WEBHOOK_SECRET": SECRET,
        "WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8",
    }
    async with dev_shop(tmp_path_factory.mktemp("shop"), "--procs", **told) as shop:
        yield shop


@contextmanager
def documented_receiver(folder: Path, port: int) -> Iterator[Path]:
    """Run the receiver of the how-to around the block; yield where it prints."""
    (program,) = blocks(DOCUMENT, "python")
    assert program.file == "receiver.py"
    (folder / program.file).write_text(program.text)
    printed = folder / "printed"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, program.file], cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            env=environment(folder, WEBHOOK_SECRET=SECRET, PORT=str(port)), preexec_fn=dies_with_parent(),
        )  # fmt: skip
    try:
        yield printed
    finally:
        process.kill()
        process.wait()


async def test_a_coordinator_killed_while_the_receiver_hangs_tells_it_under_the_same_id(
    shop: DevShop, port: int
) -> None:
    """The receiver may have heard it or not; the next coordinator finds that it was begun, and tells it."""
    hangs = asyncio.Event()

    async def never(request: Request) -> bytes:
        hangs.set()
        await asyncio.sleep(60)
        return OK

    async with receiving(first := Receiver(never), port=port):
        placed = await shop.place(an_order(method="DeclinedCard"))
        await asyncio.wait_for(hangs.wait(), 30)
        await shop.kill("coordinator")
    async with receiving(then := Receiver(), port=port):

        async def was_told() -> bool:
            return bool(then.requests)

        await until(was_told, "the next coordinator tells it", within_s=60)

    assert first.ids == then.ids
    assert then.requests[0].told["type"] == "saga.compensated"
    assert then.requests[0].told["data"]["sagaId"] == placed.saga_id
    shown = (await shop.http.get(f"/api/v1/sagas?id={placed.saga_id}")).json()["sagas"]
    assert then.requests[0].told["data"] == shown[0], "what is told is what the API says"


async def test_the_documented_receiver_is_told_once_it_is_there_and_refuses_forgeries(
    shop: DevShop, port: int, tmp_path: Path
) -> None:
    """It was away when the saga ended."""
    placed = await shop.place(an_order())
    assert await shop.ended(placed) == ["Completed"]
    url = f"http://127.0.0.1:{port}/"
    with documented_receiver(tmp_path, port) as printed:

        async def was_told() -> bool:
            return placed.saga_id in printed.read_text()

        await until(was_told, "the receiver is told", within_s=60)
        body = json.dumps({"type": "saga.completed", "data": {"sagaId": "forged"}}).encode()
        forged = headers(keys_of("whsec_" + "A" * 32), id="one", at_s=2_000_000_000, body=body)
        old = headers(keys_of(SECRET), id="two", at_s=1_700_000_000, body=body)
        async with httpx.AsyncClient(trust_env=False) as client:
            refused = [
                (await client.post(url, content=body, headers=signed)).status_code for signed in ({}, forged, old)
            ]
        told = printed.read_text()

    assert refused == [401, 401, 401]
    assert told.splitlines().count(f"saga.completed {placed.saga_id}") == 1
    assert "forged" not in told


async def test_the_document_shows_what_comes() -> None:
    (shown,) = blocks(DOCUMENT, "text")

    assert WebhookView.model_validate_json(shown.text).model_dump(by_alias=True).keys() == json.loads(shown.text).keys()
    assert json.loads(WebhookView.model_validate_json(shown.text).model_dump_json(by_alias=True)) == json.loads(
        shown.text
    )
