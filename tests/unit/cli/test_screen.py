"""Where lines are shown: redrawn on a terminal, appended anywhere else."""

from __future__ import annotations

import io

import pytest

from sagastream.cli.screen import Screen
from sagastream.drawing import Line, Part, Tone


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Latin(io.StringIO):
    """A file that can only take one old encoding."""

    encoding = "latin-1"


def line(text: str, key: str = "", *, is_passing: bool = False) -> Line:
    return Line((Part(text, Tone.FORWARD),), key or text, is_passing)


@pytest.fixture(autouse=True)
def terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the surroundings decide what counts as a terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_gets_each_line_once_and_nothing_that_passes() -> None:
    """What is drawn again is not repeated, and waits never stand where they would stay."""
    out = io.StringIO()
    with Screen(out).drawing() as show:
        show([line("one"), line("waiting", is_passing=True)])
        show([line("one"), line("two")])

    assert out.getvalue() == "one\ntwo\n"


def test_a_file_gets_no_colours_and_whole_lines() -> None:
    out = io.StringIO()
    Screen(out).say(line("x" * 300))

    assert out.getvalue() == "x" * 300 + "\n"


def test_a_terminal_is_redrawn_in_place_and_in_colour() -> None:
    """The drawing that stays is the one shown last."""
    out = Terminal()
    with Screen(out).drawing() as show:
        show([line("waiting", is_passing=True)])
        show([line("done")])

    shown = out.getvalue()
    assert "\x1b[32m" in shown
    assert shown.index("waiting") < shown.index("\x1b[2K") < shown.index("done")


def test_a_dumb_terminal_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    Screen(out).say(line("one"))

    assert out.getvalue() == "one\n"


def test_no_colour_is_shown_to_those_who_want_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shapes and words stay."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    Screen(out).say(line("● done"))

    assert "\x1b[32m" not in out.getvalue()
    assert "● done" in out.getvalue()


def test_an_old_encoding_gets_ascii_shapes_and_no_error() -> None:
    out = Latin()
    screen = Screen(out)
    screen.say(line("● done"))

    assert screen.look.ascii_only
    assert out.getvalue() == "? done\n"


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_what_others_word_does_not_steer_the_terminal(kind: type[io.StringIO]) -> None:
    """A reason or a name can hold anything: it is spelled out, and stays one line."""
    out = kind()
    Screen(out).say("declined\x1b]0;taken\x07\x1b[2J\x9b2J\n2026  ann  Completed")
    with Screen(out).drawing() as show:
        show([line("\x1b[8mhidden")])

    shown = out.getvalue()
    assert "declined\\u001b]0;taken\\u0007\\u001b[2J\\u009b2J\\u000a2026  ann  Completed\n" in shown
    assert "\\u001b[8mhidden" in shown
    assert not any(part in shown for part in ("\x1b]0;", "\x07", "\x1b[2J", "\x9b", "\x1b[8m"))


@pytest.mark.parametrize("total", [40, None])
def test_a_terminal_sees_how_far_something_has_come_while_it_goes_on(total: int | None) -> None:
    """And nothing of it stays."""
    out = Terminal()
    with Screen(out).progress("retry", total) as done:
        done(10)

    assert "retry" in out.getvalue()
    assert ("25%" in out.getvalue()) == (total is not None)
    assert out.getvalue().rstrip().endswith("\x1b[2K")


def test_a_file_gets_nothing_of_what_passes() -> None:
    out = io.StringIO()
    with Screen(out).progress("retry", 40) as done:
        done(10)

    assert out.getvalue() == ""
