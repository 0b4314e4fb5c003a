"""Refresh tokens in a SQLite store: each is replaced at its use, and its second use is an honest repeat or a theft.

Every function but ``load_refresh_token`` runs inside a transaction that holds the write lock, so what it reads
cannot change before it writes.
"""

import sqlite3
from typing import Any

from nameplate.ports.store import Rotation
from nameplate.ports.verdicts import AssertionReplayed, Repeated, Reused, Rotated, Unknown
from nameplate.protocol.grant import Grant, RefreshToken
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

__all__ = ["insert_refresh_token", "load_refresh_token", "rotate_refresh_token"]

_INSERT = """
INSERT INTO refresh_tokens (grant_row, number, token_hash, issued_at, expires_at, rotated_at) VALUES (?, ?, ?, ?, ?, ?)
"""


def insert_refresh_token(connection: sqlite3.Connection, token: RefreshToken, *, grant_row: int, number: int) -> None:
    """Store a new refresh token as the one with this number (from zero) of the grant in ``grant_row``."""
    values = (grant_row, number, token.token_hash, token.issued_at, token.expires_at, token.rotated_at)
    connection.execute(_INSERT, values)


_SELECT = f"""
SELECT {GRANT_COLUMNS}, t.number, t.issued_at, t.expires_at, t.rotated_at
FROM refresh_tokens t JOIN grants g ON g.id = t.grant_row WHERE t.token_hash = ?
"""  # noqa: S608  (constants only)


def load_refresh_token(connection: sqlite3.Connection, *, token_hash: bytes) -> tuple[RefreshToken, Grant] | Unknown:
    """See ``GrantStore.load_refresh_token``."""
    row = connection.execute(_SELECT, (token_hash,)).fetchone()
    return Unknown() if row is None else _build_token(row, token_hash)


def _build_token(row: tuple[Any, ...], token_hash: bytes) -> tuple[RefreshToken, Grant]:
    grant, (_, issued_at, expires_at, rotated_at) = build_grant(row), row[GRANT_WIDTH:]
    token = RefreshToken(
        token_hash=token_hash, grant_id=grant.id, issued_at=issued_at, expires_at=expires_at, rotated_at=rotated_at
    )
    return token, grant


# By how much the clock of whoever sweeps may be ahead, before an honest repeat is taken for a theft.
CLOCKS_DIFFER_SECONDS = 60

_ROTATE = "UPDATE refresh_tokens SET rotated_at = ? WHERE grant_row = ? AND number = ?"
_RECORD_ANSWER = """
REPLACE INTO refresh_answers (grant_row, number, sealed_answer, repeats, kept_until) VALUES (?, ?, ?, 0, ?)
"""


def rotate_refresh_token(
    connection: sqlite3.Connection, *, rotation: Rotation, now: int
) -> Rotated | Repeated | Reused | AssertionReplayed | Unknown:
    """See ``GrantStore.rotate_refresh_token``."""
    proof = rotation.proof
    if proof.assertion is not None and not record_assertion(connection, use=proof.assertion, now=now):
        return AssertionReplayed()
    row = connection.execute(_SELECT, (rotation.token_hash,)).fetchone()
    if row is None:
        return Unknown()
    grant, (number, _, expires_at, rotated_at) = build_grant(row), row[GRANT_WIDTH:]
    if expires_at <= now or not is_live(grant, now):
        return Unknown()
    if rotated_at is not None:
        return _repeat_or_end(connection, rotation, row, now)
    connection.execute(_ROTATE, (now, row[0], number))
    grant = remember_proof(connection, row, proof)
    insert_refresh_token(connection, rotation.successor, grant_row=row[0], number=number + 1)
    kept_until = now + rotation.repeat_seconds + CLOCKS_DIFFER_SECONDS
    connection.execute(_RECORD_ANSWER, (row[0], number, rotation.sealed_answer, kept_until))
    record_grant_event(connection, "refresh_token.rotated", grant, now, str(number))
    return Rotated(grant)


# There is no such answer once the successor was rotated: its own answer took the place.
_SELECT_ANSWER = "SELECT sealed_answer FROM refresh_answers WHERE grant_row = ? AND number = ? AND repeats < ?"
_COUNT_REPEAT = "UPDATE refresh_answers SET repeats = repeats + 1 WHERE grant_row = ?"


def _repeat_or_end(
    connection: sqlite3.Connection, rotation: Rotation, row: tuple[Any, ...], now: int
) -> Repeated | Reused:
    """The second use of a token: a client that refreshed from two places at once, or a thief. RFC 9700 §4.14.2."""
    grant, grant_row, (number, _, _, rotated_at) = build_grant(row), row[0], row[GRANT_WIDTH:]
    answer = None
    if now - rotated_at <= rotation.repeat_seconds:
        answer = connection.execute(_SELECT_ANSWER, (grant_row, number, rotation.repeat_limit)).fetchone()
    if answer is None:
        record_grant_event(connection, "refresh_token.reused", grant, now)
        end_grant(connection, grant, reason="refresh_token.reused", now=now)
        return Reused(grant.id)
    connection.execute(_COUNT_REPEAT, (grant_row,))
    record_grant_event(connection, "refresh_token.repeated", grant, now)
    return Repeated(answer[0], rotated_at)
