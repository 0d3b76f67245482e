"""Every answer is one that OpenAPI publishes, whatever is sent: schemathesis tries, a distorted shop is caught."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sagastream.ports import free_port
from tests.processes.child import Child, environment
from tests.processes.dev_shop import DevShop, dev_shop, ready
from tests.processes.distorting import Answer, distorting
from tests.processes.orders import METHODS, an_order
from tests.processes.published import BUSINESS_RULES, ENDLESS, NEED_SOMETHING_UNDER_WAY, WRITTEN_TO

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
OF_PROVIDER = {"charge", "refund", "closeKey", "listCalls", "readBalance"}
TOKEN = "only-the-operators-know"
QUICK = {"PROVIDER_SLOW": "0.05", "PROVIDER_SILENCE": "0.2", "PAYMENT_TIMEOUT": "0.1"}
EXAMPLES = 5
LONGEST_S = 120


@dataclass
class Found:
    """What a run found: failed checks and answers, by operation id."""

    said: str
    failures: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    statuses: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tried(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevShop]:
    """A shop with operators and with orders of every kind, whose provider is never slow for long."""
    async with dev_shop(tmp_path_factory.mktemp("tried"), OPERATOR_TOKEN=TOKEN, **QUICK) as shop:
        placed = [await shop.place(an_order(method=method)) for method in METHODS]
        await shop.ended(*placed)
        yield shop


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider(tmp_path_factory: pytest.TempPathFactory, tried: DevShop) -> AsyncIterator[str]:
    """The simulated payment provider as a process of its own."""
    directory, port = tmp_path_factory.mktemp("provider"), free_port()
    told = environment(directory, REDIS_URL=tried.run.read("redis", "url") or "", **QUICK)
    factory = "payment_service.app:create_provider_service"
    child = Child(
        ["service", factory, "--name", "payment-provider", "--port", str(port)], told, directory / "provider.log"
    )
    try:
        await ready(f"http://127.0.0.1:{port}", child, "the provider")
        yield f"http://127.0.0.1:{port}"
    finally:
        await child.end()


async def test_no_answer_of_the_shop_is_outside_its_schema(tried: DevShop, tmp_path: Path) -> None:
    """Valid, invalid and repeated requests to every route: no 5xx, nothing unpublished, nothing wrong is taken."""
    base_url = str(tried.http.base_url)
    operations = _operations((await tried.http.get("/openapi.json")).json()) - ENDLESS

    found = await _try(base_url, tmp_path)

    assert not found.failures, found.said
    assert found.statuses.keys() == operations
    # Where nothing ever succeeds, or nothing is ever refused, nothing was tried.
    failing = {name for name in operations if not any(200 <= status < 300 for status in found.statuses[name])}
    assert failing <= NEED_SOMETHING_UNDER_WAY
    assert {name for name in BUSINESS_RULES if name in operations and 422 not in found.statuses[name]} == set()
    assert BUSINESS_RULES.keys() - operations == OF_PROVIDER & BUSINESS_RULES.keys()


async def test_no_answer_of_the_payment_provider_is_outside_its_schema(provider: str, tmp_path: Path) -> None:
    found = await _try(provider, tmp_path)

    assert not found.failures, found.said
    assert found.statuses.keys() == OF_PROVIDER
    assert all(200 in statuses for statuses in found.statuses.values())


async def test_a_shop_that_answers_otherwise_is_caught(tried: DevShop, tmp_path: Path) -> None:
    """The tests above have teeth: each thing that may be wrong with an answer is found, and nothing else."""
    level = (await tried.http.get("/api/stock/store-1/product-1")).content
    refused = (await tried.http.get("/api/stock/store-1?limit=0")).content

    def distort(method: str, path: str, answer: Answer) -> Answer:
        match method, path.split("/")[2:], answer.status:
            case "GET", ["stock", _], 200:
                return answer.without("available")
            case "GET", ["payments"], 200:
                return replace(answer, status=206)
            case "GET", ["payments", _], 404:
                return replace(answer, status=500)
            case "GET", ["orders", "user", _], 200:
                return replace(answer, headers={"content-type": "text/plain"})
            case "POST", ["stock", _, _, "restock"], 422:
                return Answer(200, {"content-type": "application/json"}, level)
            case "GET", ["notifications"], 200:
                return Answer(422, {"content-type": "application/problem+json"}, refused)
            case _, ["orders", _, "cancel"], 405:
                return Answer(200, {"content-type": "application/json"}, b"{}")
        return answer

    with distorting(str(tried.http.base_url), distort) as base_url:
        found = await _try(base_url, tmp_path, only=CAUGHT)

    assert {name: found.failures[name] & checks for name, checks in CAUGHT.items()} == CAUGHT, found.said


CAUGHT = {
    "listStock": {"JsonSchemaError"},
    "listPayments": {"UndefinedStatusCode"},
    "getPayment": {"ServerError"},
    "listOrdersOfUser": {"UndefinedContentType"},
    "restock": {"AcceptedNegativeData"},
    "listNotifications": {"RejectedPositiveData"},
    "cancelOrder": {"UnsupportedMethodResponse"},
}


def _operations(published: dict[str, Any]) -> set[str]:
    return {operation["operationId"] for path in published["paths"].values() for operation in path.values()}


async def _try(base_url: str, directory: Path, only: Iterable[str] = ()) -> Found:
    """Let schemathesis try a service's routes, in a process of its own."""
    written = directory / "tried.jsonl"
    told = environment(directory, SCHEMATHESIS_HOOKS="tests.processes.published", **{WRITTEN_TO: str(written)})
    phases = "coverage" if only else "examples,coverage,fuzzing"
    words = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{base_url}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--phases", phases, "--max-examples", str(EXAMPLES)),
        *("--seed", "1", "--generation-deterministic", "--header", f"Authorization: Bearer {TOKEN}"),
        *("--continue-on-failure", "--no-color", "--no-shrink"),
        *(word for name in only for word in ("--include-operation-id", name)),
        *(word for name in ENDLESS - set(only) for word in ("--exclude-operation-id", name)),
    ]
    run = partial(subprocess.run, words, cwd=directory, env=told, capture_output=True, text=True, timeout=LONGEST_S)
    done = await asyncio.to_thread(run)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = Found(done.stdout + done.stderr)
    for line in written.read_text().splitlines():
        tried = json.loads(line)
        if "status" in tried:
            found.statuses[tried["operation"]].add(tried["status"])
        else:
            found.failures[tried["operation"]].add(tried["failure"])
    assert bool(found.failures) is bool(done.returncode), found.said
    return found
