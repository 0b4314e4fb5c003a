"""Grants in a SQLite store: what codes and refresh tokens hang on, and what ends.

Functions that write run inside a transaction that holds the write lock, so what they read cannot change before they
write. The ``load_`` functions need no transaction.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from nameplate.ports.store import GrantFilter
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.audit import AuditEvent, AuditName
from nameplate.protocol.client_proof import ClientProof
from nameplate.protocol.grant import Grant
from nameplate.stores.sqlite_audit import record_event
from nameplate.stores.sqlite_lister import Condition, Listing

__all__ = [
    "GRANT_COLUMNS",
    "GRANT_WIDTH",
    "build_grant",
    "build_grant_listing",
    "end_grant",
    "end_grants_of_client",
    "insert_grant",
    "is_live",
    "join_scope",
    "load_grant",
    "load_revocations",
    "record_grant_event",
    "remember_proof",
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
    upstream, person, auth_method, client_keys, sweep_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
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
            grant.upstream,
            grant.person,
            grant.auth_method,
            grant.client_keys,
            grant.expires_at,
        ),
    ).fetchone()
    return int(row[0])


# In the order that build_grant reads them, from the table under the name g.
GRANT_COLUMNS = """
g.id, g.grant_id, g.client_id, g.subject, g.resource, g.scope, g.client_metadata, g.created_at, g.expires_at,
    g.revoked_at, g.username, g.upstream, g.person, g.auth_method, g.client_keys
"""
GRANT_WIDTH = 15


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
        upstream=row[11],
        person=row[12],
        auth_method=row[13],
        client_keys=row[14],
    )


def is_live(grant: Grant, now: int) -> bool:
    """Whether the grant neither expired nor was revoked."""
    return grant.revoked_at is None and grant.expires_at > now


_REMEMBER = "UPDATE grants SET auth_method = ?, client_keys = ? WHERE id = ?"


def remember_proof(connection: sqlite3.Connection, row: tuple[Any, ...], proof: ClientProof) -> Grant:
    """The grant of a row that begins with ``GRANT_COLUMNS``, from now on with this proof of its client."""
    values = (proof.auth_method, proof.client_keys)
    if row[GRANT_WIDTH - len(values) : GRANT_WIDTH] == values:
        return build_grant(row)
    connection.execute(_REMEMBER, (*values, row[0]))
    return build_grant((*row[: GRANT_WIDTH - len(values)], *values))


_SELECT = f"SELECT {GRANT_COLUMNS} FROM grants g WHERE g.grant_id = ?"  # noqa: S608  (constants only)


def load_grant(connection: sqlite3.Connection, *, grant_id: str) -> Grant | Unknown:
    """See ``GrantStore.load_grant``."""
    row = connection.execute(_SELECT, (grant_id,)).fetchone()
    return Unknown() if row is None else build_grant(row)


_SELECT_REVOKED = "SELECT grant_id, revoked_at FROM grants WHERE resource = ? AND revoked_at >= ?"


def load_revocations(connection: sqlite3.Connection, *, resource: str, since: int) -> Sequence[tuple[str, int]]:
    """See ``GrantStore.load_revocations``."""
    return connection.execute(_SELECT_REVOKED, (resource, since)).fetchall()


def build_grant_listing(which: GrantFilter) -> Listing[tuple[int, Grant]]:
    """The grants that ``GrantStore.list_grants`` asks for, each with its number."""
    equal = (
        ("client_id", which.client_id),
        ("subject", which.subject),
        ("username", which.username),
        ("resource", which.resource),
    )
    conditions = [Condition(f"{column} = ?", (value,)) for column, value in equal if value]
    if which.live_at is not None:
        conditions.append(Condition("expires_at > ?", (which.live_at,)))
        conditions.append(Condition("(revoked_at IS NULL OR revoked_at > ?)", (which.live_at,)))
    return Listing(
        table="grants g",
        columns=GRANT_COLUMNS,
        build=lambda row: (int(row[0]), build_grant(row)),
        conditions=tuple(conditions),
    )


def revoke_grant(connection: sqlite3.Connection, *, grant_id: str, reason: str, now: int) -> bool:
    """See ``GrantStore.revoke_grant``."""
    grant = load_grant(connection, grant_id=grant_id)
    if isinstance(grant, Unknown) or not is_live(grant, now):
        return False
    end_grant(connection, grant, reason=reason, now=now)
    return True


_END = "UPDATE grants SET revoked_at = ?, sweep_at = ? WHERE grant_id = ?"

# How long those who accept a grant's access tokens can learn that it was revoked, if nothing else keeps it.
_REVOKED_KEPT_SECONDS = 24 * 60 * 60


def end_grant(connection: sqlite3.Connection, grant: Grant, *, reason: str, now: int) -> None:
    """Revoke a live grant. Its codes and refresh tokens stay, but each is judged together with its grant."""
    connection.execute(_END, (now, now + _REVOKED_KEPT_SECONDS, grant.id))
    record_grant_event(connection, "grant.revoked", grant, now, reason)


_RECORD_ENDS = """
INSERT INTO audit_events (name, at, client_id, subject, grant_id, detail)
SELECT 'grant.revoked', :now, client_id, subject, grant_id, :reason
FROM grants WHERE client_id = :client_id AND revoked_at IS NULL AND expires_at > :now ORDER BY id
"""
_END_ALL = """
UPDATE grants SET revoked_at = :now, sweep_at = :now + :kept
WHERE client_id = :client_id AND revoked_at IS NULL AND expires_at > :now
"""


def end_grants_of_client(connection: sqlite3.Connection, *, client_id: str, reason: str, now: int) -> int:
    """Revoke every live grant of a client; how many there were."""
    values = {"client_id": client_id, "reason": reason, "now": now, "kept": _REVOKED_KEPT_SECONDS}
    connection.execute(_RECORD_ENDS, values)
    return connection.execute(_END_ALL, values).rowcount


def record_grant_event(
    connection: sqlite3.Connection, name: AuditName, grant: Grant, now: int, detail: str = ""
) -> None:
    """Append an event about ``grant`` to the audit trail."""
    event = AuditEvent(
        name=name, at=now, client_id=grant.client_id, subject=grant.subject, grant_id=grant.id, detail=detail
    )
    record_event(connection, event)
