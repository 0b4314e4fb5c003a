"""Grants in a PostgreSQL store: what codes and refresh tokens hang on, and what ends.

Whatever changes a grant, its code, one of its refresh tokens or its upstream tokens locks the row of the grant first,
and reads the others after that. So all that happens to one grant happens in turn, and nothing of it has to be thought
through in pairs.
"""

from collections.abc import Sequence

from nameplate.ports.store import GrantFilter
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.grant import Grant
from nameplate.stores.postgres_lister import Condition, Listing, list_rows
from nameplate.stores.postgres_pool import PostgresPool
from nameplate.stores.postgres_text import Row

__all__ = [
    "FUNCTIONS",
    "GRANT_COLUMNS",
    "GRANT_WIDTH",
    "build_grant",
    "list_grants",
    "load_grant",
    "load_revocations",
    "revoke_grant",
]

# A revoked grant is kept for 24 hours: so long those who accept its access tokens can learn that it was revoked.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.record_grant_event(
    _name text, _grant nameplate.grants, _now bigint, _detail text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nameplate.record_event(_name, _now, _grant.client_id, _grant.subject, _grant.grant_id, _detail);
END $$""",
    """CREATE FUNCTION nameplate.end_grant(_grant nameplate.grants, _reason text, _now bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE nameplate.grants SET revoked_at = _now, sweep_at = _now + 86400 WHERE id = _grant.id;
    PERFORM nameplate.record_grant_event('grant.revoked', _grant, _now, _reason);
END $$""",
    """CREATE FUNCTION nameplate.end_grants_of_client(_client_id text, _reason text, _now bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    _ended bigint;
BEGIN
    WITH live AS (
        SELECT id FROM nameplate.grants
        WHERE client_id = _client_id AND revoked_at IS NULL AND expires_at > _now ORDER BY id FOR NO KEY UPDATE
    ), ended AS (
        UPDATE nameplate.grants g SET revoked_at = _now, sweep_at = _now + 86400 FROM live WHERE g.id = live.id
        RETURNING g.id, g.subject, g.grant_id
    )
    INSERT INTO nameplate.audit_events (name, at, client_id, subject, grant_id, detail)
    SELECT 'grant.revoked', _now, _client_id, subject, grant_id, _reason FROM ended ORDER BY id;
    GET DIAGNOSTICS _ended = ROW_COUNT;
    RETURN _ended;
END $$""",
    """CREATE FUNCTION nameplate.remember_proof(_grant nameplate.grants, _auth_method text, _client_keys text)
RETURNS nameplate.grants LANGUAGE plpgsql AS $$
BEGIN
    IF (_grant.auth_method, _grant.client_keys) <> (_auth_method, _client_keys) THEN
        UPDATE nameplate.grants SET auth_method = _auth_method, client_keys = _client_keys WHERE id = _grant.id;
        _grant.auth_method := _auth_method;
        _grant.client_keys := _client_keys;
    END IF;
    RETURN _grant;
END $$""",
    """CREATE FUNCTION nameplate.revoke_grant(_grant_id text, _reason text, _now bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _grant nameplate.grants;
BEGIN
    SELECT * INTO _grant FROM nameplate.grants WHERE grant_id = _grant_id FOR NO KEY UPDATE;
    IF NOT FOUND OR _grant.revoked_at IS NOT NULL OR _grant.expires_at <= _now THEN
        RETURN false;
    END IF;
    PERFORM nameplate.end_grant(_grant, _reason, _now);
    RETURN true;
END $$""",
)

# In the order that build_grant reads them, from the table under the name g.
GRANT_COLUMNS = """
g.id, g.grant_id, g.client_id, g.subject, g.resource, g.scope, g.client_metadata, g.created_at, g.expires_at,
    g.revoked_at, g.username, g.upstream, g.person, g.auth_method, g.client_keys
"""
GRANT_WIDTH = 15


def build_grant(row: Row) -> Grant:
    """The grant of a row that begins with ``GRANT_COLUMNS``. (The first of them is where the row lies.)"""
    return Grant(
        id=row[1],
        client_id=row[2],
        subject=row[3],
        resource=row[4],
        scope=row[5],
        client_metadata=row[6],
        created_at=row[7],
        expires_at=row[8],
        revoked_at=row[9],
        username=row[10],
        upstream=row[11],
        person=row[12],
        auth_method=row[13],
        client_keys=row[14],
    )


_SELECT = f"SELECT {GRANT_COLUMNS} FROM nameplate.grants g WHERE g.grant_id = $1"  # noqa: S608  (constants only)


async def load_grant(pool: PostgresPool, grant_id: str) -> Grant | Unknown:
    """See ``GrantStore.load_grant``."""
    row = await pool.fetch_row(_SELECT, grant_id)
    return Unknown() if row is None else build_grant(row)


_SELECT_REVOKED = "SELECT grant_id, revoked_at FROM nameplate.grants WHERE resource = $1 AND revoked_at >= $2"


async def load_revocations(pool: PostgresPool, resource: str, *, since: int) -> Sequence[tuple[str, int]]:
    """See ``GrantStore.load_revocations``."""
    return [(row[0], row[1]) for row in await pool.fetch(_SELECT_REVOKED, resource, since)]


async def list_grants(pool: PostgresPool, which: GrantFilter, *, after: int, limit: int) -> Sequence[tuple[int, Grant]]:
    """See ``GrantStore.list_grants``."""
    equal = (
        ("client_id", which.client_id),
        ("subject", which.subject),
        ("username", which.username),
        ("resource", which.resource),
    )
    conditions = [Condition(f"{column} = %s", value) for column, value in equal if value]
    if which.live_at is not None:
        live = "expires_at > %s AND (revoked_at IS NULL OR revoked_at > %s)"
        conditions.append(Condition(live, which.live_at))
    listing = Listing(
        table="nameplate.grants g",
        columns=GRANT_COLUMNS,
        build=lambda row: (int(row[0]), build_grant(row)),
        conditions=tuple(conditions),
    )
    return await list_rows(pool, listing, after=after, limit=limit)


async def revoke_grant(pool: PostgresPool, grant_id: str, *, reason: str, now: int) -> bool:
    """See ``GrantStore.revoke_grant``."""
    [is_ended] = await pool.commit("SELECT nameplate.revoke_grant($1, $2, $3)", grant_id, reason, now)
    return bool(is_ended)
