"""A provider's keys: fetched now and then, again when a token names one that is unknown, and kept while it is down."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nameplate.errors import UpstreamError
from nameplate.jose import KeySet, Refused, UnknownKey, Verified
from nameplate.upstream.discovery import Discovery
from nameplate.upstream.http import UpstreamHttp, build_unavailable
from nameplate.upstream.kept import Kept, KeptTiming
from nameplate.upstream.metadata import ProviderMetadata

__all__ = ["ID_TOKEN_TYPES", "KEY_TIMING", "ProviderKeys", "PublishedKeys"]

_log = logging.getLogger("nameplate.upstream")

KEY_TIMING = KeptTiming(refresh_seconds=3600, keep_seconds=24 * 3600)
"""A key that the provider withdrew is refused here an hour later at most, or a day later if the provider is down."""

ID_TOKEN_TYPES = frozenset({"", "JWT", "jwt"})
"""The ``typ`` of ID tokens: none, or that of any JWT. An access token (RFC 9068) or logout token has another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKeys:
    """The keys, and for which issuer each is where the provider says so (Entra does, for the keys of many tenants)."""

    keys: KeySet
    issuers: Mapping[str, str]


class ProviderKeys:
    """The keys at the ``jwks_uri`` of one provider."""

    def __init__(
        self,
        name: str,
        discovery: Discovery,
        http: UpstreamHttp,
        *,
        timing: KeptTiming = KEY_TIMING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is asked yet. ``clock`` gives seconds that never run backwards."""
        self._name = name
        self._discovery = discovery
        self._http = http
        self._kept = Kept(f"the keys of {name}", self._fetch, timing=timing, clock=clock)

    async def verify(self, token: str) -> tuple[Verified, PublishedKeys] | UnknownKey | Refused:
        """Whether the provider signed this, and the keys by which that was found.

        A key that is not known, or fits no more, can have been replaced: then metadata and keys are fetched once more,
        at most every few seconds whatever comes. Raises ``UpstreamError`` where there are no keys.
        """
        metadata, published = await self._discovery.load(), await self._kept.load()
        outcome = _verify(token, published, metadata)
        if isinstance(outcome, Verified) or (
            isinstance(outcome, Refused) and outcome.reason not in {"key", "signature"}
        ):
            return outcome if isinstance(outcome, Refused) else (outcome, published)
        metadata, published = await self._discovery.reload(), await self._kept.reload()
        outcome = _verify(token, published, metadata)
        return (outcome, published) if isinstance(outcome, Verified) else outcome

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        await self._kept.aclose()

    async def _fetch(self) -> PublishedKeys:
        metadata = await self._discovery.load()
        if metadata.jwks_uri is None:
            raise self._build_failure("its metadata names no jwks_uri")
        answer = await self._http("GET", metadata.jwks_uri)
        jwks = answer.read_json()
        if answer.status != 200 or not isinstance(jwks, dict):
            media_type = answer.media_type or "without a media type"
            raise self._build_failure(f"{metadata.jwks_uri} answered {answer.status} {media_type}")
        keys = KeySet.from_jwks(jwks)
        for problem in keys.problems:
            _log.info("a key of %s is not used: %s", self._name, problem)
        if not len(keys):
            raise self._build_failure(f"no key at {metadata.jwks_uri} can be used")
        return PublishedKeys(keys=keys, issuers=_read_issuers(jwks))

    def _build_failure(self, problem: str) -> UpstreamError:
        return build_unavailable(f"{self._name}: {problem}", reason="upstream.keys_missing")


def _verify(token: str, published: PublishedKeys, metadata: ProviderMetadata) -> Verified | UnknownKey | Refused:
    return published.keys.verify(token, typ=ID_TOKEN_TYPES, algorithms=metadata.id_token_algorithms)


def _read_issuers(jwks: Mapping[str, object]) -> dict[str, str]:
    entries = jwks.get("keys")
    return {
        entry["kid"]: entry["issuer"]
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("kid"), str) and isinstance(entry.get("issuer"), str)
    }
