"""The state of the continuous audit, kept in Redis: how far it has come, and where rules do not hold. Decides nothing.

Shape: hash ``auditor``: ``holder`` and ``until_ms`` (which coordinator audits, and until when no other may),
``resume_ms`` (where to go on), ``round_ms`` and ``whole_ms`` (when the last round, and the last pass over the project's
own books, were complete), ``judged`` (sagas, ever), ``rules`` (the names of the project's). Hash ``auditor:found``: the
rule and what it is about → what was expected and found.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sagastream import series
from sagastream.audit.findings import Difference
from sagastream.audit.rules import REST, RULES
from sagastream.bus import Connection
from sagastream.keys import AUDITOR, FOUND, Keys
from sagastream.replies import named
from sagastream.telemetry import Figure
from sagastream.transaction import Transaction

MOST = 1_000  # differences kept in all
CONTINUOUS = tuple(rule.name for rule in RULES if rule is not REST)  # this audit never sees sagas at rest


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the continuous audit has come; instants are epoch ms, 0 where there was none."""

    holder: str = ""
    until_ms: int = 0
    resume_ms: int = 0
    round_ms: int = 0
    whole_ms: int = 0
    judged: int = 0
    rules: tuple[str, ...] = ()


async def read_standing(connection: Connection, keys: Keys) -> Standing:
    """Return how far the audit has come."""
    reply = await connection.execute("HGETALL", keys.key(AUDITOR))
    told = named(reply)
    numbers = {name: int(told.get(name, 0)) for name in ("until_ms", "resume_ms", "round_ms", "whole_ms", "judged")}
    return Standing(told.get("holder", ""), **numbers, rules=tuple(told.get("rules", "").split()))


async def read_found(connection: Connection, keys: Keys) -> list[Difference]:
    """Return the known differences."""
    reply = await connection.execute("HGETALL", keys.key(FOUND))
    told = named(reply)
    return [_read(text) for text in told.values()]


def hold(tx: Transaction, standing: Standing, me: str, until_ms: int) -> Standing:
    """Take the audit over, or extend the hold, unless another coordinator has done so since this was read."""
    _expect(tx, standing)
    tx.set(AUDITOR, {"holder": me, "until_ms": until_ms})
    return replace(standing, holder=me, until_ms=until_ms)


def conclude(
    tx: Transaction, held: Standing, now: Standing, known: Sequence[Difference], found: Iterable[Difference]
) -> None:
    """Store a round: its differences replace the known ones."""
    _expect(tx, held)
    tx.set(AUDITOR, {
        "resume_ms": now.resume_ms, "round_ms": now.round_ms, "whole_ms": now.whole_ms, "judged": now.judged,
        "rules": " ".join(now.rules),
    })  # fmt: skip
    before = {_field(each): each for each in known}
    after = dict(list({_field(each): each for each in found}.items())[:MOST])
    gone = [field for field in before if field not in after]
    if gone:
        tx.unset(FOUND, *gone)
    fresh = {field: _written(each) for field, each in after.items() if before.get(field) != each}
    if fresh:
        tx.set(FOUND, fresh)


def take_back(tx: Transaction, difference: Difference) -> None:
    """Remove a difference that a person has settled."""
    tx.unset(FOUND, _field(difference))


async def figures(connection: Connection, keys: Keys) -> list[Figure]:
    """Return the exported metrics: differences by rule, zeros included, and when the last round was complete."""
    standing = await read_standing(connection, keys)
    by_rule = Counter(each.rule for each in await read_found(connection, keys))
    rules = dict.fromkeys((*CONTINUOUS, *standing.rules, *sorted(by_rule)))
    return [
        *(Figure(series.AUDIT_DIFFERENCES, (rule,), by_rule[rule]) for rule in rules),
        Figure(series.AUDIT_AT, (), standing.round_ms / 1000),
        Figure(series.AUDITED, (), standing.judged),
    ]


def _expect(tx: Transaction, standing: Standing) -> None:
    tx.expect(AUDITOR, "until_ms", str(standing.until_ms) if standing.until_ms else None)
    tx.expect(AUDITOR, "holder", standing.holder or None)


def _field(difference: Difference) -> str:
    return f"{difference.rule}|{difference.about}"


def _written(difference: Difference) -> str:
    return json.dumps({
        "rule": difference.rule, "about": difference.about, "expected": difference.expected[:2000],
        "found": difference.found[:2000], "saga_id": difference.saga_id,
        **({"late": difference.late} if difference.late else {}),
    })  # fmt: skip


def _read(text: str) -> Difference:
    told = json.loads(text)
    late = tuple((stream, at_ms) for stream, at_ms in told.get("late", ()))
    return Difference(told["rule"], told["about"], told["expected"], told["found"], told["saga_id"], late)
