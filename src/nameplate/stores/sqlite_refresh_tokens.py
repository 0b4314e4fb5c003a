"""Refresh tokens in a SQLite store: each is replaced at its use, and its second use is an honest repeat or a theft.

Every function but ``load_refresh_token`` runs inside a transaction that holds the write lock, so what it reads
cannot change before it writes.
"""

import sqlite3
from dataclasses import dataclass
from typing import Any

from nameplate.ports.store import Repeated, Reused, Rotated, Unknown
from nameplate.protocol.grant import Grant, RefreshToken
from nameplate.stores.sqlite_grants import GRANT_COLUMNS, build_grant, end_grant, is_live, record_grant_event

__all__ = ["Rotation", "insert_refresh_token", "load_refresh_token", "rotate_refresh_token"]

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
    grant = build_grant(row)
    token = RefreshToken(
        token_hash=token_hash, grant_id=grant.id, issued_at=row[12], expires_at=row[13], rotated_at=row[14]
    )
    return token, grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The arguments of ``GrantStore.rotate_refresh_token``."""

    token_hash: bytes
    successor: RefreshToken
    sealed_answer: bytes
    now: int
    repeat_seconds: int
    repeat_limit: int


_ROTATE = "UPDATE refresh_tokens SET rotated_at = ? WHERE grant_row = ? AND number = ?"
_RECORD_ANSWER = """
REPLACE INTO refresh_answers (grant_row, number, sealed_answer, repeats, kept_until) VALUES (?, ?, ?, 0, ?)
"""


def rotate_refresh_token(connection: sqlite3.Connection, rotation: Rotation) -> Rotated | Repeated | Reused | Unknown:
    """See ``GrantStore.rotate_refresh_token``."""
    row = connection.execute(_SELECT, (rotation.token_hash,)).fetchone()
    if row is None:
        return Unknown()
    now, grant_row, number = rotation.now, row[0], row[11]
    token, grant = _build_token(row, rotation.token_hash)
    if token.expires_at <= now or not is_live(grant, now):
        return Unknown()
    if token.rotated_at is not None:
        return _repeat_or_end(connection, rotation, row, token.rotated_at)
    connection.execute(_ROTATE, (now, grant_row, number))
    insert_refresh_token(connection, rotation.successor, grant_row=grant_row, number=number + 1)
    kept_until = now + rotation.repeat_seconds + 1
    connection.execute(_RECORD_ANSWER, (grant_row, number, rotation.sealed_answer, kept_until))
    record_grant_event(connection, "refresh_token.rotated", grant, now)
    return Rotated(grant)


# There is no such answer once the successor was rotated: its own answer took the place.
_SELECT_ANSWER = "SELECT sealed_answer FROM refresh_answers WHERE grant_row = ? AND number = ? AND repeats < ?"
_COUNT_REPEAT = "UPDATE refresh_answers SET repeats = repeats + 1 WHERE grant_row = ?"


def _repeat_or_end(
    connection: sqlite3.Connection, rotation: Rotation, row: tuple[Any, ...], rotated_at: int
) -> Repeated | Reused:
    """The second use of a token: a client that refreshed from two places at once, or a thief. RFC 9700 §4.14.2."""
    grant, grant_row, number = build_grant(row), row[0], row[11]
    answer = None
    if rotation.now - rotated_at <= rotation.repeat_seconds:
        answer = connection.execute(_SELECT_ANSWER, (grant_row, number, rotation.repeat_limit)).fetchone()
    if answer is None:
        record_grant_event(connection, "refresh_token.reused", grant, rotation.now)
        end_grant(connection, grant, reason="refresh_token.reused", now=rotation.now)
        return Reused(grant.id)
    connection.execute(_COUNT_REPEAT, (grant_row,))
    record_grant_event(connection, "refresh_token.repeated", grant, rotation.now)
    return Repeated(answer[0], rotated_at)
