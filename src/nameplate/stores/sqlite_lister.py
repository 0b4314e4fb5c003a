"""Reads of a SQLite store that may take long: lists, most of whose rows may be of no interest.

They run in a thread and over a connection of their own, so that no request waits for them, and a stretch of rows at a
time, so that none waits long for another one and no snapshot keeps the file from being tidied.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from nameplate.errors import StoreError
from nameplate.stores.sqlite_file import REFUSALS

__all__ = ["Condition", "Listing", "SqliteLister", "load_stretch"]

_T = TypeVar("_T")

# At about a microsecond a row, other lists wait some hundredths of a second for a stretch in which nothing is found.
_IDS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a row, and the values of its placeholders."""

    text: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[_T]):
    """What to list, in the order of ``id``: each row of a table that meets all conditions, as ``build`` makes it."""

    table: str
    columns: str
    build: Callable[[tuple[Any, ...]], _T]
    conditions: tuple[Condition, ...] = ()


class SqliteLister:
    """Reads over ``connection``, which it owns from now on, in a thread of its own. End it with ``aclose``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nameplate-sqlite-lister")
        self._closed = False

    async def run(self, load: Callable[[sqlite3.Connection], _T]) -> _T:
        """What ``load`` returns. Raises ``StoreError``."""
        if self._closed:
            raise StoreError("the store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, load, self._connection)
        except REFUSALS as error:
            raise StoreError(f"the store cannot read: {error}") from error

    async def list(self, listing: Listing[_T], *, after: int, limit: int) -> list[_T]:
        """At most ``limit`` of what is listed behind the ``id`` ``after``. Raises ``StoreError``."""
        found: list[_T] = []
        more_after: int | None = after
        while more_after is not None and len(found) < limit:
            load = partial(load_stretch, listing=listing, after=more_after, limit=limit - len(found))
            stretch, more_after = await self.run(load)
            found += stretch
        return found

    async def aclose(self) -> None:
        """Wait for the read that is under way, then close the connection. Later calls raise ``StoreError``."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        self._connection.close()


def load_stretch(
    connection: sqlite3.Connection, *, listing: Listing[_T], after: int, limit: int
) -> tuple[list[_T], int | None]:
    """What is found in a bounded number of rows behind ``after``, and behind which ``id`` to go on; None at the end."""
    end = _find_end(connection, listing.table, after) if listing.conditions else None
    bounds = (Condition("id > ?", (after,)), *([Condition("id <= ?", (end,))] if end is not None else []))
    conditions = (*bounds, *listing.conditions)
    where = " AND ".join(condition.text for condition in conditions)
    # Through an index, the rows would come in another order and all have to be found before the first is.
    select = f"SELECT {listing.columns} FROM {listing.table} NOT INDEXED WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608  (texts of ours)
    values = [value for condition in conditions for value in condition.values]
    return [listing.build(row) for row in connection.execute(select, (*values, limit))], end


def _find_end(connection: sqlite3.Connection, table: str, after: int) -> int | None:
    """Where a stretch behind ``after`` ends; None where it reaches to the end of the table.

    It is counted from the first row that there is, because swept ones leave gaps.
    """
    bounds = f"SELECT (SELECT min(id) FROM {table} WHERE id > ?), (SELECT max(id) FROM {table})"  # noqa: S608  (texts of ours)
    first, last = connection.execute(bounds, (after,)).fetchone()
    return None if first is None or last < first + _IDS_AT_ONCE else int(first) + _IDS_AT_ONCE - 1
