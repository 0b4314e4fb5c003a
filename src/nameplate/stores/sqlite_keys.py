"""Signing keys in a SQLite store, as they were sealed by whoever gave them.

Every function but ``load_signing_keys`` runs inside a transaction that holds the write lock.
"""

import sqlite3
from collections.abc import Sequence

from nameplate.ports.store import StoredSigningKey
from nameplate.protocol.audit import AuditEvent
from nameplate.stores.sqlite_audit import record_event

__all__ = [
    "drop_signing_key",
    "load_signing_keys",
    "record_signing_key",
    "reseal_signing_key",
    "withdraw_signing_key",
]

_INSERT = """
INSERT INTO signing_keys (kid, sealed_jwk, created_at, active_from, withdrawn_at) SELECT ?, ?, ?, ?, ?
WHERE (SELECT kid FROM signing_keys ORDER BY active_from DESC, id DESC LIMIT 1) IS ?
"""


def record_signing_key(
    connection: sqlite3.Connection, *, key: StoredSigningKey, latest: str | None
) -> Sequence[StoredSigningKey]:
    """See ``KeyStore.record_signing_key``."""
    values = (key.kid, key.sealed_jwk, key.created_at, key.active_from, key.withdrawn_at, latest)
    if connection.execute(_INSERT, values).rowcount == 1:
        record_event(connection, AuditEvent(name="signing_key.created", at=key.created_at, detail=key.kid))
    return load_signing_keys(connection)


_SELECT = """
SELECT kid, sealed_jwk, created_at, active_from, withdrawn_at FROM signing_keys ORDER BY active_from DESC, id DESC
"""


def load_signing_keys(connection: sqlite3.Connection) -> Sequence[StoredSigningKey]:
    """See ``KeyStore.load_signing_keys``."""
    return [
        StoredSigningKey(kid=row[0], sealed_jwk=row[1], created_at=row[2], active_from=row[3], withdrawn_at=row[4])
        for row in connection.execute(_SELECT)
    ]


_RESEAL = "UPDATE signing_keys SET sealed_jwk = ? WHERE kid = ? AND sealed_jwk = ?"


def reseal_signing_key(connection: sqlite3.Connection, *, kid: str, before: bytes, after: bytes) -> bool:
    """See ``KeyStore.reseal_signing_key``."""
    return connection.execute(_RESEAL, (after, kid, before)).rowcount == 1


_WITHDRAW = "UPDATE signing_keys SET withdrawn_at = ? WHERE kid = ? AND withdrawn_at IS NULL"


def withdraw_signing_key(connection: sqlite3.Connection, *, kid: str, now: int) -> bool:
    """See ``KeyStore.withdraw_signing_key``."""
    if connection.execute(_WITHDRAW, (now, kid)).rowcount != 1:
        return False
    record_event(connection, AuditEvent(name="signing_key.withdrawn", at=now, detail=kid))
    return True


def drop_signing_key(connection: sqlite3.Connection, *, kid: str, now: int) -> bool:
    """See ``KeyStore.drop_signing_key``."""
    if connection.execute("DELETE FROM signing_keys WHERE kid = ?", (kid,)).rowcount != 1:
        return False
    record_event(connection, AuditEvent(name="signing_key.retired", at=now, detail=kid))
    return True
