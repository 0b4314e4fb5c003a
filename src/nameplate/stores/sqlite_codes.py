"""Authorization codes in a SQLite store: single use, over all processes that share the file.

Every function but ``load_code`` runs inside a transaction that holds the write lock, so what it reads cannot change
before it writes.
"""

import sqlite3

from nameplate.ports.verdicts import AssertionReplayed, Redeemed, Replayed, Unknown
from nameplate.protocol.client_proof import ClientProof
from nameplate.protocol.grant import AuthorizationCode, Grant, RefreshToken
from nameplate.stores.sqlite_assertions import record_assertion
from nameplate.stores.sqlite_grants import (
    GRANT_COLUMNS,
    GRANT_WIDTH,
    build_grant,
    end_grant,
    is_live,
    record_grant_event,
    remember_proof,
)
from nameplate.stores.sqlite_refresh_tokens import insert_refresh_token

__all__ = ["burn_code", "insert_code", "load_code", "redeem_code"]

# How long a code is kept after its issue: so long a replay is recognised, and its challenge stays spent.
_KEPT_SECONDS = 24 * 60 * 60

_INSERT = """
INSERT INTO codes (
    grant_row, code_hash, client_id, redirect_uri, code_challenge, issues_refresh_token, issued_at, expires_at,
    spent_at, kept_until
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def insert_code(connection: sqlite3.Connection, code: AuthorizationCode, *, grant_row: int) -> None:
    """Store the code of the grant in ``grant_row``."""
    connection.execute(
        _INSERT,
        (
            grant_row,
            code.code_hash,
            code.client_id,
            code.redirect_uri,
            code.code_challenge,
            code.issues_refresh_token,
            code.issued_at,
            code.expires_at,
            code.spent_at,
            max(code.expires_at, code.issued_at + _KEPT_SECONDS),
        ),
    )


_SELECT = f"""
SELECT {GRANT_COLUMNS}, c.client_id, c.redirect_uri, c.code_challenge, c.issues_refresh_token, c.issued_at,
    c.expires_at, c.spent_at
FROM codes c JOIN grants g ON g.id = c.grant_row WHERE c.code_hash = ?
"""  # noqa: S608  (constants only)


def load_code(connection: sqlite3.Connection, *, code_hash: bytes) -> tuple[AuthorizationCode, Grant] | Unknown:
    """See ``GrantStore.load_code``."""
    row = connection.execute(_SELECT, (code_hash,)).fetchone()
    if row is None:
        return Unknown()
    grant = build_grant(row)
    client_id, redirect_uri, code_challenge, issues_refresh_token, issued_at, expires_at, spent_at = row[GRANT_WIDTH:]
    code = AuthorizationCode(
        code_hash=code_hash,
        grant_id=grant.id,
        client_id=client_id,
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        issues_refresh_token=bool(issues_refresh_token),
        issued_at=issued_at,
        expires_at=expires_at,
        spent_at=spent_at,
    )
    return code, grant


# Only what the verdict needs: this is the busiest write.
_SELECT_TO_REDEEM = f"""
SELECT {GRANT_COLUMNS}, c.expires_at, c.spent_at
FROM codes c JOIN grants g ON g.id = c.grant_row WHERE c.code_hash = ?
"""  # noqa: S608  (constants only)
_SPEND = "UPDATE codes SET spent_at = ? WHERE grant_row = ?"


def redeem_code(
    connection: sqlite3.Connection,
    *,
    code_hash: bytes,
    refresh_token: RefreshToken | None,
    proof: ClientProof,
    now: int,
    replay_revokes_after_seconds: int,
) -> Redeemed | Replayed | AssertionReplayed | Unknown:
    """See ``GrantStore.redeem_code``."""
    if proof.assertion is not None and not record_assertion(connection, use=proof.assertion, now=now):
        return AssertionReplayed()
    row = connection.execute(_SELECT_TO_REDEEM, (code_hash,)).fetchone()
    if row is None:
        return Unknown()
    grant, (expires_at, spent_at) = build_grant(row), row[GRANT_WIDTH:]
    if not is_live(grant, now):
        return Unknown()
    if spent_at is not None:
        return _replay(connection, grant, now=now, revokes=now - spent_at > replay_revokes_after_seconds)
    if expires_at <= now:
        return Unknown()
    connection.execute(_SPEND, (now, row[0]))
    grant = remember_proof(connection, row, proof)
    if refresh_token is not None:
        insert_refresh_token(connection, refresh_token, grant_row=row[0], number=0)
    record_grant_event(connection, "code.redeemed", grant, now)
    return Redeemed(grant)


def _replay(connection: sqlite3.Connection, grant: Grant, *, now: int, revokes: bool) -> Replayed:
    """A code came twice: a client that tried again, or a thief. RFC 6749 §4.1.2 ends what it bought."""
    record_grant_event(connection, "code.replayed", grant, now)
    if revokes:
        end_grant(connection, grant, reason="code.replayed", now=now)
    return Replayed(grant_revoked=revokes)


def burn_code(connection: sqlite3.Connection, *, code_hash: bytes, now: int) -> None:
    """See ``GrantStore.burn_code``."""
    row = connection.execute(_SELECT_TO_REDEEM, (code_hash,)).fetchone()
    if row is None or row[-1] is not None:
        return
    connection.execute(_SPEND, (now, row[0]))
    record_grant_event(connection, "code.burned", build_grant(row), now)
