"""Find out what the server promises about written data, and whether it accepts writes. Changes no server option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sagastream.errors import ReplyError

if TYPE_CHECKING:
    from sagastream.bus import Connection, Reply

UNKNOWN = "unknown"
_OLDEST = (7, 0)


@dataclass(frozen=True, slots=True)
class Durability:
    """The server's own report; ``unknown`` where it does not report a value or denies access to it.

    ``refusal`` says why the server accepts no writes now, if it reports that; None does not promise that it accepts the
    next one.
    """

    server: str
    version: str
    maxmemory_policy: str
    append_only_file: str
    appendfsync: str
    warnings: tuple[str, ...]
    refusal: str | None

    @property
    def dangers(self) -> tuple[str, ...]:
        """Return all warnings except those about how often an existing log is synced, which may be intended."""
        return tuple(warning for warning in self.warnings if not warning.startswith("appendfsync "))


async def read_durability(connection: Connection) -> Durability:
    """Return what the server reports about keeping data.

    Managed servers and ACLs may deny CONFIG or INFO; the values are ``unknown`` then, which is legal.

    **Raises**: ``ServerUnavailable``; the server is not ready then.
    """
    info = await read_info(connection)
    version = info.get("valkey_version") or info.get("redis_version", UNKNOWN)
    policy = info.get("maxmemory_policy", UNKNOWN)
    is_appending = {"1": "on", "0": "off"}.get(info.get("aof_enabled", ""), UNKNOWN)
    fsync = await _appendfsync(connection)
    name = info.get("server_name") or ("valkey" if "valkey_version" in info else "redis")
    warnings = _warnings(version, policy, is_appending, fsync)
    return Durability(name, version, policy, is_appending, fsync, warnings, _refusal(info))


async def read_info(connection: Connection) -> dict[str, str]:
    """Return the fields of the server's ``INFO``, none if it denies that command.

    **Raises**: ``ServerUnavailable``.
    """
    return _parsed(await _told(connection, "INFO"))


async def _appendfsync(connection: Connection) -> str:
    reply = await _told(connection, "CONFIG", "GET", "appendfsync")
    return str(reply[1]) if isinstance(reply, list) and len(reply) == 2 else UNKNOWN


async def _told(connection: Connection, *command: str) -> Reply:
    try:
        return await connection.execute(*command)
    except ReplyError:
        return None


def _parsed(reply: Reply) -> dict[str, str]:
    lines = reply.splitlines() if isinstance(reply, str) else []
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def _refusal(info: dict[str, str]) -> str | None:
    most, used, besides = (int(info.get(name, 0)) for name in ("maxmemory", "used_memory", "mem_not_counted_for_evict"))
    if most and used - besides > most and info.get("maxmemory_policy") == "noeviction":
        return f"takes no writes: its memory is full, {used // 2**20} of {most // 2**20} MB are used"
    if info.get("role") == "slave" and info.get("slave_read_only") == "1":
        return "takes no writes: it is a replica"
    if info.get("aof_last_write_status") == "err":
        return "takes no writes: its append-only file cannot be written"
    return None


def _warnings(version: str, policy: str, is_appending: str, fsync: str) -> tuple[str, ...]:
    said = []
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < _OLDEST:
        said.append(f"version {version} is older than 7.0, which this library needs")
    if policy not in ("noeviction", UNKNOWN):
        said.append(f"maxmemory-policy {policy} may evict ledgers and records; set noeviction")
    if is_appending == "off":
        said.append("no append-only file: a restart loses everything since the last snapshot")
    if is_appending == "on" and fsync == "no":
        said.append("appendfsync no: a power failure may lose the last half minute")
    if is_appending == "on" and fsync == "everysec":
        said.append("appendfsync everysec: a power failure may lose the last second or two")
    return tuple(said)
