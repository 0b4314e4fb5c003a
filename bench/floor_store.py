"""What the floor keeps, in one SQLite file: the rows that any durable authorization server has to keep.

As durable and as quick as it gets: WAL with synchronous FULL, one thread that commits in groups, reads on the event
loop's thread. No savepoints, no error handling, no expiry.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

__all__ = ["FloorStore"]

_SCHEMA = """
CREATE TABLE pending (
    id INTEGER PRIMARY KEY, id_hash BLOB NOT NULL UNIQUE, browser_hash BLOB NOT NULL, client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL, state TEXT, scope TEXT NOT NULL, resource TEXT NOT NULL, code_challenge TEXT NOT NULL,
    document TEXT NOT NULL, expires_at INTEGER NOT NULL
);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, id_hash BLOB NOT NULL UNIQUE, subject TEXT NOT NULL, expires_at INTEGER NOT NULL
);
CREATE TABLE grants (
    id INTEGER PRIMARY KEY, grant_id TEXT NOT NULL UNIQUE, client_id TEXT NOT NULL, subject TEXT NOT NULL,
    resource TEXT NOT NULL, scope TEXT NOT NULL, document TEXT NOT NULL, expires_at INTEGER NOT NULL
);
CREATE TABLE codes (
    id INTEGER PRIMARY KEY, code_hash BLOB NOT NULL UNIQUE, grant_row INTEGER NOT NULL, redirect_uri TEXT NOT NULL,
    code_challenge TEXT NOT NULL, expires_at INTEGER NOT NULL
);
CREATE TABLE refresh_tokens (
    id INTEGER PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE, grant_row INTEGER NOT NULL, expires_at INTEGER NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY, token_hash BLOB NOT NULL, sealed BLOB NOT NULL, expires_at INTEGER NOT NULL
);
CREATE TABLE uses (id INTEGER PRIMARY KEY, use_hash BLOB NOT NULL UNIQUE, kept_until INTEGER NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL, client_id TEXT NOT NULL, subject TEXT NOT NULL
);
"""

_Operation = Callable[[sqlite3.Connection], Any]
_Job = tuple[asyncio.Future[Any], _Operation]

_MOST_PER_COMMIT = 128


class FloorStore:
    """``write`` runs an operation in a transaction, ``execute`` one statement; ``read`` needs none."""

    def __init__(self, path: Path) -> None:
        self._writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._writer.execute("PRAGMA wal_autocheckpoint = 4000")
        self._writer.executescript(_SCHEMA)
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def read(self, sql: str, *values: Any) -> Any:
        """The first row, or None."""
        return self._reader.execute(sql, values).fetchone()

    async def write(self, operation: _Operation) -> Any:
        """What the operation returns, once it is on the disk."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put((future, operation))
        return await future

    async def execute(self, sql: str, values: tuple[Any, ...]) -> None:
        """Run one statement, to the disk."""
        await self.write(lambda connection: connection.execute(sql, values).rowcount)

    def close(self) -> None:
        """Finish what was begun."""
        self._queue.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _serve(self) -> None:
        is_open = True
        while is_open:
            jobs = [self._queue.get()]
            while len(jobs) < _MOST_PER_COMMIT and not self._queue.empty():
                jobs.append(self._queue.get())
            is_open = None not in jobs
            self._commit([job for job in jobs if job is not None])

    def _commit(self, jobs: list[_Job]) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        results = [(future, operation(self._writer)) for future, operation in jobs]
        self._writer.execute("COMMIT")
        if results:
            results[0][0].get_loop().call_soon_threadsafe(_settle, results)


def _settle(results: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in results:
        future.set_result(result)
