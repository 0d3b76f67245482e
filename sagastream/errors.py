"""The library's exceptions: one base class, and a leaf only if some caller catches it."""

from __future__ import annotations


class SagastreamError(Exception):
    """Base of every exception that this library raises on purpose."""


class ReplyError(SagastreamError):
    """The server understood a command and refused it.

    The caller decides by ``code``, the first word of the server's reply (``NOGROUP``, ``WRONGTYPE``, ``NOSCRIPT`` …).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}".strip())
        self.code = code
        self.message = message


class ServerUnavailable(SagastreamError):
    """The server cannot serve right now (connection, time-out, loading, read-only, out of memory).

    A command that ended this way may or may not have been applied. Wait, and repeat only commands that are
    deduplicated.
    """


class DefinitionError(SagastreamError):
    """A saga table or a participant is declared in a way that cannot work; correct the declaration."""


class CannotApply(SagastreamError):
    """The server says that a transaction can never be applied; deciding again would not help."""


class Undecodable(SagastreamError):
    """A stream entry is not an event that this reader can decode; it becomes a dead letter and is never retried."""


class Misfit(Undecodable):
    """An event lacks a field this release needs, or has an unknown one; a process of another release may accept it."""


class NotOurs(SagastreamError):
    """A message is for a step that this release of a participant does not perform; another release's process may."""


class Forgotten(Undecodable):
    """A message came so late that the ledger may have forgotten its outcome; it must not be handled again."""


class UnknownTable(Undecodable):
    """An event belongs to a saga table that this process does not know; another process may know it."""


class TooLarge(SagastreamError):
    """An event exceeds ``MAX_EVENT_BYTES``, or an attribute its limit; publish a reference to the bulk instead."""
