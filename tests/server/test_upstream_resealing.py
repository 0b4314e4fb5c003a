"""When the encryption keys change, the identity providers' tokens are brought under the new one."""

from pathlib import Path

import pytest

from nameplate.ports.store import StoredUpstreamTokens
from nameplate.secret import Secret
from nameplate.server.upstream_resealing import TokenResealing, reseal_upstream_tokens
from nameplate.server.upstream_tokens import reseal_tokens, seal_tokens
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_samples import NOW, approve_sample, sample_grant
from nameplate.upstream.port import UpstreamTokens
from nameplate.vault import Vault, generate_encryption_key, parse_encryption_keys

OLD, NEW = parse_encryption_keys([generate_encryption_key(), generate_encryption_key()], setting="test")
TOKENS = UpstreamTokens(
    access_token=Secret("access"), token_type="Bearer", expires_at=NOW + 60, refresh_token=Secret("refresh"), scope=""
)


async def approve(store: SqliteStore, name: str, vault: Vault, **changes: object) -> str:
    grant = sample_grant(name, upstream="acme", **changes)
    await approve_sample(store, name, grant=grant, upstream_tokens=seal_tokens(TOKENS, grant.id, vault))
    return grant.id


@pytest.mark.anyio
async def test_tokens_under_an_old_key_are_brought_under_the_new_one(tmp_path: Path) -> None:
    store = await SqliteStore.open(str(tmp_path / "store"))
    try:
        old, current = await approve(store, "old", Vault([OLD])), await approve(store, "new", Vault([NEW]))
        lost = await approve(store, "lost", Vault(parse_encryption_keys([generate_encryption_key()], setting="test")))
        await approve(store, "over", Vault([OLD]), expires_at=NOW)
        await approve_sample(store, "local")
        both = Vault([NEW, OLD])
        outcome = await reseal_upstream_tokens(store, both, NOW)
        assert outcome == TokenResealing(resealed=1, current=1, unreadable=(lost,))
        for grant_id in (old, current):
            stored = await store.load_upstream_tokens(grant_id)
            assert isinstance(stored, StoredUpstreamTokens)
            assert Vault([NEW]).is_current(stored.sealed)
            reseal_tokens(stored.sealed, grant_id, Vault([NEW]))  # opens them, or raises
        again = await reseal_upstream_tokens(store, both, NOW)
        assert again == TokenResealing(resealed=0, current=2, unreadable=(lost,))
    finally:
        await store.aclose()
