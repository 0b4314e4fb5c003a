"""The audit trail in a SQLite store. Events are written in the transaction of what they tell, and never deleted."""

import sqlite3
from collections.abc import Sequence

from nameplate.protocol.audit import AuditEvent

__all__ = ["load_events", "record_event"]

_INSERT = "INSERT INTO audit_events (name, at, client_id, subject, grant_id, detail) VALUES (?, ?, ?, ?, ?, ?)"


def record_event(connection: sqlite3.Connection, event: AuditEvent) -> None:
    """Append ``event`` in the running transaction."""
    connection.execute(_INSERT, (event.name, event.at, event.client_id, event.subject, event.grant_id, event.detail))


_SELECT = "SELECT id, name, at, client_id, subject, grant_id, detail FROM audit_events WHERE id > ? ORDER BY id LIMIT ?"


def load_events(connection: sqlite3.Connection, *, after_id: int, limit: int) -> Sequence[tuple[int, AuditEvent]]:
    """The first events after ``after_id``, with their ids. Writers take turns: ids grow in the order of commits."""
    return [
        (row[0], AuditEvent(name=row[1], at=row[2], client_id=row[3], subject=row[4], grant_id=row[5], detail=row[6]))
        for row in connection.execute(_SELECT, (after_id, limit))
    ]
