"""What the sweep deletes from a SQLite store. Each function here is one short transaction.

Rows are found by an index on the instant from which nothing can need them, so a sweep costs what it deletes,
however much is kept.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nameplate.protocol.audit import AuditEvent
from nameplate.stores.sqlite_audit import record_event

__all__ = ["Swept", "build_sweeps", "give_back_pages"]


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


# How long what hangs on a live grant is left alone: that may end long before it expires.
_LOOK_AGAIN_SECONDS = 24 * 60 * 60


def _select_over(table: str) -> str:
    """The statement that finds rows of ``table`` that are over, and until when a live grant may keep each."""
    return f"""
SELECT
    coalesce((SELECT max(expires_at) FROM grants WHERE client_id = o.client_id AND revoked_at IS NULL), 0),
    o.id, o.client_id
FROM {table} o WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?
"""  # noqa: S608  (constants only)


_SELECT_DOCUMENTS = _select_over("documents")
_SELECT_CLIENTS = _select_over("clients")


def _sweep_documents(connection: sqlite3.Connection, *, now: int, limit: int) -> Swept:
    """Delete documents that can no longer stand in, but those of clients with a live grant."""
    rows = connection.execute(_SELECT_DOCUMENTS, (now, limit)).fetchall()
    put_off = _put_off(rows, now)
    connection.executemany("UPDATE documents SET sweep_at = ? WHERE id = ?", put_off)
    done = [(document_row,) for live_until, document_row, _ in rows if live_until <= now]
    connection.executemany("DELETE FROM documents WHERE id = ?", done)
    return Swept(len(rows), len(done))


def _sweep_clients(connection: sqlite3.Connection, *, now: int, limit: int) -> Swept:
    """Forget registered clients that expired, but those with a live grant."""
    rows = connection.execute(_SELECT_CLIENTS, (now, limit)).fetchall()
    connection.executemany("UPDATE clients SET sweep_at = ? WHERE id = ?", _put_off(rows, now))
    done = [(client_row, client_id) for live_until, client_row, client_id in rows if live_until <= now]
    for client_row, client_id in done:
        connection.execute("DELETE FROM clients WHERE id = ?", (client_row,))
        event = AuditEvent(name="client.removed", at=now, client_id=client_id, detail="expired")
        record_event(connection, event)
    return Swept(len(rows), len(done))


def _put_off(rows: list[tuple[int, int, str]], now: int) -> list[tuple[int, int]]:
    """When to look again, and at which row."""
    return [(min(live_until, now + _LOOK_AGAIN_SECONDS), row) for live_until, row, _ in rows if live_until > now]


# Grants come last: what refers to them has to go first.
_SWEEPS: tuple[Callable[..., Swept], ...] = (
    partial(_sweep_rows, statement=_delete_ended("pending_authorizations", "rowid", "expires_at")),
    partial(_sweep_rows, statement=_delete_ended("refresh_answers", "rowid", "kept_until")),
    partial(_sweep_rows, statement=_delete_ended("refresh_tokens", "grant_row, number", "expires_at")),
    partial(_sweep_rows, statement=_delete_ended("codes", "rowid", "kept_until")),
    partial(_sweep_rows, statement=_delete_ended("assertion_uses", "rowid", "kept_until")),
    partial(_sweep_rows, statement=_delete_ended("upstream_attempts", "rowid", "expires_at")),
    partial(_sweep_rows, statement=_delete_ended("sessions", "rowid", "expires_at")),
    partial(_sweep_rows, statement=_delete_ended("budgets", "rowid", "full_at")),
    _sweep_documents,
    _sweep_clients,
    _sweep_grants,
)
_sweep_events = partial(_sweep_rows, statement=_delete_ended("audit_events", "rowid", "at"))


def build_sweeps(*, now: int, audit_before: int) -> list[Callable[..., Swept]]:
    """All sweeps, in their order. Each takes a connection and ``limit``, how many rows it may look at."""
    return [*(partial(sweep, now=now) for sweep in _SWEEPS), partial(_sweep_events, now=audit_before - 1)]


# Free pages that are kept for what comes next (16 MiB), and how many beyond them are given back in one transaction.
_KEPT_PAGES = 4096
_PAGES_AT_ONCE = 512


def give_back_pages(connection: sqlite3.Connection) -> None:
    """Shorten a file that was much larger once. Nothing happens to a file that an earlier version made."""
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    for _ in range(min(_PAGES_AT_ONCE, free - _KEPT_PAGES)):
        connection.execute("PRAGMA incremental_vacuum(1)")  # the module makes one step, whatever number stands here
