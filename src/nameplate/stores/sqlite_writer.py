"""One thread that writes to a SQLite file and commits in groups.

Durability costs one flush to the disk per commit. While one commit waits for the disk, the operations that arrive
meanwhile gather; they then share the next commit. Each runs in a savepoint of its own, so one that fails takes
nothing of its neighbours with it. Nobody hears of an operation before the commit that holds it has returned.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeVar

from nameplate.errors import StoreError
from nameplate.stores.sqlite_file import PATIENCE_SECONDS, REFUSALS, begin_immediate, is_busy

__all__ = ["SqliteWriter"]

_T = TypeVar("_T")

# Keeps one transaction to a few milliseconds: other processes wait for it.
_MOST_PER_COMMIT = 128


class _Job:
    """An operation on its way. ``future`` belongs to the caller's loop and is settled only there."""

    __slots__ = ("failure", "future", "operation", "result")

    def __init__(self, operation: Callable[[sqlite3.Connection], Any], future: asyncio.Future[Any]) -> None:
        self.operation = operation
        self.future = future
        self.result: Any = None
        self.failure: BaseException | None = None

    def settle(self) -> None:
        """Tell the caller, unless it was cancelled and no longer waits."""
        if self.future.done():
            return
        if self.failure is None:
            self.future.set_result(self.result)
        else:
            error = StoreError(f"the store cannot write: {self.failure}")
            error.__cause__ = self.failure
            self.future.set_exception(error)


class SqliteWriter:
    """Runs operations on ``connection``, which it owns from now on, in a thread of its own. End it with ``aclose``.

    ``patience_seconds`` is how long operations wait for another process before they fail with ``StoreError``.

    An exception that no operation may raise (a mistake in our code) stops the writer: every caller, then and later,
    gets a ``StoreError``, and ``threading.excepthook`` gets the exception. A store that may be confused must not go
    on.
    """

    def __init__(self, connection: sqlite3.Connection, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._connection = connection
        self._patience_seconds = patience_seconds
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._group: list[_Job] = []
        self._closed = False
        self._lock = threading.Lock()  # nothing may enter the queue behind the None that ends it
        # A daemon: a program that forgot aclose must still be able to end. What was acknowledged is on the disk.
        self._thread = threading.Thread(target=self._serve, name="nameplate-sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[sqlite3.Connection], _T]) -> _T:
        """What ``operation`` returns, once it is durable. Raises ``StoreError``, and then nothing of it was stored.

        A caller that is cancelled stops waiting; its operation is committed all the same.
        """
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            self._queue.put(_Job(operation, future))
        return await future

    async def aclose(self) -> None:
        """Commit what was accepted, then close the connection. Later calls to ``run`` raise ``StoreError``."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        try:
            more = True
            while more:
                more = self._take_group()
                if self._group:
                    self._commit_group()
        finally:
            self._stop()

    def _take_group(self) -> bool:
        """Wait for an operation and take those behind it too. False when the queue has ended."""
        job = self._queue.get()
        while job is not None:
            self._group.append(job)
            if len(self._group) == _MOST_PER_COMMIT:
                return True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return True
        return False

    def _commit_group(self) -> None:
        if self._commit(self._group, self._patience_seconds) == "lost" and len(self._group) > 1:
            # A full disk or an I/O error makes SQLite roll back everything. Alone, each gets what can be had.
            for job in self._group:
                self._commit([job], self._patience_seconds / len(self._group))
        self._tell_callers()

    def _commit(self, jobs: list[_Job], patience_seconds: float) -> Literal["committed", "busy", "lost"]:
        """Run ``jobs`` in one transaction. Unless it is committed nothing of them was stored, and all have failed."""
        try:
            begin_immediate(self._connection, patience_seconds=patience_seconds)
            for job in jobs:
                self._run_in_savepoint(job)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for job in jobs:
                job.failure = error
            return "busy" if is_busy(error) else "lost"
        return "committed"

    def _run_in_savepoint(self, job: _Job) -> None:
        """Run one operation and keep its failure to itself. Raises ``sqlite3.Error`` where the transaction is lost."""
        job.failure = None
        execute = self._connection.execute
        execute("SAVEPOINT operation")
        try:
            job.result = job.operation(self._connection)
        except (*REFUSALS, StoreError) as error:
            if not self._connection.in_transaction:
                raise
            job.failure = error
            execute("ROLLBACK TO operation")
        execute("RELEASE operation")

    def _tell_callers(self) -> None:
        """Wake each event loop once, however many of its callers wait."""
        finished, self._group = self._group, []
        by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        for job in finished:
            by_loop.setdefault(job.future.get_loop(), []).append(job)
        for loop, jobs in by_loop.items():
            with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits there
                loop.call_soon_threadsafe(_settle, jobs)

    def _stop(self) -> None:
        with self._lock:
            self._closed = True
        while not self._queue.empty():
            if (job := self._queue.get()) is not None:
                self._group.append(job)
        for job in self._group:
            job.failure = StoreError("the writer has stopped")
        self._tell_callers()
        self._connection.close()


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        job.settle()
