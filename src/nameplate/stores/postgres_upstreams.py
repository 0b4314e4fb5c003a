"""Browsers on their way to an identity provider, and what it issued for a grant, in a PostgreSQL store.

There is no cap on all attempts together. The server lets one begin only where an authorization request waits in the
same browser, and lets it expire no later. How many requests are kept is capped; so there are no more attempts than that
cap times the limit of one browser.

The tokens are changed under the lock of their grant; see ``postgres_grants``.
"""

from nameplate.ports.store import StoredUpstreamTokens
from nameplate.ports.verdicts import Full, Recorded, Unknown
from nameplate.protocol.upstream_attempt import UpstreamAttempt
from nameplate.stores.postgres_pool import PostgresPool

__all__ = [
    "FUNCTIONS",
    "lease_upstream_refresh",
    "load_upstream_tokens",
    "record_upstream_attempt",
    "replace_upstream_tokens",
    "take_upstream_attempt",
]

FUNCTIONS = (
    # The attempts of one browser come in turn: side by side, none would count the others. There may be no row yet to
    # lock, so the lock is on the browser; its key is the table and a hash, and two browsers that share it only wait.
    # The oldest are those that came first: by created_at, a replica whose clock is behind would lose what it just
    # wrote.
    """CREATE FUNCTION nameplate.record_upstream_attempt(
    _state_hash bytea, _browser_hash bytea, _upstream text, _sealed_memory bytea, _approved_subject text,
    _created_at bigint, _expires_at bigint, _limit bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(
        'nameplate.upstream_attempts'::regclass::oid::integer, hashtext(encode(_browser_hash, 'hex'))
    );
    INSERT INTO nameplate.upstream_attempts (
        state_hash, browser_hash, upstream, sealed_memory, approved_subject, created_at, expires_at
    ) VALUES (_state_hash, _browser_hash, _upstream, _sealed_memory, _approved_subject, _created_at, _expires_at);
    DELETE FROM nameplate.upstream_attempts WHERE id = ANY (ARRAY(
        SELECT id FROM nameplate.upstream_attempts WHERE browser_hash = _browser_hash ORDER BY id DESC OFFSET _limit
    ));
    RETURN true;
END $$""",
    """CREATE FUNCTION nameplate.take_upstream_attempt(_state_hash bytea, _browser_hash bytea, _now bigint)
RETURNS nameplate.upstream_attempts LANGUAGE plpgsql AS $$
DECLARE
    _attempt nameplate.upstream_attempts;
BEGIN
    DELETE FROM nameplate.upstream_attempts
    WHERE state_hash = _state_hash AND browser_hash = _browser_hash AND expires_at > _now RETURNING * INTO _attempt;
    RETURN _attempt;
END $$""",
    """CREATE FUNCTION nameplate.lease_upstream_refresh(_grant_id text, _version bigint, _now bigint, _until bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _grant nameplate.grants;
BEGIN
    SELECT * INTO _grant FROM nameplate.grants WHERE grant_id = _grant_id FOR NO KEY UPDATE;
    IF NOT FOUND OR _grant.revoked_at IS NOT NULL OR _grant.expires_at <= _now THEN
        RETURN false;
    END IF;
    UPDATE nameplate.upstream_tokens SET leased_until = _until
    WHERE grant_row = _grant.id AND version = _version AND leased_until <= _now;
    RETURN FOUND;
END $$""",
    """CREATE FUNCTION nameplate.replace_upstream_tokens(_grant_id text, _version bigint, _sealed bytea, _now bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _grant nameplate.grants;
BEGIN
    SELECT * INTO _grant FROM nameplate.grants WHERE grant_id = _grant_id FOR NO KEY UPDATE;
    UPDATE nameplate.upstream_tokens SET sealed = _sealed, version = version + 1, leased_until = 0
    WHERE grant_row = _grant.id AND version = _version;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM nameplate.record_grant_event('upstream_tokens.refreshed', _grant, _now, '');
    RETURN true;
END $$""",
)


async def record_upstream_attempt(pool: PostgresPool, attempt: UpstreamAttempt, *, limit: int) -> Recorded | Full:
    """See ``UpstreamStore.record_upstream_attempt``."""
    if limit <= 0:
        return Full()
    await pool.commit(
        "SELECT nameplate.record_upstream_attempt($1, $2, $3, $4, $5, $6, $7, $8)",
        attempt.state_hash,
        attempt.browser_hash,
        attempt.upstream,
        attempt.sealed_memory,
        attempt.approved_subject,
        attempt.created_at,
        attempt.expires_at,
        limit,
    )
    return Recorded()


_TAKE = """
SELECT upstream, sealed_memory, approved_subject, created_at, expires_at
FROM nameplate.take_upstream_attempt($1, $2, $3)
"""


async def take_upstream_attempt(
    pool: PostgresPool, state_hash: bytes, browser_hash: bytes, now: int
) -> UpstreamAttempt | Unknown:
    """See ``UpstreamStore.take_upstream_attempt``."""
    upstream, sealed_memory, approved_subject, created_at, expires_at = await pool.commit(
        _TAKE, state_hash, browser_hash, now
    )
    if upstream is None:
        return Unknown()
    return UpstreamAttempt(
        state_hash=state_hash,
        browser_hash=browser_hash,
        upstream=upstream,
        sealed_memory=sealed_memory,
        approved_subject=approved_subject,
        created_at=created_at,
        expires_at=expires_at,
    )


_SELECT_TOKENS = """
SELECT t.sealed, t.version
FROM nameplate.upstream_tokens t JOIN nameplate.grants g ON g.id = t.grant_row WHERE g.grant_id = $1
"""


async def load_upstream_tokens(pool: PostgresPool, grant_id: str) -> StoredUpstreamTokens | Unknown:
    """See ``UpstreamStore.load_upstream_tokens``."""
    row = await pool.fetch_row(_SELECT_TOKENS, grant_id)
    return Unknown() if row is None else StoredUpstreamTokens(sealed=row[0], version=row[1])


async def lease_upstream_refresh(pool: PostgresPool, grant_id: str, *, version: int, now: int, until: int) -> bool:
    """See ``UpstreamStore.lease_upstream_refresh``."""
    lease = "SELECT nameplate.lease_upstream_refresh($1, $2, $3, $4)"
    [is_mine] = await pool.commit(lease, grant_id, version, now, until)
    return bool(is_mine)


async def replace_upstream_tokens(pool: PostgresPool, grant_id: str, *, version: int, sealed: bytes, now: int) -> bool:
    """See ``UpstreamStore.replace_upstream_tokens``."""
    replace = "SELECT nameplate.replace_upstream_tokens($1, $2, $3, $4)"
    [is_done] = await pool.commit(replace, grant_id, version, sealed, now)
    return bool(is_done)
