"""No operation of the PostgreSQL store does more work because more is stored.

Work is counted in pages that the server looks at, for functions, triggers and foreign keys too: no clock.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from nameplate.ports.store import GrantFilter, Spending, Store
from nameplate.protocol.audit import AuditFilter
from nameplate.secret import hash_bearer_value
from nameplate.stores.postgres import PostgresStore
from nameplate.stores.postgres_pool import Patience, PostgresPool
from nameplate.stores.postgres_sweep import _SWEEPS
from nameplate.stores.postgres_text import Row, unpack_row
from nameplate.stores.postgres_url import parse_postgres_url
from nameplate.testing.store_samples import (
    BROWSER,
    NOW,
    PROOF,
    sample_assertion,
    sample_client,
    sample_code,
    sample_document,
    sample_grant,
    sample_pending,
    sample_refresh_token,
    sample_rotation,
    sample_session,
    sample_upstream_attempt,
)
from postgres_kit import execute

pytestmark = pytest.mark.postgres

# Both make trees of two levels, so that every look into an index costs the same.
FEW, MANY = 500, 10_000
LATE = NOW + 365 * 86400

Operation = Callable[[Store, str], Awaitable[object]]

# Samples named by their numbers, as store_samples would make them.
FILL = f"""
insert into grants (grant_id, client_id, subject, resource, scope, client_metadata, created_at, expires_at, revoked_at,
    username, upstream, person, auth_method, client_keys, sweep_at)
select 'grant ' || n, 'client ' || n, 'sub ' || n, 'resource', '{{}}', '{{}}', {NOW}, {NOW} + 9000,
    case when n % 3 = 1 then {NOW} - n end, '', '', '', '', '', {NOW} + 9000
from generate_series(1, COUNT) n;
insert into pending_authorizations (id_hash, browser_hash, client_id, redirect_uri, registered_redirect_uri, scope,
    resource, code_challenge, client_metadata, issues_refresh_token, created_at, expires_at, share)
select sha256(convert_to('pending ' || n, 'utf8')), sha256('browser'), '', '', '', '{{}}', '', '', '', true, 0,
    {NOW} + 600, n % 32
from generate_series(1, COUNT) n;
insert into codes (grant_row, code_hash, client_id, redirect_uri, code_challenge, issues_refresh_token, issued_at,
    expires_at, kept_until)
select id, sha256(convert_to('code ' || substr(grant_id, 7), 'utf8')), client_id, '', grant_id, true, {NOW},
    {NOW} + 60, {NOW} + 86400 from grants;
insert into refresh_tokens (grant_row, number, token_hash, issued_at, expires_at)
select id, 1, sha256(convert_to('refresh token ' || substr(grant_id, 7), 'utf8')), {NOW}, {NOW} + 9000 from grants;
insert into refresh_answers (grant_row, number, sealed_answer, repeats, kept_until)
select id, 1, '', 0, {NOW} from grants;
insert into assertion_uses select sha256(convert_to('assertion ' || n, 'utf8')), {NOW}
from generate_series(1, COUNT) n;
insert into upstream_attempts (state_hash, browser_hash, upstream, sealed_memory, approved_subject, created_at,
    expires_at)
select sha256(convert_to('state ' || n, 'utf8')), sha256(convert_to('browser ' || n, 'utf8')), '', '', '', 0,
    {NOW} + 600
from generate_series(1, COUNT) n;
insert into upstream_tokens select id, '', 1, 0 from grants;
insert into subjects (upstream_issuer, upstream_subject, subject, created_at)
select 'issuer', n, 'sub ' || n, 0 from generate_series(1, COUNT) n;
insert into sessions (id_hash, subject, username, display_name, signed_in_at, expires_at, credential_digest,
    upstream, person)
select sha256(convert_to('session ' || n, 'utf8')), 'sub ' || n, '', '', 0, {NOW} + 600, '', '', ''
from generate_series(1, COUNT) n;
insert into budgets select n, 1, 0, {NOW} from generate_series(1, COUNT) n;
insert into documents (client_id, body, headers, fetched_at, fresh_until, last_good_until, sweep_at)
select 'https://app.example/' || n || '.json', '', '[]', 0, 0, 0, {NOW} from generate_series(1, COUNT) n;
insert into clients (client_id, metadata, created_at, expires_at, sweep_at, share)
select 'npc_' || n, '', 0, {NOW}, {NOW}, n % 32 from generate_series(1, COUNT) n;
insert into audit_events (name, at, client_id, subject, grant_id, detail)
select 'code.redeemed', {NOW}, '', '', '', '' from generate_series(1, COUNT) n;
"""


async def redeem(store: Store, name: str) -> object:
    token = sample_refresh_token(f"new {name}")
    return await store.redeem_code(
        sample_code(name).code_hash, refresh_token=token, proof=PROOF, now=NOW, replay_revokes_after_seconds=10
    )


async def approve(store: Store, name: str) -> object:
    grant, code = sample_grant(f"new {name}"), sample_code(f"new {name}")
    return await store.approve_authorization(
        sample_pending(name).id_hash, BROWSER, grant=grant, code=code, now=NOW, upstream_tokens=b"sealed"
    )


async def begin_attempt(store: Store, name: str) -> object:
    attempt = sample_upstream_attempt(f"new {name}", browser_hash=hash_bearer_value(f"browser {name}"))
    return await store.record_upstream_attempt(attempt, limit=1)


async def take_attempt(store: Store, name: str) -> object:
    state_hash = sample_upstream_attempt(name).state_hash
    return await store.take_upstream_attempt(state_hash, hash_bearer_value(f"browser {name}"), NOW)


async def spend_all(store: Store, name: str) -> object:
    spendings = [Spending(budget=each, cost=1, capacity=10, refill_per_second=1.0) for each in (name, "other")]
    return await store.spend_all(spendings, now=NOW)


OPERATIONS: dict[str, Operation] = {
    "record_authorization": lambda store, name: store.record_authorization(sample_pending(f"new {name}"), limit=10**6),
    "load_authorization": lambda store, name: store.load_authorization(sample_pending(name).id_hash, BROWSER, NOW),
    "is_challenge_spent": lambda store, name: store.is_challenge_spent(f"client {name}", f"grant {name}"),
    "approve_authorization": approve,
    "deny_authorization": lambda store, name: store.deny_authorization(
        sample_pending(name).id_hash, BROWSER, subject="", now=NOW
    ),
    "load_code": lambda store, name: store.load_code(sample_code(name).code_hash),
    "redeem_code": redeem,
    "burn_code": lambda store, name: store.burn_code(sample_code(name).code_hash, NOW),
    "load_refresh_token": lambda store, name: store.load_refresh_token(sample_refresh_token(name).token_hash),
    "rotate_refresh_token": lambda store, name: store.rotate_refresh_token(sample_rotation(name, f"s {name}"), NOW),
    "record_assertion": lambda store, name: store.record_assertion(sample_assertion(name), NOW),
    "load_grant": lambda store, name: store.load_grant(sample_grant(name).id),
    "load_revocations": lambda store, name: store.load_revocations("resource", since=NOW - 10),
    "revoke_grant": lambda store, name: store.revoke_grant(sample_grant(name).id, reason="test", now=NOW),
    "record_session": lambda store, name: store.record_session(
        sample_session(f"new {name}"), replaces=sample_session(name).id_hash
    ),
    "load_session": lambda store, name: store.load_session(sample_session(name).id_hash, NOW),
    "end_sessions": lambda store, name: store.end_sessions(f"sub {name}", NOW),
    "record_upstream_attempt": begin_attempt,
    "take_upstream_attempt": take_attempt,
    "load_upstream_tokens": lambda store, name: store.load_upstream_tokens(sample_grant(name).id),
    "lease_upstream_refresh": lambda store, name: store.lease_upstream_refresh(
        sample_grant(name).id, version=1, now=NOW, until=NOW + 30
    ),
    "replace_upstream_tokens": lambda store, name: store.replace_upstream_tokens(
        sample_grant(name).id, version=1, sealed=b"sealed", now=NOW
    ),
    "record_subject": lambda store, name: store.record_subject("issuer", name, candidate="sub of him", now=NOW),
    "spend": lambda store, name: store.spend(name, 1, capacity=10, refill_per_second=1.0, now=NOW),
    "spend_all": spend_all,
    "load_document": lambda store, name: store.load_document(sample_document(name).client_id),
    "record_document": lambda store, name: store.record_document(sample_document(name)),
    "record_document_refusal": lambda store, name: store.record_document_refusal(sample_document(name).client_id, NOW),
    "load_client": lambda store, name: store.load_client(sample_client(name).client_id),
    "record_client": lambda store, name: store.record_client(sample_client(f"new {name}"), limit=10**6, now=NOW),
    "remove_client": lambda store, name: store.remove_client(sample_client(name).client_id, NOW),
    "load_audit_events": lambda store, name: store.load_audit_events(after="7", limit=5),
    "load_audit_events since": lambda store, name: store.load_audit_events(AuditFilter(since=NOW + 1)),
    "list_grants": lambda store, name: store.list_grants(GrantFilter(), after=7, limit=5),
}


class CountingPool(PostgresPool):
    """Does everything in vain, and counts the pages that it took."""

    pages = 0

    async def _try(self, statement: str, arguments: list[object]) -> list[Row]:
        text = self.translate(statement)
        connection = await self.connect()
        try:
            records = await do_in_vain(connection, text, arguments)  # from then on, what it needs to know is known
            [[plans]] = await do_in_vain(connection, f"explain (analyze, buffers, format json) {text}", arguments)
            plan = json.loads(plans)[0]["Plan"]
            self.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            return [unpack_row(record) for record in records]
        finally:
            await self.disconnect(connection)


async def do_in_vain(connection: Any, text: str, arguments: list[object]) -> Any:
    transaction = connection.transaction()
    await transaction.start()
    try:
        return await connection.fetch(text, *arguments)
    finally:
        await transaction.rollback()


async def measure(server: str, count: int) -> dict[str, int]:
    """The pages of each operation in a store that holds ``count`` of everything."""
    url = f"{server}?schema=growth_{secrets.token_hex(6)}"
    await (await PostgresStore.open(url)).aclose()
    await execute(url, FILL.replace("COUNT", str(count)))
    pool = await CountingPool.open(parse_postgres_url(url), Patience())
    store = PostgresStore(pool)
    pages: dict[str, int] = {}

    async def count_pages(name: str, work: Callable[[], Awaitable[object]]) -> None:
        pool.pages = 0
        await work()
        pages[name] = pool.pages

    for name, operation in OPERATIONS.items():
        await count_pages(name, partial(operation, store, f"{count - count % 3}"))
        await count_pages(f"{name}, unknown", partial(operation, store, "unknown"))
    for number, sweep in enumerate(_SWEEPS):
        await count_pages(f"idle sweep {number}", partial(pool.commit, sweep.statement, 0, 9))
        await count_pages(f"sweep {number}", partial(pool.commit, sweep.statement, LATE, 9))
    await execute(url, "update grants set client_id = 'https://app.example/1.json', revoked_at = null")
    sweep_documents = next(sweep.statement for sweep in _SWEEPS if "sweep_documents" in sweep.statement)
    await count_pages("sweep of a client with many grants", partial(pool.commit, sweep_documents, NOW, 1))
    scan = "SELECT count(*) FROM nameplate.sessions WHERE username = 'nobody'"
    await count_pages("scan", partial(pool.fetch, scan))
    await store.aclose()
    return pages


def test_twenty_times_the_rows_cost_no_operation_more_work(postgres_url: str) -> None:
    few, many = asyncio.run(measure(postgres_url, FEW)), asyncio.run(measure(postgres_url, MANY))
    assert min(few.values()) > 0
    grown = {name: (few[name], many[name]) for name in few if many[name] > few[name] * 1.1 + 5}
    assert grown.keys() == {"scan"}, "and a scan would show"
