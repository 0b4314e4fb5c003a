"""What the sweep deletes from a PostgreSQL store. Each statement here is one short transaction.

Rows are found by an index on the instant from which nothing can need them, so a sweep costs what it deletes, however
much is kept. Rows that somebody has locked are left for the next time: a sweep waits for nobody but for the shares.
"""

from dataclasses import dataclass

from nameplate.stores.postgres_pool import PostgresPool

__all__ = ["FUNCTIONS", "sweep"]

# Rows are locked first and looked at after that, so that nothing is added to a grant between the look and its end.
# Documents and clients with a live grant are looked at again within a day: that may end long before it expires.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.sweep_authorizations(
    _now bigint, _limit bigint, OUT examined bigint, OUT deleted bigint
) LANGUAGE plpgsql AS $$
DECLARE
    _ids bigint[];
    _shares integer[];
BEGIN
    SELECT array_agg(id), array_agg(share) INTO _ids, _shares FROM (
        SELECT id, share FROM nameplate.pending_authorizations WHERE expires_at <= _now
        ORDER BY expires_at LIMIT _limit FOR UPDATE SKIP LOCKED
    ) AS due;
    PERFORM nameplate.return_shares('pending', _shares) WHERE _ids IS NOT NULL;
    DELETE FROM nameplate.pending_authorizations WHERE id = ANY (_ids);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    examined := deleted;
END $$""",
    """CREATE FUNCTION nameplate.sweep_grants(_now bigint, _limit bigint, OUT examined bigint, OUT deleted bigint)
LANGUAGE plpgsql AS $$
DECLARE
    _ids bigint[];
    _unneeded bigint[];
BEGIN
    SELECT array_agg(id) INTO _ids FROM (
        SELECT id FROM nameplate.grants WHERE sweep_at <= _now ORDER BY sweep_at LIMIT _limit FOR UPDATE SKIP LOCKED
    ) AS due;
    WITH needed AS (
        SELECT id, greatest(
            (SELECT c.kept_until FROM nameplate.codes c WHERE c.grant_row = id),
            (SELECT t.expires_at FROM nameplate.refresh_tokens t WHERE t.grant_row = id ORDER BY t.number DESC LIMIT 1)
        ) AS until FROM unnest(_ids) AS id
    ), put_off AS (
        UPDATE nameplate.grants g SET sweep_at = greatest(needed.until, _now + 1)
        FROM needed WHERE g.id = needed.id AND needed.until IS NOT NULL
    )
    SELECT array_agg(id) INTO _unneeded FROM needed WHERE until IS NULL;
    DELETE FROM nameplate.grants WHERE id = ANY (_unneeded);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    examined := coalesce(cardinality(_ids), 0);
END $$""",
    # By its place in the index: max() may be found by reading all.
    """CREATE FUNCTION nameplate.find_last_expiry(_client_id text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT expires_at FROM nameplate.grants WHERE client_id = _client_id AND revoked_at IS NULL
        ORDER BY expires_at DESC LIMIT 1
    );
END $$""",
    """CREATE FUNCTION nameplate.sweep_documents(_now bigint, _limit bigint, OUT examined bigint, OUT deleted bigint)
LANGUAGE plpgsql AS $$
DECLARE
    _ids bigint[];
BEGIN
    SELECT array_agg(id) INTO _ids FROM (
        SELECT id FROM nameplate.documents WHERE sweep_at <= _now ORDER BY sweep_at LIMIT _limit FOR UPDATE SKIP LOCKED
    ) AS due;
    UPDATE nameplate.documents SET sweep_at = least(nameplate.find_last_expiry(client_id), _now + 86400)
    WHERE id = ANY (_ids) AND nameplate.find_last_expiry(client_id) > _now;
    DELETE FROM nameplate.documents WHERE id = ANY (_ids) AND sweep_at <= _now;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    examined := coalesce(cardinality(_ids), 0);
END $$""",
    """CREATE FUNCTION nameplate.sweep_clients(_now bigint, _limit bigint, OUT examined bigint, OUT deleted bigint)
LANGUAGE plpgsql AS $$
DECLARE
    _ids bigint[];
    _shares integer[];
BEGIN
    SELECT array_agg(id) INTO _ids FROM (
        SELECT id FROM nameplate.clients WHERE sweep_at <= _now ORDER BY sweep_at LIMIT _limit FOR UPDATE SKIP LOCKED
    ) AS due;
    UPDATE nameplate.clients SET sweep_at = least(nameplate.find_last_expiry(client_id), _now + 86400)
    WHERE id = ANY (_ids) AND nameplate.find_last_expiry(client_id) > _now;
    SELECT array_agg(share) INTO _shares FROM nameplate.clients WHERE id = ANY (_ids) AND sweep_at <= _now;
    PERFORM nameplate.return_shares('clients', _shares) WHERE _shares IS NOT NULL;
    WITH expired AS (
        DELETE FROM nameplate.clients WHERE id = ANY (_ids) AND sweep_at <= _now RETURNING id, client_id
    )
    INSERT INTO nameplate.audit_events (name, at, client_id, subject, grant_id, detail)
    SELECT 'client.removed', _now, client_id, '', '', 'expired' FROM expired ORDER BY id;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    examined := coalesce(cardinality(_ids), 0);
END $$""",
)

# At some 50 µs a row, a statement of the sweep takes a few milliseconds.
_ROWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """A statement that takes an instant and a limit, and answers how many rows it looked at and how many it deleted."""

    statement: str
    is_of_events: bool = False


def _call(function: str) -> _Sweep:
    return _Sweep(statement=f"SELECT examined, deleted FROM nameplate.{function}($1, $2)")  # noqa: S608  (constants only)


def _delete_ended(table: str, ends: str, *, is_of_events: bool = False) -> _Sweep:
    """The sweep that deletes rows of ``table`` in the order of the column ``ends``."""
    statement = f"""
WITH ended AS (
    DELETE FROM nameplate.{table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM nameplate.{table} WHERE {ends} <= $1 ORDER BY {ends} LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
)
SELECT count(*), count(*) FROM ended
"""  # noqa: S608  (constants only)
    return _Sweep(statement=statement, is_of_events=is_of_events)


# Grants come after what refers to them.
_SWEEPS = (
    _call("sweep_authorizations"),
    _delete_ended("refresh_answers", "kept_until"),
    _delete_ended("refresh_tokens", "expires_at"),
    _delete_ended("codes", "kept_until"),
    _delete_ended("assertion_uses", "kept_until"),
    _delete_ended("upstream_attempts", "expires_at"),
    _delete_ended("sessions", "expires_at"),
    _delete_ended("budgets", "full_at"),
    _call("sweep_documents"),
    _call("sweep_clients"),
    _call("sweep_grants"),
    _delete_ended("audit_events", "at", is_of_events=True),
)


async def sweep(pool: PostgresPool, now: int, *, limit: int, audit_before: int) -> int:
    """See ``Store.sweep``."""
    deleted = 0
    for each in _SWEEPS:
        more = True
        while more and deleted < limit:
            at_once = min(_ROWS_AT_ONCE, limit - deleted)
            instant = audit_before - 1 if each.is_of_events else now
            examined, gone = await pool.commit(each.statement, instant, at_once)
            deleted += gone
            more = examined == at_once
    return deleted
