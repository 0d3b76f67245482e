"""One real server for all tests that need one; everything under ``server/`` is marked as such."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sagastream.embedded import EmbeddedServer

SERVER_TESTS = Path(__file__).parent / "server"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies under ``server/``, so that it can be left out where there is no time for a server."""
    for item in items:
        if SERVER_TESTS in item.path.parents:
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one embedded server for the whole run; its users keep apart by a ``KEY_PREFIX`` of their own."""
    with EmbeddedServer(tmp_path_factory.mktemp("embedded")) as server:
        yield server.url
