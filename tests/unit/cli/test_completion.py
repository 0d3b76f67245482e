"""A real shell completes commands, verbs, options and choices."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from sagastream.cli import main
from sagastream.cli.completion import completion
from sagastream.cli.words import parser
from tests.needs import program


def offered(typed: str) -> set[str]:
    """Return what bash offers for a line whose last word is being typed."""
    words = typed.split(" ")
    line = " ".join(map(shlex.quote, words))
    asked = f'COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _sagastream; printf "%s\\n" "${{COMPREPLY[@]}}"'
    script = f"{completion(parser(), 'bash')}\n{asked}"
    told = subprocess.run([program("bash"), "-c", script], capture_output=True, text=True, check=True)
    return set(told.stdout.split())


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("sagastream do", {"doctor"}),
        ("sagastream --v", {"--version"}),
        ("sagastream doctor --", {"--json", "--help"}),
        ("sagastream dead-letters ", {"list", "show", "replay", "drop", "drop-ended", "-h", "--help"}),
        ("sagastream dead-letters show --un", {"--unmasked"}),
        ("sagastream dead-letters list dr", {"dropped"}),
        ("sagastream completion z", {"zsh"}),
        ("sagastream show saga-1 --j", {"--json"}),
        ("sagastream dance --", {"--help", "--version"}),
    ],
)
def test_what_may_follow_is_offered(typed: str, words: set[str]) -> None:
    """Also behind words that are no command; what is not offered is left to the shell."""
    assert offered(typed) == words


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0

    told = capsys.readouterr().out
    assert "complete -o default -F _sagastream sagastream" in told
    assert ("bashcompinit" in told) == (shell == "zsh")
