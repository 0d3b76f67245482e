"""The shop as commands ask it, and what they say where it does not answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from sagastream.cli.exits import REFUSED
from sagastream.cli.office import NoShop, Office, Refused
from sagastream.cli.repairing import told
from sagastream.settings import Settings


@contextmanager
def taken_and_not_answered() -> Iterator[str]:
    """Take one request, as a shop that dies while it does what is asked; yield where."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def take() -> None:
            wire, _ = listening.accept()
            with wire:
                wire.recv(65_536)

        taking = threading.Thread(target=take)
        taking.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        taking.join()


def office(url: str) -> Office:
    return Office(Settings(base_url=url, operator_token=SecretStr("a-token-nobody-guesses")), "ann")


def test_an_action_that_was_sent_is_not_said_to_be_undone() -> None:
    """Its answer was lost: whoever takes that for a refusal begins a repair of many sagas twice."""
    with taken_and_not_answered() as url, office(url) as asked, pytest.raises(NoShop, match="may have been done"):
        asked.post("repairs", body={"action": "abort"})


def test_an_action_that_was_not_sent_is_not_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    with office(url) as asked, pytest.raises(NoShop, match="cannot be asked"):
        asked.post("repairs", body={"action": "abort"})


def test_why_something_was_refused_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """It may repeat what customers and services worded."""
    assert told(Refused(409, "the saga says \x1b[2J\x9b2Jpaid")) == REFUSED

    assert capsys.readouterr().err == "sagastream: the saga says \\u001b[2J\\u009b2Jpaid\n"
