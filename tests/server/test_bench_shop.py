"""A whole shop is measured from outside: every order that is counted was accepted over HTTP and has ended."""

from __future__ import annotations

import asyncio

import pytest

from bench import front, latency
from bench.customers import request
from bench.shop import opened

pytestmark = [pytest.mark.server, pytest.mark.processes]


def test_orders_are_counted_once_they_have_ended_and_timed_from_when_they_were_due() -> None:
    """Closed and open loop, on one shop."""
    with opened("one", "everysec") as shop:
        rush = asyncio.run(front.measured(shop, orders=40, customers=8))
        (course,) = asyncio.run(latency.measured(shop, [40], seconds=1))

    assert rush.is_sound
    assert rush.seconds >= rush.accepting_s > 0
    assert rush.shop_cpu_s > 0 < rush.server_cpu_s
    assert course.due == len(course.ends.ms) == 40
    assert course.without_end == 0
    assert course.answers.percentile(0.5) < course.ends.percentile(0.5)


def test_a_slow_rate_goes_on_until_there_is_something_to_rank() -> None:
    """Ten orders have no p99."""
    assert latency.count(1, 10) == 30
    assert latency.count(200, 10) == 2000


def test_a_request_says_how_long_it_is() -> None:
    """Without its length the shop would wait for more."""
    head, _, body = request(3).partition(b"\r\n\r\n")

    assert b"Content-Length: %d" % len(body) in head
