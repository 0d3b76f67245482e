"""The shop as commands ask it, and what they say where it does not answer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from sagastream.cli.exits import DONE, NOT_CONFIRMED, REFUSED
from sagastream.cli.office import NoShop, Office, Refused
from sagastream.cli.repairing import repair, told
from sagastream.cli.words import parser
from sagastream.settings import Settings


@contextmanager
def taken_and_answered(answer: bytes = b"") -> Iterator[str]:
    """Take one request, and answer nothing, as a shop that dies while it does what is asked, or so; yield where."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def take() -> None:
            wire, _ = listening.accept()
            with wire:
                wire.recv(65_536)
                wire.sendall(answer)

        taking = threading.Thread(target=take)
        taking.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        taking.join()


def office(url: str) -> Office:
    return Office(Settings(base_url=url, operator_token=SecretStr("a-token-nobody-guesses")), "ann")


def test_an_action_that_was_sent_is_not_said_to_be_undone() -> None:
    """Its answer was lost: whoever takes that for a refusal begins a repair of many sagas twice."""
    with taken_and_answered() as url, office(url) as asked, pytest.raises(NoShop, match="may have been done"):
        asked.post("repairs", body={"action": "abort"})


def test_an_action_that_was_not_sent_is_not_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    with office(url) as asked, pytest.raises(NoShop, match="cannot be asked"):
        asked.post("repairs", body={"action": "abort"})


def answer(status: int, body: str, kind: str = "text/html") -> bytes:
    lines = f"HTTP/1.1 {status} So", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close"
    return "\r\n".join([*lines, "", body]).encode()


@pytest.mark.parametrize("status", [200, 404])
def test_whoever_is_no_shop_is_told_apart_from_a_saga_that_is_not_there(status: int) -> None:
    page = answer(status, "<h1>Welcome</h1>")
    why = rf"is no shop: it answered {status} .*BASE_URL"
    with taken_and_answered(page) as url, office(url) as asked, pytest.raises(NoShop, match=why):
        asked.get("trail")


def test_a_shop_without_the_route_is_told_apart_from_a_saga_that_is_not_there() -> None:
    """As a coordinator of one's own that was not given it, or a participant."""
    detail = '{"status": 404, "detail": "there is nothing at /api/v1/trail"}'
    problem = answer(404, detail, "application/problem+json")
    why = r"offers no /api/v1/trail: .*BASE_URL.*coordinator"
    with taken_and_answered(problem) as url, office(url) as asked, pytest.raises(NoShop, match=why):
        asked.get("trail")


def test_a_gateway_that_answers_for_the_shop_does_not_know_whether_it_was_done() -> None:
    page = answer(504, "<h1>Gateway Time-out</h1>")
    why = r"it answered 504: it may have been done"
    with taken_and_answered(page) as url, office(url) as asked, pytest.raises(NoShop, match=why):
        asked.post("repairs", body={"action": "abort"})


def test_why_something_was_refused_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """It may repeat what customers and services worded."""
    assert told(Refused(409, "the saga says \x1b[2J\x9b2Jpaid")) == REFUSED

    assert capsys.readouterr().err == "sagastream: the saga says \\u001b[2J\\u009b2Jpaid\n"


def test_a_filter_that_fits_nothing_is_told_with_the_status_that_was_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever names a step and is told of no sagas would believe that none waits there, though many are InProgress."""
    none = answer(200, '{"count": 0, "exact": true, "sample": []}', "application/json")
    with taken_and_answered(none) as url:
        words = parser().parse_args(["retry", "--at", "charge payment", "--reason", "it is back"])
        code = repair(words, Settings(base_url=url, operator_token=SecretStr("a-token-nobody-guesses")))

    assert code == DONE
    assert capsys.readouterr().err == "0 sagas that are NeedsAttention; --status says which others to look for\n"


def test_a_saga_that_waits_for_no_step_is_shown_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    """It waits for a coordinator of another release; before one acts, one is told for what."""
    waits = {"who": "coordinator", "since": "2026-01-01T00:00:00Z", "step": None, "what": "one that knows the table"}
    saga = {"sagaId": "saga-1", "status": "InProgress", "failureReason": None, "waitingFor": waits, "open": []}
    with taken_and_answered(answer(200, json.dumps(saga), "application/json")) as url:
        words = parser().parse_args(["retry", "saga-1", "--reason", "it is back"])
        code = repair(words, Settings(base_url=url, operator_token=SecretStr("a-token-nobody-guesses")))

    assert code == NOT_CONFIRMED
    assert capsys.readouterr().err == (
        "saga-1  InProgress\n"
        "  waits for coordinator since 2026-01-01T00:00:00Z: one that knows the table\n"
        "sagastream: nobody is here to confirm it; say --yes\n"
    )


@pytest.mark.parametrize(
    ("command", "none", "said"),
    [
        ("repairs", "[]", "no repairs of many sagas\n"),
        ("trail", '{"entries": [], "next": null}', "no such entries\n"),
    ],
)
def test_a_list_of_nothing_is_told_beside_the_output(
    command: str, none: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence could as well be a command that did not run."""
    with taken_and_answered(answer(200, none, "application/json")) as url:
        settings = Settings(base_url=url, operator_token=SecretStr("a-token-nobody-guesses"))
        code = repair(parser().parse_args([command]), settings)

    assert (code, *capsys.readouterr()) == (DONE, "", said)
