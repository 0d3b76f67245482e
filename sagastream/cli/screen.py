"""Output of lines: to a terminal, in colour and redrawn in place, or to any other file, line by line.

The only module that uses rich. Knows nothing of sagas.
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
        """Return the look of lines that this output supports."""
        return Look(ascii_only=not self._knows_shapes(), width=self._console.width if self.is_live else None)

    def say(self, *lines: Line | str, cut: bool = False) -> None:
        """Print lines; on a terminal, a long line wraps, unless it is to be ``cut``."""
        for line in lines:
            told = Line((Part(line),)) if isinstance(line, str) else line
            if self.is_live:
                self._console.print(_text(told), no_wrap=cut, overflow="ellipsis" if cut else "fold")
            else:
                self._out.write(_encodable(harmless(told.text), self._out) + "\n")
        self._out.flush()

    @contextmanager
    def drawing(self) -> Iterator[Callable[[Sequence[Line]], None]]:
        """Open a drawing that shows the lines passed to it; the last ones stay visible."""
        if not self.is_live:
            yield self._appending()
            return
        with Live(console=self._console, auto_refresh=False) as live:
            # Lines that do not fit are cut: a wrapped one would break the columns.
            column = Text("\n", no_wrap=True, overflow="ellipsis")
            yield lambda lines: live.update(column.join(map(_text, lines)), refresh=True)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Draw a progress bar that disappears at the end; only on a terminal.

        Call the yielded function with the amount done. Without a ``total`` the bar shows no share.
        """
        if not self.is_live:
            yield lambda done: None
            return
        from rich.progress import Progress  # here, because most commands draw no bar and should start faster

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
