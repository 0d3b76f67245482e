"""Settings of payments are refused by name, and what was given is not repeated."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from payment_service.settings import PaymentSettings


def test_an_address_with_credentials_is_refused_without_showing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_PROVIDER_URL", "https://shop:s3cr3t@provider.example.org")

    with pytest.raises(ValidationError, match="payment_provider_url") as refused:
        PaymentSettings()

    assert "s3cr3t" not in str(refused.value)
