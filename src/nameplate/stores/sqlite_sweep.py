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


def _sweep_table(connection: sqlite3.Connection, *, table: str, ends: str, now: int, limit: int) -> Swept:
    """Delete rows of ``table`` in the order of its column ``ends``."""
    ended = f"SELECT rowid FROM {table} WHERE {ends} <= ? ORDER BY {ends} LIMIT ?"  # noqa: S608  (constants only)
    deleted = connection.execute(f"DELETE FROM {table} WHERE rowid IN ({ended})", (now, limit)).rowcount  # noqa: S608
    return Swept(deleted, deleted)


_SELECT_GRANTS = """
SELECT
    max(
        coalesce((SELECT max(kept_until) FROM codes WHERE grant_row = g.id), 0),
        coalesce((SELECT max(expires_at) FROM refresh_tokens WHERE grant_row = g.id), 0)
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


# Grants come last: what refers to them has to go first.
SWEEPS: tuple[Callable[..., Swept], ...] = (
    partial(_sweep_table, table="pending_authorizations", ends="expires_at"),
    partial(_sweep_table, table="refresh_answers", ends="kept_until"),
    partial(_sweep_table, table="refresh_tokens", ends="expires_at"),
    partial(_sweep_table, table="codes", ends="kept_until"),
    partial(_sweep_table, table="sessions", ends="expires_at"),
    partial(_sweep_table, table="budgets", ends="full_at"),
    _sweep_grants,
)
