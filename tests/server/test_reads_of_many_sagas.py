"""With 100,000 sagas stored, any page of any filter and the statistics answer within 20 ms, 99 times in a hundred.

Over HTTP, asked of the real coordinator in a process of its own. ``python -m bench.reads --sagas 1000000`` asks the
same of more.
"""

from __future__ import annotations

import asyncio

import pytest

from bench.questions import questions
from bench.reads import BOUND_MS, Times, late, measured, served
from bench.stored import fill
from sagastream.embedded import EmbeddedServer

pytestmark = pytest.mark.many

SAGAS = 100_000
ROUNDS = 3


@pytest.fixture(scope="module")
def times(tmp_path_factory: pytest.TempPathFactory) -> list[Times]:
    """Fill a store, serve it and ask everything."""
    with EmbeddedServer(tmp_path_factory.mktemp("many")) as server:
        stored = asyncio.run(fill(server.url, SAGAS))
        asked = questions(stored)
        with served(server.url) as port:
            return measured(port, asked, rounds=ROUNDS)


def test_any_page_and_the_statistics_answer_in_time(times: list[Times]) -> None:
    """Each kind of question by itself: a slow filter does not hide behind quick ones."""
    too_late = {of.kind: round(of.percentile(0.99), 1) for of in late(times)}

    assert not too_late, f"p99 in ms, of {SAGAS} sagas: {too_late}; the bound is {BOUND_MS:g}"


def test_every_filter_is_asked_often_enough_for_a_percentile(times: list[Times]) -> None:
    """All combinations of four filters with both sizes, and the statistics with and without a window."""
    assert len(times) == 2**4 * 2 + 2
    assert min(len(of.ms) for of in times) >= 100
