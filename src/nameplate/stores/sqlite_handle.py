"""The three connections of one handle on a SQLite store, and which work is done over which.

Reads of a few rows run on the event loop's thread: one by a unique index takes a few microseconds, less than handing it
to a thread. Writes go through one thread that commits in groups (``sqlite_writer``), reads of unknown length through
another one (``sqlite_lister``).
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from nameplate.errors import StoreError
from nameplate.stores.sqlite_file import (
    REFUSALS,
    connect_reader,
    connect_writer,
    describe_failure,
    keep_private,
    make_durable,
    parse_database_path,
    take_short_naps,
)
from nameplate.stores.sqlite_lister import SqliteLister
from nameplate.stores.sqlite_schema import check_schema, migrate
from nameplate.stores.sqlite_writer import SqliteWriter

__all__ = ["SqliteHandle"]

_T = TypeVar("_T")


class SqliteHandle:
    """An open file. Begin with ``await open(path_or_url)``, end with ``aclose``."""

    def __init__(self, reader: sqlite3.Connection, lister: SqliteLister, writer: SqliteWriter) -> None:
        self._reader = reader
        self._lister = lister
        self._writer = writer

    @classmethod
    async def open(cls, path_or_url: str) -> Self:
        """Open the store, making the file (mode 0600) and its tables where they are missing. Its directory must exist.

        ``path_or_url`` is a path, or ``sqlite:///relative/path`` (three slashes), or ``sqlite:////absolute/path``
        (four). A file that others may read is tightened to mode 0600. Raises ``StoreError`` where that or writing
        cannot be done, and for a file that is no SQLite database, belongs to another program, or was written by a
        newer version.
        """
        reader, lister, writer = await asyncio.to_thread(_connect, parse_database_path(path_or_url))
        return cls(reader, SqliteLister(lister), SqliteWriter(writer))

    async def read_clock(self) -> float | None:
        """None: the file has no clock but that of this machine, which all who open it share."""
        return None

    async def aclose(self) -> None:
        """Finish what was accepted, then let go of every resource."""
        # Only the last connection to close can tidy the -wal and -shm files away, and only if it may write.
        self._reader.close()
        await self._lister.aclose()
        await self._writer.aclose()

    def _read(self, load: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return load(self._reader)
        except REFUSALS as error:
            raise StoreError(f"the store cannot read: {error}") from error


def _connect(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection, sqlite3.Connection]:
    """Two readers and a writer of the file, whose tables are up to date."""
    writer = connect_writer(path)
    try:
        check_schema(writer)  # before anything is changed in a file that may not be ours
        keep_private(path)
        make_durable(writer)
        migrate(writer)
        take_short_naps(writer)
        return connect_reader(path), connect_reader(path), writer
    except sqlite3.Error as error:
        writer.close()
        raise StoreError(f"cannot use {path}: {describe_failure(path, error)}") from error
    except StoreError:
        writer.close()
        raise
