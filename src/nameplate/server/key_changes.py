"""What an operator does to the signing keys by hand, while servers run on the same store.

Running servers read the keys again within ``REFRESH_SECONDS`` and go by what they find.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nameplate.errors import StoreError
from nameplate.ports.store import KeyStore, StoredSigningKey
from nameplate.protocol.signing_keys import (
    MOST_KEYS,
    KeyPolicy,
    choose_active,
    compute_active_at_once,
    compute_active_from,
    find_waiting,
    is_full,
)
from nameplate.server.signing_keys import find_latest, make_signing_key, open_signing_key, reseal_jwk
from nameplate.vault import Vault

__all__ = ["KeyChange", "Resealing", "reseal_keys", "rotate_at_once", "schedule_rotation", "withdraw_key"]

_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """The key that signs next, or now, and whether this call made it."""

    key: StoredSigningKey
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealing:
    """How many keys were encrypted anew, how many lay under the right key before, and which could not be opened."""

    resealed: int
    current: int
    unreadable: tuple[str, ...]


async def schedule_rotation(store: KeyStore, vault: Vault, policy: KeyPolicy, now: int) -> KeyChange:
    """Have a new key take over once it is known everywhere; the one that waits already, if there is one.

    Raises ``StoreError`` where the keys there are cannot be opened, or are too many.
    """
    for _ in range(_TRIES):
        rows = await _load_readable(store, vault, now)
        waiting = find_waiting(rows, now, policy)
        if waiting is not None:
            return KeyChange(key=waiting, is_new=False)
        fresh = make_signing_key(vault, now=now, active_from=compute_active_from(rows, now, policy))
        if await _record(store, fresh, rows):
            return KeyChange(key=fresh, is_new=True)
    raise _build_contention()


async def rotate_at_once(store: KeyStore, vault: Vault, now: int) -> KeyChange:
    """Have a new key sign from now on. Raises ``StoreError`` as ``schedule_rotation`` does."""
    for _ in range(_TRIES):
        rows = await _load_readable(store, vault, now)
        fresh = make_signing_key(vault, now=now, active_from=compute_active_at_once(rows, now))
        if await _record(store, fresh, rows):
            return KeyChange(key=fresh, is_new=True)
    raise _build_contention()


async def withdraw_key(store: KeyStore, vault: Vault, kid: str, now: int) -> KeyChange:
    """Trust a key no more; what signs instead. Where no other that the vault opens could, a new key is made before.

    Raises ``StoreError`` where the store cannot do that.
    """
    for _ in range(_TRIES):
        rows = await store.load_signing_keys()
        others = [row for row in rows if row.kid != kid and row.withdrawn_at is None and _is_readable(row, vault)]
        successor, fresh = choose_active(others, now), None
        if successor is None:
            successor = fresh = make_signing_key(vault, now=now, active_from=now)
            if not await _record(store, fresh, rows):
                continue
        await store.withdraw_signing_key(kid, now)
        return KeyChange(key=successor, is_new=fresh is not None)
    raise _build_contention()


async def reseal_keys(store: KeyStore, vault: Vault) -> Resealing:
    """Encrypt every key anew that does not lie under the key that the vault seals with."""
    resealed, current, unreadable = 0, 0, []
    for row in await store.load_signing_keys():
        if vault.is_current(row.sealed_jwk):
            current += 1
            continue
        try:
            after = reseal_jwk(row, vault)
        except StoreError:
            unreadable.append(row.kid)
            continue
        # Where that fails, the key is gone, or somebody else was quicker.
        resealed += await store.reseal_signing_key(row.kid, before=row.sealed_jwk, after=after)
    return Resealing(resealed=resealed, current=current, unreadable=tuple(unreadable))


async def _load_readable(store: KeyStore, vault: Vault, now: int) -> Sequence[StoredSigningKey]:
    """The keys, if the one that signs can be opened: else a new one would lie under a key that the servers lack."""
    rows = await store.load_signing_keys()
    active = choose_active(rows, now)
    if active is not None:
        open_signing_key(active, vault)
    if is_full(rows):
        raise StoreError(f"{MOST_KEYS} keys are published already: wait until the tokens of older ones have expired")
    return rows


def _is_readable(row: StoredSigningKey, vault: Vault) -> bool:
    try:
        open_signing_key(row, vault)
    except StoreError:
        return False
    return True


async def _record(store: KeyStore, key: StoredSigningKey, rows: Sequence[StoredSigningKey]) -> bool:
    return key in await store.record_signing_key(key, latest=find_latest(rows))


def _build_contention() -> StoreError:
    return StoreError("other processes keep changing the signing keys; try again")
