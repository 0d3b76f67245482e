"""Every Redis name, built in one place.

Each key carries the hash tag of the owner that writes it, so that all keys of an owner share one slot. A *root* is
``<prefix>{<owner>}``; the transaction script appends ``:<name>`` to it and therefore cannot leave the slot.

| name under the root             | type   | fields / members                     | owner       | life                |
|---------------------------------|--------|--------------------------------------|-------------|---------------------|
| ``events:<Type>``               | stream | envelope fields                      | publisher   | trimmed when read   |
| ``ledger:<saga>``               | hash   | handler → state, what it published   | participant | ``LEDGER_RETENTION``|
| ``attempts``                    | hash   | message → failed attempts            | participant | until handled       |
| ``retries``                     | zset   | message, score: due ms               | participant | until handled       |
| ``failing:<saga>``              | hash   | message → handler, why it failed     | participant | until handled       |
| ``letters``                     | stream | whole message, reason, attempts      | participant | for ever            |
| ``requests:<participant>``      | stream | envelope fields                      | ``saga``    | trimmed when read   |
| ``record:<saga>``               | hash   | version, status, progress …          | ``saga``    | retention           |
| ``history:<saga>``              | list   | one JSON object per happening        | ``saga``    | retention           |
| ``timers``                      | zset   | saga, score: due ms                  | ``saga``    | until the saga ends |
| ``index:<what>``                | zset   | saga, score: start ms                | ``saga``    | retention           |
| ``counts``                      | hash   | counter → integer                    | ``saga``    | for ever            |
| ``changes``                     | stream | ``names``: sagas whose record changed| ``saga``    | the latest 10,000   |
| ``parked:<table>:<version>``    | stream | whole messages of a table not known  | ``saga``    | until it is known   |
| ``parked``                      | hash   | table:version → when the last parked | ``saga``    | for ever            |
| ``tables``                      | hash   | table:version → its shapes (JSON)    | ``saga``    | for ever            |
| ``snapshots:<pace>``            | stream | ``hash``: ``counts`` as it was       | ``saga``    | by pace             |
| ``letters:<owner>``             | hash   | letter → what became of it (JSON)    | ``saga``    | for ever            |
| ``campaign:<id>``               | hash   | plan, state, cursor, counts          | ``saga``    | for ever            |
| ``campaigns``                   | zset   | campaign, score: created ms          | ``saga``    | for ever            |
| ``campaigns:open``              | zset   | the same                             | ``saga``    | until it ends       |
| ``audit``                       | stream | who did what to which saga, why      | ``saga``    | for ever            |
| ``auditor``                     | hash   | how far the continuous audit came    | ``saga``    | for ever            |
| ``auditor:found``               | hash   | rule, what about → difference (JSON) | ``saga``    | until it is mended  |
| ``doctor``                      | hash   | ``at``: a write that was tried       | ``saga``    | gone in the same one|
| ``groups``                      | hash   | stream → where its group began       | reader      | for ever            |
| ``streams``                     | hash   | own stream → groups ever seen on it  | publisher   | for ever            |
| ``store``                       | hash   | format, born, name                   | everybody   | for ever            |
| anything else                   | any    | a participant's own state            | participant | its own matter      |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

COORDINATOR = "saga"
WEBHOOKS = "webhooks"
OWNER = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of one owner's keys under one prefix."""

    prefix: str
    owner: str

    @property
    def root(self) -> str:
        """Return the beginning of every key of this owner."""
        return f"{self.prefix}{{{self.owner}}}"

    def key(self, name: str) -> str:
        """Return the full key for a name under this owner's root."""
        return f"{self.prefix}{{{self.owner}}}:{name}"

    def of(self, owner: str) -> Keys:
        """Return the same names for another owner."""
        return Keys(self.prefix, owner)

    def events(self, type_name: str) -> str:
        """Return the stream to which this owner publishes events of one type."""
        return self.key(events(type_name))

    def requests(self, participant: str) -> str:
        """Return the stream of the coordinator's requests to one participant."""
        return self.of(COORDINATOR).key(requests(participant))


def events(type_name: str) -> str:
    """Name the stream of one event type."""
    return f"events:{type_name}"


def requests(participant: str) -> str:
    """Name the stream of requests to one participant."""
    return f"requests:{participant}"


def ledger(saga_id: str) -> str:
    """Name the ledger of one saga."""
    return f"ledger:{saga_id}"


def failing(saga_id: str) -> str:
    """Name the hash of one saga's failed messages that are being retried."""
    return f"failing:{saga_id}"


def record(saga_id: str) -> str:
    """Name the record of one saga."""
    return f"record:{saga_id}"


def history(saga_id: str) -> str:
    """Name the history of one saga."""
    return f"history:{saga_id}"


def letters(owner: str) -> str:
    """Name the hash of what was done with one owner's dead letters."""
    return f"letters:{owner}"


def campaign(id: str) -> str:
    """Name one campaign of repairs."""
    return f"campaign:{id}"


def index(*what: str) -> str:
    """Name an index of sagas.

    ``what`` is ``all``, or ``process`` or ``initiator`` and its name, or ``status``, its name and the process, which
    counts the sagas of a process in that status.
    """
    return ":".join(("index", *what))


def parked(definition: str, version: str) -> str:
    """Name the stream of events whose table no coordinator knew when they arrived."""
    return f"parked:{definition}:{version}"


def snapshots(pace: str) -> str:
    """Name the stream of the counters' snapshots that are taken at one pace."""
    return f"snapshots:{pace}"


ATTEMPTS = "attempts"
RETRIES = "retries"
LETTERS = "letters"
TIMERS = "timers"
COUNTS = "counts"
CHANGES = "changes"
AUDIT = "audit"
AUDITOR = "auditor"
DOCTOR = "doctor"
FOUND = "auditor:found"
CAMPAIGNS = "campaigns"
OPEN_CAMPAIGNS = "campaigns:open"
GROUPS = "groups"
STREAMS = "streams"
PARKED = "parked"
TABLES = "tables"
STORE = "store"
_OF_PARTICIPANTS = frozenset({ATTEMPTS, RETRIES, LETTERS, GROUPS, STREAMS, STORE})


def is_the_librarys(name: str) -> bool:
    """Tell whether the library itself uses this name under a participant's root."""
    return name in _OF_PARTICIPANTS or is_of_events(name) or name.startswith(("ledger:", "failing:"))


def is_of_events(name: str) -> bool:
    """Tell whether this name is that of a stream of published events."""
    return name.startswith(events(""))
