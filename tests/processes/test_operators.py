"""Operators repair sagas of the real shop, with the token it made for itself."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from sagastream.cli.exits import DONE, FAILED, NO_SUCH_SAGA, NOT_CONFIRMED, REFUSED
from sagastream.keys import Keys
from sagastream.settings import Settings
from sagastream.tokens import made_token
from tests.processes.child import ROOT, environment
from tests.processes.dev_shop import DevShop, dev_shop
from tests.processes.orders import Placed, an_order
from tests.processes.shop import PREFIX
from tests.processes.until import until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def slow_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevShop]:
    """A shop whose slow provider is slower than any test, so that what waits for it still waits when it is acted on."""
    async with dev_shop(tmp_path_factory.mktemp("slow"), PAYMENT_TIMEOUT="90", PROVIDER_SLOW="60") as shop:
        yield shop


async def act(shop: DevShop, placed: Placed, act: str) -> httpx.Response:
    """Act on the saga of an order as ann."""
    token = made_token(Settings(data_dir=shop.data_dir))
    assert token is not None
    return await shop.http.post(
        f"/api/v1/sagas/{placed.saga_id}/{act}",
        json={"reason": "the customer called"},
        headers={"Authorization": f"Bearer {token.get_secret_value()}", "X-Operator": "ann"},
    )


async def test_an_operator_turns_an_order_back_while_the_provider_charges(slow_shop: DevShop) -> None:
    """The money that may have been taken is settled, the stock is free, the customer is told."""
    shop = slow_shop
    before = await shop.stock("product-2")
    placed = await shop.place(an_order(("product-2", 1), method="SlowProvider"))

    async def is_charging() -> bool:
        state = await shop.state(placed)
        return state is not None and state.waiting_for is not None and state.waiting_for.step == "charge payment"

    await until(is_charging, "the charge is under way")
    answer = await act(shop, placed, "compensate")

    assert (answer.status_code, answer.json()["changed"]) == (202, True)
    assert await shop.ended(placed) == ["Compensated"]
    state = await shop.state(placed)
    assert state is not None
    assert state.failure_reason == "begin: the customer called (ann)"
    assert await shop.stock("product-2") == before
    await shop.told_of_cancellation(placed)
    assert await shop.differences() == []


async def test_a_completed_order_is_not_turned_back(shop_in_one: DevShop) -> None:
    shop = shop_in_one
    placed = await shop.place(an_order(("product-2", 1)))
    assert await shop.ended(placed) == ["Completed"]

    answer = await act(shop, placed, "compensate")

    assert (answer.status_code, answer.json()["because"]) == (409, "ended")
    assert await shop.order_status(placed) == "Confirmed"


async def test_who_has_no_token_changes_nothing(shop_in_one: DevShop) -> None:
    """Asked at the base URL and at the coordinator itself."""
    shop = shop_in_one
    placed = await shop.place(an_order(("product-2", 1), method="SlowProvider"))

    answers = [
        await shop.http.post(
            f"{at}/api/v1/sagas/{placed.saga_id}/compensate", json={"reason": "why not", "actor": "eve"}
        )
        for at in ("", "/services/coordinator")
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert await shop.ended(placed) == ["Completed"]


async def commanded(data_dir: Path, *words: str) -> tuple[int, str, str]:
    """Run a command as ann, without a terminal; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sagastream.cli", *words, cwd=ROOT, env=environment(data_dir),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complained = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode(), complained.decode()


async def test_commands_show_first_must_be_confirmed_and_tell_what_became_of_it(slow_shop: DevShop) -> None:
    """Exit codes tell programs the same as the words tell people."""
    shop, why = slow_shop, ("--reason", "the customer called", "--as", "ann")
    placed = await shop.place(an_order(("product-2", 1), method="SlowProvider"))

    async def is_charging() -> bool:
        state = await shop.state(placed)
        return state is not None and state.waiting_for is not None and state.waiting_for.step == "charge payment"

    await until(is_charging, "the charge is under way")
    unconfirmed = await commanded(shop.data_dir, "compensate", placed.saga_id, *why)
    done = await commanded(shop.data_dir, "compensate", placed.saga_id, *why, "--yes", "--json")
    assert await shop.ended(placed) == ["Compensated"]
    refused = await commanded(shop.data_dir, "abort", placed.saga_id, *why, "--yes")
    unknown = await commanded(shop.data_dir, "retry", "nobody", *why, "--yes")

    assert (unconfirmed[0], "say --yes" in unconfirmed[2]) == (NOT_CONFIRMED, True)
    assert "waits for payment" in unconfirmed[2]
    assert (done[0], json.loads(done[1])["actor"], json.loads(done[1])["changed"]) == (DONE, "ann", True)
    assert (refused[0], "what has ended stays" in refused[2]) == (REFUSED, True)
    assert (unknown[0], "there is no saga nobody" in unknown[2]) == (NO_SUCH_SAGA, True)
    code, said, _ = await commanded(shop.data_dir, "trail", "--saga", placed.saga_id, "--json")
    assert (code, [entry["action"] for entry in json.loads(said)["entries"]]) == (DONE, ["compensate"])


async def test_letters_of_sagas_that_ended_are_dropped_together(slow_shop: DevShop) -> None:
    """After a bad hour there are hundreds of them; what is about no saga that ended stays open.

    Nor are those dropped unasked that a person closed, for something may be left to do; they can only be dropped.
    """
    shop, drop = slow_shop, ("dead-letters", "drop-ended", "--owner", "saga", "--reason", "all is mended")
    done = await shop.place(an_order(("product-2", 1)))
    assert await shop.ended(done) == ["Completed"]
    closed = await shop.place(an_order(("product-2", 1), method="SlowProvider"))

    async def is_closed() -> bool:
        return (await act(shop, closed, "abort")).is_success

    await until(is_closed, "it is known, and closed")
    stream = Keys(PREFIX, "stock").events("StockReserved")
    (sound, *_) = [fields for _, fields in await shop.entries(stream) if fields["correlationid"] == done.saga_id]
    for saga_id in (done.saga_id, closed.saga_id, "nobody"):
        torn = {**sound, "correlationid": saga_id, "time": "yesterday"}  # which nobody can read
        await shop.server.execute("XADD", stream, "*", *chain.from_iterable(torn.items()))

    async def open_ones() -> list[str]:
        _, said, _ = await commanded(shop.data_dir, "dead-letters", "list", "--owner", "saga", "--json")
        return [letter["sagaId"] for letter in json.loads(said)["letters"]]

    async def all_lie_there() -> bool:
        return len(await open_ones()) == 3

    await until(all_lie_there, "three letters")
    unconfirmed = await commanded(shop.data_dir, *drop)
    dropped = await commanded(shop.data_dir, *drop, "--yes", "--json")
    again = await commanded(shop.data_dir, *drop, "--yes")

    assert (unconfirmed[0], done.saga_id in unconfirmed[2], "nobody" in unconfirmed[2].splitlines()[0]) == (
        NOT_CONFIRMED, True, False,
    )  # fmt: skip
    assert (dropped[0], json.loads(dropped[1])["sagaId"], json.loads(dropped[1])["fate"]) == (
        DONE, done.saga_id, "dropped",
    )  # fmt: skip
    assert (again[0], again[2]) == (DONE, "no such letters\n")
    assert sorted(await open_ones()) == sorted([closed.saga_id, "nobody"])

    dropped = await commanded(shop.data_dir, *drop, "--aborted", "--yes", "--json")
    assert (dropped[0], json.loads(dropped[1])["sagaId"]) == (DONE, closed.saga_id)
    assert await open_ones() == ["nobody"]


async def test_many_are_repaired_by_a_filter_and_the_command_waits_for_the_end(slow_shop: DevShop) -> None:
    """The shop does it, not the command; its answer is the last word of the repair."""
    shop, customer = slow_shop, "many-at-once"
    placed = [await shop.place(an_order(("product-2", 1), method="SlowProvider", customer=customer)) for _ in range(3)]

    async def are_charging() -> bool:
        states = [await shop.state(each) for each in placed]
        return all(state and state.waiting_for and state.waiting_for.step == "charge payment" for state in states)

    await until(are_charging, "the charges are under way")
    code, said, shown = await commanded(
        shop.data_dir, "compensate", "--status", "InProgress", "--initiator", customer, "--reason", "recalled",
        "--per-second", "50", "--yes", "--json",
    )  # fmt: skip

    told = json.loads(said)
    assert (code, told["state"], told["visited"], told["changed"]) == (DONE, "done", 3, 3), shown
    assert set(await shop.ended(*placed)) == {"Compensated"}
    assert all(each.saga_id in shown for each in placed)
    assert (await commanded(shop.data_dir, "repairs", told["id"]))[0] == DONE
    assert await shop.differences() == []


async def test_a_command_that_finds_no_shop_says_how_to_name_one(tmp_path: Path) -> None:
    code, _, complained = await commanded(tmp_path, "dead-letters", "list")

    assert (code, "OPERATOR_TOKEN" in complained, "DATA_DIR" in complained) == (FAILED, True, True)
