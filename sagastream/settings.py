"""The settings of a process, read from the environment once and passed on. Holds no instance."""

from __future__ import annotations

import contextlib
import re
import socket
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sagastream.webhooks.addresses import networks_of
from sagastream.webhooks.signing import keys_of

_PLACE = re.compile(r"https?://[^\s/?#@]+(:\d{1,5})?([/?][^\s#]*)?", re.ASCII)
_HEADER = re.compile(r"[!-~]([ -~]*[!-~])?")


def _is_place(url: str) -> bool:
    """Tell whether httpx, which will call this URL, can parse it; httpx is imported only if webhooks are configured."""
    from httpx import URL, InvalidURL

    try:
        place = URL(url)
    except InvalidURL:
        return False
    return _PLACE.fullmatch(url) is not None and bool(place.host) and (place.port is None or 0 < place.port < 1 << 16)


def _seconds(value: object) -> object:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _name(value: object) -> object:
    """Return this host's name for ``host``, a number as text, and any other value as it is."""
    if value == "host":
        return re.sub(r"[^A-Za-z0-9_.-]", "_", socket.gethostname())[:64]
    return str(value) if isinstance(value, int) else value


Port = Annotated[int, Field(ge=0, le=65535)]
Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseSettings):
    """The settings of one process; each field is read from the environment variable of the same name.

    An empty variable counts as absent. **Units**: durations are seconds (``2.5``) or ISO 8601 (``P7D``).

    **Raises**: ``pydantic.ValidationError`` that names each unusable variable; report it and stop.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="forbid", hide_input_in_errors=True)

    redis_url: str | None = Field(None, pattern=r"^(rediss?|unix)://", repr=False)
    """The server to use; without it one is started here."""
    redis_server: Path | None = None
    """The server program to start, instead of looking for one."""
    redis_port: Port | None = None
    """The port of the server started here; without it a free one."""
    appendfsync: Literal["everysec", "always"] = "everysec"
    """How often the server started here forces its log to disk."""

    key_prefix: str = Field("saga:", pattern=r"^[A-Za-z0-9_.:-]{0,64}$")
    """The prefix of every key, for servers that are shared."""
    data_dir: Path = Path(".data")
    """Where a shop run from the checkout keeps everything it writes."""

    base_url: str | None = Field(None, pattern=r"^https?://[^/?#@]+([/?#]|$)")
    """The URL operators' commands use; without it that of the shop with the same `DATA_DIR`."""
    operator_token: SecretStr | None = None
    """The token operators send to repair sagas, required on any address but loopback; make it hard to guess."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Port = 8080
    """The port of the base URL; 0 takes a free one."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The lowest level that is logged. Payloads appear at ``DEBUG`` only."""
    log_format: Literal["console", "json"] = "console"
    """Lines for people, or one JSON object a line."""
    traces: Literal["off", "otlp"] = "off"
    """Whether traces are sent by OTLP over HTTP; `OTEL_EXPORTER_OTLP_ENDPOINT` and its kin set the destination."""
    stop_within: Duration = Field(timedelta(seconds=10), gt=timedelta(0))
    """How long a process may take to finish what it has begun once it is told to stop."""
    restart: bool = True
    """Whether `sagastream dev` restarts processes that died."""

    ledger_retention: Duration = Field(timedelta(days=7), gt=timedelta(0))
    """How long a participant remembers what it did for a saga; longer than any stream is kept."""
    batch: int = Field(200, ge=1, le=5000)
    """How many messages one round of a consumer takes at most."""
    block: Duration = Field(timedelta(seconds=2), gt=timedelta(0))
    """How long an idle consumer waits for a message before it looks at its other duties."""
    claim_idle: Duration = Field(timedelta(seconds=30), gt=timedelta(0))
    """How long a message may lie with a silent consumer before another one takes it."""
    consumer_forgotten: Duration = Field(timedelta(hours=1), gt=timedelta(0))
    """How long a consumer that holds nothing must have been silent before its name is removed."""

    stream_retention: Duration = Field(timedelta(days=1), ge=timedelta(0))
    """How long entries stay in their stream after every group has read them."""
    unread_retention: Duration = Field(timedelta(days=6), gt=timedelta(0))
    """How long entries stay in a stream that nobody reads."""
    keep_completed: Duration = Field(timedelta(days=30), gt=timedelta(0))
    """How long the record and history of a completed saga are kept."""
    keep_undone: Duration = Field(timedelta(days=90), gt=timedelta(0))
    """How long those of a compensated or failed saga are kept."""
    keep_aborted: Duration = Field(timedelta(days=365), gt=timedelta(0))
    """How long those of an aborted saga are kept."""
    audit_every: Duration = Field(timedelta(seconds=10), ge=timedelta(0))
    """How often a coordinator audits what sagas left behind since the last time; 0 is never."""
    audit_share: float = Field(0.1, gt=0.0, le=1.0)
    """The share of the time that the audit may take."""
    store: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """The name the store must have, given once by `sagastream init`; without it any store is accepted."""

    live_clients: int = Field(200, ge=0)
    """How many clients of one process may follow sagas live at a time; more are answered 503."""

    webhook_url: SecretStr | None = None
    """The URL that receives a signed request for each saga that ends; `https`, or `http` within
    `WEBHOOK_PRIVATE_NETWORKS`."""
    webhook_secret: SecretStr | None = None
    """The secret that signs them: `whsec_` and 24 to 64 random bytes in base64; two, while it is changed."""
    webhook_private_networks: str = ""
    """Networks other than the internet in which the receiver may be, such as `10.1.0.0/16, fd00::/8`."""
    webhook_timeout: Duration = Field(timedelta(seconds=15), gt=timedelta(0))
    """How long the receiver may take to answer one attempt."""
    webhook_attempts: int = Field(30, ge=1, le=1000)
    """How many attempts a webhook has before it becomes a dead letter; the first retry comes after 5 seconds."""
    webhook_longest_wait: Duration = Field(timedelta(hours=1), gt=timedelta(0))
    """The longest wait between two attempts."""
    webhook_connections: int = Field(8, ge=1, le=500)
    """How many webhooks one process sends at the same time."""

    consumer: Annotated[str, BeforeValidator(_name)] = Field("1", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """Which consumer of its service this process is; two running ones must never share it. `host`: the host's name."""

    @field_validator("redis_url")
    @classmethod
    def _can_be_read(cls, told: str | None) -> str | None:
        """Refuse URLs that parsers would misread; the parsers' own messages would reveal parts of the URL."""
        try:
            parts = urlsplit(told or "")
            is_odd = (
                bool(parts.fragment) or parts.port == 0 or (parts.scheme != "unix" and "@" in parts.path + parts.query)
            )
        except ValueError:
            is_odd = True
        if is_odd:
            raise ValueError("must be like rediss://user:password@host:6379/0; / ? # @ : [ ] in a name or password are "
                             "percent-encoded")  # fmt: skip
        return told

    @field_validator("operator_token")
    @classmethod
    def _fits_into_a_header(cls, told: SecretStr | None) -> SecretStr | None:
        if told is None:
            return None
        if not 16 <= len(told) <= 256:
            raise ValueError("must have 16 to 256 characters, as `openssl rand -hex 32` makes them")
        if not _HEADER.fullmatch(told.get_secret_value()):
            raise ValueError("must be printable ASCII without blanks around it: it is shown in a header")
        return told

    @field_validator("webhook_url")
    @classmethod
    def _is_a_place(cls, told: SecretStr | None) -> SecretStr | None:
        if told is not None and not _is_place(told.get_secret_value()):
            raise ValueError("must begin with https:// or http:// and name a host")
        return told

    @field_validator("webhook_secret")
    @classmethod
    def _are_keys(cls, told: SecretStr | None) -> SecretStr | None:
        if told is not None:
            keys_of(told.get_secret_value())
        return told

    @field_validator("webhook_private_networks")
    @classmethod
    def _are_networks(cls, told: str) -> str:
        networks_of(told)
        return told

    @model_validator(mode="after")
    def _signs_what_it_sends(self) -> Self:
        """Refuse unsigned webhooks, which a receiver could not distinguish from a forgery."""
        if self.webhook_url is not None and self.webhook_secret is None:
            raise ValueError("WEBHOOK_URL needs a WEBHOOK_SECRET")
        return self

    @model_validator(mode="after")
    def _remembers_long_enough(self) -> Self:
        """Refuse retentions under which an event could be handled twice or outlive its saga's record."""
        ledger = self.ledger_retention
        if max(self.stream_retention, self.unread_retention) >= ledger:
            raise ValueError("STREAM_RETENTION and UNREAD_RETENTION must be shorter than LEDGER_RETENTION")
        if min(self.keep_completed, self.keep_undone, self.keep_aborted) < ledger:
            raise ValueError("KEEP_COMPLETED, KEEP_UNDONE and KEEP_ABORTED must not be shorter than LEDGER_RETENTION")
        return self
