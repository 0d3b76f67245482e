"""The parts of a drawing in a terminal: lines made of pieces, and the marks in front of them. Pure.

Every mark has a shape of its own, so that nothing is shown by colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sagastream.saga.lifecycle import Status


class Tone(StrEnum):
    """The meaning of a piece of text, for terminals that can show it in colour."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    FORWARD = "forward"
    STOPPED = "stopped"
    BACKWARD = "backward"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Mark:
    """A shape, its substitute for terminals that show only ASCII, and its tone."""

    shape: str
    ascii: str
    tone: Tone


FORWARD = Mark("●", "*", Tone.FORWARD)
REFUSED = Mark("✗", "x", Tone.STOPPED)
TROUBLE = Mark("!", "!", Tone.STOPPED)
TURNED = Mark("◀", "<", Tone.BACKWARD)
UNDO = Mark("↶", "u", Tone.BACKWARD)
BARRED = Mark("⊘", "/", Tone.BACKWARD)
ASKED = Mark("→", ">", Tone.FAINT)
AGAIN = Mark("↻", "@", Tone.WAITING)
REPEAT = Mark("≡", "=", Tone.FAINT)
WAITING = Mark("…", "~", Tone.WAITING)
TO_COME = Mark("○", "o", Tone.FAINT)
PERSON = Mark("☞", "?", Tone.STRONG)
END = Mark("■", "#", Tone.STRONG)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``key`` identifies the line in its drawing; a passing line holds only until the next drawing."""

    parts: tuple[Part, ...]
    key: str = ""
    is_passing: bool = False

    @property
    def text(self) -> str:
        """Return the line without its tones."""
        return "".join(part.text for part in self.parts).rstrip()


TONES = {
    Status.STARTED: Tone.WAITING,
    Status.IN_PROGRESS: Tone.WAITING,
    Status.COMPLETED: Tone.FORWARD,
    Status.COMPENSATING: Tone.BACKWARD,
    Status.COMPENSATED: Tone.BACKWARD,
    Status.FAILED: Tone.BACKWARD,
    Status.NEEDS_ATTENTION: Tone.STOPPED,
    Status.ABORTED: Tone.STOPPED,
}
