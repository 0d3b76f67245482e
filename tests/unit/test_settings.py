"""Settings come from the environment, are refused by name, and never change."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from sagastream.settings import Settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("2", 2), ("0.25", 0.25), ("PT30S", 30), ("P7D", 604_800)],
)
def test_a_duration_is_seconds_or_iso_8601(monkeypatch: pytest.MonkeyPatch, text: str, meaning: float) -> None:
    monkeypatch.setenv("BLOCK", text)

    assert Settings().block == timedelta(seconds=meaning)


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("PORT", "")

    assert (Settings().redis_url, Settings().port) == (None, 8080)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("BATCH", "0"), ("BLOCK", "-1"), ("REDIS_URL", "localhost"), ("KEY_PREFIX", "{x}"),
     ("APPENDFSYNC", "sometimes"), ("CONSUMER", "pod 1"), ("LEDGER_RETENTION", "nan")],
)  # fmt: skip
def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [(name.lower(),)]


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize(
    ("told", "consumer"), [("2", "2"), ("stock-7d9f4b-x2v9q", "stock-7d9f4b-x2v9q"), ("host", "f00d_cafe.local")]
)
def test_a_process_is_one_of_many_by_number_or_by_name(
    told: str, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pods come and go each has a name, and nobody counts them."""
    monkeypatch.setenv("CONSUMER", told)
    monkeypatch.setattr("socket.gethostname", lambda: "f00d cafe.local")

    assert Settings().consumer == consumer
    assert Settings(consumer=2).consumer == "2"  # type: ignore[arg-type]  # as a number was given before
