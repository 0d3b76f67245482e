"""One real server for all tests that need one; what a folder's tests need, and in which order they are run."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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


# What a folder starts once for all its tests lives until the last test of the run: those that start most come last.
ORDER = ("stage", "server", "unit", "processes", "deploy", "browser", "monitoring")
TOGETHER = frozenset({"deploy", "browser", "monitoring"})


def pytest_configure() -> None:
    """Judge no example of Hypothesis by the clock, and listen to Ctrl-C, as what is started here is to listen to it.

    An example that takes a fifth of a second would fail, whoever else keeps the machine busy. A shell starts what goes
    to the background deaf to Ctrl-C.
    """
    told = settings.get_profile(settings.get_current_profile_name())
    unhurried = settings(told, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("unhurried", unhurried)
    settings.load_profile("unhurried")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, so that they can be left out where there is no time, and put them in order."""
    items.sort(key=lambda item: ORDER.index(_folder(item.path)))
    for item in items:
        need = NEEDS.get(_folder(item.path))
        if need is not None:
            item.add_marker(need)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Give each file to one worker, and each folder that starts something big."""
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = _folder(HERE.parent / file)
        return folder if folder in TOGETHER else file


def _folder(path: Path) -> str:
    return path.relative_to(HERE).parts[0]


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Forget how a command that a test ran has logs written: to the standard error of that test alone."""
    told, root = structlog.get_config(), logging.getLogger()
    level = root.level
    yield
    structlog.configure(**told)
    root.handlers = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
    root.setLevel(level)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one embedded server for the whole run; its users keep apart by a ``KEY_PREFIX`` of their own."""
    with EmbeddedServer(tmp_path_factory.mktemp("embedded")) as server:
        yield server.url
