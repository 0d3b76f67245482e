"""Finds unlisted keys: records outside the index, and beginnings the coordinator never recorded. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta

from sagastream import keys as names
from sagastream.audit.cut import cut
from sagastream.audit.findings import Difference, Findings
from sagastream.audit.rules import BEGUN
from sagastream.audit.scene import Scene
from sagastream.bus import Connection
from sagastream.clock import server_ms
from sagastream.coordinator.retention import kept
from sagastream.envelope import epoch_ms
from sagastream.errors import Undecodable
from sagastream.ledger import BEGINNING, State, parse
from sagastream.replies import listed, texts

AT_ONCE = 1_000


async def begun_sagas_exist(scene: Scene, findings: Findings, acknowledged: Iterable[str] = ()) -> None:
    """Judge whether every record is listed, and whether every begun or acknowledged saga has a record."""
    until_ms = await cut(scene, await server_ms(scene.connection))
    records = scene.keys.key(names.record(""))
    ledgers = {scene.keys.of(saga.begun_by).key(names.ledger("")) for saga in scene.sagas}
    async for keys in scanned(scene.connection, f"{_literal(scene.settings.key_prefix)}*"):
        await _listed(scene, findings, [key.removeprefix(records) for key in keys if key.startswith(records)])
        for ledger in ledgers:
            begun = [key.removeprefix(ledger) for key in keys if key.startswith(ledger)]
            await _recorded(scene, findings, ledger, begun, until_ms)
        await scene.pause()
    wanted = list(acknowledged)
    for at in range(0, len(wanted), AT_ONCE):
        part = wanted[at : at + AT_ONCE]
        for saga_id in await absent(scene.connection, {saga_id: f"{records}{saga_id}" for saga_id in part}):
            _missing(findings, saga_id, "a record, for it was acknowledged")
        findings.holds(BEGUN.name, len(part))


async def _listed(scene: Scene, findings: Findings, saga_ids: Sequence[str]) -> None:
    index = scene.keys.key(names.index("all"))
    if not saga_ids:
        return
    scores = await scene.connection.execute("ZMSCORE", index, *saga_ids)
    unlisted = [saga_id for saga_id, score in zip(saga_ids, listed(scores), strict=True) if score is None]
    for saga_id in unlisted:
        again = await scene.connection.execute("EXISTS", scene.keys.key(names.record(saga_id)))
        if again and await scene.connection.execute("ZMSCORE", index, saga_id) == [None]:
            found = "a record that no index holds"
            findings.differs(Difference(BEGUN.name, f"saga {saga_id}", "to be listed", found, saga_id))
    findings.holds(BEGUN.name, len(saga_ids) - len(unlisted))


async def _recorded(scene: Scene, findings: Findings, ledger: str, saga_ids: Sequence[str], until_ms: int) -> None:
    records = scene.keys.key(names.record(""))
    kept_ms = until_ms - min(kept(scene.settings).values()) // timedelta(milliseconds=1)  # older records may be removed
    unrecorded = await absent(scene.connection, {saga_id: f"{records}{saga_id}" for saga_id in saga_ids})
    findings.holds(BEGUN.name, len(saga_ids) - len(unrecorded))
    for saga_id in unrecorded:
        told = await scene.connection.execute("HGET", f"{ledger}{saga_id}", BEGINNING)
        if not isinstance(told, str):
            continue
        try:
            begun = parse(told)
            is_due = begun.state is State.DONE and kept_ms < epoch_ms(begun.time) <= until_ms
        except (ValueError, Undecodable):
            is_due = True
        if is_due and not await scene.connection.execute("EXISTS", f"{records}{saga_id}"):
            _missing(findings, saga_id, "a record, for its beginning is remembered")


def _missing(findings: Findings, saga_id: str, expected: str) -> None:
    findings.differs(Difference(BEGUN.name, f"saga {saga_id}", expected, "none", saga_id))


async def absent(connection: Connection, keys: Mapping[str, str]) -> list[str]:
    """Return the names of the keys that do not exist; if all exist, that takes one command."""
    told = list(keys.items())
    found = []
    for at in range(0, len(told), AT_ONCE):
        part = told[at : at + AT_ONCE]
        if await connection.execute("EXISTS", *(key for _, key in part)) == len(part):
            continue
        replies = await connection.pipeline([("EXISTS", key) for _, key in part])
        found += [name for (name, _), reply in zip(part, replies, strict=True) if reply == 0]
    return found


async def scanned(connection: Connection, pattern: str) -> AsyncIterator[list[str]]:
    """Yield the keys that match a pattern, some at a time; a key may come twice."""
    cursor = "0"
    while True:
        told, keys = listed(await connection.execute("SCAN", cursor, "MATCH", pattern, "COUNT", AT_ONCE))
        cursor = str(told)
        yield texts(keys)
        if cursor == "0":
            return


def _literal(prefix: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[]" else letter for letter in prefix)
