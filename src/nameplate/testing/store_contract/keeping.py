"""The store contract: what is acknowledged stays, what nobody needs goes, and a store can be closed."""
# ruff: noqa: S101  (a contract suite asserts)

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import GrantFilter, Store, StoredUpstreamTokens
from nameplate.ports.verdicts import AlreadyAnswered, Recorded, Redeemed, Repeated, Replayed, Rotated, Unknown
from nameplate.testing.store_contract.base import OpenStore, StoreFixtures, load_audit_names, race
from nameplate.testing.store_contract.codes import redeem
from nameplate.testing.store_contract.tokens import rotate
from nameplate.testing.store_samples import (
    BROWSER,
    NOW,
    approve_sample,
    redeem_sample,
    sample_assertion,
    sample_client,
    sample_code,
    sample_document,
    sample_grant,
    sample_pending,
    sample_refresh_token,
    sample_session,
    sample_signing_key,
    sample_upstream_attempt,
)

__all__ = ["KeepingContract"]

DAY = 86400
PENDING, CODE, GRANT, TOKEN, SESSION, ATTEMPT = (
    sample_pending(),
    sample_code(),
    sample_grant(),
    sample_refresh_token(),
    sample_session(),
    sample_upstream_attempt(),
)

OPERATIONS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "record_authorization": lambda store: store.record_authorization(PENDING, limit=10),
    "load_authorization": lambda store: store.load_authorization(PENDING.id_hash, BROWSER, NOW),
    "is_challenge_spent": lambda store: store.is_challenge_spent(CODE.client_id, CODE.code_challenge),
    "approve_authorization": lambda store: store.approve_authorization(
        PENDING.id_hash, BROWSER, grant=GRANT, code=CODE, now=NOW
    ),
    "deny_authorization": lambda store: store.deny_authorization(PENDING.id_hash, BROWSER, subject="sub", now=NOW),
    "load_code": lambda store: store.load_code(CODE.code_hash),
    "redeem_code": redeem,
    "burn_code": lambda store: store.burn_code(CODE.code_hash, NOW),
    "load_refresh_token": lambda store: store.load_refresh_token(TOKEN.token_hash),
    "rotate_refresh_token": lambda store: rotate(store, "one", "two"),
    "record_assertion": lambda store: store.record_assertion(sample_assertion(), NOW),
    "load_grant": lambda store: store.load_grant(GRANT.id),
    "load_revocations": lambda store: store.load_revocations(GRANT.resource, since=NOW),
    "list_grants": lambda store: store.list_grants(GrantFilter()),
    "revoke_grant": lambda store: store.revoke_grant(GRANT.id, reason="test", now=NOW),
    "record_subject": lambda store: store.record_subject("issuer", "alice", candidate="sub", now=NOW),
    "record_session": lambda store: store.record_session(SESSION, replaces=None),
    "load_session": lambda store: store.load_session(SESSION.id_hash, NOW),
    "end_session": lambda store: store.end_session(SESSION.id_hash, NOW),
    "end_sessions": lambda store: store.end_sessions(SESSION.subject, NOW),
    "list_subjects": lambda store: store.list_subjects(),
    "record_upstream_attempt": lambda store: store.record_upstream_attempt(ATTEMPT, limit=10),
    "take_upstream_attempt": lambda store: store.take_upstream_attempt(ATTEMPT.state_hash, BROWSER, NOW),
    "load_upstream_tokens": lambda store: store.load_upstream_tokens(GRANT.id),
    "lease_upstream_refresh": lambda store: store.lease_upstream_refresh(GRANT.id, version=1, now=NOW, until=NOW + 30),
    "replace_upstream_tokens": lambda store: store.replace_upstream_tokens(GRANT.id, version=1, sealed=b"", now=NOW),
    "spend": lambda store: store.spend("budget", 1, capacity=1, refill_per_second=1.0, now=NOW),
    "spend_all": lambda store: store.spend_all([], now=NOW),
    "load_document": lambda store: store.load_document(sample_document().client_id),
    "record_document": lambda store: store.record_document(sample_document()),
    "record_document_refusal": lambda store: store.record_document_refusal(sample_document().client_id, NOW),
    "record_client": lambda store: store.record_client(sample_client(), limit=10, now=NOW),
    "load_client": lambda store: store.load_client(sample_client().client_id),
    "list_clients": lambda store: store.list_clients(),
    "remove_client": lambda store: store.remove_client(sample_client().client_id, NOW),
    "record_signing_key": lambda store: store.record_signing_key(sample_signing_key(), latest=None),
    "load_signing_keys": lambda store: store.load_signing_keys(),
    "reseal_signing_key": lambda store: store.reseal_signing_key("kid", before=b"before", after=b"after"),
    "withdraw_signing_key": lambda store: store.withdraw_signing_key("kid", NOW),
    "drop_signing_key": lambda store: store.drop_signing_key("kid", NOW),
    "load_audit_events": lambda store: store.load_audit_events(),
    "sweep": lambda store: store.sweep(NOW, limit=10),
    "check": lambda store: store.check(),
}


class KeepingContract(StoreFixtures):
    """Durability, the sweep, failure, cancellation and the end."""

    async def test_all_that_was_acknowledged_is_there_after_a_restart(self, open_store: OpenStore) -> None:
        before = await open_store()
        await redeem_sample(before)
        await rotate(before, "one", "two")
        await before.record_authorization(sample_pending("waiting"), limit=10)
        await before.record_session(SESSION, replaces=None)
        await before.record_subject("issuer", "alice", candidate="sub-1", now=NOW)
        await before.record_signing_key(sample_signing_key(), latest=None)
        await before.record_client(sample_client(), limit=1, now=NOW)
        await before.record_assertion(sample_assertion(), NOW)
        await before.spend("budget", 1, capacity=1, refill_per_second=0.0, now=NOW)
        await before.record_document(sample_document())
        await before.record_upstream_attempt(ATTEMPT, limit=10)
        await approve_sample(before, "upstream", upstream_tokens=b"sealed")
        await before.lease_upstream_refresh("grant upstream", version=1, now=NOW, until=NOW + 30)
        events = await before.load_audit_events()
        await before.aclose()

        after = await open_store()
        waiting = sample_pending("waiting")
        assert await after.load_authorization(waiting.id_hash, BROWSER, NOW) == waiting
        assert await after.load_authorization(PENDING.id_hash, BROWSER, NOW) == AlreadyAnswered(PENDING)
        assert await redeem(after) == Replayed(grant_revoked=False)
        assert await rotate(after, "one", "three") == Repeated(b"two", NOW)
        assert await rotate(after, "two", "three") == Rotated(replace(GRANT, auth_method="none"))
        assert await after.load_session(SESSION.id_hash, NOW) == SESSION
        assert await after.record_subject("issuer", "alice", candidate="sub-2", now=NOW) == "sub-1"
        assert list(await after.record_signing_key(sample_signing_key("two"), latest=None)) == [sample_signing_key()]
        assert await after.load_client(sample_client().client_id) == sample_client()
        assert await after.record_client(sample_client("two"), limit=1, now=NOW) == Recorded()
        assert await after.load_client(sample_client().client_id) == Unknown()
        assert await after.record_assertion(sample_assertion(), NOW) is False
        assert not await after.spend("budget", 1, capacity=1, refill_per_second=0.0, now=NOW)
        assert await after.load_document(sample_document().client_id) == sample_document()
        assert await after.take_upstream_attempt(ATTEMPT.state_hash, BROWSER, NOW) == ATTEMPT
        tokens = StoredUpstreamTokens(sealed=b"sealed", version=1)
        assert await after.load_upstream_tokens("grant upstream") == tokens
        assert not await after.lease_upstream_refresh("grant upstream", version=1, now=NOW, until=NOW + 30)
        assert list(await after.load_audit_events())[: len(events)] == list(events)
        await after.aclose()

    async def test_what_one_replica_wrote_the_other_reads_at_once(self, store: Store, replica: Store) -> None:
        for number in range(20):
            await store.record_session(sample_session(f"{number}"), replaces=None)
            assert await replica.load_session(sample_session(f"{number}").id_hash, NOW) == sample_session(f"{number}")

    async def test_the_sweep_keeps_what_may_still_be_needed(self, store: Store) -> None:
        await redeem_sample(store)
        await rotate(store, "one", "two")
        await store.record_session(SESSION, replaces=None)
        await store.sweep(PENDING.expires_at - 1, limit=100)
        assert await store.load_authorization(PENDING.id_hash, BROWSER, NOW) == AlreadyAnswered(PENDING)
        await store.sweep(SESSION.expires_at - 1, limit=100)
        assert await store.load_session(SESSION.id_hash, NOW) == SESSION
        await store.sweep(NOW + DAY - 1, limit=100)
        assert await store.load_code(CODE.code_hash) != Unknown()
        await store.sweep(TOKEN.expires_at - 1, limit=100)
        assert await store.load_refresh_token(TOKEN.token_hash) != Unknown(), "reuse must still be recognised"

    async def test_the_sweep_removes_what_nothing_can_need(self, store: Store) -> None:
        await redeem_sample(store)
        await rotate(store, "one", "two")
        await store.record_session(SESSION, replaces=None)
        events = await load_audit_names(store)
        assert await store.sweep(GRANT.expires_at, limit=100) > 0
        assert await store.load_code(CODE.code_hash) == Unknown()
        assert not await store.is_challenge_spent(CODE.client_id, CODE.code_challenge)
        assert await store.load_refresh_token(TOKEN.token_hash) == Unknown()
        assert await store.sweep(GRANT.expires_at, limit=100) == 0
        assert await load_audit_names(store) == events
        await redeem_sample(store)  # every name is free again

    async def test_a_revoked_grant_stays_as_long_as_something_refers_to_it(self, store: Store) -> None:
        await redeem_sample(store, refresh_token=sample_refresh_token(expires_at=NOW + 3 * DAY))
        await store.revoke_grant(GRANT.id, reason="test", now=NOW)
        for now in (NOW + 1, NOW + DAY, NOW + 3 * DAY - 1):
            await store.sweep(now, limit=100)
            found = await store.load_refresh_token(TOKEN.token_hash)
            assert isinstance(found, tuple)
            assert found[1].revoked_at == NOW
        assert await store.sweep(NOW + 3 * DAY, limit=100) > 0
        assert await store.load_refresh_token(TOKEN.token_hash) == Unknown()
        await redeem_sample(store)  # its id is free again, long before the grant would have expired

    async def test_a_sweep_deletes_no_more_than_its_limit(self, store: Store) -> None:
        for number in range(5):
            await store.record_session(sample_session(f"{number}"), replaces=None)
        deleted = [await store.sweep(SESSION.expires_at, limit=2) for _ in range(4)]
        assert deleted == [2, 2, 1, 0]

    async def test_a_sweep_leaves_budgets_that_are_not_full(self, store: Store) -> None:
        await store.spend("budget", 10, capacity=10, refill_per_second=1.0, now=NOW)
        await store.sweep(NOW + 9, limit=100)
        assert not await store.spend("budget", 10, capacity=10, refill_per_second=1.0, now=NOW + 9)
        assert await store.sweep(NOW + 10, limit=100) == 1

    async def test_a_store_that_works_passes_its_check(self, store: Store) -> None:
        await store.check()
        assert await load_audit_names(store) == []

    async def test_one_failing_operation_takes_nothing_from_its_neighbours(self, store: Store, replica: Store) -> None:
        await store.record_session(sample_session("taken"), replaces=None)

        async def start(handle: Store, number: int) -> bool:
            try:
                await handle.record_session(sample_session("taken" if number % 5 == 0 else f"{number}"), replaces=None)
            except StoreError:
                return False
            return True

        verdicts = await race(store, replica, start)
        assert verdicts == [number % 5 != 0 for number in range(50)]
        for number in range(50):
            found = await store.load_session(sample_session(f"{number}").id_hash, NOW)
            assert (found != Unknown()) == verdicts[number]

    async def test_a_cancelled_caller_harms_nobody(self, store: Store) -> None:
        await approve_sample(store)
        tasks = [
            asyncio.create_task(store.record_session(sample_session(f"{number}"), replaces=None))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for number in range(1, 20, 2):
            assert await store.load_session(sample_session(f"{number}").id_hash, NOW) != Unknown()
        assert isinstance(await redeem(store), Redeemed)

    async def test_what_was_accepted_before_the_end_is_finished(self, open_store: OpenStore) -> None:
        store = await open_store()
        tasks = [
            asyncio.create_task(store.record_session(sample_session(f"{number}"), replaces=None))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        await store.aclose()
        await asyncio.gather(*tasks)
        again = await open_store()
        for number in range(20):
            assert await again.load_session(sample_session(f"{number}").id_hash, NOW) != Unknown()
        await again.aclose()

    @pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
    async def test_nothing_works_after_the_end(
        self, open_store: OpenStore, operation: Callable[[Store], Awaitable[object]]
    ) -> None:
        store = await open_store()
        await store.aclose()
        await store.aclose()
        with pytest.raises(StoreError):
            await operation(store)
