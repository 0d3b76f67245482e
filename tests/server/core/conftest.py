"""Each test of this directory runs on every server at hand, under a prefix of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sagastream.bus import Bus, connect
from sagastream.embedded import EmbeddedServer
from sagastream.keys import Keys
from tests.needs import absent

DEBIANS = Path("/usr/bin/redis-server")
_prefixes = itertools.count(1)


@pytest.fixture(scope="session")
def debians_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the server that Debian ships."""
    if not DEBIANS.exists():
        absent("no redis-server of the system; on Debian: apt-get install redis-server")
    with EmbeddedServer(tmp_path_factory.mktemp("debian"), program=DEBIANS) as server:
        yield server.url


@pytest.fixture(params=["server_url", "debians_url"], ids=["embedded", "debian"])
def url(request: pytest.FixtureRequest) -> str:
    """Return where the server under test is."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
async def bus(url: str) -> AsyncIterator[Bus]:
    """Yield connections to the server under test."""
    bus = connect(url, name="test", block=timedelta(seconds=1))
    yield bus
    await bus.close()


@pytest.fixture
def keys() -> Keys:
    """Return names that no other test uses."""
    return Keys(f"t{next(_prefixes)}:", "stock")
