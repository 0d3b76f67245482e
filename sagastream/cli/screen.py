"""Where lines are shown: a terminal, in colour and redrawn in place, or any other file, one line after the other.

The only door to rich. Knows nothing of sagas.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sagastream.drawing import Line, Part, Tone
from sagastream.terminals import harmless
from sagastream.timeline import Look

_STYLES = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.FAINT: "dim",
    Tone.FORWARD: "green",
    Tone.STOPPED: "red",
    Tone.BACKWARD: "magenta",
    Tone.WAITING: "cyan",
}

_SHAPES = "●✗◀↶⊘→↻≡…○■☞"


class Screen:
    """Shows lines on one file."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._console = Console(file=self._out, highlight=False, markup=False, emoji=False)
        self.is_live = self._console.is_terminal and not self._console.is_dumb_terminal

    @property
    def look(self) -> Look:
        """Return how lines must look to be shown here."""
        return Look(ascii_only=not self._knows_shapes(), width=self._console.width if self.is_live else None)

    def say(self, *lines: Line | str, cut: bool = False) -> None:
        """Show lines for good; on a terminal, what does not fit goes on below, unless it is to be ``cut``."""
        for line in lines:
            told = Line((Part(line),)) if isinstance(line, str) else line
            if self.is_live:
                self._console.print(_text(told), no_wrap=cut, overflow="ellipsis" if cut else "fold")
            else:
                self._out.write(_encodable(harmless(told.text), self._out) + "\n")
        self._out.flush()

    @contextmanager
    def drawing(self) -> Iterator[Callable[[Sequence[Line]], None]]:
        """Open a drawing that shows the lines it is told, and stays as it was shown last."""
        if not self.is_live:
            yield self._appending()
            return
        with Live(console=self._console, auto_refresh=False) as live:
            # Lines that do not fit are cut: a wrapped one would tear the columns.
            column = Text("\n", no_wrap=True, overflow="ellipsis")
            yield lambda lines: live.update(column.join(map(_text, lines)), refresh=True)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Draw how far something has come while it goes on, and nothing of it afterwards; only on a terminal.

        What is yielded is told how much is done. Without a ``total`` nobody knows how much there is to do.
        """
        if not self.is_live:
            yield lambda done: None
            return
        from rich.progress import Progress  # most commands draw none, and need not wait for it

        with Progress(console=self._console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)

    def _appending(self) -> Callable[[Sequence[Line]], None]:
        shown: set[str] = set()

        def show(lines: Sequence[Line]) -> None:
            fresh = [line for line in lines if not line.is_passing and line.key not in shown]
            shown.update(line.key for line in fresh)
            self.say(*fresh)

        return show

    def _knows_shapes(self) -> bool:
        try:
            _SHAPES.encode(getattr(self._out, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError):
            return False
        return True


def _text(line: Line) -> Text:
    return Text.assemble(*((harmless(part.text), _STYLES[part.tone]) for part in line.parts))


def _encodable(text: str, out: TextIO) -> str:
    encoding = getattr(out, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
