"""The environment variables of the shop's coordinator. Holds no instance."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CoordinatorSettings(BaseSettings):
    """Settings of the coordinator; every field is the environment variable of the same name.

    An empty variable counts as absent.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="forbid", hide_input_in_errors=True)

    order_deadline_pace: float = Field(default=1.0, ge=0.001, le=1000, allow_inf_nan=False)
    """The factor by which every deadline of an order is multiplied; it must be the same for all processes of a shop."""
