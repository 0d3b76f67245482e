"""Runs Lua scripts as the server does: the shipped text, Lua 5.1, the same conversions both ways.

One Lua runtime serves the whole process; it holds compiled scripts and no server's data.
Not thread-safe, and a script cannot call a script.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import lupa.lua51
import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from sagastream.errors import ReplyError
from sagastream.testing.memory_keyspace import Args, Raw, Status

Call = Callable[[bytes, Args], Raw]
"""Executes one command on behalf of a script; raises ReplyError."""

_TEXT = frozenset({bytes})

LuaValue = Any  # what lupa passes: bytes, int, float, bool, None, a table or a function


class LuaHost:
    """The Lua runtime, and the route from ``redis.call`` to the server that is running a script."""

    def __init__(self) -> None:
        self._lua = lupa.lua51.LuaRuntime(
            encoding=None, unpack_returned_tuples=True, register_eval=False, register_builtins=False
        )
        self._table = self._lua.table_from
        self._table_type = type(self._lua.table())
        self._call: Call = _no_server
        self._compiled: dict[bytes, LuaValue] = {}
        source = resources.files(__package__).joinpath("memory_scripts.lua").read_bytes()
        self._compile, self._run = self._lua.execute(
            source, self._dispatch, self._unpack, self._pack, sha1hex, self._error_text
        )

    def compile(self, source: bytes) -> bytes:
        """Compile a script unless it is compiled already; return its SHA1."""
        sha = sha1hex(source)
        if sha not in self._compiled:
            body = source
            if body.startswith(b"#!lua"):
                body = b"\n" + body.partition(b"\n")[2]
            function, error = self._compile(body)
            if function is None:
                raise ReplyError("ERR", f"Error compiling script (new function): {error.decode(errors='replace')}")
            self._compiled[sha] = function
        return sha

    def run(self, sha: bytes, keys: Args, argv: Args, call: Call) -> Raw:
        """Run a compiled script and convert its result.

        Raises: ReplyError when the script raises or returns an error.
        """
        self._call = call
        try:
            succeeded, result = self._run(self._compiled[sha], self._table(keys), self._table(argv))
        finally:
            self._call = _no_server
        if succeeded:
            return self._from_lua(result)
        if isinstance(result, BaseException):
            raise result
        message = _text(result[b"err"])
        if result[b"line"] is not None:
            message += f" script: {sha.decode()}, on {_text(result[b'source'])}:{result[b'line']}."
        raise _reply_error(message)

    def _dispatch(self, *command: LuaValue) -> LuaValue:
        try:
            if not command:
                raise ReplyError("ERR", "Please specify at least one argument for this redis.call()")
            if not _TEXT.issuperset(map(type, command)):
                command = tuple([_argument(part) for part in command])
            reply = self._call(command[0], command[1:])
        except ReplyError as error:
            return None, None, _bytes(str(error))
        if type(reply) is bytes or type(reply) is int:
            return reply
        if type(reply) is Status:
            return None, bytes(reply)
        return self._to_lua(reply)

    def _to_lua(self, reply: Raw) -> LuaValue:
        if reply is None:
            return False
        if isinstance(reply, list):
            for item in reply:
                if type(item) is not bytes and type(item) is not int:
                    return self._table([self._to_lua(each) for each in reply])
            return self._table(reply)
        if isinstance(reply, Status):
            return self._table({b"ok": bytes(reply)})
        return reply

    def _from_lua(self, value: LuaValue) -> Raw:
        if value is None or value is False:
            return None
        if value is True:
            return 1
        if isinstance(value, bytes):
            return value
        if isinstance(value, int):
            return value
        if isinstance(value, float):
            return int(value) if abs(value) < 2**63 else -(2**63)
        if not isinstance(value, self._table_type):
            return None
        if (error := value[b"err"]) is not None:
            raise _reply_error(_text(error))
        if (status := value[b"ok"]) is not None:
            return Status(status)
        items: list[Raw] = []
        while (item := value[len(items) + 1]) is not None:
            items.append(self._element(item))
        return items

    def _element(self, item: LuaValue) -> Raw:
        if type(item) is bytes:
            return item
        try:
            return self._from_lua(item)
        except ReplyError as error:
            return ErrorElement(_bytes(str(error)))

    def _unpack(self, blob: bytes) -> LuaValue:
        try:
            value = msgpack.unpackb(blob, raw=True, strict_map_key=False)
        except ValueError:
            return None, b"Bad data format in input."
        if isinstance(value, list | dict):
            value = self._table(value, recursive=True)
        return value, None

    def _pack(self, *values: LuaValue) -> bytes:
        return b"".join(msgpack.packb(self._plain(value), use_bin_type=False) for value in values)

    def _plain(self, value: LuaValue) -> object:
        if not isinstance(value, self._table_type):
            return value
        pairs = {key: self._plain(item) for key, item in value.items()}
        if set(pairs) == set(range(1, len(pairs) + 1)):
            return [pairs[at] for at in range(1, len(pairs) + 1)]
        return pairs

    def _error_text(self, text: bytes) -> bytes:
        return _bytes(str(_reply_error(_text(text)))) if b" " in text else b"ERR " + text.removeprefix(b"-")


class ErrorElement(bytes):
    """An error inside an array reply."""


@cache
def lua_host() -> LuaHost:
    """Return the Lua runtime of this process, created at first use."""
    return LuaHost()


def sha1hex(source: bytes) -> bytes:
    """Return the SHA1 that identifies a script."""
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


def _argument(part: LuaValue) -> bytes:
    if type(part) is bytes:
        return part
    if type(part) is int and abs(part) < 10**17:
        return b"%d" % part
    if type(part) is int or type(part) is float:
        return b"%.17g" % part
    raise ReplyError("ERR", "Lua redis lib command arguments must be strings or integers")


def _reply_error(text: str) -> ReplyError:
    code, _, message = text.removeprefix("-").partition(" ")
    return ReplyError(code, message)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _no_server(name: bytes, args: Args) -> Raw:
    raise ReplyError("ERR", "redis.call is only possible while a script runs")
