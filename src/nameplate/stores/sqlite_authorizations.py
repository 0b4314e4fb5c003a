"""Pending authorizations in a SQLite store: from the question on the consent page to the person's answer.

Functions that take a ``connection`` run inside a transaction that holds the write lock, so what they read cannot
change before they write. The ``load_`` and ``is_`` functions need no transaction.
"""

import sqlite3
from typing import Any

from nameplate.ports.verdicts import AlreadyAnswered, Approved, ChallengeSpent, Denied, Full, Recorded, Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.grant import AuthorizationCode, Grant, PendingAuthorization
from nameplate.stores.sqlite_audit import record_event
from nameplate.stores.sqlite_clients import keep_client
from nameplate.stores.sqlite_codes import insert_code
from nameplate.stores.sqlite_grants import insert_grant, join_scope, record_grant_event, split_scope
from nameplate.stores.sqlite_upstreams import insert_upstream_tokens

__all__ = [
    "approve_authorization",
    "deny_authorization",
    "is_challenge_spent",
    "load_authorization",
    "record_authorization",
]

# The cap is judged in the same statement as the row is written, against a counter that triggers keep.
_INSERT = """
INSERT INTO pending_authorizations (
    id_hash, browser_hash, client_id, redirect_uri, registered_redirect_uri, state, scope, resource, code_challenge,
    client_metadata, issues_refresh_token, created_at, expires_at, login_hint, signed_in_after
)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
WHERE (SELECT value FROM counters WHERE name = 'pending_authorizations') < ?
"""


def record_authorization(
    connection: sqlite3.Connection, *, pending: PendingAuthorization, limit: int
) -> Recorded | Full:
    """See ``GrantStore.record_authorization``."""
    cursor = connection.execute(
        _INSERT,
        (
            pending.id_hash,
            pending.browser_hash,
            pending.client_id,
            pending.redirect_uri,
            pending.registered_redirect_uri,
            pending.state,
            join_scope(pending.scope),
            pending.resource,
            pending.code_challenge,
            pending.client_metadata,
            pending.issues_refresh_token,
            pending.created_at,
            pending.expires_at,
            pending.login_hint,
            pending.signed_in_after,
            limit,
        ),
    )
    return Recorded() if cursor.rowcount == 1 else Full()


_SELECT = """
SELECT id_hash, browser_hash, client_id, redirect_uri, registered_redirect_uri, state, scope, resource, code_challenge,
    client_metadata, issues_refresh_token, created_at, expires_at, login_hint, signed_in_after, answered_at
FROM pending_authorizations WHERE id_hash = ? AND browser_hash = ? AND expires_at > ?
"""


def load_authorization(
    connection: sqlite3.Connection, *, id_hash: bytes, browser_hash: bytes, now: int
) -> PendingAuthorization | AlreadyAnswered | Unknown:
    """See ``GrantStore.load_authorization``."""
    row = connection.execute(_SELECT, (id_hash, browser_hash, now)).fetchone()
    if row is None:
        return Unknown()
    pending = _build_pending(row)
    return pending if row[15] is None else AlreadyAnswered(pending)


_SPENT_CHALLENGE = "SELECT 1 FROM codes WHERE client_id = ? AND code_challenge = ?"


def is_challenge_spent(connection: sqlite3.Connection, *, client_id: str, code_challenge: str) -> bool:
    """See ``GrantStore.is_challenge_spent``."""
    return connection.execute(_SPENT_CHALLENGE, (client_id, code_challenge)).fetchone() is not None


def approve_authorization(
    connection: sqlite3.Connection,
    *,
    request: tuple[bytes, bytes],
    grant: Grant,
    code: AuthorizationCode,
    now: int,
    upstream_tokens: bytes | None,
) -> Approved | AlreadyAnswered | ChallengeSpent | Unknown:
    """See ``GrantStore.approve_authorization``. ``request`` is its ``id_hash`` and ``browser_hash``."""
    id_hash, browser_hash = request
    pending = load_authorization(connection, id_hash=id_hash, browser_hash=browser_hash, now=now)
    if not isinstance(pending, PendingAuthorization):
        return pending
    if is_challenge_spent(connection, client_id=code.client_id, code_challenge=code.code_challenge):
        return ChallengeSpent()
    if not keep_client(connection, grant):
        return Unknown()
    _mark_answered(connection, id_hash, now)
    grant_row = insert_grant(connection, grant)
    insert_code(connection, code, grant_row=grant_row)
    if upstream_tokens is not None:
        insert_upstream_tokens(connection, upstream_tokens, grant_row=grant_row)
    record_grant_event(connection, "authorization.approved", grant, now, _build_detail(id_hash))
    return Approved(pending)


def deny_authorization(
    connection: sqlite3.Connection, *, id_hash: bytes, browser_hash: bytes, subject: str, now: int
) -> Denied | AlreadyAnswered | Unknown:
    """See ``GrantStore.deny_authorization``."""
    pending = load_authorization(connection, id_hash=id_hash, browser_hash=browser_hash, now=now)
    if not isinstance(pending, PendingAuthorization):
        return pending
    _mark_answered(connection, id_hash, now)
    event = AuditEvent(
        name="authorization.denied",
        at=now,
        client_id=pending.client_id,
        subject=subject,
        detail=_build_detail(id_hash),
    )
    record_event(connection, event)
    return Denied(pending)


def _build_detail(id_hash: bytes) -> str:
    """Which request was answered, in digits enough to tell it from all others."""
    return id_hash[:8].hex()


def _mark_answered(connection: sqlite3.Connection, id_hash: bytes, now: int) -> None:
    connection.execute("UPDATE pending_authorizations SET answered_at = ? WHERE id_hash = ?", (now, id_hash))


def _build_pending(row: tuple[Any, ...]) -> PendingAuthorization:
    return PendingAuthorization(
        id_hash=row[0],
        browser_hash=row[1],
        client_id=row[2],
        redirect_uri=row[3],
        registered_redirect_uri=row[4],
        state=row[5],
        scope=split_scope(row[6]),
        resource=row[7],
        code_challenge=row[8],
        client_metadata=row[9],
        issues_refresh_token=bool(row[10]),
        created_at=row[11],
        expires_at=row[12],
        login_hint=row[13],
        signed_in_after=row[14],
    )
