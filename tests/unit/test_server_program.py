"""Which server program is started, and which is passed over."""

from pathlib import Path

import pytest

from sagastream.server_program import NoServer, find_server, server_version


def test_without_any_server_the_three_ways_out_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sagastream.server_program.bundled_server", lambda: None)

    with pytest.raises(NoServer, match=r"REDIS_URL.*redis-server.*sagastream\[embedded\]"):
        find_server(None, path=str(tmp_path))


def _program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_an_old_server_on_the_path_is_passed_over(tmp_path: Path) -> None:
    old = _program(tmp_path / "redis-server", "Redis server v=6.2.14 sha=0")
    new = _program(tmp_path / "valkey-server", "Valkey server v=8.1.0 sha=0")

    assert find_server(None, path=str(tmp_path)) == new
    assert server_version(old) == (6, 2)
    with pytest.raises(NoServer, match=r"6\.2"):
        find_server(old)
