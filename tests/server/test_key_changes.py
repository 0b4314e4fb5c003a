"""What an operator does to the signing keys by hand, with servers and other operators on the same store."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from nameplate.errors import StoreError
from nameplate.jose import Verified
from nameplate.ports.store import StoredSigningKey
from nameplate.protocol.signing_keys import MOST_KEYS, KeyPolicy, choose_active, list_published
from nameplate.server.key_changes import reseal_keys, rotate_at_once, schedule_rotation, withdraw_key
from nameplate.server.signing_keys import SigningKeyRing, find_latest, make_signing_key, open_signing_key
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.clock import FixedClock
from nameplate.testing.store_samples import NOW
from nameplate.vault import Vault

pytestmark = pytest.mark.anyio

VAULT, STRANGE_VAULT = Vault([secrets.token_bytes(32)]), Vault([secrets.token_bytes(32)])
POLICY = KeyPolicy(rotate_seconds=86_400, publish_ahead_seconds=3600, longest_token_seconds=600)


class BusyStore(SqliteStore):
    """Somebody else records a key in the moment before each of ours."""

    busy_times = 0

    async def record_signing_key(self, key: StoredSigningKey, *, latest: str | None) -> Sequence[StoredSigningKey]:
        if self.busy_times:
            self.busy_times -= 1
            rows = await self.load_signing_keys()
            other = make_signing_key(VAULT, now=NOW, active_from=NOW)
            await super().record_signing_key(other, latest=find_latest(rows))
        return await super().record_signing_key(key, latest=latest)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BusyStore]:
    opened = await BusyStore.open(str(tmp_path / "store.sqlite3"))
    yield opened
    await opened.aclose()


async def open_ring(store: SqliteStore) -> SigningKeyRing:
    return await SigningKeyRing.open(store, VAULT, POLICY, FixedClock(NOW))


async def find_active(store: SqliteStore, now: int = NOW) -> str:
    active = choose_active(await store.load_signing_keys(), now)
    assert active is not None
    open_signing_key(active, VAULT)
    return active.kid


async def count_keys(store: SqliteStore) -> int:
    return len(await store.load_signing_keys())


async def test_a_rotation_is_scheduled_once(store: BusyStore) -> None:
    await open_ring(store)
    first = await find_active(store)
    change = await schedule_rotation(store, VAULT, POLICY, NOW + 5)
    assert change.is_new
    assert change.key.active_from == NOW + 5 + 3600
    assert await find_active(store, NOW + 3604) == first
    assert await find_active(store, NOW + 3605) == change.key.kid
    again = await schedule_rotation(store, VAULT, POLICY, NOW + 60)
    assert (again.key, again.is_new) == (change.key, False)
    assert await count_keys(store) == 2


async def test_rotations_by_many_hands_at_once_are_one(store: BusyStore) -> None:
    await open_ring(store)
    changes = await asyncio.gather(*(schedule_rotation(store, VAULT, POLICY, NOW) for _ in range(8)))
    assert sum(change.is_new for change in changes) == 1
    assert len({change.key.kid for change in changes}) == 1


async def test_a_rotation_of_no_key_makes_the_first_which_signs_at_once(store: BusyStore) -> None:
    change = await schedule_rotation(store, VAULT, POLICY, NOW)
    assert (change.is_new, change.key.active_from) == (True, NOW)


async def test_a_rotation_at_once_signs_at_once_even_where_a_quicker_clock_made_the_last_key(store: BusyStore) -> None:
    await open_ring(store)
    for _ in range(3):
        change = await rotate_at_once(store, VAULT, NOW - 20)
        assert await find_active(store) == change.key.kid


async def test_a_rotation_at_once_leaves_the_key_that_waits(store: BusyStore) -> None:
    await open_ring(store)
    waiting = (await schedule_rotation(store, VAULT, POLICY, NOW)).key
    change = await rotate_at_once(store, VAULT, NOW + 10)
    assert await find_active(store, NOW + 10) == change.key.kid
    assert await find_active(store, waiting.active_from) == waiting.kid


async def test_a_withdrawn_key_is_replaced_by_the_one_that_waits(store: BusyStore) -> None:
    await open_ring(store)
    first = await find_active(store)
    waiting = (await schedule_rotation(store, VAULT, POLICY, NOW)).key
    change = await withdraw_key(store, VAULT, first, NOW + 10)
    assert (change.key.kid, change.is_new) == (waiting.kid, False)
    assert await find_active(store, NOW + 10) == waiting.kid


async def test_the_only_key_is_withdrawn_after_another_was_made(store: BusyStore) -> None:
    await open_ring(store)
    first = await find_active(store)
    change = await withdraw_key(store, VAULT, first, NOW + 10)
    assert change.is_new
    assert await find_active(store, NOW + 10) == change.key.kid != first
    names = [event.name for _, event in await store.load_audit_events()]
    assert names == ["signing_key.created", "signing_key.created", "signing_key.withdrawn"]
    again = await withdraw_key(store, VAULT, first, NOW + 11)
    assert (again.key.kid, again.is_new) == (change.key.kid, False)
    assert await count_keys(store) == 2


async def test_no_key_that_cannot_be_opened_becomes_the_successor(store: BusyStore) -> None:
    await open_ring(store)
    first = await find_active(store)
    for delay in (0, 3600):
        strange = make_signing_key(STRANGE_VAULT, now=NOW, active_from=NOW + delay)
        await store.record_signing_key(strange, latest=find_latest(await store.load_signing_keys()))
    change = await withdraw_key(store, VAULT, first, NOW + 10)
    assert change.is_new
    open_signing_key(change.key, VAULT)
    assert await find_active(store, NOW + 10) == change.key.kid


async def test_every_key_can_be_withdrawn_one_after_the_other(store: BusyStore) -> None:
    await open_ring(store)
    await schedule_rotation(store, VAULT, POLICY, NOW)
    await rotate_at_once(store, VAULT, NOW)
    for kid in [row.kid for row in await store.load_signing_keys()]:
        change = await withdraw_key(store, VAULT, kid, NOW)
        assert await find_active(store) == change.key.kid
    published = list_published(await store.load_signing_keys(), NOW, POLICY)
    assert [row.kid for row in published] == [await find_active(store)]


async def test_who_is_interrupted_by_another_tries_again(store: BusyStore) -> None:
    await open_ring(store)
    store.busy_times = 3
    change = await rotate_at_once(store, VAULT, NOW)
    assert await find_active(store) == change.key.kid
    store.busy_times = 1000
    for attempt in (rotate_at_once(store, VAULT, NOW), schedule_rotation(store, VAULT, POLICY, NOW)):
        with pytest.raises(StoreError, match="other processes keep changing"):
            await attempt


async def test_the_only_key_is_replaced_by_one_that_somebody_else_made_just_now(store: BusyStore) -> None:
    await open_ring(store)
    store.busy_times = 1
    change = await withdraw_key(store, VAULT, await find_active(store), NOW)
    assert not change.is_new
    assert await find_active(store) == change.key.kid


async def test_nobody_makes_so_many_keys_that_verifiers_refuse_them(store: BusyStore) -> None:
    await open_ring(store)
    for _ in range(MOST_KEYS - 1):
        await rotate_at_once(store, VAULT, NOW)
    for attempt in (rotate_at_once(store, VAULT, NOW), schedule_rotation(store, VAULT, POLICY, NOW)):
        with pytest.raises(StoreError, match=f"{MOST_KEYS} keys are published already"):
            await attempt
    assert await count_keys(store) == MOST_KEYS
    assert len((await open_ring(store)).key_set()) == MOST_KEYS


async def test_an_operator_with_another_encryption_key_makes_none_that_servers_cannot_open(store: BusyStore) -> None:
    await open_ring(store)
    for attempt in (
        rotate_at_once(store, STRANGE_VAULT, NOW),
        schedule_rotation(store, STRANGE_VAULT, POLICY, NOW),
    ):
        with pytest.raises(StoreError, match="cannot be opened"):
            await attempt
    assert await count_keys(store) == 1


async def test_everything_is_encrypted_anew_under_the_first_key(store: BusyStore) -> None:
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    ring = await SigningKeyRing.open(store, Vault([old]), POLICY, FixedClock(NOW))
    await schedule_rotation(store, Vault([old]), POLICY, NOW)
    both = Vault([new, old])
    await rotate_at_once(store, both, NOW)
    result = await reseal_keys(store, both)
    assert (result.resealed, result.current, result.unreadable) == (2, 1, ())
    again = await reseal_keys(store, both)
    assert (again.resealed, again.current) == (0, 3)
    reopened = await SigningKeyRing.open(store, Vault([new]), POLICY, FixedClock(NOW))
    assert len(reopened.key_set()) == 3
    assert isinstance(reopened.key_set().verify(ring.sign({}, typ="at+jwt"), typ={"at+jwt"}), Verified)
    with pytest.raises(StoreError):
        await SigningKeyRing.open(store, Vault([old]), POLICY, FixedClock(NOW))


async def test_what_no_key_opens_is_left_as_it_is_and_named(store: BusyStore) -> None:
    await open_ring(store)
    lost = make_signing_key(STRANGE_VAULT, now=NOW, active_from=NOW)
    rows = await store.load_signing_keys()
    await store.record_signing_key(lost, latest=find_latest(rows))
    result = await reseal_keys(store, VAULT)
    assert (result.resealed, result.current, result.unreadable) == (0, 1, (lost.kid,))
    assert lost in await store.load_signing_keys()
