"""One handle on a PostgreSQL store: a pool of connections whose schema is up to date."""

from typing import Self

from nameplate.errors import StoreError
from nameplate.stores.postgres_pool import Patience, PostgresPool
from nameplate.stores.postgres_schema import migrate
from nameplate.stores.postgres_url import parse_postgres_url

__all__ = ["PostgresHandle"]

_NO_HURRY = Patience()


class PostgresHandle:
    """An open store. Begin with ``await open(url)``, end with ``aclose``. It belongs to one event loop."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, *, patience: Patience = _NO_HURRY) -> Self:
        """Open the store, making its schema and tables where they are missing. The database must exist.

        For ``url`` see ``parse_postgres_url``. Raises ``StoreError`` where the server cannot be reached, does not let
        us in or lets us only read, and for a schema that belongs to another program or was written by a newer version.
        """
        parsed = parse_postgres_url(url)
        pool = await PostgresPool.open(parsed, patience)
        try:
            await migrate(pool, parsed.schema)
            await _check(pool)  # a database that may only be read has to be found out now
        except BaseException:
            await pool.aclose()
            raise
        return cls(pool)

    async def check(self) -> None:
        """Prove that the store can read and commit right now; ``StoreError`` where it cannot."""
        await _check(self._pool)

    async def read_clock(self) -> float | None:
        """The clock of the PostgreSQL server, in epoch seconds."""
        [[now]] = await self._pool.fetch("SELECT extract(epoch FROM clock_timestamp())::float8")
        return float(now)

    async def aclose(self) -> None:
        """Finish what was accepted, then let go of every resource."""
        await self._pool.aclose()


async def _check(pool: PostgresPool) -> None:
    [[written]] = await pool.fetch("UPDATE nameplate.checks SET value = value + 1 RETURNING value")
    [[read]] = await pool.fetch("SELECT value FROM nameplate.checks")
    if read < written:
        raise StoreError("the store does not read what it wrote")
