"""Documents of approved clients in a SQLite store: what replicas share, and what a restart keeps.

Functions that write run inside a transaction that holds the write lock. ``load_document`` needs no transaction.
"""

import json
import sqlite3

from nameplate.ports.store import StoredDocument
from nameplate.ports.verdicts import Unknown

__all__ = ["load_document", "record_document", "record_document_refusal"]

_SELECT = """
SELECT body, headers, fetched_at, fresh_until, last_good_until, refused_at FROM documents WHERE client_id = ?
"""


def load_document(connection: sqlite3.Connection, *, client_id: str) -> StoredDocument | Unknown:
    """See ``DocumentStore.load_document``."""
    row = connection.execute(_SELECT, (client_id,)).fetchone()
    if row is None:
        return Unknown()
    return StoredDocument(
        client_id=client_id,
        body=row[0],
        headers=tuple((name, value) for name, value in json.loads(row[1])),
        fetched_at=row[2],
        fresh_until=row[3],
        last_good_until=row[4],
        refused_at=row[5],
    )


# A replica that was slow to store what it fetched must undo nothing of what another one stored since.
_RECORD = """
INSERT INTO documents (client_id, body, headers, fetched_at, fresh_until, last_good_until, sweep_at)
VALUES (:client_id, :body, :headers, :fetched_at, :fresh_until, :last_good_until, :last_good_until)
ON CONFLICT (client_id) DO UPDATE SET
    body = excluded.body,
    headers = excluded.headers,
    fetched_at = excluded.fetched_at,
    fresh_until = excluded.fresh_until,
    last_good_until = excluded.last_good_until,
    refused_at = CASE WHEN refused_at > excluded.fetched_at THEN refused_at END,
    sweep_at = excluded.sweep_at
WHERE fetched_at <= excluded.fetched_at
"""


def record_document(connection: sqlite3.Connection, *, document: StoredDocument) -> None:
    """See ``DocumentStore.record_document``."""
    values = {
        "client_id": document.client_id,
        "body": document.body,
        "headers": json.dumps(document.headers),
        "fetched_at": document.fetched_at,
        "fresh_until": document.fresh_until,
        "last_good_until": document.last_good_until,
    }
    connection.execute(_RECORD, values)


# Where there is no document yet, the row remembers the refusal alone: any document is later than none.
_REFUSE = """
INSERT INTO documents (client_id, body, headers, fetched_at, fresh_until, last_good_until, refused_at, sweep_at)
VALUES (:client_id, x'', '[]', 0, 0, 0, :now, :now)
ON CONFLICT (client_id) DO UPDATE SET refused_at = :now WHERE refused_at IS NULL AND fetched_at <= :now
"""


def record_document_refusal(connection: sqlite3.Connection, *, client_id: str, now: int) -> None:
    """See ``DocumentStore.record_document_refusal``."""
    connection.execute(_REFUSE, {"client_id": client_id, "now": now})
