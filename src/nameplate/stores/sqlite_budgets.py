"""Budgets in a SQLite store: token buckets for what may be tried only so often.

Every function runs inside a transaction that holds the write lock.
"""

import sqlite3
from collections.abc import Sequence

from nameplate.ports.store import Spending

__all__ = ["spend", "spend_all"]

# One statement: the bucket refills by the time since it was last spent from, then gives if enough is in it. A
# replica whose clock is behind neither refills nor sets the time back.
_SPEND = """
INSERT INTO budgets (name, level, spent_at, full_at)
SELECT :name, :capacity - :cost, :now, :now + :cost * :seconds_each WHERE :cost <= :capacity
ON CONFLICT (name) DO UPDATE SET
    level = min(:capacity, level + max(0.0, :now - spent_at) * :refill) - :cost,
    spent_at = max(spent_at, :now),
    full_at = max(spent_at, :now)
        + (:capacity - min(:capacity, level + max(0.0, :now - spent_at) * :refill) + :cost) * :seconds_each
WHERE min(:capacity, level + max(0.0, :now - spent_at) * :refill) >= :cost
"""
_NEVER_SECONDS = 1e15


def spend(
    connection: sqlite3.Connection, *, budget: str, cost: int, capacity: int, refill_per_second: float, now: float
) -> bool:
    """See ``BudgetStore.spend``."""
    values = {
        "name": budget,
        "cost": cost,
        "capacity": capacity,
        "now": now,
        "refill": refill_per_second,
        "seconds_each": 1 / refill_per_second if refill_per_second > 0 else _NEVER_SECONDS,
    }
    return connection.execute(_SPEND, values).rowcount == 1


def spend_all(connection: sqlite3.Connection, *, spendings: Sequence[Spending], now: float) -> str | None:
    """See ``BudgetStore.spend_all``."""
    for number, spending in enumerate(spendings):
        if not _take(connection, spending, spending.cost, now):
            for spent in spendings[:number]:
                _take(connection, spent, -spent.cost, now)
            return spending.budget
    return None


def _take(connection: sqlite3.Connection, spending: Spending, cost: int, now: float) -> bool:
    return spend(
        connection,
        budget=spending.budget,
        cost=cost,
        capacity=spending.capacity,
        refill_per_second=spending.refill_per_second,
        now=now,
    )
