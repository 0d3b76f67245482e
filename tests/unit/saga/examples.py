"""How many examples the property tests try: few and always the same ones, unless ``EXAMPLES`` asks for more.

``EXAMPLES=50 pytest tests/unit/saga`` tries fifty times as many, other ones at every run.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("EXAMPLES", "1"))


def examples(count: int, *, steps: int = 50) -> settings:
    """Return settings for so many examples, each of so many steps where a machine takes them."""
    return settings(
        max_examples=count * FACTOR,
        stateful_step_count=steps,
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
