"""The server beside the shop: quick to start, alone on its data, and none of them lost when it is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sagastream.bus import connect
from sagastream.durability import read_durability
from sagastream.embedded import EmbeddedServer, ping, server_url
from sagastream.ports import free_port
from sagastream.rundir import AlreadyRunning, RunDir, command_line
from sagastream.server_program import NoServer, bundled_server, find_server
from sagastream.settings import Settings
from tests.needs import absent

pytestmark = pytest.mark.server


@pytest.fixture(params=["bundled", "found"])
def program(request: pytest.FixtureRequest) -> Path:
    """Return the bundled program, and the one this machine has if it is another."""
    bundled, found = bundled_server(), find_server(None)
    if request.param == "found" and found == bundled:
        absent("no other server than the bundled one; on Debian: apt-get install redis-server")
    program = bundled if request.param == "bundled" else found
    assert program is not None
    return program


@pytest.fixture
def server(program: Path, tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path, program=program) as server:
        yield server


def ask(port: int, line: str) -> bytes:
    """Send an inline command and return the first bytes of the answer."""
    with socket.create_connection(("127.0.0.1", port), 2) as wire:
        wire.sendall(f"{line}\r\n".encode())
        return wire.recv(1024)


def until(claim: Callable[[], bool]) -> None:
    """Wait until a claim holds, for ten seconds at most."""
    end = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_it_survives_being_killed_on_the_same_port_with_its_data(server: EmbeddedServer) -> None:
    ask(server.port, "SET kept yes")
    port = server.port

    server.kill()
    assert not server.is_running
    server.launch()
    server.wait_ready()

    assert server.port == port
    assert b"yes" in ask(port, "GET kept")


def test_what_it_stores_is_its_owners_only(server: EmbeddedServer, tmp_path: Path) -> None:
    assert (tmp_path / "redis").stat().st_mode & 0o077 == 0


def test_it_says_where_it_is_until_it_stops(server: EmbeddedServer, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")

    assert run.read("redis") == str(server.pid)
    assert run.read("redis", "url") == server.url
    server.stop()
    assert run.read("redis") is None
    assert ping(server.port) == b""


def test_two_shops_never_share_a_directory(server: EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        EmbeddedServer(tmp_path).start()

    assert server.is_running


def test_a_visitor_finds_the_running_server(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)

    with server_url(Settings(data_dir=tmp_path)) as url:
        assert url == server.url
    assert server.is_running


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(NoServer, match=r"(?i)in use"):
            EmbeddedServer(tmp_path, port=taken.getsockname()[1]).start()


def test_its_directory_is_free_again_after_a_failed_start(tmp_path: Path) -> None:
    with pytest.raises(NoServer):
        EmbeddedServer(tmp_path, program=Path("/bin/false")).start()

    with EmbeddedServer(tmp_path) as server:
        assert server.is_running


_LAUNCH = """
import sys, time
from pathlib import Path
from sagastream.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def _launcher(data_dir: Path) -> tuple[subprocess.Popen[str], int]:
    launcher = subprocess.Popen([sys.executable, "-c", _LAUNCH, str(data_dir)], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    return launcher, int(launcher.stdout.readline())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a child of its parent's end on Linux only")
def test_it_ends_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    launcher, pid = _launcher(tmp_path)

    with launcher:
        launcher.kill()

    until(lambda: not command_line(pid))


def test_ctrl_c_does_not_reach_it_before_the_services(tmp_path: Path) -> None:
    launcher, pid = _launcher(tmp_path)

    with launcher:
        try:
            assert os.getsid(pid) == pid != os.getsid(launcher.pid)
        finally:
            launcher.kill()


def test_a_server_left_over_is_ended_and_its_data_kept(tmp_path: Path) -> None:
    port = free_port()
    first = EmbeddedServer(tmp_path, port=port)
    first.start()
    ask(port, "SET kept yes")
    left_over = first.pid
    first._held.close()  # as if the launcher had been killed where no kernel tells the child

    with EmbeddedServer(tmp_path, port=port) as second:
        assert b"yes" in ask(port, "GET kept")
        assert second.pid != left_over
    assert first.wait() == 0


def test_a_process_that_is_not_ours_is_never_ended(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        RunDir(tmp_path / "run").write("redis", stranger.pid)

        with EmbeddedServer(tmp_path):
            assert stranger.poll() is None

        stranger.send_signal(signal.SIGKILL)


def test_hashes_as_large_as_records_are_kept_in_one_piece(server: EmbeddedServer) -> None:
    """By the thousand they take a tenth less memory so, and reading one takes little more than half the time."""
    ask(server.port, f"HSET record progress {'x' * 1000}")

    assert ask(server.port, "OBJECT ENCODING record") == b"$8\r\nlistpack\r\n"


@pytest.mark.parametrize("left", ["", "\0\0\0\0\0", "½"])
def test_a_pid_that_cannot_be_read_stops_no_start(left: str, tmp_path: Path) -> None:
    """A power failure leaves files whose names were written, and what is in them was not."""
    RunDir(tmp_path / "run").write("redis", left)

    with EmbeddedServer(tmp_path) as server:
        assert server.is_running


async def test_its_durability_is_told(program: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, program=program, appendfsync="always") as server:
        bus = connect(server.url, name="test", block=timedelta(seconds=1))
        told = await read_durability(bus.query)
        await bus.close()

    assert (told.append_only_file, told.appendfsync, told.maxmemory_policy) == ("on", "always", "noeviction")
    assert told.server in ("redis", "valkey")
    assert told.version != "7.2.4"
    assert told.warnings == ()
