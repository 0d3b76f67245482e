"""A port is given to one process only, from the moment it is given until its server listens."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sagastream import ports
from sagastream.ports import free_port, keep

ROOT = Path(__file__).parents[2]
GIVES_ALL_IT_CAN = """
import sys
from sagastream import ports

ports._PORTS = range(int(sys.argv[1]), int(sys.argv[2]))
given = []
try:
    while True:
        given.append(ports.free_port())
except OSError:
    print(*given)
"""


def few(monkeypatch: pytest.MonkeyPatch) -> range:
    """Let there be few ports, below all those that anybody beside this test is given."""
    first = random.randrange(10_000, ports._PORTS.start - 8)
    monkeypatch.setattr(ports, "_PORTS", range(first, first + 8))
    return ports._PORTS


def given_elsewhere(among: range) -> set[int]:
    """Return which of these ports another process is given, as many as it can have."""
    told = subprocess.run(
        [sys.executable, "-c", GIVES_ALL_IT_CAN, str(among.start), str(among.stop)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    return {int(port) for port in told.stdout.split()}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells its range in a file")
def test_a_free_port_is_none_that_an_outgoing_connection_may_take_before_it_is_used() -> None:
    """The kernel gives those their own end of the wire from a range of its own: whoever listens there comes late."""
    given = [free_port() for _ in range(50)]

    assert max(given) < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def test_a_port_that_is_in_use_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is tried first."""
    among = few(monkeypatch)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", among[3]))

        assert given_elsewhere(among) == {*among} - {among[3]}


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two services that are to be started next must not be told the same one, though nobody listens there yet."""
    among = few(monkeypatch)

    given = [free_port() for _ in range(3)]

    assert len(set(given)) == len(given)
    assert given_elsewhere(among) == {*among} - {*given}


def test_a_port_that_somebody_keeps_is_given_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service that was to listen there may be about to be started again."""
    among = few(monkeypatch)

    assert keep(among[0])
    assert not keep(among[0])
    assert among[0] not in given_elsewhere(among)


def test_what_was_given_long_ago_is_kept_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a descriptor, and a process has few: by then somebody listens, or nobody will."""
    monkeypatch.setattr(ports, "_MOST_KEPT", 2)
    monkeypatch.setattr(ports, "_kept", type(ports._kept)())
    among = few(monkeypatch)

    assert [keep(port) for port in among[:3]] == [True, True, True]
    assert among[0] in given_elsewhere(among)
