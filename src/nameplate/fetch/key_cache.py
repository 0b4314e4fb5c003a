"""What the last fetch of each key set brought, good or bad, within bounds."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import assert_never

from nameplate.errors import BadStatus, Busy, ClientMetadataError, FetchError
from nameplate.fetch.key_options import KeySetOptions
from nameplate.ports.keys import ClientKeys

__all__ = ["BadKeys", "Failure", "GoodKeys", "KeyCache", "KnownKeys", "find_last_good", "repeat_failure"]

Failure = FetchError | ClientMetadataError


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodKeys:
    """A set that came. ``may_stand_in`` is false where its host forbids stale copies."""

    keys: ClientKeys
    key_ids: frozenset[str]
    may_stand_in: bool
    next_fetch_at: float

    def holds(self, kid: str | None) -> bool:
        """Whether this key is in it, or none in particular is looked for."""
        return kid is None or kid in self.key_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class BadKeys:
    """A failure, and the set that came before it, unless the host took that back."""

    failure: Failure
    last_good: GoodKeys | None
    next_fetch_at: float


KnownKeys = GoodKeys | BadKeys


def find_last_good(known: KnownKeys | None) -> GoodKeys | None:
    """The newest set there is."""
    match known:
        case None | GoodKeys():
            return known
        case BadKeys():
            return known.last_good
        case _:
            assert_never(known)


def repeat_failure(failure: Failure) -> Failure:
    """The same failure, never raised yet.

    One that was raised holds on to the frames that it passed, and with them to bodies and requests: it must not be
    kept.
    """
    match failure:
        case ClientMetadataError():
            return ClientMetadataError(failure.reason, failure.member, failure.rule)
        case BadStatus():
            return BadStatus(failure.status)
        case Busy():
            return Busy(failure.detail, retry_after_seconds=failure.retry_after_seconds)
        case FetchError():
            return type(failure)(failure.detail)
        case _:
            assert_never(failure)


class KeyCache:
    """What is known, by URL. What was not used for longest goes first, once there is too much of it."""

    def __init__(self, options: KeySetOptions) -> None:
        self._max_entries = options.max_entries
        self._max_bytes = options.max_cache_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, KnownKeys] = OrderedDict()

    def find(self, jwks_uri: str) -> KnownKeys | None:
        """What the last fetch of this set brought, if that is remembered."""
        known = self._entries.get(jwks_uri)
        if known is not None:
            self._entries.move_to_end(jwks_uri)
        return known

    def put(self, jwks_uri: str, known: KnownKeys) -> None:
        """Remember what a fetch brought."""
        self._pop(jwks_uri)
        self._entries[jwks_uri] = known
        self._bytes += _measure(jwks_uri, known)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._pop(next(iter(self._entries)))

    def _pop(self, jwks_uri: str) -> None:
        known = self._entries.pop(jwks_uri, None)
        if known is not None:
            self._bytes -= _measure(jwks_uri, known)


def _measure(jwks_uri: str, known: KnownKeys) -> int:
    good = find_last_good(known)
    return len(jwks_uri) + (0 if good is None else len(good.keys.jwks))
