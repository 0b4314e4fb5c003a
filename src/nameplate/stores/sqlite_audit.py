"""The audit trail in a SQLite store. Events are written in the transaction of what they tell.

Writers take turns, so ids grow in the order of commits, and none is ever used again: they are the positions.
"""

import sqlite3
from typing import Any

from nameplate.errors import StoreError
from nameplate.protocol.audit import AuditEvent, AuditFilter
from nameplate.stores.sqlite_lister import Condition, Listing

__all__ = ["build_event_listing", "check_position", "find_start", "parse_position", "record_event"]

_INSERT = "INSERT INTO audit_events (name, at, client_id, subject, grant_id, detail) VALUES (?, ?, ?, ?, ?, ?)"


def record_event(connection: sqlite3.Connection, event: AuditEvent) -> None:
    """Append ``event`` in the running transaction."""
    connection.execute(_INSERT, (event.name, event.at, event.client_id, event.subject, event.grant_id, event.detail))


def parse_position(position: str) -> int:
    """The ``id`` that a position names; 0 for the empty one. Raises ``StoreError`` for what is no position of ours."""
    if not position:
        return 0
    if not (position.isascii() and position.isdecimal() and len(position) < 20 and int(position) < 2**63):
        raise StoreError("not a position in the audit trail")
    return int(position)


# What the table holds counts too: its sequence is a row that another tool may leave out of a copy.
_SELECT_LAST = """
SELECT max(
    ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'audit_events'), 0),
    ifnull((SELECT max(id) FROM audit_events), 0)
)
"""


def check_position(connection: sqlite3.Connection, *, position: int) -> None:
    """Raises ``StoreError`` for a position behind the last event that was ever recorded, swept or not."""
    (last,) = connection.execute(_SELECT_LAST).fetchone()
    if position > last:
        raise StoreError(
            f"the position {position} is not in this audit trail, which ends at {last}: the store is another one, or a "
            "copy from before was restored"
        )


def build_event_listing(which: AuditFilter) -> Listing[tuple[str, AuditEvent]]:
    """The events that ``AuditStore.load_audit_events`` asks for, each with its position."""
    equal = (("client_id", which.client_id), ("subject", which.subject), ("grant_id", which.grant_id))
    conditions = [Condition(f"{column} = ?", (value,)) for column, value in equal if value]
    if which.names:
        conditions.append(Condition(f"name IN ({', '.join('?' * len(which.names))})", which.names))
    if which.since is not None:
        conditions.append(Condition("at >= ?", (which.since,)))
    if which.until is not None:
        conditions.append(Condition("at <= ?", (which.until,)))
    return Listing(
        table="audit_events",
        columns="id, name, at, client_id, subject, grant_id, detail",
        build=_build_event,
        conditions=tuple(conditions),
    )


_SELECT_START = "SELECT min(id) FROM audit_events INDEXED BY audit_events_at WHERE at >= ?"


def find_start(connection: sqlite3.Connection, *, since: int) -> int | None:
    """The ``id`` of the first event that is not from before ``since``, None where there is none. Clocks differ from
    replica to replica, so later ones may still be.
    """
    row = connection.execute(_SELECT_START, (since,)).fetchone()
    return None if row[0] is None else int(row[0])


def _build_event(row: tuple[Any, ...]) -> tuple[str, AuditEvent]:
    event = AuditEvent(name=row[1], at=row[2], client_id=row[3], subject=row[4], grant_id=row[5], detail=row[6])
    return str(row[0]), event
