"""Registered clients in a SQLite store.

Functions that write run inside a transaction that holds the write lock. ``load_client`` needs no transaction.
"""

import sqlite3
from typing import Any

from nameplate.ports.verdicts import Full, Recorded, Unknown
from nameplate.protocol.audit import AuditEvent
from nameplate.protocol.client_id import is_client_id_url
from nameplate.protocol.grant import Grant
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.stores.sqlite_audit import record_event
from nameplate.stores.sqlite_grants import end_grants_of_client
from nameplate.stores.sqlite_lister import Listing

__all__ = ["CLIENTS", "keep_client", "load_client", "record_client", "remove_client"]

# The cap is judged in the same statement as the row is written, against a counter that triggers keep.
_INSERT = """
INSERT INTO clients (client_id, metadata, secret_hash, created_at, expires_at, sweep_at)
SELECT :client_id, :metadata, :secret_hash, :created_at, :expires_at, :expires_at
WHERE :expires_at IS NULL OR (SELECT value FROM counters WHERE name = 'expiring_clients') < :limit
"""


def record_client(connection: sqlite3.Connection, *, client: RegisteredClient, limit: int, now: int) -> Recorded | Full:
    """See ``ClientStore.record_client``."""
    values = {
        "client_id": client.client_id,
        "metadata": client.metadata,
        "secret_hash": client.secret_hash,
        "created_at": client.created_at,
        "expires_at": client.expires_at,
        "limit": limit,
    }
    if connection.execute(_INSERT, values).rowcount != 1:
        if not _make_room(connection, now):
            return Full()
        connection.execute(_INSERT, {**values, "limit": _NO_LIMIT})  # where the limit was lowered, one for one
    record_event(connection, AuditEvent(name="client.registered", at=now, client_id=client.client_id))
    return Recorded()


_NO_LIMIT = 2**62
# Those that will be forgotten soonest: they come before all that somebody ever allowed. A few are looked at, no more.
_SELECT_SOONEST = """
SELECT id, client_id
FROM (SELECT id, client_id FROM clients WHERE sweep_at IS NOT NULL ORDER BY sweep_at, id LIMIT 10) c
WHERE NOT EXISTS (
    SELECT 1 FROM grants WHERE client_id = c.client_id AND revoked_at IS NULL AND expires_at > ?
) LIMIT 1
"""


def _make_room(connection: sqlite3.Connection, now: int) -> bool:
    """Whether a client without a live grant gave way to another one."""
    soonest = connection.execute(_SELECT_SOONEST, (now,)).fetchone()
    if soonest is None:
        return False
    connection.execute("DELETE FROM clients WHERE id = ?", (soonest[0],))
    record_event(connection, AuditEvent(name="client.removed", at=now, client_id=soonest[1], detail="gave way"))
    return True


# Once a day is often enough: a client with a live grant is kept anyway.
_PROLONG = """
UPDATE clients SET expires_at = :until, sweep_at = :until WHERE client_id = :client_id AND expires_at < :until - 86400
"""


def keep_client(connection: sqlite3.Connection, grant: Grant) -> bool:
    """Keep the client of a new grant for as long as the grant may live. False where it was removed meanwhile."""
    if is_client_id_url(grant.client_id):
        return True
    connection.execute(_PROLONG, {"until": grant.expires_at, "client_id": grant.client_id})
    return isinstance(load_client(connection, client_id=grant.client_id), RegisteredClient)


_COLUMNS = "id, client_id, metadata, secret_hash, created_at, expires_at"
_SELECT = f"SELECT {_COLUMNS} FROM clients WHERE client_id = ?"  # noqa: S608  (constants only)


def load_client(connection: sqlite3.Connection, *, client_id: str) -> RegisteredClient | Unknown:
    """See ``ClientStore.load_client``."""
    row = connection.execute(_SELECT, (client_id,)).fetchone()
    return Unknown() if row is None else _build_client(row)


def remove_client(connection: sqlite3.Connection, *, client_id: str, now: int) -> int | None:
    """See ``ClientStore.remove_client``."""
    if connection.execute("DELETE FROM clients WHERE client_id = ?", (client_id,)).rowcount != 1:
        return None
    ended = end_grants_of_client(connection, client_id=client_id, reason="client.removed", now=now)
    record_event(connection, AuditEvent(name="client.removed", at=now, client_id=client_id))
    return ended


def _build_client(row: tuple[Any, ...]) -> RegisteredClient:
    return RegisteredClient(client_id=row[1], metadata=row[2], secret_hash=row[3], created_at=row[4], expires_at=row[5])


CLIENTS = Listing(table="clients", columns=_COLUMNS, build=lambda row: (int(row[0]), _build_client(row)))
"""See ``ClientStore.list_clients``."""
