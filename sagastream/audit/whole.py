"""One whole audit: every saga, and every rule of the library and the project."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sagastream import keys as names
from sagastream.audit.cut import cut
from sagastream.audit.findings import Findings
from sagastream.audit.looking import Looking
from sagastream.audit.rest import at_rest
from sagastream.audit.rules import BEGUN, OF_A_SAGA, READABLE, RULES
from sagastream.audit.scene import Audit, Scene
from sagastream.audit.statuses import status_indexes
from sagastream.audit.strays import begun_sagas_exist
from sagastream.audit.sums import counters_equal_records, sizes_agree
from sagastream.audit.walk import Walk
from sagastream.clock import server_ms

TOO_YOUNG = "begun after what its coordinators have read"


@dataclass(frozen=True)
class Audited:
    """What an audit found; ``statuses`` counts sagas, ``at_ms`` is server time when it began."""

    at_ms: int
    took_s: float
    statuses: dict[str, int]
    findings: Findings

    @property
    def is_clean(self) -> bool:
        """Tell whether no rule was found not to hold."""
        return not self.findings.differing


async def audit(scene: Scene, projects: Sequence[Audit] = (), *, acknowledged: Iterable[str] = ()) -> Audited:
    """Try every rule on everything the scene shows.

    ``acknowledged`` are sagas whose existence was confirmed to somebody outside. Reads only; may run beside anything.
    """
    began_at = time.monotonic()
    findings = Findings(RULES)
    now_ms = await server_ms(scene.connection)
    walk, looking = Walk(scene), Looking(scene, findings)
    cut_ms = await cut(scene, now_ms)
    async for page in walk.until(cut_ms):
        await looking.judge(page, walk.read_until_ms)
    async for page in walk.rest():
        await looking.judge(page, walk.read_until_ms)
    await looking.stray(walk.strays)
    await looking.second()
    await _too_young(scene, findings, cut_ms)
    await counters_equal_records(scene, findings)
    await sizes_agree(scene, findings)
    await begun_sagas_exist(scene, findings, acknowledged)
    if scene.is_at_rest:
        await at_rest(scene, findings)
    for project in projects:
        mine = Findings(project.rules)
        await project.compare(scene, mine)
        findings.add(mine)
    return Audited(now_ms, time.monotonic() - began_at, await _statuses(scene), findings)


async def audit_one(scene: Scene, saga_id: str) -> Audited:
    """Try the library's rules on one saga, including its events; look at nothing else."""
    began_at = time.monotonic()
    findings = Findings((READABLE, BEGUN, *(rule for rule, _ in OF_A_SAGA)))
    now_ms = await server_ms(scene.connection)
    looking = Looking(scene, findings)
    status = await looking.one(saga_id)
    statuses = {str(status): 1} if status is not None else {}
    return Audited(now_ms, time.monotonic() - began_at, statuses, findings)


async def _too_young(scene: Scene, findings: Findings, cut_ms: int) -> None:
    index = scene.keys.key(names.index("all"))
    young = int(str(await scene.connection.execute("ZCOUNT", index, f"({cut_ms}", "+inf")))
    for rule in (READABLE, *(rule for rule, _ in OF_A_SAGA)) if young else ():
        findings.unknown(rule.name, TOO_YOUNG, young)


async def _statuses(scene: Scene) -> dict[str, int]:
    indexes = await status_indexes(scene)
    sizes = await scene.connection.pipeline([("ZCARD", index) for index in indexes.values()])
    found: Counter[str] = Counter()
    for (status, _), size in zip(indexes, sizes, strict=True):
        found[str(status)] += int(str(size))
    return dict(+found)
