"""Signing keys in a PostgreSQL store, as they were sealed by whoever gave them."""

from collections.abc import Sequence

from nameplate.ports.store import StoredSigningKey
from nameplate.stores.postgres_pool import PostgresPool

__all__ = [
    "FUNCTIONS",
    "drop_signing_key",
    "load_signing_keys",
    "record_signing_key",
    "reseal_signing_key",
    "withdraw_signing_key",
]

# There is no row to lock before the first key is there, so whoever adds one locks out all who would change any.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.record_signing_key(
    _kid text, _sealed_jwk bytea, _created_at bigint, _active_from bigint, _withdrawn_at bigint, _latest text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE nameplate.signing_keys IN SHARE ROW EXCLUSIVE MODE;
    IF (SELECT kid FROM nameplate.signing_keys ORDER BY active_from DESC, id DESC LIMIT 1)
        IS NOT DISTINCT FROM _latest
    THEN
        INSERT INTO nameplate.signing_keys (kid, sealed_jwk, created_at, active_from, withdrawn_at)
        VALUES (_kid, _sealed_jwk, _created_at, _active_from, _withdrawn_at);
        PERFORM nameplate.record_event('signing_key.created', _created_at, '', '', '', _kid);
    END IF;
END $$""",
    """CREATE FUNCTION nameplate.withdraw_signing_key(_kid text, _now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE nameplate.signing_keys SET withdrawn_at = _now WHERE kid = _kid AND withdrawn_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM nameplate.record_event('signing_key.withdrawn', _now, '', '', '', _kid);
    RETURN true;
END $$""",
    """CREATE FUNCTION nameplate.drop_signing_key(_kid text, _now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM nameplate.signing_keys WHERE kid = _kid;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM nameplate.record_event('signing_key.retired', _now, '', '', '', _kid);
    RETURN true;
END $$""",
    """CREATE FUNCTION nameplate.reseal_signing_key(_kid text, _before bytea, _after bytea)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE nameplate.signing_keys SET sealed_jwk = _after WHERE kid = _kid AND sealed_jwk = _before;
    RETURN FOUND;
END $$""",
)


async def record_signing_key(
    pool: PostgresPool, key: StoredSigningKey, *, latest: str | None
) -> Sequence[StoredSigningKey]:
    """See ``KeyStore.record_signing_key``."""
    return await pool.finish(_record_signing_key(pool, key, latest))


async def _record_signing_key(pool: PostgresPool, key: StoredSigningKey, latest: str | None) -> list[StoredSigningKey]:
    # It may be tried again: with the key that is there, ``latest`` is no longer the latest.
    await pool.fetch(
        "SELECT nameplate.record_signing_key($1, $2, $3, $4, $5, $6)",
        key.kid,
        key.sealed_jwk,
        key.created_at,
        key.active_from,
        key.withdrawn_at,
        latest,
    )
    return await load_signing_keys(pool)


_SELECT = """
SELECT kid, sealed_jwk, created_at, active_from, withdrawn_at FROM nameplate.signing_keys
ORDER BY active_from DESC, id DESC
"""


async def load_signing_keys(pool: PostgresPool) -> list[StoredSigningKey]:
    """See ``KeyStore.load_signing_keys``."""
    return [
        StoredSigningKey(kid=row[0], sealed_jwk=row[1], created_at=row[2], active_from=row[3], withdrawn_at=row[4])
        for row in await pool.fetch(_SELECT)
    ]


async def reseal_signing_key(pool: PostgresPool, kid: str, *, before: bytes, after: bytes) -> bool:
    """See ``KeyStore.reseal_signing_key``."""
    [is_replaced] = await pool.commit("SELECT nameplate.reseal_signing_key($1, $2, $3)", kid, before, after)
    return bool(is_replaced)


async def withdraw_signing_key(pool: PostgresPool, kid: str, now: int) -> bool:
    """See ``KeyStore.withdraw_signing_key``."""
    [is_marked] = await pool.commit("SELECT nameplate.withdraw_signing_key($1, $2)", kid, now)
    return bool(is_marked)


async def drop_signing_key(pool: PostgresPool, kid: str, now: int) -> bool:
    """See ``KeyStore.drop_signing_key``."""
    [is_dropped] = await pool.commit("SELECT nameplate.drop_signing_key($1, $2)", kid, now)
    return bool(is_dropped)
