"""The soak's judgement can fail: what grows is found, what only goes up and down is not."""

from __future__ import annotations

import random

import pytest

from bench.soak.growth import Sample, growth


def samples(*, per_s: float = 0.0, noise: float = 0.0, peak: float = 0.0) -> list[Sample]:
    """Half an hour, a look every 30 s: 20 that grows in the first third as everything does."""
    chance = random.Random(1)
    return [
        Sample(
            5000 + at * 30,
            100 + min(at, 20) + per_s * at * 30 + noise * chance.uniform(-1, 1) + (peak if at == 40 else 0),
        )
        for at in range(60)
    ]


def test_what_grows_steadily_is_found() -> None:
    """Six hundredths a second are nothing to see in a minute, and 72 in the last twenty."""
    found = growth("memory", "MB", samples(per_s=0.06, noise=3), share=0.05, least=4)

    assert not found.is_flat
    assert found.grew == pytest.approx(72, rel=0.1)


def test_what_fills_in_the_first_third_and_then_stays_is_flat() -> None:
    assert growth("memory", "MB", samples(), share=0.0, least=0.1).is_flat


def test_a_peak_is_no_growth() -> None:
    assert growth("memory", "MB", samples(noise=1, peak=500), share=0.0, least=2).is_flat


def test_too_few_looks_say_nothing() -> None:
    with pytest.raises(ValueError, match="say nothing"):
        growth("memory", "MB", samples()[:3], share=0.05, least=4)
