"""Peers stay out of the way of everybody who does not measure them, and none is left out of the table in silence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.peers import __main__ as peers
from bench.peers.order_sagastream import plain
from bench.peers.table import PEERS
from sagastream.saga.check import check

FOLDER = Path(peers.__file__).parent


def test_a_peer_that_is_not_here_has_its_line_and_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that leaves somebody out looks like one in which nobody is faster."""
    code = peers.main(["--python", str(tmp_path / "nowhere"), "--only", "SQLite", "--share", "0.01"])

    told = capsys.readouterr().out
    assert code == 1
    assert len(re.findall(r"on SQLite .* not measured: .*nowhere.*bench-peers", told)) == 2


def test_every_line_says_what_is_promised_for_its_throughput() -> None:
    """At least once without a memory is cheaper than exactly once with one."""
    assert all(peer.on_disk and peer.once and peer.knows for peer in PEERS)
    assert len({peer.name for peer in PEERS}) == len(PEERS)


def test_the_peers_steps_are_a_sound_saga_here() -> None:
    """With a way back that nobody measures: what cannot be undone would be compared with what can."""
    cast = plain()

    assert check([cast.saga], cast.participants) == []


def test_what_peers_need_is_locked_by_its_content_and_names_no_place_to_get_it() -> None:
    """Every package by its hash."""
    python = (FOLDER / "requirements.lock").read_text()
    node = json.loads((FOLDER / "package-lock.json").read_text())

    assert python.count("--hash=sha256:") >= len(re.findall(r"^[a-z0-9-]+(\[.*])?==", python, re.MULTILINE)) > 20
    assert not re.search(r"https?://|--index|--find-links", python)
    packages = [package for name, package in node["packages"].items() if name]
    assert all(package["integrity"] and "resolved" not in package for package in packages)


def test_peers_are_no_dependency_of_anybody_else() -> None:
    """What ``make run`` and ``make test`` install knows nothing of them."""
    root = FOLDER.parents[1]
    locked = (root / "requirements-dev.lock").read_text() + (root / "requirements.lock").read_text()

    for line in (FOLDER / "requirements.in").read_text().split():
        name = line.split("[")[0]
        assert not re.search(rf"^{re.escape(name)}==", locked, re.MULTILINE)
