"""A Redis 7.0 in one object: the commands this library uses, executed immediately, with a clock passed in.

It returns raw RESP2 replies as text; it never waits (``memory_connection`` does) and stores nothing outside
itself. Not promised: memory limits, persistence, MULTI, pub/sub, ACL, Cluster. Where 7.0 and its successors
differ it behaves like the successors: reading or claiming always creates the consumer, and a group's count of
read entries survives trimming.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sagastream.bus import Argument, Command, Reply
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.testing.memory_commands import COMMANDS
from sagastream.testing.memory_keyspace import OK, Args, Keyspace, Raw, integer
from sagastream.testing.memory_scripts import ErrorElement, lua_host

# Commands that idle workers send over and over with the same arguments.
_RECURRING = frozenset(
    {"XREADGROUP", "XAUTOCLAIM", "XGROUP", "XINFO", "XPENDING", "TIME", "HSETNX", "HGETALL", "ZRANGE"}
)
FROM_SCRIPTS = {name: found for name, found in COMMANDS.items() if name != b"CONFIG"}


class MemoryServer:
    """One server: its keys and its loaded scripts."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """Create an empty server.

        Units: ``clock`` returns epoch milliseconds and may go backwards.
        """
        self.space = Keyspace(clock)
        self.refuses: Callable[[bytes], ReplyError | None] | None = None
        """Set while the server is in trouble: returns the error for a command, or None to execute it all the same."""
        self._scripts: set[bytes] = set()
        self._own = {b"EVAL": self._eval, b"EVALSHA": self._evalsha, b"SCRIPT": self._script}

    def call(self, *command: Argument) -> Reply:
        """Execute one command.

        Raises: ReplyError wherever the server answers with an error, and with the same one.
        """
        name, args = words(command)
        found = COMMANDS.get(name)
        if found is not None and self.refuses is None:
            handler, least, most = found
            if least <= len(args) <= most:
                return decoded(handler(self.space, args))
        own = self._own.get(name.upper())
        return decoded(self._command(name, args) if own is None else own(args))

    def forget_scripts(self) -> None:
        """Lose every loaded script, as a restart does."""
        self._scripts.clear()

    def restart(self) -> None:
        """Lose scripts and connections, as a restart with an append-only file does."""
        self.forget_scripts()
        self.space.fail_waiting(ServerUnavailable("the server was restarted"))

    def _command(self, name: bytes, args: Args) -> Raw:
        found = COMMANDS.get(name) or COMMANDS.get(name.upper())
        if found is None:
            shown = "".join(f"'{arg.decode(errors='replace')}' " for arg in args)
            raise ReplyError(
                "ERR", f"unknown command '{name.decode(errors='replace')}', with args beginning with: {shown}"
            )
        handler, least, most = found
        if not least <= len(args) <= most:
            raise ReplyError("ERR", f"wrong number of arguments for '{name.decode().lower()}' command")
        self._refuse(name)
        return handler(self.space, args)

    def _from_script(self, name: bytes, args: Args) -> Raw:
        found = FROM_SCRIPTS.get(name)
        if found is not None and self.refuses is None:
            handler, least, most = found
            if least <= len(args) <= most:
                return handler(self.space, args)
        found = COMMANDS.get(name.upper())
        if found is None:
            if name.upper() in self._own:
                raise ReplyError("ERR", "This Redis command is not allowed from script")
            raise ReplyError("ERR", "Unknown Redis command called from script")
        handler, least, most = found
        if not least <= len(args) <= most:
            raise ReplyError("ERR", "Wrong number of args calling Redis command from script")
        if name.upper() not in FROM_SCRIPTS:
            raise ReplyError("ERR", "This Redis command is not allowed from script")
        self._refuse(name)
        return handler(self.space, args)

    def _refuse(self, name: bytes) -> None:
        if self.refuses is not None:
            refusal = self.refuses(name.upper())
            if refusal is not None:
                raise refusal

    def _eval(self, args: Args) -> Raw:
        _at_least("eval", args, 2)
        keys, argv = _split(args)
        sha = lua_host().compile(args[0])
        self._scripts.add(sha)
        return lua_host().run(sha, keys, argv, self._from_script)

    def _evalsha(self, args: Args) -> Raw:
        _at_least("evalsha", args, 2)
        keys, argv = _split(args)
        sha = args[0].lower()
        if sha not in self._scripts:
            raise ReplyError("NOSCRIPT", "No matching script. Please use EVAL.")
        return lua_host().run(sha, keys, argv, self._from_script)

    def _script(self, args: Args) -> Raw:
        _at_least("script", args, 1)
        word = args[0].upper()
        if word == b"LOAD" and len(args) == 2:
            sha = lua_host().compile(args[1])
            self._scripts.add(sha)
            return sha
        if word == b"EXISTS" and len(args) > 1:
            return [int(sha.lower() in self._scripts) for sha in args[1:]]
        if word == b"FLUSH":
            self.forget_scripts()
            return OK
        raise ReplyError("ERR", f"unknown subcommand '{args[0].decode(errors='replace')}'. Try SCRIPT HELP.")


def words(command: Command) -> tuple[bytes, Args]:
    """Return the name and the arguments of a command, as the words sent to the server."""
    return _recurring(*command) if command[0] in _RECURRING else _words(command)


def _words(command: Command) -> tuple[bytes, Args]:
    try:
        name, *args = [part.encode() if type(part) is str else encoded(part) for part in command]
    except UnicodeEncodeError:
        name, *args = [encoded(part) for part in command]
    return name, tuple(args)


@lru_cache(8192, typed=True)
def _recurring(*command: Argument) -> tuple[bytes, Args]:
    return _words(command)


def encoded(part: Argument) -> bytes:
    """Return one word of a command as the bytes sent to the server."""
    if isinstance(part, bytes):
        return part
    text = part if isinstance(part, str) else repr(part)
    return text.encode("utf-8", "surrogateescape")


def decoded(raw: Raw) -> Reply:
    """Return a reply as text."""
    if type(raw) is list:
        reply: list[Reply] = []
        try:
            for item in raw:
                if type(item) is bytes:
                    reply.append(item.decode())
                elif type(item) is int or item is None:
                    reply.append(item)
                else:
                    reply.append(decoded(item))
        except UnicodeDecodeError:
            return [decoded(item) for item in raw]
        return reply
    if raw is None or type(raw) is int:
        return raw
    if isinstance(raw, ErrorElement):
        raise ReplyError("ERR", f"an error inside an array reply: {raw.decode(errors='replace')}")
    assert isinstance(raw, bytes)  # the only type left
    return raw.decode("utf-8", "surrogateescape")


def _split(args: Args) -> tuple[Args, Args]:
    count = integer(args[1])
    if count > len(args) - 2:
        raise ReplyError("ERR", "Number of keys can't be greater than number of args")
    if count < 0:
        raise ReplyError("ERR", "Number of keys can't be negative")
    return args[2 : 2 + count], args[2 + count :]


def _at_least(command: str, args: Args, count: int) -> None:
    if len(args) < count:
        raise ReplyError("ERR", f"wrong number of arguments for '{command}' command")
