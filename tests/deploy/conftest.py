"""The containers that tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.played import Containers, played


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """Everything in docker-compose.microservices.yml that belongs to the shop, as processes."""
    with played(tmp_path_factory.mktemp("containers")) as shop:
        yield shop
