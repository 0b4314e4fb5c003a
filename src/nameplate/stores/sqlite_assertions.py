"""Uses of client assertions in a SQLite store: each counts once, over all processes that share the file (RFC 7523 §3).

Every function runs inside a transaction that holds the write lock.
"""

import sqlite3

from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.client_proof import AssertionUse
from nameplate.stores.sqlite_audit import record_event

__all__ = ["record_assertion"]

_INSERT = "INSERT INTO assertion_uses (use_hash, kept_until) VALUES (?, ?) ON CONFLICT (use_hash) DO NOTHING"


def record_assertion(connection: sqlite3.Connection, *, use: AssertionUse, now: int) -> bool:
    """See ``GrantStore.record_assertion``. Before everything else in its transaction: a replay changes nothing."""
    if connection.execute(_INSERT, (use.use_hash, use.kept_until)).rowcount == 1:
        return True
    record_event(connection, AuditEvent(name="assertion.replayed", at=now, client_id=use.client_id))
    return False
