"""Documents of approved clients in a PostgreSQL store: what replicas share, and what a restart keeps.

Each statement here leaves the same behind when it runs twice, so all may be tried again.
"""

import json

from nameplate.ports.store import StoredDocument
from nameplate.ports.verdicts import Unknown
from nameplate.stores.postgres_pool import PostgresPool

__all__ = ["load_document", "record_document", "record_document_refusal"]

_SELECT = """
SELECT body, headers, fetched_at, fresh_until, last_good_until, refused_at FROM nameplate.documents WHERE client_id = $1
"""


async def load_document(pool: PostgresPool, client_id: str) -> StoredDocument | Unknown:
    """See ``DocumentStore.load_document``."""
    row = await pool.fetch_row(_SELECT, client_id)
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
INSERT INTO nameplate.documents AS d (client_id, body, headers, fetched_at, fresh_until, last_good_until, sweep_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
ON CONFLICT (client_id) DO UPDATE SET
    body = excluded.body,
    headers = excluded.headers,
    fetched_at = excluded.fetched_at,
    fresh_until = excluded.fresh_until,
    last_good_until = excluded.last_good_until,
    refused_at = CASE WHEN d.refused_at > excluded.fetched_at THEN d.refused_at END,
    sweep_at = excluded.sweep_at
WHERE d.fetched_at <= excluded.fetched_at
"""


async def record_document(pool: PostgresPool, document: StoredDocument) -> None:
    """See ``DocumentStore.record_document``."""
    await pool.fetch(
        _RECORD,
        document.client_id,
        document.body,
        json.dumps(document.headers),
        document.fetched_at,
        document.fresh_until,
        document.last_good_until,
    )


# Where there is no document yet, the row remembers the refusal alone: any document is later than none.
_REFUSE = """
INSERT INTO nameplate.documents AS d (
    client_id, body, headers, fetched_at, fresh_until, last_good_until, refused_at, sweep_at
) VALUES ($1, '', '[]', 0, 0, 0, $2, $2)
ON CONFLICT (client_id) DO UPDATE SET refused_at = excluded.refused_at
WHERE d.refused_at IS NULL AND d.fetched_at <= excluded.refused_at
"""


async def record_document_refusal(pool: PostgresPool, client_id: str, now: int) -> None:
    """See ``DocumentStore.record_document_refusal``."""
    await pool.fetch(_REFUSE, client_id, now)
