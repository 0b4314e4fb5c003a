"""Grants in a SQLite store: what codes and refresh tokens hang on, and what ends.

Every function runs inside a transaction that holds the write lock, so what it reads cannot change before it writes.
"""

import sqlite3
from typing import Any

from nameplate.protocol.audit import AuditEvent, AuditName
from nameplate.protocol.grant import Grant
from nameplate.stores.sqlite_audit import record_event

__all__ = [
    "GRANT_COLUMNS",
    "build_grant",
    "end_grant",
    "insert_grant",
    "is_live",
    "join_scope",
    "record_grant_event",
    "revoke_grant",
    "split_scope",
]


def join_scope(scope: tuple[str, ...]) -> str:
    """A scope as it lies in a column: its tokens hold no space. RFC 6749 §3.3."""
    return " ".join(scope)


def split_scope(text: str) -> tuple[str, ...]:
    """The scope that ``join_scope`` wrote."""
    return tuple(text.split())


_INSERT = """
INSERT INTO grants (
    grant_id, client_id, subject, resource, scope, client_metadata, created_at, expires_at, revoked_at, username,
    sweep_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
"""


def insert_grant(connection: sqlite3.Connection, grant: Grant) -> int:
    """Store a new grant; the number of its row."""
    row = connection.execute(
        _INSERT,
        (
            grant.id,
            grant.client_id,
            grant.subject,
            grant.resource,
            join_scope(grant.scope),
            grant.client_metadata,
            grant.created_at,
            grant.expires_at,
            grant.revoked_at,
            grant.username,
            grant.expires_at,
        ),
    ).fetchone()
    return int(row[0])


# In the order that build_grant reads them, from the table under the name g.
GRANT_COLUMNS = """
g.id, g.grant_id, g.client_id, g.subject, g.resource, g.scope, g.client_metadata, g.created_at, g.expires_at,
    g.revoked_at, g.username
"""


def build_grant(row: tuple[Any, ...]) -> Grant:
    """The grant of a row that begins with ``GRANT_COLUMNS``. (The first of them is where the row lies.)"""
    return Grant(
        id=row[1],
        client_id=row[2],
        subject=row[3],
        resource=row[4],
        scope=split_scope(row[5]),
        client_metadata=row[6],
        created_at=row[7],
        expires_at=row[8],
        revoked_at=row[9],
        username=row[10],
    )


def is_live(grant: Grant, now: int) -> bool:
    """Whether the grant neither expired nor was revoked."""
    return grant.revoked_at is None and grant.expires_at > now


_SELECT = f"SELECT {GRANT_COLUMNS} FROM grants g WHERE g.grant_id = ?"  # noqa: S608  (constants only)


def revoke_grant(connection: sqlite3.Connection, *, grant_id: str, reason: str, now: int) -> bool:
    """See ``GrantStore.revoke_grant``."""
    row = connection.execute(_SELECT, (grant_id,)).fetchone()
    if row is None:
        return False
    grant = build_grant(row)
    if not is_live(grant, now):
        return False
    end_grant(connection, grant, reason=reason, now=now)
    return True


_END = "UPDATE grants SET revoked_at = ?, sweep_at = ? WHERE grant_id = ?"


def end_grant(connection: sqlite3.Connection, grant: Grant, *, reason: str, now: int) -> None:
    """Revoke a live grant. Its codes and refresh tokens stay, but each is judged together with its grant."""
    connection.execute(_END, (now, now, grant.id))
    record_grant_event(connection, "grant.revoked", grant, now, reason)


def record_grant_event(
    connection: sqlite3.Connection, name: AuditName, grant: Grant, now: int, detail: str = ""
) -> None:
    """Append an event about ``grant`` to the audit trail."""
    event = AuditEvent(
        name=name, at=now, client_id=grant.client_id, subject=grant.subject, grant_id=grant.id, detail=detail
    )
    record_event(connection, event)
