"""The exit codes of the command `sagastream`: one per meaning, the same for all commands."""

from __future__ import annotations

DONE, FAILED, WRONG_WORDS, NO_SUCH_SAGA, ENDED_OTHERWISE, DIFFERENT, REFUSED, NOT_CONFIRMED, UNWELL = range(9)
INTERRUPTED = 130

MEANINGS = {
    DONE: "done",
    FAILED: "failed; one line says why (check: something does not fit)",
    WRONG_WORDS: "wrong arguments",
    NO_SUCH_SAGA: "there is no such saga, or no such letter",
    ENDED_OTHERWISE: "watch SAGA_ID: it ended, but is not Completed",
    DIFFERENT: "audit: some rule does not hold",
    REFUSED: "repairs and dead letters: refused; of many: stopped",
    NOT_CONFIRMED: "repairs, dead letters, forget: not confirmed",
    UNWELL: "doctor: there is a problem; warnings alone are 0",
    INTERRUPTED: "interrupted by Ctrl-C",
}
