"""Encrypting the identity providers' tokens anew, when the encryption keys change, while servers run."""

from dataclasses import dataclass

from nameplate.errors import StoreError
from nameplate.ports.store import GrantFilter, Store, StoredUpstreamTokens
from nameplate.server.upstream_tokens import reseal_tokens
from nameplate.vault import Vault

__all__ = ["TokenResealing", "reseal_upstream_tokens"]

_GRANTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResealing:
    """How many grants' tokens were encrypted anew, how many lay under the right key before, and the ids of the grants
    whose tokens could not be.
    """

    resealed: int
    current: int
    unreadable: tuple[str, ...]


async def reseal_upstream_tokens(store: Store, vault: Vault, now: int) -> TokenResealing:
    """Encrypt every live grant's tokens anew that do not lie under the key that the vault seals with.

    A server that has not got the new key yet may put tokens under the old one behind our back: they count as
    unreadable where that happens while we look, and a second run finds the rest.
    """
    resealed, current, unreadable, after = 0, 0, [], 0
    while page := await store.list_grants(GrantFilter(live_at=now), after=after, limit=_GRANTS_AT_ONCE):
        after = page[-1][0]
        for _, grant in page:
            stored = await store.load_upstream_tokens(grant.id) if grant.upstream else None
            if not isinstance(stored, StoredUpstreamTokens):
                continue
            if vault.is_current(stored.sealed):
                current += 1
            elif await _reseal(store, grant.id, stored, vault, now):
                resealed += 1
            else:
                unreadable.append(grant.id)
    return TokenResealing(resealed=resealed, current=current, unreadable=tuple(unreadable))


async def _reseal(store: Store, grant_id: str, stored: StoredUpstreamTokens, vault: Vault, now: int) -> bool:
    try:
        sealed = reseal_tokens(stored.sealed, grant_id, vault)
    except StoreError:
        return False
    return await store.replace_upstream_tokens(grant_id, version=stored.version, sealed=sealed, now=now)
