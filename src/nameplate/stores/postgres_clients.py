"""Registered clients in a PostgreSQL store."""

from collections.abc import Sequence

from nameplate.ports.verdicts import Full, Recorded, Unknown
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.stores.postgres_lister import Listing, list_rows
from nameplate.stores.postgres_pool import PostgresPool
from nameplate.stores.postgres_shares import record_capped
from nameplate.stores.postgres_text import Row

__all__ = ["FUNCTIONS", "list_clients", "load_client", "record_client", "remove_client"]

# Only what expires takes a share, and is swept. Where all shares are full, a client without a live grant gives way, and
# its share passes on: no counter changes. It is one of the ten that would be forgotten soonest, locked first and looked
# at after that, and nobody waits for it.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.record_client(
    _client_id text, _metadata text, _secret_hash bytea, _created_at bigint, _expires_at bigint, _now bigint,
    _limit bigint, _waits boolean
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    _verdict text := 'recorded';
    _share integer;
    _soonest nameplate.clients;
    _seen bigint[] := '{}';
BEGIN
    IF _expires_at IS NOT NULL THEN
        SELECT verdict, taken INTO _verdict, _share FROM nameplate.take_share('clients', _limit, _waits);
    END IF;
    WHILE _verdict = 'full' AND cardinality(_seen) < 10 LOOP
        SELECT * INTO _soonest FROM nameplate.clients WHERE sweep_at IS NOT NULL AND id <> ALL (_seen)
        ORDER BY sweep_at LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        IF coalesce(nameplate.find_last_expiry(_soonest.client_id), 0) <= _now THEN
            DELETE FROM nameplate.clients WHERE id = _soonest.id;
            PERFORM nameplate.record_event('client.removed', _now, _soonest.client_id, '', '', 'gave way');
            _share := _soonest.share;
            _verdict := 'recorded';
        END IF;
        _seen := _seen || _soonest.id;
    END LOOP;
    IF _verdict = 'recorded' THEN
        INSERT INTO nameplate.clients (client_id, metadata, secret_hash, created_at, expires_at, sweep_at, share)
        VALUES (_client_id, _metadata, _secret_hash, _created_at, _expires_at, _expires_at, _share);
        PERFORM nameplate.record_event('client.registered', _now, _client_id, '', '', '');
    END IF;
    RETURN _verdict;
END $$""",
    """CREATE FUNCTION nameplate.remove_client(_client_id text, _now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    _client nameplate.clients;
    _ended bigint;
BEGIN
    SELECT * INTO _client FROM nameplate.clients WHERE client_id = _client_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    _ended := nameplate.end_grants_of_client(_client_id, 'client.removed', _now);
    IF _client.share IS NOT NULL THEN
        PERFORM nameplate.return_shares('clients', ARRAY[_client.share]);
    END IF;
    DELETE FROM nameplate.clients WHERE id = _client.id;
    PERFORM nameplate.record_event('client.removed', _now, _client_id, '', '', '');
    RETURN _ended;
END $$""",
)


async def record_client(pool: PostgresPool, client: RegisteredClient, *, limit: int, now: int) -> Recorded | Full:
    """See ``ClientStore.record_client``."""
    values = (
        client.client_id,
        client.metadata,
        client.secret_hash,
        client.created_at,
        client.expires_at,
        now,
        limit,
    )
    return await record_capped(pool, "SELECT nameplate.record_client($1, $2, $3, $4, $5, $6, $7, $8)", values)


_COLUMNS = "id, client_id, metadata, secret_hash, created_at, expires_at"
_SELECT = f"SELECT {_COLUMNS} FROM nameplate.clients WHERE client_id = $1"  # noqa: S608  (constants only)


async def load_client(pool: PostgresPool, client_id: str) -> RegisteredClient | Unknown:
    """See ``ClientStore.load_client``."""
    row = await pool.fetch_row(_SELECT, client_id)
    return Unknown() if row is None else _build_client(row)


async def list_clients(pool: PostgresPool, *, after: int, limit: int) -> Sequence[tuple[int, RegisteredClient]]:
    """See ``ClientStore.list_clients``."""
    listing = Listing(table="nameplate.clients", columns=_COLUMNS, build=lambda row: (int(row[0]), _build_client(row)))
    return await list_rows(pool, listing, after=after, limit=limit)


async def remove_client(pool: PostgresPool, client_id: str, now: int) -> int | None:
    """See ``ClientStore.remove_client``."""
    [ended] = await pool.commit("SELECT nameplate.remove_client($1, $2)", client_id, now)
    return None if ended is None else int(ended)


def _build_client(row: Row) -> RegisteredClient:
    return RegisteredClient(client_id=row[1], metadata=row[2], secret_hash=row[3], created_at=row[4], expires_at=row[5])
