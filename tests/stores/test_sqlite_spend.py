"""Budgets in a SQLite store against a model that is too simple to be wrong."""

import sqlite3
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.stores.sqlite_budgets import spend
from nameplate.stores.sqlite_file import connect_writer
from nameplate.stores.sqlite_schema import migrate
from nameplate.testing.store_samples import NOW

# Whole quarters, so that no float is rounded and the model must agree exactly.
QUARTERS = st.integers(min_value=0, max_value=40).map(lambda quarters: quarters / 4)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    connection = connect_writer(tmp_path_factory.mktemp("spend") / "store.sqlite")
    migrate(connection)
    connection.execute("BEGIN")  # what the examples write need not reach the disk
    yield connection
    connection.close()


@given(
    capacity=st.integers(min_value=1, max_value=10),
    refill=st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    spendings=st.lists(st.tuples(QUARTERS, st.integers(min_value=1, max_value=11)), max_size=30),
)
def test_a_budget_is_a_bucket_that_refills(
    connection: sqlite3.Connection, capacity: int, refill: float, spendings: list[tuple[float, int]]
) -> None:
    level, now = Fraction(capacity), Fraction(NOW)
    connection.execute("DELETE FROM budgets")
    for seconds, cost in spendings:
        now += Fraction(seconds)
        level = min(Fraction(capacity), level + Fraction(seconds) * Fraction(refill))
        given_out = spend(
            connection, budget="budget", cost=cost, capacity=capacity, refill_per_second=refill, now=float(now)
        )
        assert given_out == (level >= cost)
        level -= cost if given_out else 0
        for full_at in connection.execute("SELECT full_at FROM budgets").fetchone() or ():
            # After a refusal the row stays as it was: it tells the same instant by another level.
            assert Fraction(full_at) == now + (capacity - level) / Fraction(refill) or full_at <= now
