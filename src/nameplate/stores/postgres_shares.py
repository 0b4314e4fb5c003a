"""Caps on how many rows strangers can cause to be stored in a PostgreSQL store, without counting them.

A counter in one row would make all who write wait for each other's commits. So the cap is divided into shares, each
with a counter of its own: whoever writes takes a place in any share that has one, and that nobody else is just using.
No share holds more than its part, so all together never hold more than the cap. Only where every share is full or in
use does it matter who came first: then one share after the other is waited for, in a new transaction that holds none.
"""

from nameplate.ports.verdicts import Full, Recorded
from nameplate.stores.postgres_pool import PostgresPool
from nameplate.stores.postgres_text import Row

__all__ = ["FUNCTIONS", "record_capped"]

# A share that was locked but turned out to be full stays locked until the end. That is why the second attempt, which
# waits, must begin anew: it locks in ascending order only, as the sweep does.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.take_share(
    _kind text, _limit bigint, _waits boolean, OUT verdict text, OUT taken integer
) LANGUAGE plpgsql AS $$
BEGIN
    IF _waits THEN
        SELECT share INTO taken FROM nameplate.shares
        WHERE kind = _kind AND used < _limit / 32 + (share < _limit % 32)::integer
        ORDER BY share LIMIT 1 FOR NO KEY UPDATE;
    ELSE
        SELECT share INTO taken FROM nameplate.shares
        WHERE kind = _kind AND used < _limit / 32 + (share < _limit % 32)::integer
        ORDER BY random() LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    END IF;
    IF FOUND THEN
        UPDATE nameplate.shares SET used = used + 1 WHERE kind = _kind AND share = taken;
        verdict := 'recorded';
        RETURN;
    END IF;
    PERFORM FROM nameplate.shares WHERE kind = _kind AND used < _limit / 32 + (share < _limit % 32)::integer;
    verdict := CASE WHEN FOUND AND NOT _waits THEN 'in use' ELSE 'full' END;
END $$""",
    # What each of the given shares gets back.
    """CREATE FUNCTION nameplate.return_shares(_kind text, _shares integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM nameplate.shares WHERE kind = _kind AND share = ANY (_shares) ORDER BY share FOR NO KEY UPDATE;
    UPDATE nameplate.shares s SET used = used - returned.places
    FROM (SELECT share, count(*) AS places FROM unnest(_shares) AS share GROUP BY share) AS returned
    WHERE s.kind = _kind AND s.share = returned.share;
END $$""",
)


async def record_capped(pool: PostgresPool, statement: str, values: Row) -> Recorded | Full:
    """Run a statement that takes a share and answers with its verdict; the last of its values is whether it waits."""
    return await pool.finish(_record_capped(pool, statement, values))


async def _record_capped(pool: PostgresPool, statement: str, values: Row) -> Recorded | Full:
    [verdict] = await pool.commit(statement, *values, False)
    if verdict == "in use":
        [verdict] = await pool.commit(statement, *values, True)
    return Recorded() if verdict == "recorded" else Full()
