"""The store contract: clients that are registered here, how many of them, and for how long."""
# ruff: noqa: S101  (a contract suite asserts)

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from nameplate.errors import StoreError
from nameplate.ports.store import Store
from nameplate.ports.verdicts import Approved, Full, Recorded, Unknown
from nameplate.protocol.audit import AuditEvent, AuditFilter
from nameplate.protocol.grant import Grant
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.testing.store_contract.base import StoreFixtures, load_audit_names, race
from nameplate.testing.store_contract.tokens import rotate
from nameplate.testing.store_samples import (
    BROWSER,
    NOW,
    approve_sample,
    redeem_sample,
    sample_client,
    sample_code,
    sample_grant,
    sample_pending,
)

__all__ = ["ClientContract"]

DAY = 86400
CLIENT = sample_client()
OPERATORS = sample_client("operator", secret_hash=b"\0secret\xff", expires_at=None)
REMOVED = AuditEvent(name="client.removed", at=NOW, client_id=CLIENT.client_id)


def own(name: str, **changes: object) -> Grant:
    """A grant of ``CLIENT``."""
    return replace(sample_grant(name, client_id=CLIENT.client_id), **changes)  # type: ignore[arg-type]


class ClientContract(StoreFixtures):
    """``record_client``, ``load_``, ``list_``, ``remove_`` and the sweep of clients."""

    async def test_a_client_comes_back_as_it_was_registered_at_every_replica(
        self, store: Store, replica: Store
    ) -> None:
        assert await store.load_client(CLIENT.client_id) == Unknown()
        for number, client in enumerate((CLIENT, OPERATORS)):
            assert await store.record_client(client, limit=10, now=NOW + number) == Recorded()
            assert await replica.load_client(client.client_id) == client
        assert await store.load_client(CLIENT.client_id.upper()) == Unknown()
        assert [event for _, event in await store.load_audit_events()] == [
            AuditEvent(name="client.registered", at=NOW, client_id=CLIENT.client_id),
            AuditEvent(name="client.registered", at=NOW + 1, client_id=OPERATORS.client_id),
        ]

    async def test_one_id_cannot_be_registered_twice(self, store: Store) -> None:
        await store.record_client(CLIENT, limit=10, now=NOW)
        with pytest.raises(StoreError):
            await store.record_client(replace(CLIENT, metadata="{}", expires_at=None), limit=10, now=NOW)
        assert await store.load_client(CLIENT.client_id) == CLIENT
        assert await load_audit_names(store) == ["client.registered"]

    async def test_at_the_limit_the_one_that_would_be_forgotten_first_gives_way(self, store: Store) -> None:
        await store.record_client(OPERATORS, limit=0, now=NOW)
        soon, later, latest = (
            sample_client(name, expires_at=NOW + DAY + number)
            for number, name in enumerate(("soon", "later", "latest"))
        )
        for client in (later, soon):
            assert await store.record_client(client, limit=2, now=NOW) == Recorded()
        assert await store.record_client(sample_client("kept", expires_at=None), limit=2, now=NOW) == Recorded()
        assert await load_audit_names(store) == ["client.registered"] * 4
        assert await store.record_client(latest, limit=2, now=NOW) == Recorded()
        assert {client.client_id for _, client in await store.list_clients()} == {
            OPERATORS.client_id,
            sample_client("kept").client_id,
            later.client_id,
            latest.client_id,
        }
        removed = [event for _, event in await store.load_audit_events(AuditFilter(names=("client.removed",)))]
        assert removed == [replace(REMOVED, client_id=soon.client_id, detail="gave way")]

        await store.remove_client(later.client_id, NOW)
        assert await store.record_client(soon, limit=2, now=NOW) == Recorded()
        assert await store.load_client(latest.client_id) == latest
        assert await store.record_client(later, limit=1, now=NOW) == Recorded(), "one for one, below a lowered limit"
        assert len(await store.list_clients()) == 4
        await store.sweep(NOW + 2 * DAY, limit=100)
        assert await store.record_client(soon, limit=1, now=NOW) == Recorded()

    async def test_a_client_with_a_live_grant_gives_way_to_nobody(self, store: Store) -> None:
        await store.record_client(CLIENT, limit=1, now=NOW)
        await approve_sample(store, grant=own("one"))
        assert await store.record_client(sample_client("two"), limit=1, now=NOW) == Full()
        assert isinstance(await store.load_client(CLIENT.client_id), RegisteredClient)
        await store.record_client(sample_client("two"), limit=2, now=NOW)
        assert await store.record_client(sample_client("three"), limit=2, now=NOW) == Recorded()
        assert isinstance(await store.load_client(CLIENT.client_id), RegisteredClient)
        assert await store.load_client(sample_client("two").client_id) == Unknown()
        await store.revoke_grant("grant one", reason="test", now=NOW)
        assert await store.record_client(sample_client("two"), limit=1, now=NOW) == Recorded()

    async def test_competing_registrations_never_exceed_the_limit(self, store: Store, replica: Store) -> None:
        verdicts = await race(
            store, replica, lambda handle, number: handle.record_client(sample_client(f"{number}"), limit=10, now=NOW)
        )
        counted = Counter(verdicts)
        assert counted[Recorded()] + counted[Full()] == 50
        assert counted[Recorded()] >= 10
        assert len(await store.list_clients()) == 10
        names = Counter(await load_audit_names(store))
        assert names["client.registered"] == counted[Recorded()]
        assert names["client.removed"] == counted[Recorded()] - 10

    async def test_clients_come_in_the_order_in_which_they_came_a_page_at_a_time(self, store: Store) -> None:
        clients = [sample_client(name, created_at=NOW - len(name)) for name in ("z", "yy", "xxx")]
        clients.insert(1, OPERATORS)
        assert list(await store.list_clients()) == []
        for client in clients:
            await store.record_client(client, limit=10, now=NOW)
        whole = await store.list_clients()
        assert [client for _, client in whole] == clients
        numbers = [number for number, _ in whole]
        assert numbers == sorted(set(numbers))
        assert list(await store.list_clients(limit=2)) == list(whole[:2])
        assert list(await store.list_clients(after=numbers[1], limit=1)) == list(whole[2:3])
        assert list(await store.list_clients(after=numbers[3])) == []

    async def test_a_client_is_forgotten_with_all_its_grants(self, store: Store) -> None:
        await store.record_client(CLIENT, limit=10, now=NOW)
        await approve_sample(store, "live", grant=own("live"))
        await redeem_sample(store, "held", grant=own("held"))
        await approve_sample(store, "expired", grant=own("expired", expires_at=NOW + 9))
        await approve_sample(store, "revoked", grant=own("revoked"))
        await store.revoke_grant("grant revoked", reason="test", now=NOW + 1)
        await approve_sample(store, "other")
        events = len(await store.load_audit_events())

        assert await store.remove_client(CLIENT.client_id, NOW + 9) == 2
        assert await store.load_client(CLIENT.client_id) == Unknown()
        assert await store.load_grant("grant live") == own("live", revoked_at=NOW + 9)
        assert await store.load_grant("grant held") == own("held", revoked_at=NOW + 9, auth_method="none")
        assert await store.load_grant("grant expired") == own("expired", expires_at=NOW + 9)
        assert await store.load_grant("grant revoked") == own("revoked", revoked_at=NOW + 1)
        assert await store.load_grant("grant other") == sample_grant("other")
        assert await rotate(store, "held", "next", now=NOW + 9) == Unknown()
        revocations = await store.load_revocations(sample_grant().resource, since=NOW + 9)
        assert sorted(revocations) == [("grant held", NOW + 9), ("grant live", NOW + 9)]

        written = [event for _, event in await store.load_audit_events()][events:]
        removed = replace(REMOVED, at=NOW + 9)
        revoked = replace(
            removed,
            name="grant.revoked",
            subject=sample_grant().subject,
            grant_id="grant held",
            detail="client.removed",
        )
        assert Counter(written) == Counter([removed, revoked, replace(revoked, grant_id="grant live")])

    async def test_the_removal_of_a_client_leaves_a_revoked_grant_for_a_day(self, store: Store) -> None:
        await store.record_client(CLIENT, limit=10, now=NOW)
        await approve_sample(store, grant=own("one"))
        await store.remove_client(CLIENT.client_id, NOW + 2 * DAY)
        await store.sweep(NOW + 3 * DAY - 1, limit=100)
        assert await store.load_grant("grant one") == own("one", revoked_at=NOW + 2 * DAY)
        await store.sweep(NOW + 3 * DAY, limit=100)
        assert await store.load_grant("grant one") == Unknown()

    async def test_a_client_that_is_not_registered_cannot_be_removed(self, store: Store) -> None:
        await approve_sample(store)
        events = await load_audit_names(store)
        assert await store.remove_client(sample_grant().client_id, NOW) is None
        assert await store.load_grant(sample_grant().id) == sample_grant()
        assert await load_audit_names(store) == events

    async def test_of_competing_removals_exactly_one_counts(self, store: Store, replica: Store) -> None:
        await store.record_client(CLIENT, limit=10, now=NOW)
        await asyncio.gather(*(approve_sample(store, f"{number}", grant=own(f"{number}")) for number in range(10)))
        verdicts = await race(store, replica, lambda handle, _: handle.remove_client(CLIENT.client_id, NOW))
        assert Counter(verdicts) == {10: 1, None: 49}
        names = Counter(await load_audit_names(store))
        assert (names["grant.revoked"], names["client.removed"]) == (10, 1)

    async def test_the_sweep_forgets_clients_that_expired_and_none_of_the_operators(self, store: Store) -> None:
        later = sample_client("later", expires_at=NOW + DAY + 1)
        for client in (CLIENT, OPERATORS, later):
            await store.record_client(client, limit=10, now=NOW)
        assert await store.sweep(NOW + DAY - 1, limit=100) == 0
        assert await store.load_client(CLIENT.client_id) == CLIENT
        assert await store.sweep(NOW + DAY, limit=100) == 1
        assert await store.load_client(CLIENT.client_id) == Unknown()
        assert await store.load_client(later.client_id) == later
        assert await store.sweep(NOW + 10**9, limit=100) == 1
        assert [client for _, client in await store.list_clients()] == [OPERATORS]
        removals = await store.load_audit_events(AuditFilter(names=("client.removed",)))
        assert [event for _, event in removals] == [
            replace(REMOVED, at=NOW + DAY, detail="expired"),
            replace(REMOVED, at=NOW + 10**9, client_id=later.client_id, detail="expired"),
        ]

    async def test_the_sweep_leaves_a_client_with_a_live_grant_until_that_has_ended(self, store: Store) -> None:
        await store.record_client(CLIENT, limit=10, now=NOW)
        code = sample_code(client_id=CLIENT.client_id)
        await approve_sample(store, grant=own("one", expires_at=NOW + 30 * DAY), code=code)
        for now in (NOW + DAY, NOW + 2 * DAY, NOW + 30 * DAY - 1):
            await store.sweep(now, limit=100)
            assert await store.load_client(CLIENT.client_id) == replace(CLIENT, expires_at=NOW + 30 * DAY)
        await store.sweep(NOW + 30 * DAY, limit=100)
        assert await store.load_client(CLIENT.client_id) == Unknown()
        assert await load_audit_names(store) == ["client.registered", "authorization.approved", "client.removed"]

    async def test_a_client_that_somebody_allowed_is_kept_although_the_grant_was_revoked(self, store: Store) -> None:
        await store.record_client(CLIENT, limit=10, now=NOW)
        until = sample_grant().expires_at
        await approve_sample(store, grant=own("one"))
        await store.revoke_grant("grant one", reason="test", now=NOW + 1)
        await store.sweep(until - 1, limit=100)
        assert await store.load_client(CLIENT.client_id) == replace(CLIENT, expires_at=until)
        await store.sweep(until, limit=100)
        assert await store.load_client(CLIENT.client_id) == Unknown()

    async def test_no_grant_shortens_the_life_of_its_client(self, store: Store) -> None:
        for client in (CLIENT, OPERATORS):
            await store.record_client(client, limit=10, now=NOW)
            grant = own(client.client_id, client_id=client.client_id, expires_at=NOW + 60)
            await approve_sample(store, client.client_id, grant=grant)
            assert await store.load_client(client.client_id) == client

    async def test_nothing_is_approved_for_a_client_that_was_removed_meanwhile(self, store: Store) -> None:
        await store.record_client(CLIENT, limit=10, now=NOW)
        pending = sample_pending(client_id=CLIENT.client_id)
        await store.record_authorization(pending, limit=10)
        await store.remove_client(CLIENT.client_id, NOW)
        events = await load_audit_names(store)
        code = sample_code(client_id=CLIENT.client_id)
        for _ in range(2):
            verdict = await store.approve_authorization(pending.id_hash, BROWSER, grant=own("one"), code=code, now=NOW)
            assert verdict == Unknown()
        assert await store.load_grant("grant one") == Unknown()
        assert await store.load_code(code.code_hash) == Unknown()
        assert await load_audit_names(store) == events
        await store.record_client(CLIENT, limit=10, now=NOW)
        verdict = await store.approve_authorization(pending.id_hash, BROWSER, grant=own("one"), code=code, now=NOW)
        assert verdict == Approved(pending)
