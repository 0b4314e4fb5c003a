"""Budgets in a PostgreSQL store: token buckets for what may be tried only so often."""

from collections.abc import Sequence

from nameplate.ports.store import Spending
from nameplate.stores.postgres_pool import PostgresPool

__all__ = ["FUNCTIONS", "spend", "spend_all"]

# The bucket refills by the time since it was last spent from, then gives if enough is in it. A replica whose clock is
# behind neither refills nor sets the time back. Several buckets are locked in the order of their names, in which they
# come; each says on its own whether it would give, and if one does not, the others get back what they gave.
FUNCTIONS = (
    """CREATE FUNCTION nameplate.spend(
    _name text, _cost float8, _capacity float8, _refill float8, _now float8
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _seconds_each float8 := CASE WHEN _refill > 0 THEN 1 / _refill ELSE 1e15 END;
BEGIN
    INSERT INTO nameplate.budgets AS b (name, level, spent_at, full_at)
    SELECT _name, _capacity - _cost, _now, _now + _cost * _seconds_each WHERE _cost <= _capacity
    ON CONFLICT (name) DO UPDATE SET
        level = least(_capacity, b.level + greatest(0, _now - b.spent_at) * _refill) - _cost,
        spent_at = greatest(b.spent_at, _now),
        full_at = greatest(b.spent_at, _now)
            + (_capacity - least(_capacity, b.level + greatest(0, _now - b.spent_at) * _refill) + _cost)
            * _seconds_each
    WHERE least(_capacity, b.level + greatest(0, _now - b.spent_at) * _refill) >= _cost;
    RETURN FOUND;
END $$""",
    """CREATE FUNCTION nameplate.spend_all(
    _names text[], _costs float8[], _capacities float8[], _refills float8[], _now float8
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    _given boolean[] := '{}';
BEGIN
    FOR i IN 1 .. cardinality(_names) LOOP
        _given[i] := nameplate.spend(_names[i], _costs[i], _capacities[i], _refills[i], _now);
    END LOOP;
    IF NOT false = ANY (_given) THEN
        RETURN NULL;
    END IF;
    FOR i IN 1 .. cardinality(_names) LOOP
        IF _given[i] THEN
            PERFORM nameplate.spend(_names[i], -_costs[i], _capacities[i], _refills[i], _now);
        END IF;
    END LOOP;
    RETURN (SELECT string_agg((i - 1)::text, ' ') FROM unnest(_given) WITH ORDINALITY AS g (given, i) WHERE NOT given);
END $$""",
)


async def spend(
    pool: PostgresPool, budget: str, cost: int, *, capacity: int, refill_per_second: float, now: float
) -> bool:
    """See ``BudgetStore.spend``."""
    values = (budget, cost, capacity, refill_per_second, now)
    [is_given] = await pool.commit("SELECT nameplate.spend($1, $2, $3, $4, $5)", *values)
    return bool(is_given)


# Arrays of texts are the only ones whose form asyncpg knows without asking the server.
_SPEND_ALL = """
SELECT nameplate.spend_all(
    $1, ($2::text[])::float8[], ($3::text[])::float8[], ($4::text[])::float8[], $5
)
"""


async def spend_all(pool: PostgresPool, spendings: Sequence[Spending], *, now: float) -> str | None:
    """See ``BudgetStore.spend_all``."""
    in_order = sorted(range(len(spendings)), key=lambda number: spendings[number].budget)
    ordered = [spendings[number] for number in in_order]
    [refused] = await pool.commit(
        _SPEND_ALL,
        [each.budget for each in ordered],
        [repr(each.cost) for each in ordered],
        [repr(each.capacity) for each in ordered],
        [repr(each.refill_per_second) for each in ordered],
        now,
    )
    if refused is None:
        return None
    return spendings[min(in_order[int(number)] for number in refused.split())].budget
