"""Authorization codes in a SQLite store: single use, over all processes that share the file.

Every function but ``load_code`` runs inside a transaction that holds the write lock, so what it reads cannot change
before it writes.
"""

import sqlite3

from nameplate.ports.store import Redeemed, Replayed, Unknown
from nameplate.protocol.grant import AuthorizationCode, Grant, RefreshToken
from nameplate.stores.sqlite_grants import GRANT_COLUMNS, build_grant, end_grant, is_live, record_grant_event
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
SELECT {GRANT_COLUMNS}, c.redirect_uri, c.code_challenge, c.issues_refresh_token, c.issued_at, c.expires_at, c.spent_at,
    c.client_id
FROM codes c JOIN grants g ON g.id = c.grant_row WHERE c.code_hash = ?
"""  # noqa: S608  (constants only)


def load_code(connection: sqlite3.Connection, *, code_hash: bytes) -> tuple[AuthorizationCode, Grant] | Unknown:
    """See ``GrantStore.load_code``."""
    row = connection.execute(_SELECT, (code_hash,)).fetchone()
    if row is None:
        return Unknown()
    grant = build_grant(row)
    code = AuthorizationCode(
        code_hash=code_hash,
        grant_id=grant.id,
        redirect_uri=row[11],
        code_challenge=row[12],
        issues_refresh_token=bool(row[13]),
        issued_at=row[14],
        expires_at=row[15],
        spent_at=row[16],
        client_id=row[17],
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
    now: int,
    replay_revokes_after_seconds: int,
) -> Redeemed | Replayed | Unknown:
    """See ``GrantStore.redeem_code``."""
    row = connection.execute(_SELECT_TO_REDEEM, (code_hash,)).fetchone()
    if row is None:
        return Unknown()
    grant, grant_row, expires_at, spent_at = build_grant(row), row[0], row[11], row[12]
    if not is_live(grant, now):
        return Unknown()
    if spent_at is not None:
        return _replay(connection, grant, now=now, revokes=now - spent_at > replay_revokes_after_seconds)
    if expires_at <= now:
        return Unknown()
    connection.execute(_SPEND, (now, grant_row))
    if refresh_token is not None:
        insert_refresh_token(connection, refresh_token, grant_row=grant_row, number=0)
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
    if row is None or row[12] is not None:
        return
    connection.execute(_SPEND, (now, row[0]))
    record_grant_event(connection, "code.burned", build_grant(row), now)
