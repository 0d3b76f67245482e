"""The environment variables of the payment service and the simulated provider. Holds no instance."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sagastream.settings import Duration


class PaymentSettings(BaseSettings):
    """Settings of the payment service; every field is the environment variable of the same name.

    An empty variable counts as absent. **Units**: durations are seconds (``2.5``) or ISO 8601.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="forbid", hide_input_in_errors=True)

    payment_provider_url: str | None = Field(default=None, pattern=r"^https?://[^/@]+(/|$)")
    """The provider's URL, without credentials; if it is not set, a simulated one runs inside the service."""
    payment_timeout: Duration = Field(default=timedelta(seconds=5), gt=timedelta(0))
    """How long one call to the provider may take before its outcome is treated as unknown."""


class ProviderSettings(BaseSettings):
    """Settings of the simulated provider, wherever it runs.

    An empty variable counts as absent. **Units**: durations are seconds (``2.5``) or ISO 8601.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="forbid", hide_input_in_errors=True)

    provider_slow: Duration = Field(default=timedelta(seconds=2), ge=timedelta(0))
    """How long a charge by ``SlowProvider`` takes before it lands."""
    provider_silence: Duration = Field(default=timedelta(seconds=30), ge=timedelta(0))
    """How long a charge by ``TimeoutAfterCharge`` delays its answer after it has landed."""
