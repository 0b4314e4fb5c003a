"""Uses of client assertions in a PostgreSQL store: each counts once, over all replicas (RFC 7523 §3)."""

from nameplate.protocol.client_proof import AssertionUse, ClientProof
from nameplate.stores.postgres_pool import PostgresPool

__all__ = ["FUNCTIONS", "list_proof", "record_assertion"]

# Of two that come at once, the second waits for the commit of the first. Before everything else in its transaction.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.record_assertion(
    _assertion_client_id text, _use_hash bytea, _kept_until bigint, _now bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO nameplate.assertion_uses (use_hash, kept_until) VALUES (_use_hash, _kept_until)
    ON CONFLICT (use_hash) DO NOTHING;
    IF NOT FOUND THEN
        PERFORM nameplate.record_event('assertion.replayed', _now, _assertion_client_id, '', '', '');
        RETURN false;
    END IF;
    RETURN true;
END $$""",
)


async def record_assertion(pool: PostgresPool, use: AssertionUse, now: int) -> bool:
    """See ``GrantStore.record_assertion``."""
    values = (use.client_id, use.use_hash, use.kept_until, now)
    [is_first] = await pool.commit("SELECT nameplate.record_assertion($1, $2, $3, $4)", *values)
    return bool(is_first)


def list_proof(proof: ClientProof) -> tuple[object, ...]:
    """The five arguments that a proof is to a function: method, keys, and the assertion or three NULLs."""
    use = proof.assertion
    assertion = (None, None, None) if use is None else (use.client_id, use.use_hash, use.kept_until)
    return (proof.auth_method, proof.client_keys, *assertion)
