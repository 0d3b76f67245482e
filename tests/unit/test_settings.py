"""Settings come from the environment, are refused by name, and never change."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from sagastream.hosting import without_secrets
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
     ("BASE_URL", "https://ann:secret@shop.example.org"), ("BASE_URL", "https://"),
     ("APPENDFSYNC", "sometimes"), ("CONSUMER", "pod 1"), ("LEDGER_RETENTION", "nan")],
)  # fmt: skip
def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [(name.lower(),)]


@pytest.mark.parametrize(
    "url",
    ["redis://shop:s3c/r3t@host:6379/0", "redis://shop:s3c#r3t@host/0", "redis://shop:s3c?r3t@host/0",
     "redis://shop:s3cr3t[@host/0", "redis://shop:s3cr3t@host:73999/0", "redis://:12/s3cr3t@host:1/0"],
)  # fmt: skip
def test_an_address_of_a_server_that_cannot_be_read_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Its parser, asked later, would show a part of the password, and where it ends is anybody's guess."""
    monkeypatch.setenv("REDIS_URL", url)

    with pytest.raises(ValidationError, match="percent-encoded") as refused:
        Settings()

    assert "s3c" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["receiver.example", "https://", "https://:443/", "https://receiver.example:99999/", "https://receiver.example:0/",
     "https://[::1", "https://[receiver]/", "https://-ä-.example/", "https://ann:secret@receiver.example/"],
)  # fmt: skip
def test_a_receiver_that_could_never_be_called_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Its parser, asked later, would end the coordinator, or every call would fail for a day."""
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    monkeypatch.setenv("WEBHOOK_URL", url)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [("webhook_url",)]


@pytest.mark.parametrize("url", ["https://[2001:db8::1]:8443/a?b=c", "http://localhost", "https://ä.example/hook"])
def test_a_receiver_may_be_named_in_any_way(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    monkeypatch.setenv("WEBHOOK_URL", url)

    assert Settings().webhook_url is not None


def test_settings_that_are_shown_hold_no_address_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://shop:s3cr3t@host:6379/0")

    assert "s3cr3t" not in repr(Settings())


@pytest.mark.parametrize(
    ("url", "shown"),
    [("redis://shop:s3cr3t@host:6379/0", "redis://host:6379/0"),
     ("rediss://host:6379/0?username=shop&password=s3cr3t&ssl_ca_certs=/ca.pem", "rediss://host:6379/0"),
     ("unix:///run/redis.sock?password=s3cr3t", "unix:/run/redis.sock"),
     ("redis://:p%40ss@[::1]:6379", "redis://[::1]:6379")],
)  # fmt: skip
def test_an_address_is_shown_without_what_opens_it(monkeypatch: pytest.MonkeyPatch, url: str, shown: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    assert without_secrets(Settings().redis_url or "") == shown


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
