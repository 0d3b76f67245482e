"""The audit that never ends: the project's own books, compared now and then beside the sagas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sagastream import series
from sagastream.audit import Audit, Difference, Findings, Rule, Scene
from sagastream.audit.auditor import HOLD, WHOLE
from tests.unit.audit.audits import auditor, exported
from tests.unit.audit.trips import played
from tests.unit.core.world import in_virtual_time


@in_virtual_time
async def test_the_projects_own_books_are_compared_now_and_then() -> None:
    """What they say stands until they are compared again."""
    trips = await played()
    answers = [[Difference("odd", "book 1", "even", "odd")], []]

    async def compare(scene: Scene, findings: Findings) -> None:
        for difference in answers.pop(0):
            findings.differs(difference)

    watching = auditor(trips, Audit((Rule("odd", "books are even", "mend it"),), compare))
    told = []
    for _ in range(3):
        await watching.round()
        told.append((await exported(trips, series.AUDIT_DIFFERENCES)).get("odd", 0))
        await asyncio.sleep(400)

    assert told == [1, 1, 0]


@in_virtual_time
async def test_what_the_books_said_stands_while_they_cannot_be_read() -> None:
    """Whoever keeps one of them is out of reach: nothing is mended by that."""
    trips = await played()
    answers: list[Callable[[Findings], None]] = [
        lambda found: found.differs(Difference("odd", "book 1", "even", "odd")),
        lambda found: found.unknown("odd", "out of reach"),
        lambda found: found.holds("odd"),
    ]

    async def compare(scene: Scene, findings: Findings) -> None:
        answers.pop(0)(findings)

    watching = auditor(trips, Audit((Rule("odd", "books are even", "mend it"),), compare))
    told = []
    while answers:
        await watching.round()
        told.append((await exported(trips, series.AUDIT_DIFFERENCES))["odd"])
        await asyncio.sleep(WHOLE.total_seconds())

    assert told == [1, 1, 0]


@in_virtual_time
async def test_sagas_are_judged_while_books_are_compared_for_an_hour() -> None:
    """A comparison of very many orders must not let the audit of sagas stand still; a round takes its usual time."""
    trips = await played()

    async def compare(scene: Scene, findings: Findings) -> None:
        for _ in range(36_000):
            await asyncio.sleep(0.1)
            await scene.pause()
        findings.differs(Difference("odd", "books", "even", "odd"))

    watching = auditor(trips, Audit((Rule("odd", "books are even", "mend it"),), compare))
    assert await watching.round()
    loop = asyncio.get_running_loop()
    trips.call("ZADD", "saga", "timers", 10**14, "left-over")
    began_at = loop.time()
    assert await watching.round()
    took_s = loop.time() - began_at
    soon = await exported(trips, series.AUDIT_DIFFERENCES)
    rounds = 2
    while not (await exported(trips, series.AUDIT_DIFFERENCES))["odd"]:
        assert await watching.round()
        rounds += 1

    assert soon["timer-while-running"] == 1
    assert took_s < 15
    assert 300 < rounds <= 362


@in_virtual_time
async def test_a_comparison_ends_with_the_audit() -> None:
    """One that was half done when the coordinator stops, or another takes the audit over, goes no further."""
    trips, steps = await played(), 0

    async def compare(scene: Scene, findings: Findings) -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(1)
            await scene.pause()

    stop, watching = asyncio.Event(), auditor(trips, Audit((Rule("odd", "books are even", "mend it"),), compare))
    running = asyncio.create_task(watching.run(stop))
    await asyncio.sleep(60)
    stop.set()
    await running
    then = steps
    await asyncio.sleep(HOLD.total_seconds() + 1)
    assert await watching.round()
    assert await auditor(trips, ordinal=2).round() is False
    await asyncio.sleep(HOLD.total_seconds() + 1)
    assert await auditor(trips, ordinal=2).round()
    now = steps
    assert not await watching.round()
    await asyncio.sleep(60)

    assert then > 10
    assert now > then
    assert steps == now
    assert not [task for task in asyncio.all_tasks() if "Turns" in repr(task)]


@in_virtual_time
async def test_books_that_cannot_be_compared_hide_nothing_else() -> None:
    """Not even those of a project that fails each time; and what it said before stays until it says otherwise."""
    trips, is_broken = await played(), False

    async def compare(scene: Scene, findings: Findings) -> None:
        if is_broken:
            raise ZeroDivisionError("half of the books are gone")
        findings.differs(Difference("odd", "books", "even", "odd"))

    watching = auditor(trips, Audit((Rule("odd", "books are even", "mend it"),), compare))
    await watching.round()
    is_broken = True
    await asyncio.sleep(WHOLE.total_seconds() + 1)
    trips.call("ZADD", "saga", "timers", 10**14, "left-over")
    assert await watching.round()

    found = await exported(trips, series.AUDIT_DIFFERENCES)
    assert {rule: count for rule, count in found.items() if count} == {"odd": 1, "timer-while-running": 1}
    assert await exported(trips, series.AUDIT_AT) == {"": trips.world.now_ms() / 1000}
