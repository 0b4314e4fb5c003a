"""Replicas over one store that were not given the same encryption keys: not ready, and no token is lost."""

import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nameplate.errors import StoreError
from nameplate.jose import Verified
from nameplate.protocol.signing_keys import CLOCK_LEEWAY_SECONDS, KeyPolicy
from nameplate.server.app import AuthorizationServer
from nameplate.server.key_changes import reseal_keys, rotate_at_once
from nameplate.server.readiness import Readiness
from nameplate.server.settings import Settings
from nameplate.server.signing_keys import SigningKeyRing
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.clock import FixedClock
from nameplate.vault import Vault, generate_encryption_key, parse_encryption_keys

pytestmark = pytest.mark.anyio

KEY, OTHER_KEY = secrets.token_bytes(32), secrets.token_bytes(32)
POLICY = KeyPolicy(rotate_seconds=86_400, publish_ahead_seconds=3600, longest_token_seconds=600)
KEPT = 600 + CLOCK_LEEWAY_SECONDS
TYP = {"at+jwt"}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(str(tmp_path / "store.sqlite3"))
    yield opened
    await opened.aclose()


@pytest.fixture
async def replica_store(store: SqliteStore, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """The store as another process has it."""
    opened = await SqliteStore.open(str(tmp_path / "store.sqlite3"))
    yield opened
    await opened.aclose()


async def open_ring(store: SqliteStore, clock: FixedClock, *keys: bytes) -> SigningKeyRing:
    return await SigningKeyRing.open(store, Vault(keys), POLICY, clock)


def sign(ring: SigningKeyRing) -> str:
    return ring.sign({"sub": "alice"}, typ="at+jwt")


def read_published(ring: SigningKeyRing) -> list[str]:
    return [key["kid"] for key in json.loads(bytes(ring.jwks.body))["keys"]]


def find_signer(ring: SigningKeyRing) -> str:
    """The ``kid`` that the ring signs with now; its tokens verify with what it publishes."""
    token = sign(ring)
    assert isinstance(ring.key_set().verify(token, typ=TYP), Verified)
    header = token.partition(".")[0]
    return str(json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


def assert_all_verify(rings: Sequence[SigningKeyRing]) -> None:
    """What each of them signs verifies with what each of them publishes."""
    for token in [sign(ring) for ring in rings]:
        assert all(isinstance(ring.key_set().verify(token, typ=TYP), Verified) for ring in rings)


async def test_a_server_that_lacks_the_newer_encryption_key_is_not_ready_and_loses_nothing(
    store: SqliteStore, replica_store: SqliteStore, clock: FixedClock
) -> None:
    """Its tokens still verify everywhere, for as long as it runs: nobody deletes the key that it signs with."""
    lacking, given = await open_ring(store, clock, KEY), await open_ring(replica_store, clock, OTHER_KEY, KEY)
    first = find_signer(lacking)
    await lacking.check()
    clock.advance(POLICY.rotate_seconds - POLICY.publish_ahead_seconds)
    await given.rotate_if_due()
    second = read_published(given)[0]
    await lacking.rotate_if_due()
    with pytest.raises(StoreError, match=f"the signing key {second} cannot be opened.*{Vault([OTHER_KEY]).key_ids[0]}"):
        await lacking.check()
    await given.check()
    for seconds in (POLICY.publish_ahead_seconds, KEPT, POLICY.rotate_seconds, KEPT, POLICY.rotate_seconds):
        clock.advance(seconds)
        for ring in (lacking, given, lacking):
            await ring.rotate_if_due()
        assert find_signer(lacking) == first
        assert find_signer(given) != first
        assert isinstance(given.key_set().verify(sign(lacking), typ=TYP), Verified)
    # Once the operator gave the key to all, and encrypted everything anew, what is over goes.
    lacking = await open_ring(store, clock, OTHER_KEY, KEY)
    await lacking.check()
    assert_all_verify([lacking, given])
    await reseal_keys(store, Vault([OTHER_KEY, KEY]))
    clock.advance(KEPT)
    await given.rotate_if_due()
    await lacking.refresh()
    assert first not in read_published(given)
    assert_all_verify([lacking, given])


async def test_a_server_under_which_everything_was_encrypted_anew_goes_on_and_is_not_ready(
    store: SqliteStore, clock: FixedClock
) -> None:
    ring = await open_ring(store, clock, KEY)
    first = find_signer(ring)
    await reseal_keys(store, Vault([OTHER_KEY, KEY]))
    for _ in range(3):
        await ring.rotate_if_due()
        assert find_signer(ring) == first
        with pytest.raises(StoreError, match=f"the signing key {first} cannot be opened"):
            await ring.check()
    clock.advance(POLICY.rotate_seconds)
    await ring.rotate_if_due()
    assert [row.kid for row in await store.load_signing_keys()] == [first]  # others could not open one of its making


async def test_readiness_ends_where_a_key_cannot_be_opened_and_comes_back_when_that_key_is_gone(
    tmp_path: Path, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    url, key = f"sqlite:///{tmp_path / 'store.sqlite3'}", generate_encryption_key()
    store_settings: dict[str, Any] = {"url": url, "encryption_keys": [key]}
    settings = Settings.model_validate({"issuer": "https://auth.example.com", "store": store_settings})
    server = AuthorizationServer(settings, clock=clock)
    readiness = Readiness(clock)
    async with server.running() as context:
        assert await readiness.check(context) == ""
        both = Vault([OTHER_KEY, *parse_encryption_keys([key], setting="s")])
        made = (await rotate_at_once(context.store, both, int(clock()))).key.kid
        await context.signing_keys.refresh()
        clock.advance(1)
        assert await readiness.check(context) == "keys or clock unfit"
        (line,) = [record for record in caplog.records if record.getMessage() == "not ready"]
        assert f"the signing key {made} cannot be opened" in line.__dict__["detail"]
        assert Vault([OTHER_KEY]).key_ids[0] in line.__dict__["detail"]
        await context.store.withdraw_signing_key(made, int(clock()))
        await context.signing_keys.refresh()
        clock.advance(1)
        assert await readiness.check(context) == ""
