"""PostgreSQL for tests: a schema that is not there yet, or one that is there and empty, which is had much sooner.

All of them lie in the one database that ``postgres_url`` drops when the tests end.
"""

import asyncio
import secrets

import asyncpg
import pytest

from nameplate.stores.postgres import PostgresStore

__all__ = ["execute", "fetch_value", "new_schema_url", "postgres_store_url"]

# What a new store holds; everything else is emptied. Grants come last: other rows refer to them.
KEPT = ("checks", "shares", "store_version")


@pytest.fixture
def new_schema_url(postgres_url: str) -> str:
    """The URL of a PostgreSQL store that nobody has opened yet."""
    return f"{postgres_url}?schema=new_{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def shared_schema_url(postgres_url: str) -> str:
    url = f"{postgres_url}?schema=shared"

    async def make() -> None:
        await (await PostgresStore.open(url)).aclose()

    asyncio.run(make())
    return url


@pytest.fixture
def postgres_store_url(shared_schema_url: str) -> str:
    """The URL of an empty PostgreSQL store."""
    asyncio.run(empty_schema(shared_schema_url.partition("?")[0], "shared"))
    return shared_schema_url


async def empty_schema(url: str, schema: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = $1", schema)
        names = sorted((name for (name,) in tables if name not in KEPT), key=lambda name: (name == "grants", name))
        deletions = [f"delete from {schema}.{name}" for name in names]
        await connection.execute(";".join([*deletions, f"update {schema}.shares set used = 0"]))
    finally:
        await connection.close()


async def execute(url: str, statement: str) -> None:
    """Run statements in the schema of a store, on a connection of its own."""
    await fetch_value(url, statement, is_query=False)


async def fetch_value(url: str, statement: str, *, is_query: bool = True) -> object:
    """The first value that a statement gives in the schema of a store, on a connection of its own."""
    server, _, schema = url.partition("?schema=")
    connection = await asyncpg.connect(server, timeout=5, server_settings={"search_path": schema})
    try:
        return await (connection.fetchval(statement) if is_query else connection.execute(statement))
    finally:
        await connection.close()
