"""The exceptions that handlers raised in a run, without the injected ones. Pure; reads the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

HANDLER_FAILS = "the stage made this handler fail"
LINE_DOWN = "the line to the outside is down"
ANSWER_LOST = "the answer from the outside was lost"
_STAGED = (HANDLER_FAILS, LINE_DOWN, ANSWER_LOST)
_UNREAD = ("Misfit: ", "Undecodable: ")  # a poisoned message, which no handler received
_FAILURES = frozenset({"event.failed", "event.buried", "retry.failed"})


def raised(logs: Iterable[Mapping[str, object]]) -> Counter[str]:
    """Count the exceptions that handlers raised by themselves, by handler, line and error."""
    told = (log for log in logs if log["event"] in _FAILURES and "handler" in log)
    own = (log for log in told if not _is_staged(str(log["error"])))
    return Counter(f"{log['handler']} at {log['at']}: {log['error']}" for log in own)


def _is_staged(error: str) -> bool:
    return error.endswith(_STAGED) or error.startswith(_UNREAD)
