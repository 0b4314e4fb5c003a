"""Signing keys in a SQLite store. They lie there in the clear: the file is its owner's alone."""

import sqlite3
from collections.abc import Sequence

from nameplate.ports.store import StoredSigningKey
from nameplate.protocol.audit import AuditEvent
from nameplate.stores.sqlite_audit import record_event

__all__ = ["load_signing_keys", "record_signing_key"]

_INSERT = """
INSERT INTO signing_keys (kid, private_jwk, created_at) SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM signing_keys)
"""


def record_signing_key(connection: sqlite3.Connection, *, key: StoredSigningKey) -> Sequence[StoredSigningKey]:
    """See ``KeyStore.record_signing_key``. Runs inside a transaction that holds the write lock."""
    if connection.execute(_INSERT, (key.kid, key.private_jwk, key.created_at)).rowcount == 1:
        record_event(connection, AuditEvent(name="signing_key.created", at=key.created_at, detail=key.kid))
    return load_signing_keys(connection)


_SELECT = "SELECT kid, private_jwk, created_at FROM signing_keys ORDER BY created_at DESC, id DESC"


def load_signing_keys(connection: sqlite3.Connection) -> Sequence[StoredSigningKey]:
    """See ``KeyStore.load_signing_keys``."""
    return [StoredSigningKey(kid=row[0], private_jwk=row[1], created_at=row[2]) for row in connection.execute(_SELECT)]
