"""Filling a store with grants: one that the server made is copied, with other identifiers, until there are enough."""

import sqlite3
from collections.abc import Mapping, Sequence

import asyncpg

from bench.failure import BenchFailed

__all__ = ["fill_postgres", "fill_sqlite"]

# What differs from copy to copy, as SQL of each kind of database; {n} is the number of the copy.
_SQLITE_TEXT, _SQLITE_BYTES = "hex(randomblob(24))", "randomblob(32)"
_POSTGRES_TEXT, _POSTGRES_BYTES = "gen_random_uuid()::text || {n}", "sha256((gen_random_uuid()::text || {n})::bytea)"
_TEXT, _BYTES = "text", "bytes"

# The tables that a grant lies in, and the columns in which no two are alike.
_DIFFERENT: Mapping[str, Mapping[str, str]] = {
    "grants": {"grant_id": _TEXT, "subject": _TEXT},
    "codes": {"code_hash": _BYTES, "code_challenge": _TEXT},
    "refresh_tokens": {"token_hash": _BYTES},
}
_MOST_AT_ONCE = 100_000


def fill_sqlite(path: str, grants: int) -> None:
    """Bring the file to ``grants`` grants, each with a spent code and a refresh token."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        while (missing := grants - _count(connection)) > 0:
            connection.execute("BEGIN IMMEDIATE")
            first = connection.execute("SELECT max(id) + 1 FROM grants").fetchone()[0]
            numbers = f"WITH RECURSIVE copies (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM copies LIMIT ?)"
            for table in _DIFFERENT:
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info ({table})")]
                different = {
                    column: _SQLITE_TEXT if kind == _TEXT else _SQLITE_BYTES
                    for column, kind in _DIFFERENT[table].items()
                }
                connection.execute(
                    f"{numbers} {_build_copy(table, columns, different)}", (min(missing, _MOST_AT_ONCE),)
                )
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint (TRUNCATE)")
        connection.execute("ANALYZE")
    finally:
        connection.close()


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM grants").fetchone()[0])


async def fill_postgres(url: str, schema: str, grants: int) -> None:
    """The same for the schema of a PostgreSQL database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"SET search_path TO {schema}")
        while (missing := grants - await connection.fetchval("SELECT count(*) FROM grants")) > 0:
            async with connection.transaction():
                first = await connection.fetchval("SELECT max(id) + 1 FROM grants")
                last = first + min(missing, _MOST_AT_ONCE) - 1
                for table in _DIFFERENT:
                    columns = [
                        row["column_name"]
                        for row in await connection.fetch(
                            "SELECT column_name FROM information_schema.columns "
                            "WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position",
                            schema,
                            table,
                        )
                    ]
                    different = {
                        column: (_POSTGRES_TEXT if kind == _TEXT else _POSTGRES_BYTES).format(n="copies.n::text")
                        for column, kind in _DIFFERENT[table].items()
                    }
                    numbers = f"WITH copies AS (SELECT n FROM generate_series({first}, {last}) AS numbers (n))"
                    copy = _build_copy(table, columns, different)
                    if table == "grants":  # whose numbers are the system's
                        copy = copy.replace(" SELECT ", " OVERRIDING SYSTEM VALUE SELECT ", 1)
                    await connection.execute(f"{numbers} {copy}")
                await connection.execute(f"SELECT setval(pg_get_serial_sequence('{schema}.grants', 'id'), {last})")
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def _build_copy(table: str, columns: Sequence[str], different: Mapping[str, str]) -> str:
    """A statement that copies the row of the first grant, once for each number of ``copies``."""
    key = "id" if table == "grants" else "grant_row"
    if key not in columns:
        raise BenchFailed(f"the table {table} has no column {key}: the bench does not know this schema")
    values = [("copies.n" if column == key else different.get(column, f"t.{column}")) for column in columns]
    first = f"SELECT min({key}) FROM {table}"
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM copies, {table} t "
        f"WHERE t.{key} = ({first})" + (" AND t.number = 0" if table == "refresh_tokens" else "")
    )
