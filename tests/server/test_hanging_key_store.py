"""Anybody can invent a kid, and each of these asks the store for newer keys: no crowd waits for one that hangs."""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from nameplate.errors import StoreError
from nameplate.jose import SigningKey, UnknownKey, Verified
from nameplate.ports.store import StoredSigningKey
from nameplate.protocol.signing_keys import KeyPolicy
from nameplate.server import signing_keys
from nameplate.server.signing_keys import SigningKeyRing
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.clock import FixedClock
from nameplate.vault import Vault

pytestmark = pytest.mark.anyio

POLICY = KeyPolicy(rotate_seconds=86_400, publish_ahead_seconds=3600, longest_token_seconds=600)
TYP = {"at+jwt"}


class HangingStore(SqliteStore):
    """Brings the keys, or never does."""

    hangs = False

    async def load_signing_keys(self) -> Sequence[StoredSigningKey]:
        if self.hangs:
            await anyio.sleep_forever()
        return await super().load_signing_keys()


async def test_whoever_invents_kids_has_an_answer_soon_and_known_keys_need_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "_PATIENCE_SECONDS", 0.05)
    store, clock = await HangingStore.open(str(tmp_path / "store.sqlite3")), FixedClock()
    try:
        ring = await SigningKeyRing.open(store, Vault((secrets.token_bytes(32),)), POLICY, clock)
        known, foreign = (key.sign({"sub": "alice"}, typ="at+jwt") for key in (ring, SigningKey.generate()))
        clock.advance(10)
        store.hangs = True
        with anyio.fail_after(2):
            answers = await asyncio.gather(*(ring.verify(foreign, typ=TYP) for _ in range(50)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreError}
        assert isinstance(await ring.verify(known, typ=TYP), Verified)
        store.hangs = False
        assert isinstance(await ring.verify(foreign, typ=TYP), UnknownKey)
    finally:
        await store.aclose()
