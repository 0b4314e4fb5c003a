"""What the sweep deletes from a SQLite store. Each function here is one short transaction.

Rows are found by an index on the instant from which nothing can need them, so a sweep costs what it deletes,
however much is kept.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

__all__ = ["SWEEPS", "Swept"]


@dataclass(frozen=True, slots=True)
class Swept:
    """What one transaction did: the rows it looked at, and how many of them it deleted."""

    examined: int
    deleted: int


def _delete_ended(table: str, key: str, ends: str) -> str:
    """The statement that deletes rows of ``table``, by their primary ``key``, in the order of the column ``ends``."""
    ended = f"SELECT {key} FROM {table} WHERE {ends} <= ? ORDER BY {ends} LIMIT ?"  # noqa: S608  (constants only)
    return f"DELETE FROM {table} WHERE ({key}) IN ({ended})"  # noqa: S608


def _sweep_rows(connection: sqlite3.Connection, *, statement: str, now: int, limit: int) -> Swept:
    deleted = connection.execute(statement, (now, limit)).rowcount
    return Swept(deleted, deleted)


_SELECT_GRANTS = """
SELECT
    max(
        coalesce((SELECT kept_until FROM codes WHERE grant_row = g.id), 0),
        coalesce((SELECT expires_at FROM refresh_tokens WHERE grant_row = g.id ORDER BY number DESC LIMIT 1), 0)
    ),
    g.id
FROM grants g WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?
"""


def _sweep_grants(connection: sqlite3.Connection, *, now: int, limit: int) -> Swept:
    """Delete ended grants that nothing refers to; put off the others until what refers to them has ended."""
    rows = connection.execute(_SELECT_GRANTS, (now, limit)).fetchall()
    done = [(grant_row,) for needed_until, grant_row in rows if needed_until == 0]
    put_off = [(max(needed_until, now + 1), grant_row) for needed_until, grant_row in rows if needed_until != 0]
    connection.executemany("DELETE FROM grants WHERE id = ?", done)
    connection.executemany("UPDATE grants SET sweep_at = ? WHERE id = ?", put_off)
    return Swept(len(rows), len(done))


_SELECT_DOCUMENTS = """
SELECT
    coalesce((SELECT max(expires_at) FROM grants WHERE client_id = d.client_id AND revoked_at IS NULL), 0),
    d.id
FROM documents d WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?
"""

# How long a document is left alone whose client has a live grant: that may end long before it expires.
_LOOK_AGAIN_SECONDS = 24 * 60 * 60


def _sweep_documents(connection: sqlite3.Connection, *, now: int, limit: int) -> Swept:
    """Delete documents that can no longer stand in, but those of clients with a live grant."""
    rows = connection.execute(_SELECT_DOCUMENTS, (now, limit)).fetchall()
    done = [(document_row,) for live_until, document_row in rows if live_until <= now]
    put_off = [
        (min(live_until, now + _LOOK_AGAIN_SECONDS), document_row)
        for live_until, document_row in rows
        if live_until > now
    ]
    connection.executemany("DELETE FROM documents WHERE id = ?", done)
    connection.executemany("UPDATE documents SET sweep_at = ? WHERE id = ?", put_off)
    return Swept(len(rows), len(done))


# Grants come last: what refers to them has to go first.
SWEEPS: tuple[Callable[..., Swept], ...] = (
    partial(_sweep_rows, statement=_delete_ended("pending_authorizations", "rowid", "expires_at")),
    partial(_sweep_rows, statement=_delete_ended("refresh_answers", "rowid", "kept_until")),
    partial(_sweep_rows, statement=_delete_ended("refresh_tokens", "grant_row, number", "expires_at")),
    partial(_sweep_rows, statement=_delete_ended("codes", "rowid", "kept_until")),
    partial(_sweep_rows, statement=_delete_ended("sessions", "rowid", "expires_at")),
    partial(_sweep_rows, statement=_delete_ended("budgets", "rowid", "full_at")),
    _sweep_documents,
    _sweep_grants,
)
