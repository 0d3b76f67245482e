"""The environment variables of the notification service. Holds no instance."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from notification_service.smtp import SmtpServer
from sagastream.settings import Duration

# Narrower than what ``mail`` accepts for customers: every message carries it, even where a server allows only ASCII.
_SENDER = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,190}$"


class NotificationSettings(BaseSettings):
    """Settings of the notification service; every field is the environment variable of the same name.

    An empty variable counts as absent. **Units**: durations are seconds (``2.5``) or ISO 8601.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="forbid", hide_input_in_errors=True)

    smtp_url: SecretStr | None = None
    """The mail server, ``smtp://user:password@host:port`` or ``smtps://…``; without it messages go to files."""
    smtp_timeout: Duration = Field(default=timedelta(seconds=10), gt=timedelta(0))
    """How long handing one message to the mail server may take."""
    smtp_connections: int = Field(default=8, ge=1, le=100)
    """How many messages one process hands in at the same time."""
    mail_from: str = Field(default="shop@localhost.localdomain", pattern=_SENDER)
    """The sender of messages, in ASCII."""

    @field_validator("smtp_url")
    @classmethod
    def _names_a_server(cls, told: SecretStr | None) -> SecretStr | None:
        if told is not None:
            try:
                SmtpServer.of(told.get_secret_value())
            except ValueError as error:
                raise ValueError(str(error).removeprefix("SMTP_URL ")) from None
        return told
