"""Signatures are those of Standard Webhooks, and no secret is repeated where it is refused."""

from __future__ import annotations

import base64

import pytest
from pydantic import ValidationError

from sagastream.settings import Settings
from sagastream.webhooks.signing import headers, keys_of

# Source: standard-webhooks/standard-webhooks, libraries/python/tests/test_webhooks.py, the vector all libraries share.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def test_the_published_vector_is_signed_as_published() -> None:
    assert headers(keys_of(SECRET), id=ID, at_s=AT_S, body=BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_two_secrets_sign_each_so_that_one_can_be_exchanged() -> None:
    both = headers(keys_of(f"{OTHER} {SECRET}"), id=ID, at_s=AT_S, body=BODY)["webhook-signature"]

    other, first = both.split(" ")
    assert first == SIGNATURE
    assert other == headers(keys_of(OTHER), id=ID, at_s=AT_S, body=BODY)["webhook-signature"] != SIGNATURE


@pytest.mark.parametrize(
    "secret",
    [
        " ",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_no-base64-at-all-but-long-enough-to-be",
        f"{SECRET} whsec_",
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "https://receiver.example/hook?token=of-the-receiver")
    monkeypatch.setenv("WEBHOOK_SECRET", secret)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [("webhook_secret",)]
    assert all(part not in str(refused.value) for part in (secret.strip() or "whsec", "token"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_URL", "ftp://receiver.example"),
        ("WEBHOOK_URL", "https://"),
        ("WEBHOOK_URL", "https://user:password@receiver.example/"),
        ("WEBHOOK_PRIVATE_NETWORKS", "10.0.0.1/8"),
        ("WEBHOOK_PRIVATE_NETWORKS", "somewhere"),
        ("WEBHOOK_ATTEMPTS", "0"),
        ("WEBHOOK_TIMEOUT", "0"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [(name.lower(),)]
    assert "password" not in str(refused.value)


def test_nothing_is_sent_unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "https://receiver.example/hook")

    with pytest.raises(ValidationError, match="WEBHOOK_URL needs a WEBHOOK_SECRET"):
        Settings()
