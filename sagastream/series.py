"""Every metric name this project exports, with its labels. Names are an API: change none, add with care.

Labels come from closed sets, never from ids. Figures of sagas are counted in Redis, and every coordinator exports the
same values: query them with ``max``, never ``sum``, over instances. **Source**: CONTRACT A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "choreographed_saga_"

_PROCESS = ("business_process",)
_STEP = ("business_process", "step")


@dataclass(frozen=True, slots=True)
class Series:
    """One metric family: ``name`` as exported, without the common prefix."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


# Counted by one process; lost with the process.
EVENTS = Series("events_total", "counter", ("type", "service"), "Events handled, by type")
RETRIES = Series("retries_total", "counter", ("service",), "Attempts repeated after a failure")
DEAD_LETTERS = Series("dead_letters_total", "counter", ("service",), "Messages put away as undeliverable")
DUPLICATES = Series("duplicates_total", "counter", ("service",), "Messages recognised as handled before")
CONFLICTS = Series("conflicts_total", "counter", ("service",), "Decisions taken again on fresh reads")
HANDLER_SECONDS = Series("handler_seconds", "histogram", ("service", "type"), "Time a handler took to decide")
TRIMMED = Series(
    "trimmed_while_pending_total", "counter", ("service",), "Entries that were lost: trimmed before they were settled"
)
WEBHOOKS_SENT = Series("webhooks_sent_total", "counter", ("service", "type"), "Webhooks that were received")
WEBHOOKS_FAILED = Series(
    "webhooks_failed_total", "counter", ("service", "type"), "Attempts to send a webhook that were in vain"
)
REQUESTS = Series("requests_total", "counter", ("service", "method", "route", "status"), "HTTP requests answered")
REQUEST_SECONDS = Series(
    "request_seconds", "histogram", ("service", "method", "route"), "Time from a request to the beginning of its answer"
)
SERVICE_UP = Series("service_up", "gauge", ("service",), "1 if the service answered the front, else 0")

# Counted in Redis by the coordinator; outlives every process.
STARTED = Series("started_total", "counter", _PROCESS, "Sagas begun")
COMPLETED = Series("completed_total", "counter", _PROCESS, "Sagas with every step done")
FAILED = Series("failed_total", "counter", _PROCESS, "Sagas ended without any effect")
TURNED_BACK = Series("compensation_triggered_total", "counter", _PROCESS, "Sagas turned back")
UNDONE = Series("compensation_completed_total", "counter", _PROCESS, "Sagas wholly undone")
UNDO_FAILED = Series("compensation_failed_total", "counter", _STEP, "Undoes that gave up")
DURATION = Series("duration_seconds", "histogram", _PROCESS, "Time from the beginning of a saga to its end")
ACTIVE = Series("active", "gauge", ("business_process", "status"), "Unfinished sagas")
STEPS = Series("steps_total", "counter", (*_STEP, "status"), "Steps done, refused and undone")
STEP_DURATION = Series("step_duration_seconds", "histogram", ("step",), "Time a step took")
TIMEOUTS = Series("timeouts_total", "counter", _STEP, "Deadlines that passed")
LATE_EVENTS = Series("late_events_total", "counter", (), "Events of sagas that had ended")
OLDEST_UNFINISHED = Series("oldest_unfinished_seconds", "gauge", (), "Age of the oldest unfinished saga")
STREAM_LAG = Series("stream_lag_entries", "gauge", ("stream", "group"), "Entries a group has not read yet")
STREAM_PENDING = Series("stream_pending_entries", "gauge", ("stream", "group"), "Read, not acknowledged")
STREAM_OLDEST_PENDING = Series(
    "stream_oldest_pending_seconds", "gauge", ("stream", "group"), "Age of the oldest unacknowledged entry"
)
OPEN_LETTERS = Series("dead_letters_open", "gauge", ("owner",), "Dead letters nobody has dealt with yet")
PARKED = Series("parked_events", "gauge", (), "Events that wait for a coordinator which knows their saga table")
AUDIT_DIFFERENCES = Series("audit_differences", "gauge", ("rule",), "Where a rule of the audit does not hold")
AUDIT_AT = Series("audit_timestamp_seconds", "gauge", (), "When the last round of the audit was complete; 0 if never")
AUDITED = Series("audited_total", "counter", (), "Sagas audited since their end, some of them again")
DEADLINE_LAG = Series("deadline_lag_seconds", "gauge", (), "How long overdue the oldest deadline is")
