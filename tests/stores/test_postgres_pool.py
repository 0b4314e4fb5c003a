"""What a PostgreSQL store does when connections break, are too few, or do not answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from postgres_proxy import run_proxy

from nameplate.errors import StoreError
from nameplate.ports.store import Store
from nameplate.ports.verdicts import Redeemed, Replayed, Unknown
from nameplate.stores.postgres import PostgresStore
from nameplate.stores.postgres_pool import Patience
from nameplate.testing.store_contract.base import load_audit_names
from nameplate.testing.store_samples import (
    NOW,
    PROOF,
    approve_sample,
    redeem_sample,
    sample_code,
    sample_document,
    sample_grant,
    sample_pending,
    sample_refresh_token,
    sample_session,
    sample_signing_key,
)
from postgres_kit import fetch_value

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

CODE = sample_code()
HASTY = Patience(acquire_seconds=1.0, lock_seconds=1.5, statement_seconds=3.0, answer_seconds=4.0)


@asynccontextmanager
async def open_postgres(url: str, **patience: float) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(url, patience=Patience(**patience))
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def hold_grant(url: str) -> AsyncIterator[Any]:
    """A stranger's transaction that has locked the grant of the samples."""
    server, _, schema = url.partition("?schema=")
    connection = await asyncpg.connect(server, timeout=5)
    try:
        async with connection.transaction():
            await connection.execute(f"select from {schema}.grants for update")
            yield connection
    finally:
        await connection.close()


async def redeem(store: Store, name: str = "one") -> object:
    token = sample_refresh_token(name)
    return await store.redeem_code(
        sample_code(name).code_hash, refresh_token=token, proof=PROOF, now=NOW, replay_revokes_after_seconds=10
    )


async def count_connections(url: str) -> int:
    statement = """
    select count(*) from pg_stat_activity where application_name = 'nameplate' and datname = current_database()
    """
    found = await fetch_value(url, statement)
    assert isinstance(found, int)
    return found


async def wait_until_all_are_gone(url: str) -> None:
    async with asyncio.timeout(10):
        while await count_connections(url):
            pass


async def wait_until_somebody_waits(url: str, callers: int = 1) -> None:
    """Until that many statements of ours wait for a lock."""
    waiting = """
    select count(*) from pg_stat_activity
    where application_name = 'nameplate' and datname = current_database() and wait_event_type = 'Lock'
    """
    async with asyncio.timeout(10):
        while await fetch_value(url, waiting) != callers:
            pass


async def test_an_answer_that_gets_lost_is_an_error_and_the_statement_is_not_done_twice(
    postgres_store_url: str,
) -> None:
    async with open_postgres(postgres_store_url) as direct, run_proxy(postgres_store_url) as proxy:
        await approve_sample(direct)
        async with open_postgres(proxy.url) as store:
            assert await redeem(store, "unknown") == Unknown()  # prepares the statement, which is a round trip
            proxy.answers_to_lose = 1
            with pytest.raises(StoreError):
                await redeem(store)
            assert await redeem(store) == Replayed(grant_revoked=False), "it had been committed"
            assert await store.spend("budget", 1, capacity=10, refill_per_second=0.0, now=NOW)
            proxy.answers_to_lose = 1
            with pytest.raises(StoreError):
                await store.spend("budget", 1, capacity=10, refill_per_second=0.0, now=NOW)
            assert await store.spend("budget", 8, capacity=10, refill_per_second=0.0, now=NOW)
            assert not await store.spend("budget", 1, capacity=10, refill_per_second=0.0, now=NOW)
        assert (await load_audit_names(direct))[1:] == ["code.redeemed", "code.replayed"]


REPEATABLE: dict[str, tuple[Callable[[Store], Awaitable[object]], list[str]]] = {
    "load_code": (lambda store: store.load_code(CODE.code_hash), []),
    "load_audit_events": (lambda store: store.load_audit_events(), []),
    "burn_code": (lambda store: store.burn_code(CODE.code_hash, NOW), ["code.burned"]),
    "end_session": (lambda store: store.end_session(sample_session().id_hash, NOW), ["session.ended"]),
    "record_document": (lambda store: store.record_document(sample_document()), []),
    "record_document_refusal": (lambda store: store.record_document_refusal(CODE.client_id, NOW), []),
    "record_subject": (lambda store: store.record_subject("issuer", "alice", candidate="sub", now=NOW), []),
    "record_signing_key": (
        lambda store: store.record_signing_key(sample_signing_key(), latest=None),
        ["signing_key.created"],
    ),
    "check": (lambda store: store.check(), []),
}


@pytest.mark.parametrize(("operation", "events"), REPEATABLE.values(), ids=REPEATABLE.keys())
async def test_what_has_the_same_verdict_twice_survives_a_broken_connection(
    operation: Callable[[Store], Awaitable[object]], events: list[str], postgres_store_url: str
) -> None:
    async with open_postgres(postgres_store_url) as direct, run_proxy(postgres_store_url) as proxy:
        await approve_sample(direct)
        await direct.record_session(sample_session(), replaces=None)
        before = await load_audit_names(direct)
        async with open_postgres(proxy.url) as store:
            proxy.answers_to_lose = 1
            await operation(store)
            assert proxy.answers_to_lose == 0
        assert (await load_audit_names(direct))[len(before) :] == events


async def test_connections_that_were_cut_while_nobody_used_them_are_replaced(postgres_store_url: str) -> None:
    async with open_postgres(postgres_store_url) as store:
        await approve_sample(store)
        for _ in range(3):
            await fetch_value(postgres_store_url, TERMINATE_ALL)
            await wait_until_all_are_gone(postgres_store_url)
            assert await store.load_code(CODE.code_hash) != Unknown()


TERMINATE_ALL = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name = 'nameplate' and datname = current_database()
"""


async def test_backends_that_are_killed_under_load_cost_errors_but_never_a_wrong_verdict(
    postgres_store_url: str,
) -> None:
    count = 200
    async with open_postgres(postgres_store_url) as store, open_postgres(postgres_store_url) as replica:
        await asyncio.gather(*(approve_sample(store, f"{number}") for number in range(count)))
        verdicts: dict[int, list[object]] = {number: [] for number in range(count)}

        async def redeem_twice(number: int) -> None:
            for handle in (store, replica):
                try:
                    verdicts[number].append(await redeem(handle, f"{number}"))
                except StoreError as error:
                    verdicts[number].append(error)

        tasks = [asyncio.create_task(redeem_twice(number)) for number in range(count)]
        while not all(task.done() for task in tasks):
            await fetch_value(postgres_store_url, TERMINATE_ALL)
        await asyncio.gather(*tasks)
        assert sum(isinstance(each, StoreError) for pair in verdicts.values() for each in pair) > 0
        for handle in (store, replica):
            await handle.check()
        redeemed = []
        for number, pair in verdicts.items():
            found = await store.load_code(sample_code(f"{number}").code_hash)
            assert isinstance(found, tuple)
            code, grant = found
            token = await store.load_refresh_token(sample_refresh_token(f"{number}").token_hash)
            assert (code.spent_at is not None) == (token != Unknown()), "all of it or nothing"
            assert pair.count(Redeemed(grant)) <= 1
            if any(isinstance(each, Redeemed | Replayed) for each in pair):
                assert code.spent_at is not None
            if code.spent_at is None:
                assert all(isinstance(each, StoreError) for each in pair)
            else:
                redeemed.append(grant.id)
        events = [event for _, event in await store.load_audit_events(limit=10_000) if event.name == "code.redeemed"]
        assert sorted(event.grant_id for event in events) == sorted(redeemed)


async def test_a_server_that_falls_silent_is_an_error_in_bounded_time(postgres_store_url: str) -> None:
    async with run_proxy(postgres_store_url) as proxy, open_postgres(proxy.url, answer_seconds=1.0) as store:
        await approve_sample(store)
        assert await redeem(store, "unknown") == Unknown()  # prepares the statement, which is a round trip
        proxy.answers_may_pass.clear()
        begun = time.monotonic()
        with pytest.raises(StoreError, match="does not answer in time"):
            await redeem(store)
        assert time.monotonic() - begun < 5
        proxy.answers_may_pass.set()
        assert await redeem(store) == Replayed(grant_revoked=False), "it had been committed"


async def test_a_server_that_never_says_a_word_is_an_error_in_bounded_time() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(StoreError, match="PostgreSQL"):
        await PostgresStore.open(f"postgresql://127.0.0.1:{port}/np", patience=Patience(connect_seconds=0.5))
    assert time.monotonic() - begun < 5
    server.close()
    for writer in held:
        writer.close()
        await writer.wait_closed()


async def test_too_few_connections_and_too_long_locks_are_errors_in_bounded_time(postgres_store_url: str) -> None:
    url = f"{postgres_store_url}&pool_size=2"
    store = await PostgresStore.open(url, patience=HASTY)
    await redeem_sample(store)
    grant_id = sample_grant().id
    async with hold_grant(postgres_store_url):
        begun = time.monotonic()
        revoking = [store.revoke_grant(grant_id, reason="test", now=NOW) for _ in range(2)]
        waiting = [asyncio.create_task(each) for each in revoking]
        await wait_until_somebody_waits(postgres_store_url, 2)
        with pytest.raises(StoreError, match="no connection to PostgreSQL was free within 1 s"):
            await store.load_code(CODE.code_hash)
        for task in waiting:
            with pytest.raises(StoreError, match="lock timeout"):
                await task
        assert time.monotonic() - begun < 10
    assert await store.revoke_grant(grant_id, reason="test", now=NOW)
    await store.aclose()


async def test_an_operation_goes_on_though_its_caller_was_cancelled(postgres_store_url: str) -> None:
    async with open_postgres(f"{postgres_store_url}&pool_size=1") as store:
        await redeem_sample(store)
        async with hold_grant(postgres_store_url):
            caller = asyncio.create_task(store.revoke_grant(sample_grant().id, reason="test", now=NOW))
            await wait_until_somebody_waits(postgres_store_url)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
        found = await store.load_grant(sample_grant().id)  # over the one connection: after what it did before
        assert not isinstance(found, Unknown)
        assert found.revoked_at == NOW


async def test_callers_that_are_cancelled_while_they_wait_for_a_connection_lose_none(postgres_store_url: str) -> None:
    async with open_postgres(f"{postgres_store_url}&pool_size=2") as store:
        for _ in range(20):
            callers = [asyncio.create_task(store.load_code(CODE.code_hash)) for _ in range(20)]
            await asyncio.sleep(0)
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
        assert await asyncio.gather(*(store.load_code(CODE.code_hash) for _ in range(20))) == [Unknown()] * 20
        assert await count_connections(postgres_store_url) <= 2


async def test_the_end_waits_for_what_was_accepted_and_leaves_no_connection(postgres_store_url: str) -> None:
    store = await PostgresStore.open(postgres_store_url)
    await redeem_sample(store)
    async with hold_grant(postgres_store_url):
        accepted = asyncio.create_task(store.revoke_grant(sample_grant().id, reason="test", now=NOW))
        await wait_until_somebody_waits(postgres_store_url)
        ends = [asyncio.create_task(store.aclose()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="the store is closed"):
            await store.check()
        assert not any(end.done() for end in ends)
    assert await accepted
    await asyncio.gather(*ends)
    await wait_until_all_are_gone(postgres_store_url)


async def test_what_takes_more_than_one_statement_is_finished_too(postgres_store_url: str) -> None:
    store = await PostgresStore.open(postgres_store_url)
    accepted = [
        asyncio.create_task(store.record_subject("issuer", "alice", candidate="sub", now=NOW)),
        asyncio.create_task(store.record_authorization(sample_pending(), limit=1)),
        asyncio.create_task(store.record_signing_key(sample_signing_key(), latest=None)),
    ]
    await asyncio.sleep(0)
    await store.aclose()
    subject, _, keys = await asyncio.gather(*accepted)
    assert (subject, keys) == ("sub", [sample_signing_key()])


async def test_a_start_that_fails_leaves_no_connection(new_schema_url: str) -> None:
    await (await PostgresStore.open(new_schema_url)).aclose()
    await fetch_value(new_schema_url, "update store_version set version = 99")
    for _ in range(3):
        with pytest.raises(StoreError):
            await PostgresStore.open(new_schema_url)
    await wait_until_all_are_gone(new_schema_url)


async def test_a_deadlock_is_tried_again(postgres_store_url: str) -> None:
    """Ours never wait in a circle; an operator with a psql may make them."""
    server, _, schema = postgres_store_url.partition("?schema=")
    async with open_postgres(postgres_store_url) as store:
        await redeem_sample(store)
        stranger = await asyncpg.connect(server, timeout=5, server_settings={"deadlock_timeout": "60s"})
        try:
            async with stranger.transaction():
                await stranger.execute(f"lock table {schema}.audit_events in share mode")
                revoking = asyncio.create_task(store.revoke_grant(sample_grant().id, reason="test", now=NOW))
                await wait_until_somebody_waits(postgres_store_url)
                await stranger.execute(f"select from {schema}.grants for update")  # once ours was the one to give way
        finally:
            await stranger.close()
        assert await revoking is True
        assert (await load_audit_names(store)).count("grant.revoked") == 1


async def test_a_connection_to_what_became_a_standby_is_replaced(postgres_store_url: str) -> None:
    async with open_postgres(f"{postgres_store_url}&pool_size=1") as store:
        await approve_sample(store)
        connection = await store._pool.connect()
        await connection.execute("set default_transaction_read_only = on")
        await store._pool.disconnect(connection)
        with pytest.raises(StoreError, match="read-only transaction"):
            await redeem(store)
        assert isinstance(await redeem(store), Redeemed)


async def test_values_that_cannot_be_stored_are_store_errors_that_do_not_show_them(postgres_store_url: str) -> None:
    async with open_postgres(postgres_store_url) as store:
        for pending in (sample_pending(state="hidden\ud800"), sample_pending(expires_at=2**63)):
            with pytest.raises(StoreError, match="a value cannot be stored") as refusal:
                await store.record_authorization(pending, limit=10)
            assert "hidden" not in str(refusal.value)
        await store.check()


async def test_nothing_needs_a_statement_that_stays_prepared(postgres_store_url: str) -> None:
    """As behind a pooler that gives each transaction another connection."""
    async with open_postgres(f"{postgres_store_url}&statement_cache_size=0") as store:
        await approve_sample(store)
        for _ in range(2):
            await redeem(store)
            await store.spend_all([], now=NOW)
        assert await load_audit_names(store) == ["authorization.approved", "code.redeemed", "code.replayed"]
        assert await store.sweep(NOW + 600, limit=10) == 1


async def test_texts_with_nul_come_back_and_stay_apart(postgres_store_url: str) -> None:
    texts = ["a", "a\0", "a\x01", "a\x010", "a\0\x01", ""]
    async with open_postgres(postgres_store_url) as store:
        for number, text in enumerate(texts):
            pending = sample_pending(f"{number}", state=text, scope=(text, "a"), login_hint=text)
            await store.record_authorization(pending, limit=10)
            assert await store.load_authorization(pending.id_hash, pending.browser_hash, NOW) == pending
            assert await store.record_subject(text, "alice", candidate=f"{text}sub", now=NOW) == f"{text}sub"
            assert await store.spend(text, 1, capacity=1, refill_per_second=1.0, now=NOW)
        assert [subject.upstream_issuer for _, subject in await store.list_subjects()] == texts


async def test_the_longest_identifiers_that_are_let_in_fit_into_the_indexes(postgres_store_url: str) -> None:
    """PostgreSQL indexes nothing above a third of a page. A client identifier URL has at most 2048 characters."""
    random_looking = "".join(sample_code(f"{number}").code_hash.hex() for number in range(40))
    client_id = f"https://app.example/{random_looking}"[:2048]
    challenge = random_looking[:128]
    async with open_postgres(postgres_store_url) as store:
        await approve_sample(
            store,
            grant=sample_grant(client_id=client_id, resource=client_id),
            code=sample_code(client_id=client_id, code_challenge=challenge),
        )
        assert await store.is_challenge_spent(client_id, challenge)
        await store.revoke_grant(sample_grant().id, reason="test", now=NOW)
        assert await store.load_revocations(client_id, since=NOW) == [(sample_grant().id, NOW)]
        await store.record_document_refusal(client_id, NOW)
        assert await store.record_subject(client_id, "x" * 255, candidate="sub", now=NOW) == "sub"
        assert await store.spend(f"host:{client_id}", 1, capacity=1, refill_per_second=1.0, now=NOW)
