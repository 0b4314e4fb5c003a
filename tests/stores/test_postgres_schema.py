"""The schema of a PostgreSQL store: made once by many that start together, and never somebody else's."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Store
from nameplate.protocol.grant import Session
from nameplate.stores import postgres_schema
from nameplate.stores.postgres import PostgresStore
from nameplate.stores.postgres_pool import Patience, PostgresPool
from nameplate.stores.postgres_schema import SCHEMA_VERSION, migrate
from nameplate.stores.postgres_url import parse_postgres_url
from nameplate.testing.store_samples import NOW, sample_session
from postgres_kit import execute, fetch_value

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

SESSION = sample_session()


async def use(store: Store) -> Session:
    """Write something that needs a table, a function and the trigger; read it back."""
    await store.record_session(SESSION, replaces=None)
    found = await store.load_session(SESSION.id_hash, NOW)
    assert isinstance(found, Session)
    assert [(position, event.name) for position, event in await store.load_audit_events()] == [("1", "session.started")]
    return found


async def test_opening_again_changes_nothing(new_schema_url: str) -> None:
    first = await PostgresStore.open(new_schema_url)
    await use(first)
    before = await fetch_value(new_schema_url, "select max(oid::bigint) from pg_proc")
    second = await PostgresStore.open(new_schema_url)
    assert await fetch_value(new_schema_url, "select max(oid::bigint) from pg_proc") == before
    assert await second.load_session(SESSION.id_hash, NOW) == SESSION
    for store in (first, second):
        await store.aclose()


async def test_an_operator_may_make_the_schema_beforehand(new_schema_url: str) -> None:
    server, _, schema = new_schema_url.partition("?schema=")
    await execute(server, f"create schema {schema}")
    store = await PostgresStore.open(new_schema_url)
    await use(store)
    await store.aclose()


async def test_a_schema_of_a_newer_version_is_left_alone(new_schema_url: str) -> None:
    await (await PostgresStore.open(new_schema_url)).aclose()
    await execute(new_schema_url, "update store_version set version = 99")
    with pytest.raises(StoreError, match=f"a newer nameplate wrote this store: its schema is 99, .* {SCHEMA_VERSION}"):
        await PostgresStore.open(new_schema_url)
    assert await fetch_value(new_schema_url, "select version from store_version") == 99


@pytest.mark.parametrize(
    "foreign",
    [
        "create table somebodys (id int)",
        "create table store_version (id int)",
        "create table store_version (application text, version int)",
        "create table store_version (application text, version int); insert into store_version values ('other', 1)",
        "create function f() returns int language sql as 'select 1'",
    ],
)
async def test_a_schema_of_another_program_is_left_alone(new_schema_url: str, foreign: str) -> None:
    server, _, schema = new_schema_url.partition("?schema=")
    await execute(server, f"create schema {schema}")
    await execute(new_schema_url, foreign)
    with pytest.raises(StoreError, match=f"the schema '{schema}' belongs to another program"):
        await PostgresStore.open(new_schema_url)
    count = f"select count(*) from pg_class where relnamespace = '{schema}'::regnamespace"
    assert await fetch_value(new_schema_url, count) == foreign.count("create table")


async def test_a_migration_that_fails_leaves_nothing_behind(
    new_schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = ((*postgres_schema._MIGRATIONS[0], "CREATE TABLE nameplate.grants (id int)"),)
    with monkeypatch.context() as patched:
        patched.setattr(postgres_schema, "_MIGRATIONS", broken)
        with pytest.raises(StoreError, match="cannot prepare the schema"):
            await PostgresStore.open(new_schema_url)
    store = await PostgresStore.open(new_schema_url)
    await use(store)
    await store.aclose()


async def test_a_later_migration_runs_alone_and_makes_the_functions_anew(
    new_schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await PostgresStore.open(new_schema_url)
    await replica.record_session(sample_session("before"), replaces=None)
    await execute(new_schema_url, "create function surplus(nobody sessions) returns int language sql as 'select 1'")
    later = (*postgres_schema._MIGRATIONS, ("CREATE TABLE nameplate.later (id int)",))
    monkeypatch.setattr(postgres_schema, "_MIGRATIONS", later)
    monkeypatch.setattr(postgres_schema, "SCHEMA_VERSION", 2)
    store = await PostgresStore.open(new_schema_url)
    assert await fetch_value(new_schema_url, "select count(*) from later") == 0
    assert await fetch_value(new_schema_url, "select to_regprocedure('surplus(sessions)')") is None
    for number, handle in enumerate((store, replica)):  # the replica still runs, with what it had prepared
        await handle.record_session(sample_session(f"{number}"), replaces=None)
    assert len(await store.load_audit_events()) == 3
    for handle in (store, replica):
        await handle.aclose()


async def test_a_database_in_another_encoding_is_refused(postgres_url: str, new_schema_url: str) -> None:
    name = new_schema_url.rpartition("=")[2]
    await execute(postgres_url, f"create database {name} encoding 'SQL_ASCII' locale 'C' template template0")
    url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    try:
        with pytest.raises(StoreError, match="encoding is SQL_ASCII, and must be UTF8"):
            await PostgresStore.open(url)
    finally:
        await execute(postgres_url, f"drop database {name} with (force)")


async def test_a_store_that_may_only_be_read_is_found_out_at_the_start(new_schema_url: str) -> None:
    await (await PostgresStore.open(new_schema_url)).aclose()
    server, _, schema = new_schema_url.partition("?schema=")
    role = f"reader_{schema}"
    parts = urlsplit(new_schema_url)
    url = parts._replace(netloc=f"{role}:pazzword@{parts.netloc.rpartition('@')[2]}").geturl()
    await execute(
        server,
        f"create role {role} login password 'pazzword'; grant usage on schema {schema} to {role};"
        f"grant select on all tables in schema {schema} to {role}",
    )
    try:
        with pytest.raises(StoreError, match="permission denied for table checks"):
            await PostgresStore.open(url)
    finally:
        await execute(server, f"drop owned by {role}; drop role {role}")


async def test_settings_that_would_break_promises_are_refused(new_schema_url: str) -> None:
    """As behind a pooler that keeps our settings to itself."""
    url = parse_postgres_url(new_schema_url)
    for setting in ({"synchronous_commit": "off"}, {"default_transaction_isolation": "serializable"}):
        raw = await asyncpg.create_pool(url.dsn, user=url.user, min_size=0, max_size=1, server_settings=setting)
        pool = PostgresPool(raw, url, Patience())
        with pytest.raises(StoreError, match="must be 'read committed' and 'on'"):
            await migrate(pool, url.schema)
        await pool.aclose()
