"""Data outside Redis, added up in a temporary file: the provider's calls, and mails.

The provider never forgets a key, so its record grows for ever; an audit must not hold it in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from books.facts import Account, saga_of

_TABLES = """
CREATE TABLE accounts (
    saga TEXT, key TEXT, taken INTEGER, returned INTEGER, charges INTEGER, currency TEXT,
    is_asked_for INTEGER DEFAULT 0,
    PRIMARY KEY (saga, key)
) WITHOUT ROWID;
CREATE TABLE mails (order_id TEXT, step TEXT, many INTEGER, PRIMARY KEY (order_id, step)) WITHOUT ROWID;
"""
_ADD_CALL = """
INSERT INTO accounts (saga, key, taken, returned, charges, currency) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET taken = taken + excluded.taken, returned = returned + excluded.returned,
    charges = charges + excluded.charges, currency = CASE WHEN excluded.currency IN ('', currency) THEN currency
    WHEN currency = '' THEN excluded.currency ELSE currency || '+' || excluded.currency END
"""
_ADD_MAIL = "INSERT INTO mails VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET many = many + 1"


class Tally:
    """Accounts by saga, mails by order. A context manager that removes its file on closing."""

    def __enter__(self) -> Self:
        """Start empty, in a temporary file that only this process can see."""
        self._store = sqlite3.connect("", isolation_level=None)
        self._store.executescript(f"PRAGMA journal_mode = OFF; {_TABLES}")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the data."""
        self._store.close()

    def add_calls(self, changes: Iterable[tuple[str, Account]]) -> None:
        """Add the changes of calls, each under its key."""
        self._add(
            _ADD_CALL,
            [(saga_of(key), key, to.taken_cents, to.returned_cents, to.charges, to.currency) for key, to in changes],
        )

    def add_mails(self, mails: Sequence[tuple[str, str]]) -> None:
        """Add messages, each by its order and the step that sent it."""
        self._add(_ADD_MAIL, mails)

    def accounts(self, saga_ids: Sequence[str]) -> dict[str, Account]:
        """Return the accounts of these sagas' keys, and mark them as asked for."""
        those = f"saga IN ({', '.join('?' * len(saga_ids))})"
        self._store.execute(f"UPDATE accounts SET is_asked_for = 1 WHERE {those}", saga_ids)  # no value
        found = self._store.execute(
            f"SELECT key, taken, returned, charges, currency FROM accounts WHERE {those}",  # no value in it
            saga_ids,
        )
        return {key: Account(*sums) for key, *sums in found}

    def kept_for_nobody(self) -> Iterator[tuple[str, int]]:
        """Yield the sagas that were never asked for and whose money is still kept, with the cents."""
        yield from self._store.execute(
            "SELECT saga, sum(taken - returned) AS kept FROM accounts WHERE NOT is_asked_for"
            " GROUP BY saga HAVING kept <> 0 ORDER BY saga"
        )

    def mails(self, order_id: str) -> dict[str, int]:
        """Return how many messages each step sent about an order."""
        return dict(self._store.execute("SELECT step, many FROM mails WHERE order_id = ?", (order_id,)))

    def _add(self, statement: str, rows: Sequence[tuple[str | int, ...]]) -> None:
        self._store.execute("BEGIN")
        self._store.executemany(statement, rows)
        self._store.execute("COMMIT")
