"""What can go wrong, as types: one base, and a leaf only where some caller catches it."""

from __future__ import annotations


class SagastreamError(Exception):
    """Base of everything this library raises on purpose."""


class ReplyError(SagastreamError):
    """The server understood a command and refused it.

    Raises: nothing further; the caller decides by ``code``, the first word of the server's reply
    (``NOGROUP``, ``WRONGTYPE``, ``NOSCRIPT`` …).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}".strip())
        self.code = code
        self.message = message


class ServerUnavailable(SagastreamError):
    """The server cannot serve right now (connection, time-out, loading, read-only, out of memory).

    Nothing is known about a command that ended this way: it may have happened. Wait and repeat
    only what is deduplicated.
    """


class DefinitionError(SagastreamError):
    """A saga table or a participant is declared in a way that could not work; mend the declaration."""


class CannotApply(SagastreamError):
    """The server says that what is wanted can never be applied; deciding again would not help."""


class Undecodable(SagastreamError):
    """A stream entry is not an event this reader can take; it is buried, never retried."""


class Misfit(Undecodable):
    """An event lacks a field that this release needs, or has one it does not know; a process of another may take it."""


class NotOurs(SagastreamError):
    """A message is about what this release of a participant does not do; a process of another release may."""


class Forgotten(Undecodable):
    """A message came so late that the ledger may have known it and forgotten; it must not be handled again."""


class UnknownTable(Undecodable):
    """An event belongs to a saga table that this process does not know; another one may."""


class TooLarge(SagastreamError):
    """An event is larger than ``MAX_EVENT_BYTES``; put the bulk elsewhere and publish a reference."""
