"""The keys that sign access tokens, as a running server holds them. The rules are in ``protocol.signing_keys``.

Each replica reads the keys from the store every ``REFRESH_SECONDS``, and whichever finds that the next one is due
records it. It is published for ``publish_ahead_seconds`` before it signs: long enough that by then every replica has
read it, and every verifier has fetched the key set again since.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NoReturn

import anyio
from starlette.responses import JSONResponse, Response

from nameplate.errors import ConfigurationError, StoreError
from nameplate.jose import KeySet, Refused, SigningKey, UnknownKey, Verified
from nameplate.ports.store import KeyStore, StoredSigningKey
from nameplate.protocol.cors import CORS_HEADERS
from nameplate.protocol.signing_keys import (
    KeyPolicy,
    choose_active,
    compute_active_from,
    find_retired,
    is_rotation_due,
    list_published,
)
from nameplate.server.clock_check import CheckClock, trust_clock
from nameplate.server.public_documents import build_json_document
from nameplate.server.settings import Settings
from nameplate.server.settings_checks import build_lifetimes
from nameplate.vault import Vault

__all__ = [
    "JWKS_SECONDS",
    "REFRESH_SECONDS",
    "SigningKeyRing",
    "build_key_policy",
    "find_latest",
    "make_signing_key",
    "open_signing_key",
    "reseal_jwk",
    "seal_jwk",
]

logger = logging.getLogger("nameplate.server")

REFRESH_SECONDS = 30
"""How often the keys are read from the store."""

JWKS_SECONDS = 300
"""How long others may keep the key set; less where a key is published for less than twice as long before it signs."""

_RELOAD_SECONDS = 5
_PATIENCE_SECONDS = 3  # a store that hangs must not hold on to whoever invents kids


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A key that could be opened, and what it was when it was."""

    sealed_jwk: bytes
    key: SigningKey


class SigningKeyRing:
    """Signs access tokens, publishes the keys, verifies tokens of ours. Belongs to the event loop that opened it."""

    def __init__(
        self,
        store: KeyStore,
        vault: Vault,
        policy: KeyPolicy,
        clock: Callable[[], float],
        rows: Sequence[StoredSigningKey],
        check_clock: CheckClock = trust_clock,
    ) -> None:
        """``rows`` are the keys in the store; ``open`` reads them. Raises as ``open`` does."""
        self._store = store
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._check_clock = check_clock
        self._lock = anyio.Lock()
        self._read_at = -math.inf
        self._rows: tuple[StoredSigningKey, ...] = ()
        self._opened: Mapping[str, _Opened] = {}
        self._published: Mapping[str, SigningKey] = {}
        self._unreadable: Mapping[str, StoreError] = {}
        self._active: SigningKey | None = None
        self._changes_at = math.inf
        self._key_set = KeySet(())
        self._jwks = self._build_jwks([])
        self._take(rows)
        if self._unreadable:
            raise next(iter(self._unreadable.values()))

    @classmethod
    async def open(
        cls,
        store: KeyStore,
        vault: Vault,
        policy: KeyPolicy,
        clock: Callable[[], float],
        check_clock: CheckClock = trust_clock,
    ) -> "SigningKeyRing":
        """The ring with the keys in the store. The first key of all is made here, once over all replicas.

        ``check_clock`` raises ``StoreError`` while the clock must not decide which keys are made and deleted. Raises
        ``StoreError`` where a key that is published cannot be opened, and where the first key cannot be made.
        """
        rows, now = await store.load_signing_keys(), int(clock())
        if choose_active(rows, now) is None:
            await check_clock()
            first = make_signing_key(vault, now=now, active_from=now)
            rows = await store.record_signing_key(first, latest=find_latest(rows))
        return cls(store, vault, policy, clock, rows, check_clock)

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str:
        """The claims as a signed JWT in compact form. Raises ``StoreError`` where no key can be used just now."""
        if self._clock() >= self._changes_at:
            self._choose()
        if self._active is None:
            raise _build_no_key()
        return self._active.sign(claims, typ=typ)

    @property
    def jwks(self) -> Response:
        """The published keys (RFC 7517 §5), the same answer for everybody and for as long as they stay the same."""
        return self._jwks

    def key_set(self) -> KeySet:
        """The published keys, to verify tokens of ours with. ``verify`` also knows keys that are new in the store."""
        return self._key_set

    async def verify(self, token: str, *, typ: Set[str]) -> Verified | UnknownKey | Refused:
        """Whether we signed the token. ``typ`` is as for ``KeySet.verify``.

        Another replica may have a newer key than this one. For an unknown ``kid``, which anybody can invent, the store
        is read again at most every five seconds. Raises ``StoreError`` where that fails, or takes longer than three.
        """
        outcome = self._key_set.verify(token, typ=typ)
        if isinstance(outcome, UnknownKey):
            await self._reload()
            outcome = self._key_set.verify(token, typ=typ)
        return outcome

    async def _reload(self) -> None:
        """Read the keys again, unless that was done moments ago."""
        try:
            with anyio.fail_after(_PATIENCE_SECONDS):
                async with self._lock:
                    if not 0 <= self._clock() - self._read_at < _RELOAD_SECONDS:
                        self._take(await self._store.load_signing_keys())
        except TimeoutError as error:
            raise StoreError("the store does not say which signing keys there are") from error

    async def check(self) -> None:
        """Whether this process may serve beside others. Raises ``StoreError`` while it cannot open a key that others
        publish, and sign with sooner or later; where it has none to sign with; and as ``check_clock`` does.
        """
        if self._unreadable:
            raise next(iter(self._unreadable.values()))
        if self._active is None:
            raise _build_no_key()
        await self._check_clock()

    async def refresh(self) -> None:
        """Read the keys again."""
        async with self._lock:
            self._take(await self._store.load_signing_keys())

    async def rotate_if_due(self) -> None:
        """Read the keys again, record the next one if it is time for that, forget those that nothing needs any more.

        Who cannot open a key of the others makes none: they could not open his. Raises ``StoreError``.
        """
        async with self._lock:
            rows, now = await self._store.load_signing_keys(), int(self._clock())
            self._take(rows)  # first of all: what was withdrawn must not be used because something else fails
            await self._check_clock()
            if not self._unreadable and is_rotation_due(rows, now, self._policy):
                active_from = compute_active_from(rows, now, self._policy)
                following = make_signing_key(self._vault, now=now, active_from=active_from)
                rows = await self._store.record_signing_key(following, latest=find_latest(rows))
                self._take(rows)
            retired = self._find_retired(now)
            for key in retired:
                await self._store.drop_signing_key(key.kid, now)
            self._take([key for key in rows if key not in retired])

    async def keep_up(self) -> NoReturn:
        """``rotate_if_due`` again and again. What fails is logged, and tried again."""
        while True:
            try:
                await self.rotate_if_due()
            except StoreError:
                logger.exception("signing keys could not be looked after")
            await anyio.sleep(REFRESH_SECONDS)

    def _take(self, rows: Iterable[StoredSigningKey]) -> None:
        """Use these keys from now on: to sign and to publish, those that this process can open.

        Of the others nothing is known but that somebody else uses them, so they replace none of ours.
        """
        self._rows, now = tuple(rows), self._clock()
        self._read_at = now
        self._opened, failures = self._open_all()
        for_all = list_published(self._rows, int(now), self._policy)
        unreadable = {row.kid: failures[row.kid] for row in for_all if row.kid in failures}
        retired = self._find_retired(int(now))
        published = {row.kid: self._opened[row.kid].key for row in self._list_usable() if row not in retired}
        self._tell(published, unreadable)
        if list(published) != list(self._published):
            jwks = [key.public_jwk() for key in published.values()]
            self._key_set, self._jwks = KeySet.from_jwks({"keys": jwks}), self._build_jwks(jwks)
        self._published, self._unreadable = published, unreadable
        self._choose()

    def _open_all(self) -> tuple[dict[str, "_Opened"], dict[str, StoreError]]:
        """The trusted keys that can be opened, and why others cannot.

        A key that was opened before stays so, even where it was encrypted anew under a key that this process lacks.
        """
        opened: dict[str, _Opened] = {}
        failures: dict[str, StoreError] = {}
        for row in self._rows:
            known = self._opened.get(row.kid)
            if row.withdrawn_at is not None:
                continue
            if known is None or known.sealed_jwk != row.sealed_jwk:
                try:
                    known = _Opened(sealed_jwk=row.sealed_jwk, key=open_signing_key(row, self._vault))
                except StoreError as error:
                    failures[row.kid] = error
            if known is not None:
                opened[row.kid] = known
        return opened, failures

    def _list_usable(self) -> list[StoredSigningKey]:
        return [row for row in self._rows if row.kid in self._opened]

    def _find_retired(self, now: int) -> list[StoredSigningKey]:
        """The keys that nobody needs any more, as far as this process can tell.

        Others may sign with a key though a later one has taken over here: those that were not given the encryption key
        of the later one. So nothing is over that does not lie under the newest encryption key.
        """
        known = [row for row in self._rows if row.withdrawn_at is not None or row.kid in self._opened]
        over = find_retired(known, now, self._policy)
        return [row for row in over if row.withdrawn_at is not None or self._vault.is_current(row.sealed_jwk)]

    def _choose(self) -> None:
        """Find the key that signs now, and when that changes."""
        now, rows = self._clock(), self._list_usable()
        active = choose_active(rows, int(now))
        self._active = self._opened[active.kid].key if active else None
        self._changes_at = min((row.active_from for row in rows if row.active_from > now), default=math.inf)

    def _tell(self, published: Mapping[str, SigningKey], unreadable: Mapping[str, StoreError]) -> None:
        for kid in published.keys() - self._published.keys():
            logger.info("signing key published", extra={"detail": kid})
        for kid in self._published.keys() - published.keys():
            logger.info("signing key no longer published", extra={"detail": kid})
        for kid in unreadable.keys() - self._unreadable.keys():
            logger.error("signing key not used", extra={"detail": str(unreadable[kid])})

    def _build_jwks(self, published: Sequence[Mapping[str, str]]) -> Response:
        if not published:  # who kept the set of before must not replace it by an empty one
            return JSONResponse({"keys": []}, 503, {**CORS_HEADERS, "Cache-Control": "no-store"})
        # Whoever fetched the set just before a new key was in it asks again before the key signs.
        max_age_seconds = min(JWKS_SECONDS, self._policy.publish_ahead_seconds // 2)
        return build_json_document({"keys": published}, max_age_seconds=max_age_seconds)


def build_key_policy(settings: Settings) -> KeyPolicy:
    """What the operator decided about signing keys."""
    return KeyPolicy(
        rotate_seconds=settings.keys.rotate_seconds,
        publish_ahead_seconds=settings.keys.publish_ahead_seconds,
        longest_token_seconds=max(each.access_token_seconds for each in build_lifetimes(settings.tokens).values()),
    )


def make_signing_key(vault: Vault, *, now: int, active_from: int) -> StoredSigningKey:
    """A fresh key, to be recorded in the store."""
    fresh = SigningKey.generate()
    return StoredSigningKey(
        kid=fresh.kid,
        sealed_jwk=seal_jwk(fresh.private_jwk().encode(), fresh.kid, vault),
        created_at=now,
        active_from=active_from,
    )


def find_latest(rows: Sequence[StoredSigningKey]) -> str | None:
    """What ``KeyStore.record_signing_key`` has to be told of the keys that a new one was made in view of."""
    return rows[0].kid if rows else None


def seal_jwk(private_jwk: bytes, kid: str, vault: Vault) -> bytes:
    """Encrypt a private key for the row of this ``kid``."""
    return vault.seal(private_jwk, purpose=_build_purpose(kid))


def reseal_jwk(row: StoredSigningKey, vault: Vault) -> bytes:
    """The row's private key, encrypted under the key that the vault seals with. ``StoreError`` where none opens it."""
    return seal_jwk(vault.open(row.sealed_jwk, purpose=_build_purpose(row.kid)), row.kid, vault)


def _build_no_key() -> StoreError:
    return StoreError("there is no signing key that is trusted and can be opened")


def _build_purpose(kid: str) -> str:
    return f"signing key {kid}"


def open_signing_key(row: StoredSigningKey, vault: Vault) -> SigningKey:
    """Decrypt a key of the store. Raises ``StoreError``, which says why that cannot be done and what to do."""
    try:
        key = SigningKey.from_private_jwk(vault.open(row.sealed_jwk, purpose=_build_purpose(row.kid)).decode())
    except (StoreError, ConfigurationError, UnicodeError) as error:
        raise StoreError(
            f"the signing key {row.kid} cannot be opened: {error}. Give this process the encryption keys that the "
            "other servers on this store have: their NAMEPLATE_STORE__ENCRYPTION_KEYS, or "
            "store.encryption_key_file. Only if the key is lost to all of them, and no copy is left: nameplate keys "
            "withdraw --unreadable, for each such signing key. Access tokens that it signed are then refused; nobody "
            "has to sign in again"
        ) from None
    return key
