"""What may be said to the command, and what it says to wrong words."""

from __future__ import annotations

import argparse
import errno
import os
from pathlib import Path

import pytest

from sagastream.cli import main
from sagastream.cli.arguments import instant
from sagastream.cli.exits import DONE, FAILED, MEANINGS, WRONG_WORDS
from sagastream.cli.words import parser
from sagastream.pages import Position
from sagastream.saga.lifecycle import Status

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
        ("2023-11-14 22:13:20.5Z", 1_700_000_000_500),
        ("1700000000000", 1_700_000_000_000),
        ("90s", NOW - 90_000),
        ("15m", NOW - 900_000),
        ("2h", NOW - 7_200_000),
        ("7d", NOW - 604_800_000),
    ],
)
def test_an_instant_can_be_written_in_many_ways(text: str, ms: int) -> None:
    assert instant(text, NOW) == ms


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2023-11-14T22:13:20", "12:00", "15", "15w", "-5m", "9" * 20, "999999999d"]
)
def test_an_instant_that_is_none_is_refused(text: str) -> None:
    """Also one without a zone, which would mean something else on every machine, and one nobody can reckon with."""
    with pytest.raises(argparse.ArgumentTypeError, match="neither an instant"):
        instant(text, NOW)


def test_the_filters_are_those_of_the_routes() -> None:
    cursor = Position(1_700_000_000_000, "saga-1").cursor()
    words = parser().parse_args(
        ["sagas", "--status", "needsattention", "--process", "order", "--initiator", "ann", "--from", "1700000000000",
         "--to", "1700000000001", "--limit", "7", "--cursor", cursor, "--json"]
    )  # fmt: skip

    assert (words.status, words.process, words.initiator) == (Status.NEEDS_ATTENTION, "order", "ann")
    assert (words.from_ms, words.to_ms, words.limit, words.json) == (1_700_000_000_000, 1_700_000_000_001, 7, True)
    assert words.cursor == Position(1_700_000_000_000, "saga-1")


@pytest.mark.parametrize(
    "wrong",
    [
        ["sagas", "--status", "Lost"],
        ["sagas", "--limit", "0"],
        ["sagas", "--limit", "201"],
        ["trail", "--limit", "201"],
        ["dead-letters", "list", "--limit", "0"],
        ["resolve", "a", "--reason", "seen", "--evidence", "a ticket", "--step", "pay", "--effect", "perhaps"],
        ["sagas", "--cursor", "no"],
        ["sagas", "--from", "noon"],
        ["show"],
        ["show", "a b"],
        ["watch", "../../etc"],
        ["dev", "--port", "65536"],
        ["participant", "stock", "--port", "-1"],
        ["front", "--port", "http"],
        ["retry", "--reason", "open again", "--per-second", "nan"],
        ["retry", "--reason", "open again", "--per-second", "soon"],
        ["abort", "--reason", "written off", "--stop-at", "inf"],
        ["dance"],
        [],
    ],
)
def test_wrong_words_are_told_in_one_line_and_end_with_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)

    told = capsys.readouterr().err
    assert ended.value.code == WRONG_WORDS
    assert "Traceback" not in told
    assert "Act." not in told, "commands are named as they are said"
    assert "Effect" not in told
    assert len(told.splitlines()[-1]) < 500, "what is allowed is told, and not listed one by one"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["sagas", "--help"],
        ["show", "--help"],
        ["watch", "--help"],
        ["audit", "--help"],
        ["doctor", "--help"],
        ["retry", "--help"],
        ["resolve", "--help"],
        ["repairs", "--help"],
        ["trail", "--help"],
        ["dead-letters", "--help"],
        ["dead-letters", "replay", "--help"],
    ],
)
def test_help_is_there(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == DONE
    assert capsys.readouterr().out.startswith("usage: sagastream")


def test_help_tells_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    told = capsys.readouterr().out.partition("exit codes:")[2]
    assert [int(line.split()[0]) for line in told.splitlines() if line.startswith("  ")] == list(MEANINGS)


@pytest.mark.parametrize("words", [["sagas"], ["show", "saga-1"], ["watch"], ["audit"], ["doctor"]])
def test_looking_where_nothing_is_leaves_nothing_behind(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A look must not create a store; the message names both ways to say where one is."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nowhere"))

    code = main(words)

    told = capsys.readouterr().err
    assert code == FAILED
    assert "DATA_DIR" in told
    assert "REDIS_URL" in told
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_cannot_be_reached_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")

    code = main(["sagas"])

    told = capsys.readouterr().err
    assert code == FAILED
    assert told.startswith("sagastream: ")
    assert told.count("\n") == 1


def test_a_front_that_is_told_two_addresses_of_one_service_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """It asks one address; who runs two processes must not believe that it looks at both."""
    twice = [f"--upstream=stock-service=http://127.0.0.1:{port}" for port in (1, 2)]

    code = main(["front", "--port", "0", *twice])

    told = capsys.readouterr().err
    assert code == FAILED
    assert told.startswith("sagastream: --upstream names stock-service twice")
    assert told.count("\n") == 1


def test_settings_that_do_not_go_together_are_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNREAD_RETENTION", "P8D")

    code = main(["sagas"])

    told = capsys.readouterr().err
    assert code == FAILED
    assert told == "sagastream: STREAM_RETENTION and UNREAD_RETENTION must be shorter than LEDGER_RETENTION\n"


@pytest.mark.parametrize("token", ["f" * 15, "f" * 257])
def test_a_token_that_is_too_short_or_too_long_is_told_in_words(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPERATOR_TOKEN", token)

    code = main(["trail"])

    told = capsys.readouterr().err
    assert code == FAILED
    assert told == "sagastream: OPERATOR_TOKEN: must have 16 to 256 characters, as `openssl rand -hex 32` makes them\n"


def test_a_setting_of_a_service_that_cannot_be_used_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not shown: it may hold a password."""
    monkeypatch.setenv("SMTP_URL", "mail.example/user:secret")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")

    code = main(["participant", "notification", "--port", "0"])

    told = capsys.readouterr().err
    assert code == FAILED
    assert told == "sagastream: SMTP_URL: must look like smtp://user:password@host:port or smtps://...\n"


def test_a_directory_that_cannot_be_made_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))

    code = main(["dev", "--port", "0"])

    told = capsys.readouterr().err
    assert code == FAILED
    assert told == f"sagastream: {tmp_path / 'file' / 'run'}: Not a directory\n"


def test_a_full_disk_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sagastream.cli.tables.check", full)

    assert main(["check"]) == FAILED
    assert capsys.readouterr().err == "sagastream: No space left on device\n"


WHY = ["--reason", "why not"]


@pytest.mark.parametrize(
    "words",
    [
        ["retry"],
        ["retry", "no id", *WHY],
        ["retry", "--status", "Completed", *WHY],
        ["retry", "--older-than", "long", *WHY],
        ["retry", "--as", "two\nlines", *WHY],
        ["resolve", "saga-1", *WHY],
        ["resolve", "saga-1", "--step", "pay", "--effect", "gone", "--evidence", "seen", *WHY],
        ["dead-letters"],
        ["dead-letters", "show", "stock", "first"],
        ["dead-letters", "drop", "stock", "1-0"],
        ["dead-letters", "list", "--fate", "lost"],
        ["repairs", "first"],
    ],
)
def test_wrong_words_of_operators_are_refused_before_anything_is_asked(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == WRONG_WORDS
    assert "error:" in capsys.readouterr().err
