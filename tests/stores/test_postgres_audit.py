"""Whoever reads on in the audit trail of a PostgreSQL store misses nothing, and waits for no stranger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Store
from nameplate.protocol.audit import AuditFilter
from nameplate.stores import postgres_lister
from nameplate.stores.postgres import PostgresStore
from nameplate.testing.store_samples import NOW, sample_session
from postgres_kit import fetch_value

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
async def store(postgres_store_url: str) -> AsyncIterator[Store]:
    store = await PostgresStore.open(postgres_store_url)
    yield store
    await store.aclose()


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Any]:
    server, _, schema = url.partition("?schema=")
    connection = await asyncpg.connect(server, timeout=5, server_settings={"search_path": schema})
    try:
        yield connection
    finally:
        await connection.close()


async def write(connection: Any, detail: str) -> None:
    await connection.execute("select record_event('session.started', 0, '', '', '', $1)", detail)


async def start_session(store: Store, name: str) -> None:
    await store.record_session(sample_session(name, subject=name), replaces=None)


async def read(store: Store, after: str = "") -> tuple[list[str], str]:
    events = await store.load_audit_events(after=after)
    return [event.subject or event.detail for _, event in events], events[-1][0] if events else after


async def test_an_event_that_is_committed_later_than_its_successor_is_not_missed(
    store: Store, postgres_store_url: str
) -> None:
    async with connect(postgres_store_url) as slow, connect(postgres_store_url) as slower:
        await start_session(store, "before")
        first, second = slow.transaction(), slower.transaction()
        await first.start()
        await write(slow, "slow")
        await second.start()
        await start_session(store, "between")
        await write(slower, "slower")
        await start_session(store, "after")
        seen, position = await read(store)
        assert seen == ["before"]
        await write(slow, "slow again")
        await first.commit()
        seen, position = await read(store, position)
        assert seen == ["slow", "between"]
        await second.rollback()
        seen, position = await read(store, position)
        assert seen == ["after", "slow again"]
        assert await read(store, position) == ([], position)


async def test_an_event_of_a_transaction_that_wrote_something_else_first_is_not_missed(
    store: Store, postgres_store_url: str
) -> None:
    """Its number as a transaction is lower than that of what is committed before it draws an event's id."""
    async with connect(postgres_store_url) as slow:
        async with slow.transaction():
            await slow.execute("update checks set value = value + 1")
            await start_session(store, "one")
            seen, position = await read(store)
            assert seen == ["one"]
            await write(slow, "slow")
            await start_session(store, "two")
            assert await read(store, position) == ([], position)
        assert (await read(store, position))[0] == ["slow", "two"]


async def test_the_first_event_of_all_is_not_missed(new_schema_url: str) -> None:
    store = await PostgresStore.open(new_schema_url)
    async with connect(new_schema_url) as slow:
        async with slow.transaction():
            await write(slow, "first")
            await start_session(store, "second")
            assert await read(store) == ([], "")
        assert (await read(store))[0] == ["first", "second"]
    await store.aclose()


@pytest.mark.parametrize("elsewhere", ["another database", "another schema", "another lock"])
async def test_a_strangers_transaction_that_never_ends_hides_nothing(
    elsewhere: str, store: Store, postgres_store_url: str, new_schema_url: str
) -> None:
    other = await PostgresStore.open(new_schema_url)
    other_database = urlsplit(postgres_store_url)._replace(path="/postgres", query="").geturl()
    url = {"another database": other_database, "another schema": new_schema_url}
    async with connect(url.get(elsewhere, postgres_store_url)) as stranger, stranger.transaction():
        if elsewhere == "another schema":
            await write(stranger, "elsewhere")
        else:
            await stranger.execute("create temporary table something (id int)")
            await stranger.execute("select pg_advisory_xact_lock(1), pg_advisory_xact_lock(1, 1)")
        await start_session(store, "ours")
        assert (await read(store))[0] == ["ours"]
    await other.aclose()


async def test_announcements_are_told_apart_after_two_thousand_million_events(
    store: Store, postgres_store_url: str
) -> None:
    """The lock's key holds the last 31 bits of an id."""
    end = 2**31 * 5
    before = await fetch_value(postgres_store_url, "select last_value from audit_events_id_seq")
    async with connect(postgres_store_url) as slow:
        await slow.execute(f"select setval('audit_events_id_seq', {end - 2})")
        await start_session(store, "one")
        async with slow.transaction():
            await write(slow, "slow")  # announced with the last bits, then the bits begin anew
            for name in ("two", "three"):
                await start_session(store, name)
            assert (await read(store))[0] == ["one"]
        assert (await read(store))[0] == ["one", "slow", "two", "three"]
        await slow.execute(f"delete from audit_events; select setval('audit_events_id_seq', {before})")


async def test_one_who_follows_while_many_write_sees_each_event_once(store: Store, postgres_store_url: str) -> None:
    replica = await PostgresStore.open(postgres_store_url)
    names = {f"{number}" for number in range(300)}

    async def write_all(handle: Store, part: int) -> None:
        for number in range(part, 300, 20):
            await start_session(handle, f"{number}")

    writing = asyncio.gather(*(write_all((store, replica)[part % 2], part) for part in range(20)))
    position, followed = "", list[str]()
    while not writing.done():
        seen, position = await read(replica, position)
        followed += seen
    await writing
    seen, position = await read(replica, position)
    assert sorted([*followed, *seen]) == sorted(names)
    await replica.aclose()


async def test_a_filter_finds_what_lies_many_stretches_away(
    store: Store, postgres_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_lister, "_ROWS_AT_ONCE", 7)
    for number in range(50):
        await store.record_session(sample_session(f"{number}", subject=f"{number % 25}"), replaces=None)
    found = await store.load_audit_events(AuditFilter(subject="24"))
    assert [event.subject for _, event in found] == ["24", "24"]
    [(position, _)] = await store.load_audit_events(AuditFilter(subject="24"), limit=1)
    assert list(await store.load_audit_events(AuditFilter(subject="24"), after=position)) == [found[1]]
    assert list(await store.load_audit_events(AuditFilter(subject="24", until=NOW - 1))) == []


async def test_a_position_that_nobody_was_given_is_an_error(store: Store) -> None:
    await start_session(store, "one")
    _seen, position = await read(store)
    assert await read(store, position) == ([], position)
    for beyond in (str(int(position) + 1), f"{2**63 - 1}"):
        with pytest.raises(StoreError, match=f"the position {beyond} is not in this audit trail, which ends at"):
            await read(store, beyond)
    with pytest.raises(StoreError, match="not a position"):
        await read(store, f"{2**63}")


async def test_a_position_is_good_though_somebody_announces_earlier_ones(store: Store, postgres_store_url: str) -> None:
    """Between looking up the last id and announcing it, a transaction may be overtaken by others."""
    await start_session(store, "one")
    async with connect(postgres_store_url) as slow, slow.transaction():
        low = await slow.fetchval("select last_value from audit_events_id_seq")
        await start_session(store, "two")
        _seen, position = await read(store)
        await slow.execute(
            "select pg_advisory_xact_lock_shared('audit_events'::regclass::oid::integer, $1::integer)", low
        )
        assert await read(store, position) == ([], position)
