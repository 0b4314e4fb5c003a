"""Reads of a PostgreSQL store that may have to look at many rows to find few: a stretch of rows at a time.

So each statement stays far from its time limit, holds back no vacuum, and no filter needs an index of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nameplate.stores.postgres_pool import PostgresPool
from nameplate.stores.postgres_text import Row

__all__ = ["Condition", "Listing", "list_rows"]

_T = TypeVar("_T")

_ROWS_AT_ONCE = 20_000
_NO_LAST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a row, with ``%s`` where its value belongs."""

    text: str
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[_T]):
    """What to list, in the order of ``id``: each row of a table up to the ``last`` that meets all conditions, as
    ``build`` makes it.
    """

    table: str
    columns: str
    build: Callable[[Row], _T]
    conditions: tuple[Condition, ...] = ()
    last: int = _NO_LAST


async def list_rows(pool: PostgresPool, listing: Listing[_T], *, after: int, limit: int) -> list[_T]:
    """At most ``limit`` of what is listed behind the ``id`` ``after``."""
    texts = [condition.text.replace("%s", f"${number}") for number, condition in enumerate(listing.conditions, 4)]
    where = " AND ".join(["id > $1", "id <= $2", *texts])
    select = f"SELECT {listing.columns} FROM {listing.table} WHERE {where} ORDER BY id LIMIT $3"  # noqa: S608  (texts of ours)
    values = [condition.value for condition in listing.conditions]
    found: list[_T] = []
    while len(found) < limit and after < listing.last:
        end = await _find_end(pool, listing, after) if listing.conditions else listing.last
        rows = await pool.fetch(select, after, end, limit - len(found), *values)
        found += [listing.build(row) for row in rows]
        after = end
    return found


async def _find_end(pool: PostgresPool, listing: Listing[_T], after: int) -> int:
    """The last ``id`` of a stretch that begins behind ``after``."""
    end = f"SELECT id FROM {listing.table} WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2"  # noqa: S608  (texts of ours)
    row = await pool.fetch_row(end, after, _ROWS_AT_ONCE - 1)
    return listing.last if row is None else min(int(row[0]), listing.last)
