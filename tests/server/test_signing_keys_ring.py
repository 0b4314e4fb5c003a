"""The signing keys of running servers, over one store: made, rotated, withdrawn, lost."""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import anyio
import pytest

from nameplate.errors import StoreError
from nameplate.jose import KeySet, Refused, SigningKey, UnknownKey, Verified
from nameplate.ports.store import StoredSigningKey
from nameplate.protocol.signing_keys import CLOCK_LEEWAY_SECONDS, KeyPolicy
from nameplate.server.settings import Settings
from nameplate.server.signing_keys import (
    SigningKeyRing,
    build_key_policy,
    find_latest,
    make_signing_key,
    open_signing_key,
    seal_jwk,
)
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.clock import FixedClock
from nameplate.vault import Vault

pytestmark = pytest.mark.anyio

KEY, OTHER_KEY = secrets.token_bytes(32), secrets.token_bytes(32)
POLICY = KeyPolicy(rotate_seconds=86_400, publish_ahead_seconds=3600, longest_token_seconds=600)
KEPT = 600 + CLOCK_LEEWAY_SECONDS
TYP = {"at+jwt"}


class CountingStore(SqliteStore):
    """Counts how often the keys are read; can be full."""

    reads = 0
    is_full = False

    async def record_signing_key(self, key: StoredSigningKey, *, latest: str | None) -> Sequence[StoredSigningKey]:
        if self.is_full:
            raise StoreError("the disk is full")
        return await super().record_signing_key(key, latest=latest)

    async def load_signing_keys(self) -> Sequence[StoredSigningKey]:
        self.reads += 1
        return await super().load_signing_keys()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    opened = await CountingStore.open(str(tmp_path / "store.sqlite3"))
    yield opened
    await opened.aclose()


@pytest.fixture
async def replica_store(store: CountingStore, tmp_path: Path) -> AsyncIterator[CountingStore]:
    """The store as another process has it."""
    opened = await CountingStore.open(str(tmp_path / "store.sqlite3"))
    yield opened
    await opened.aclose()


async def open_ring(store: SqliteStore, clock: Callable[[], float], *keys: bytes) -> SigningKeyRing:
    return await SigningKeyRing.open(store, Vault(keys or (KEY,)), POLICY, clock)


def sign(ring: SigningKeyRing) -> str:
    return ring.sign({"sub": "alice"}, typ="at+jwt")


def read_published(ring: SigningKeyRing) -> list[str]:
    return [key["kid"] for key in json.loads(bytes(ring.jwks.body))["keys"]]


def find_signer(ring: SigningKeyRing) -> str:
    """The ``kid`` that the ring signs with now; each of its tokens verifies against what it publishes."""
    token = sign(ring)
    jwks = json.loads(bytes(ring.jwks.body))
    assert isinstance(KeySet.from_jwks(jwks).verify(token, typ=TYP), Verified)
    assert isinstance(ring.key_set().verify(token, typ=TYP), Verified)
    (kid,) = (
        key["kid"]
        for key in jwks["keys"]
        if isinstance(KeySet.from_jwks({"keys": [key]}).verify(token, typ=TYP), Verified)
    )
    return str(kid)


async def load_events(store: SqliteStore) -> list[tuple[str, str]]:
    return [(event.name, event.detail) for _, event in await store.load_audit_events()]


async def record(store: SqliteStore, clock: FixedClock, *, delay_seconds: int, key: bytes = KEY) -> str:
    """Somebody else records a key."""
    rows, now = await store.load_signing_keys(), int(clock())
    row = make_signing_key(Vault([key]), now=now, active_from=now + delay_seconds)
    assert row in await store.record_signing_key(row, latest=find_latest(rows))
    return row.kid


async def test_the_first_start_makes_a_key_that_signs_at_once(store: CountingStore, clock: FixedClock) -> None:
    ring = await open_ring(store, clock)
    kid = find_signer(ring)
    assert read_published(ring) == [kid]
    assert await load_events(store) == [("signing_key.created", kid)]


async def test_a_restart_keeps_the_key(store: CountingStore, clock: FixedClock) -> None:
    kid = find_signer(await open_ring(store, clock))
    assert find_signer(await open_ring(store, clock)) == kid


async def test_servers_that_start_together_have_one_key(
    store: CountingStore, replica_store: CountingStore, clock: FixedClock
) -> None:
    rings = await asyncio.gather(*(open_ring(handle, clock) for handle in (store, replica_store) * 4))
    assert len({find_signer(ring) for ring in rings}) == 1
    assert len(await store.load_signing_keys()) == 1


async def test_a_server_whose_clock_is_behind_uses_the_key_of_one_that_was_quicker(
    store: CountingStore, replica_store: CountingStore, clock: FixedClock
) -> None:
    kid = find_signer(await open_ring(store, clock))
    assert find_signer(await open_ring(replica_store, FixedClock(clock() - 30))) == kid
    assert len(await store.load_signing_keys()) == 1


async def test_no_private_key_lies_in_the_file_in_the_clear(
    store: CountingStore, clock: FixedClock, tmp_path: Path
) -> None:
    await open_ring(store, clock)
    (row,) = await store.load_signing_keys()
    private = json.loads(open_signing_key(row, Vault([KEY])).private_jwk())["d"].encode()
    written = b"".join([path.read_bytes() for path in tmp_path.iterdir()])  # noqa: ASYNC240  (a test)
    assert row.kid.encode() in written
    assert row.sealed_jwk in written
    assert private not in written
    assert b'"d":' not in written


async def test_a_key_is_published_first_then_signs_then_is_published_until_its_tokens_are_over(
    store: CountingStore, clock: FixedClock
) -> None:
    ring = await open_ring(store, clock)
    first = find_signer(ring)
    clock.advance(POLICY.rotate_seconds - POLICY.publish_ahead_seconds - 1)
    await ring.rotate_if_due()
    assert read_published(ring) == [first]
    clock.advance(1)
    await ring.rotate_if_due()
    second, _ = read_published(ring)
    assert read_published(ring) == [second, first]
    assert find_signer(ring) == first
    clock.advance(POLICY.publish_ahead_seconds - 1)
    assert find_signer(ring) == first
    clock.advance(1)
    assert find_signer(ring) == second  # at its second, with nobody looking after it
    clock.advance(KEPT - 1)
    await ring.rotate_if_due()
    assert read_published(ring) == [second, first]
    clock.advance(1)
    await ring.rotate_if_due()
    assert read_published(ring) == [second]
    assert await load_events(store) == [
        ("signing_key.created", first),
        ("signing_key.created", second),
        ("signing_key.retired", first),
    ]


async def test_of_two_servers_one_records_the_next_key_and_both_publish_it_before_it_signs(
    store: CountingStore, replica_store: CountingStore, clock: FixedClock
) -> None:
    one, two = await open_ring(store, clock), await open_ring(replica_store, clock)
    for generation in range(2, 6):
        clock.advance(POLICY.rotate_seconds - POLICY.publish_ahead_seconds)
        await asyncio.gather(one.rotate_if_due(), two.rotate_if_due())
        await asyncio.gather(one.refresh(), two.refresh())
        created = [event for event, _ in await load_events(store) if event == "signing_key.created"]
        assert len(created) == generation
        assert read_published(one) == read_published(two)
        before = find_signer(one)
        clock.advance(POLICY.publish_ahead_seconds)
        assert find_signer(one) == find_signer(two) != before


async def test_a_server_that_missed_its_key_s_time_gives_the_next_one_its_time_before_it_signs(
    store: CountingStore, clock: FixedClock
) -> None:
    first = find_signer(await open_ring(store, clock))
    clock.advance(10 * POLICY.rotate_seconds)  # nobody served for ten rotations
    ring = await open_ring(store, clock)
    await ring.rotate_if_due()
    assert len(read_published(ring)) == 2
    assert find_signer(ring) == first
    clock.advance(POLICY.publish_ahead_seconds)
    assert find_signer(ring) != first


async def test_looking_after_keys_that_need_nothing_writes_nothing(store: CountingStore, clock: FixedClock) -> None:
    ring = await open_ring(store, clock)
    before, answer, key_set = await load_events(store), ring.jwks, ring.key_set()
    for _ in range(20):
        await ring.rotate_if_due()
        clock.advance(30)
    assert await load_events(store) == before
    assert ring.jwks is answer
    assert ring.key_set() is key_set


async def test_a_withdrawn_key_is_neither_published_nor_used_once_it_is_seen(
    store: CountingStore, clock: FixedClock
) -> None:
    ring = await open_ring(store, clock)
    first = find_signer(ring)
    token = sign(ring)
    second = await record(store, clock, delay_seconds=3600)
    await store.withdraw_signing_key(first, int(clock()))
    await ring.refresh()
    assert read_published(ring) == [second]
    assert find_signer(ring) == second  # before its time
    assert ring.key_set().verify(token, typ=TYP) == UnknownKey(first)
    assert await ring.verify(token, typ=TYP) == UnknownKey(first)


async def test_where_every_key_is_withdrawn_a_fresh_one_signs_at_once(store: CountingStore, clock: FixedClock) -> None:
    ring = await open_ring(store, clock)
    first = find_signer(ring)
    await store.withdraw_signing_key(first, int(clock()))
    clock.advance(30)
    await ring.rotate_if_due()
    assert find_signer(ring) != first
    again = await open_ring(store, clock)
    assert find_signer(again) == find_signer(ring)
    clock.advance(KEPT)
    await ring.rotate_if_due()
    assert [name for name, _ in await load_events(store)] == [
        "signing_key.created",
        "signing_key.withdrawn",
        "signing_key.created",
        "signing_key.retired",
    ]


async def test_a_withdrawn_key_is_not_used_though_no_other_can_be_recorded(
    store: CountingStore, clock: FixedClock
) -> None:
    ring = await open_ring(store, clock)
    await store.withdraw_signing_key(find_signer(ring), int(clock()))
    store.is_full = True
    with pytest.raises(StoreError, match="full"):
        await ring.rotate_if_due()
    assert read_published(ring) == []
    with pytest.raises(StoreError, match="no signing key"):
        sign(ring)
    store.is_full = False
    await ring.rotate_if_due()
    assert find_signer(ring)


async def test_a_start_where_every_key_is_withdrawn_makes_a_fresh_one(store: CountingStore, clock: FixedClock) -> None:
    first = find_signer(await open_ring(store, clock))
    await store.withdraw_signing_key(first, int(clock()))
    assert find_signer(await open_ring(store, clock)) != first


async def test_a_token_of_a_server_with_a_newer_key_is_verified(
    store: CountingStore, replica_store: CountingStore, clock: FixedClock
) -> None:
    one, two = await open_ring(store, clock), await open_ring(replica_store, clock)
    clock.advance(10)
    await record(store, clock, delay_seconds=0)
    await one.refresh()
    token = sign(one)
    assert isinstance(two.key_set().verify(token, typ=TYP), UnknownKey)
    assert isinstance(await two.verify(token, typ=TYP), Verified)
    assert isinstance(two.key_set().verify(token, typ=TYP), Verified)


async def test_invented_key_names_cause_few_reads(store: CountingStore, clock: FixedClock) -> None:
    ring = await open_ring(store, clock)
    clock.advance(10)
    before = store.reads
    strangers = [SigningKey.generate().sign({"sub": "x"}, typ="at+jwt") for _ in range(30)]
    outcomes = await asyncio.gather(*(ring.verify(token, typ=TYP) for token in strangers))
    assert all(isinstance(outcome, UnknownKey) for outcome in outcomes)
    assert store.reads == before + 1
    clock.advance(4)
    await ring.verify(strangers[0], typ=TYP)
    assert store.reads == before + 1
    clock.advance(1)
    await ring.verify(strangers[0], typ=TYP)
    assert store.reads == before + 2


async def test_what_is_wrong_with_a_token_of_a_known_key_causes_no_read(
    store: CountingStore, clock: FixedClock
) -> None:
    ring = await open_ring(store, clock)
    clock.advance(60)
    before, token = store.reads, sign(ring)
    assert await ring.verify(token[:-4] + "AAAA", typ=TYP) == Refused("signature")
    assert await ring.verify(token, typ={"JWT"}) == Refused("type")
    assert await ring.verify("junk", typ=TYP) == Refused("malformed")
    assert store.reads == before


async def test_a_start_with_another_encryption_key_fails_in_words_and_makes_no_key(
    store: CountingStore, clock: FixedClock
) -> None:
    kid = find_signer(await open_ring(store, clock))
    with pytest.raises(StoreError) as caught:
        await open_ring(store, clock, OTHER_KEY)
    assert f"the signing key {kid} cannot be opened" in str(caught.value)
    assert Vault([KEY]).key_ids[0] in str(caught.value)
    assert Vault([OTHER_KEY]).key_ids[0] in str(caught.value)
    assert "nameplate keys withdraw --unreadable" in str(caught.value)
    assert [row.kid for row in await store.load_signing_keys()] == [kid]


async def test_a_key_that_was_put_in_another_s_row_is_not_used(store: CountingStore, clock: FixedClock) -> None:
    vault, mine = Vault([KEY]), SigningKey.generate()
    sealed = seal_jwk(mine.private_jwk().encode(), mine.kid, vault)
    row = StoredSigningKey(kid="another", sealed_jwk=sealed, created_at=0, active_from=0)
    await store.record_signing_key(row, latest=None)
    with pytest.raises(StoreError, match="put where it does not belong"):
        await open_ring(store, clock)


@pytest.mark.parametrize("plain", [b"", b"{}", b"\xff", b'{"kty":"RSA"}'])
async def test_what_was_sealed_and_is_no_key_is_told_as_our_error(
    store: CountingStore, clock: FixedClock, plain: bytes
) -> None:
    sealed = seal_jwk(plain, "kid", Vault([KEY]))
    await store.record_signing_key(
        StoredSigningKey(kid="kid", sealed_jwk=sealed, created_at=0, active_from=0), latest=None
    )
    with pytest.raises(StoreError, match="the signing key kid cannot be opened"):
        await open_ring(store, clock)


async def test_a_start_does_not_mind_keys_that_nobody_needs_and_cannot_open(
    store: CountingStore, clock: FixedClock
) -> None:
    lost = await record(store, clock, delay_seconds=0, key=OTHER_KEY)
    await store.withdraw_signing_key(lost, int(clock()))
    assert find_signer(await open_ring(store, clock)) != lost


async def test_keys_under_an_older_encryption_key_are_opened_and_new_ones_are_sealed_under_the_first(
    store: CountingStore, clock: FixedClock
) -> None:
    first = find_signer(await open_ring(store, clock, KEY))
    ring = await open_ring(store, clock, OTHER_KEY, KEY)
    assert find_signer(ring) == first
    clock.advance(POLICY.rotate_seconds)
    await ring.rotate_if_due()
    new, old = await store.load_signing_keys()
    assert Vault([OTHER_KEY]).is_current(new.sealed_jwk)
    assert Vault([KEY]).is_current(old.sealed_jwk)


async def test_a_running_server_goes_on_without_a_key_that_it_cannot_open_and_says_so_once(
    store: CountingStore, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    ring = await open_ring(store, clock)
    first = find_signer(ring)
    second = await record(store, clock, delay_seconds=60, key=OTHER_KEY)
    with caplog.at_level(logging.ERROR, "nameplate.server"):
        await ring.refresh()
        await ring.refresh()
    (line,) = caplog.records
    assert line.getMessage() == "signing key not used"
    assert second in line.__dict__["detail"]
    clock.advance(60)
    assert find_signer(ring) == first
    await store.withdraw_signing_key(first, int(clock()))
    await ring.refresh()
    with pytest.raises(StoreError, match="no signing key that is trusted and can be opened"):
        sign(ring)
    assert read_published(ring) == []


async def test_without_a_key_nothing_is_published_that_could_be_kept(store: CountingStore, clock: FixedClock) -> None:
    ring = await open_ring(store, clock)
    assert ring.jwks.status_code == 200
    await store.withdraw_signing_key(find_signer(ring), int(clock()))
    await ring.refresh()
    assert (ring.jwks.status_code, ring.jwks.headers["cache-control"]) == (503, "no-store")
    with pytest.raises(StoreError, match="there is no signing key"):
        await ring.check()


async def test_while_the_clock_is_wrong_no_key_is_made_or_deleted_and_withdrawals_count(
    store: CountingStore, clock: FixedClock
) -> None:
    is_wrong = False

    async def check_clock() -> None:
        if is_wrong:
            raise StoreError("the clock is wrong")

    ring = await SigningKeyRing.open(store, Vault([KEY]), POLICY, clock, check_clock)
    second = await record(store, clock, delay_seconds=60)
    await ring.rotate_if_due()
    rows, is_wrong = await store.load_signing_keys(), True
    clock.advance(10 * POLICY.rotate_seconds)
    for attempt in (ring.rotate_if_due, ring.check):
        with pytest.raises(StoreError, match="the clock is wrong"):
            await attempt()
    assert await store.load_signing_keys() == rows
    await store.withdraw_signing_key(second, int(clock()))
    with pytest.raises(StoreError, match="the clock is wrong"):
        await ring.rotate_if_due()
    assert second not in read_published(ring)
    is_wrong = False
    await ring.rotate_if_due()
    await ring.check()


async def test_with_a_wrong_clock_no_first_key_is_made(store: CountingStore, clock: FixedClock) -> None:
    async def check_clock() -> None:
        raise StoreError("the clock is wrong")

    with pytest.raises(StoreError, match="the clock is wrong"):
        await SigningKeyRing.open(store, Vault([KEY]), POLICY, clock, check_clock)
    assert await store.load_signing_keys() == []


async def test_a_store_that_fails_is_logged_and_what_was_read_still_signs(
    clock: FixedClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await CountingStore.open(str(tmp_path / "closed.sqlite3"))
    ring = await open_ring(store, clock)
    await store.aclose()
    with caplog.at_level(logging.ERROR, "nameplate.server"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ring.keep_up)
            await anyio.wait_all_tasks_blocked()  # it waits for its next try
            tasks.cancel_scope.cancel()
    assert [line.getMessage() for line in caplog.records] == ["signing keys could not be looked after"]
    assert find_signer(ring)
    with pytest.raises(StoreError):
        await ring.rotate_if_due()
    clock.advance(10)
    with pytest.raises(StoreError):
        await ring.verify(SigningKey.generate().sign({}, typ="at+jwt"), typ=TYP)


async def test_keys_are_published_without_their_private_part_for_as_long_as_is_safe(
    store: CountingStore, clock: FixedClock
) -> None:
    for ahead, seconds in ((60, 30), (599, 299), (600, 300), (86_400, 300)):
        policy = KeyPolicy(rotate_seconds=10**6, publish_ahead_seconds=ahead, longest_token_seconds=600)
        ring = await SigningKeyRing.open(store, Vault([KEY]), policy, clock)
        assert ring.jwks.headers["cache-control"] == f"public, max-age={seconds}"
    (key,) = json.loads(bytes(ring.jwks.body))["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def test_the_longest_token_of_any_class_of_clients_counts() -> None:
    settings = Settings.model_validate(
        {
            "issuer": "https://auth.example.com",
            "keys": {"rotate_seconds": 7200, "publish_ahead_seconds": 600},
            "tokens": {"access_token_seconds": 300, "confidential": {"access_token_seconds": 3600}},
        }
    )
    assert build_key_policy(settings) == KeyPolicy(
        rotate_seconds=7200, publish_ahead_seconds=600, longest_token_seconds=3600
    )
