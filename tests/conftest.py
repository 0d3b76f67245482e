"""One real server for all tests that need one; everything under ``server/`` is marked as such."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sagastream.embedded import EmbeddedServer

HERE = Path(__file__).parent
# What the tests of a folder need beyond Python; `make test-fast` leaves all of these out.
NEEDS = {
    "server": "server",
    "processes": "processes",
    "browser": "processes",
    "deploy": "processes",
    "monitoring": "processes",
    "stage": "seeds",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, so that they can be left out where there is no time for them."""
    for item in items:
        need = NEEDS.get(item.path.relative_to(HERE).parts[0])
        if need is not None:
            item.add_marker(need)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one embedded server for the whole run; its users keep apart by a ``KEY_PREFIX`` of their own."""
    with EmbeddedServer(tmp_path_factory.mktemp("embedded")) as server:
        yield server.url
