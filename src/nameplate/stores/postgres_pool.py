"""Connections to a PostgreSQL server: a bounded number of them, and a limit on the time that anything may take.

Each call is one statement and one transaction, sent in one go and answered once it is committed. Nothing is kept in a
connection between two calls, so transaction poolers (PgBouncer) may lie between; such a pooler has to let pass what
``_build_server_settings`` sets, in its ``ignore_startup_parameters``.

What is done again when it failed: a statement that PostgreSQL certainly rolled back (a deadlock), and, where the
connection broke and nobody knows whether the commit happened, only what has the same verdict the second time.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import asyncpg

from nameplate.errors import StoreError
from nameplate.stores.postgres_text import Row, pack_value, unpack_row
from nameplate.stores.postgres_url import PostgresUrl

__all__ = ["FAILURES", "Patience", "PostgresPool", "describe_failure"]

_T = TypeVar("_T")

# What asyncpg raises on purpose. A TimeoutError is an OSError.
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

# The transaction was rolled back, whole, and can be tried again.
_ROLLED_BACK = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_ATTEMPTS = 3

# After these, the connection may still be the one to a server that became a standby, or hold an answer that comes late.
_WORN_OUT = (TimeoutError, asyncpg.ReadOnlySQLTransactionError, asyncpg.InternalClientError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds: for a new connection, for one that is free, and for the answer to a statement.

    The server gives up by itself earlier: on a row that somebody else has locked, and on a statement as a whole.
    """

    connect_seconds: float = 5.0
    acquire_seconds: float = 5.0
    lock_seconds: float = 5.0
    statement_seconds: float = 10.0
    answer_seconds: float = 15.0


class PostgresPool:
    """Runs statements. Begin with ``await PostgresPool.open(url)``, end with ``aclose``. It belongs to one event loop.

    Statements name what lies in the schema ``nameplate``; where the URL says so, another schema stands in for it.
    """

    def __init__(self, pool: Any, url: PostgresUrl, patience: Patience) -> None:
        self._pool = pool
        self._schema = url.schema
        self._patience = patience
        self._translated: dict[str, str] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._closed = asyncio.Lock()

    @classmethod
    async def open(cls, url: PostgresUrl, patience: Patience) -> Self:
        """A pool that has not connected yet."""
        pool = await asyncpg.create_pool(
            url.dsn,
            user=url.user,
            password=None if url.password is None else url.password.reveal(),
            min_size=0,
            max_size=url.pool_size,
            statement_cache_size=url.statement_cache_size,
            timeout=patience.connect_seconds,
            reset=_keep_connection,
            server_settings=_build_server_settings(patience),
        )
        return cls(pool, url, patience)

    def translate(self, statement: str) -> str:
        """The statement as it names things in this pool's schema."""
        translated = self._translated.get(statement)
        if translated is None:
            translated = statement.replace("nameplate.", f'"{self._schema}".')
            self._translated[statement] = translated
        return translated

    async def fetch(self, statement: str, *values: object) -> list[Row]:
        """The rows of a statement that may as well run twice: it only reads, or its verdict stays the same."""
        return await self.finish(self._run(statement, values, is_repeatable=True))

    async def fetch_row(self, statement: str, *values: object) -> Row | None:
        """The first row that ``fetch`` gives."""
        rows = await self.fetch(statement, *values)
        return rows[0] if rows else None

    async def commit(self, statement: str, *values: object) -> Row:
        """The one row in which a statement that must run once, or not at all, tells what it did."""
        rows = await self.finish(self._run(statement, values, is_repeatable=False))
        return rows[0]

    async def finish(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What the work returns, which may be several statements. It goes on where its caller is cancelled, and
        ``aclose`` waits for it: no connection and no operation is left half way.
        """
        if asyncio.current_task() in self._running:
            return await work
        if self._closing:
            work.close()
            raise StoreError("the store is closed")
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def connect(self) -> Any:
        """A connection to be given back by ``disconnect``, for what needs more than one statement. Raises
        ``StoreError``.
        """
        try:
            async with asyncio.timeout(self._patience.acquire_seconds):
                return await self._pool.acquire()
        except TimeoutError as error:
            raise StoreError(
                f"no connection to PostgreSQL was free within {self._patience.acquire_seconds:g} s"
            ) from error
        except FAILURES as error:
            raise StoreError(f"cannot connect to PostgreSQL: {describe_failure(error)}") from error

    async def disconnect(self, connection: Any) -> None:
        """Let others use the connection. It is cut where that cannot be done."""
        try:
            await self._pool.release(connection, timeout=self._patience.answer_seconds)
        except FAILURES:
            connection.terminate()

    async def aclose(self) -> None:
        """Finish what was accepted, then close every connection."""
        self._closing = True
        async with self._closed:
            while self._running:
                await asyncio.wait(self._running)
            try:
                async with asyncio.timeout(self._patience.answer_seconds):
                    await self._pool.close()
            except FAILURES:
                self._pool.terminate()

    async def _run(self, statement: str, values: tuple[object, ...], *, is_repeatable: bool) -> list[Row]:
        arguments = [pack_value(value) for value in values]
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._try(statement, arguments)
            except FAILURES as error:
                if not (isinstance(error, _ROLLED_BACK) or (is_repeatable and _is_disconnection(error))):
                    raise StoreError(f"the store cannot do it: {describe_failure(error)}") from error
        try:
            return await self._try(statement, arguments)
        except FAILURES as error:
            raise StoreError(f"the store cannot do it: {describe_failure(error)}") from error

    async def _try(self, statement: str, arguments: list[object]) -> list[Row]:
        connection = await self.connect()
        try:
            records = await connection.fetch(
                self.translate(statement), *arguments, timeout=self._patience.answer_seconds
            )
        except _WORN_OUT:
            connection.terminate()
            raise
        finally:
            await self.disconnect(connection)
        return [unpack_row(record) for record in records]


def describe_failure(error: Exception) -> str:
    """What went wrong, in a line without any value of ours or a peer's."""
    if isinstance(error, TimeoutError):
        return "PostgreSQL does not answer in time"
    if isinstance(error, asyncpg.DataError):
        return "a value cannot be stored"
    return str(error).partition("\n")[0] or type(error).__name__


def _is_disconnection(error: Exception) -> bool:
    """Whether the connection broke (SQLSTATE class 08, 57P01 to 57P03), so that another one may do better."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(("08", "57P"))
    return isinstance(error, OSError | asyncpg.InterfaceError) and not isinstance(error, TimeoutError)


def _build_server_settings(patience: Patience) -> dict[str, str]:
    return {
        "application_name": "nameplate",
        "search_path": "",  # everything is named in full: nobody can put a function or table of his own in between
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        "lock_timeout": f"{patience.lock_seconds * 1000:.0f}",
        "statement_timeout": f"{patience.statement_seconds * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{patience.statement_seconds * 1000:.0f}",
        # Each statement finds its rows by one index. A plan that was made while a table was small must not read all of
        # it when it has grown; and what looks dear on that account must not be compiled.
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "plan_cache_mode": "force_generic_plan",
        "jit": "off",
    }


async def _keep_connection(connection: object) -> None:
    """There is nothing to reset in a connection that goes back: asyncpg's own way would cost a round trip."""
