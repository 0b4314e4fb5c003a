"""Browsers on their way to an identity provider, and what it issued for a grant, in a SQLite store.

Functions that write run inside a transaction that holds the write lock. ``load_upstream_tokens`` needs no transaction.

There is no cap on all attempts together. The server lets one begin only where an authorization request waits in the
same browser, and lets it expire no later. How many requests are kept is capped; so there are no more attempts than that
cap times the limit of one browser.
"""

import sqlite3

from nameplate.ports.store import StoredUpstreamTokens
from nameplate.ports.verdicts import Full, Recorded, Unknown
from nameplate.protocol.upstream_attempt import UpstreamAttempt
from nameplate.stores.sqlite_grants import load_grant, record_grant_event

__all__ = [
    "insert_upstream_tokens",
    "lease_upstream_refresh",
    "load_upstream_tokens",
    "record_upstream_attempt",
    "replace_upstream_tokens",
    "take_upstream_attempt",
]

_INSERT_ATTEMPT = """
INSERT INTO upstream_attempts (
    state_hash, browser_hash, upstream, sealed_memory, approved_subject, created_at, expires_at
) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
# The oldest are those that came first: by created_at, a replica whose clock is behind would lose what it just wrote.
_DELETE_OLDEST = """
DELETE FROM upstream_attempts WHERE id IN (
    SELECT id FROM upstream_attempts WHERE browser_hash = ? ORDER BY id DESC LIMIT -1 OFFSET ?
)
"""


def record_upstream_attempt(connection: sqlite3.Connection, *, attempt: UpstreamAttempt, limit: int) -> Recorded | Full:
    """See ``UpstreamStore.record_upstream_attempt``."""
    if limit <= 0:
        return Full()
    values = (
        attempt.state_hash,
        attempt.browser_hash,
        attempt.upstream,
        attempt.sealed_memory,
        attempt.approved_subject,
        attempt.created_at,
        attempt.expires_at,
    )
    connection.execute(_INSERT_ATTEMPT, values)
    connection.execute(_DELETE_OLDEST, (attempt.browser_hash, limit))
    return Recorded()


_TAKE = """
DELETE FROM upstream_attempts WHERE state_hash = ? AND browser_hash = ? AND expires_at > ?
RETURNING upstream, sealed_memory, approved_subject, created_at, expires_at
"""


def take_upstream_attempt(
    connection: sqlite3.Connection, *, state_hash: bytes, browser_hash: bytes, now: int
) -> UpstreamAttempt | Unknown:
    """See ``UpstreamStore.take_upstream_attempt``."""
    row = connection.execute(_TAKE, (state_hash, browser_hash, now)).fetchone()
    if row is None:
        return Unknown()
    return UpstreamAttempt(
        state_hash=state_hash,
        browser_hash=browser_hash,
        upstream=row[0],
        sealed_memory=row[1],
        approved_subject=row[2],
        created_at=row[3],
        expires_at=row[4],
    )


_INSERT_TOKENS = "INSERT INTO upstream_tokens (grant_row, sealed, version, leased_until) VALUES (?, ?, 1, 0)"


def insert_upstream_tokens(connection: sqlite3.Connection, sealed: bytes, *, grant_row: int) -> None:
    """Store the first tokens of the new grant in ``grant_row``."""
    connection.execute(_INSERT_TOKENS, (grant_row, sealed))


_SELECT_TOKENS = """
SELECT t.sealed, t.version FROM upstream_tokens t JOIN grants g ON g.id = t.grant_row WHERE g.grant_id = ?
"""


def load_upstream_tokens(connection: sqlite3.Connection, *, grant_id: str) -> StoredUpstreamTokens | Unknown:
    """See ``UpstreamStore.load_upstream_tokens``."""
    row = connection.execute(_SELECT_TOKENS, (grant_id,)).fetchone()
    return Unknown() if row is None else StoredUpstreamTokens(sealed=row[0], version=row[1])


_LEASE = """
UPDATE upstream_tokens SET leased_until = :until
WHERE version = :version AND leased_until <= :now
    AND grant_row = (SELECT id FROM grants WHERE grant_id = :grant_id AND revoked_at IS NULL AND expires_at > :now)
"""


def lease_upstream_refresh(
    connection: sqlite3.Connection, *, grant_id: str, version: int, now: int, until: int
) -> bool:
    """See ``UpstreamStore.lease_upstream_refresh``."""
    values = {"grant_id": grant_id, "version": version, "now": now, "until": until}
    return connection.execute(_LEASE, values).rowcount == 1


_REPLACE = """
UPDATE upstream_tokens SET sealed = ?, version = version + 1, leased_until = 0
WHERE version = ? AND grant_row = (SELECT id FROM grants WHERE grant_id = ?)
"""


def replace_upstream_tokens(
    connection: sqlite3.Connection, *, grant_id: str, version: int, sealed: bytes, now: int
) -> bool:
    """See ``UpstreamStore.replace_upstream_tokens``."""
    grant = load_grant(connection, grant_id=grant_id)
    if isinstance(grant, Unknown) or connection.execute(_REPLACE, (sealed, version, grant_id)).rowcount != 1:
        return False
    record_grant_event(connection, "upstream_tokens.refreshed", grant, now)
    return True
