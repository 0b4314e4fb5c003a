"""Judges access tokens, and remembers those it found good."""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import assert_never

from nameplate.errors import BearerError
from nameplate.jose import KeySet, Refused, RefusedReason, UnknownKey, Verified
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPES, AccessToken, check_access_token_claims
from nameplate.protocol.resource_metadata import check_identifier_url
from nameplate.resource.keys import Keys

__all__ = ["AccessTokenVerifier"]

_REFUSALS: dict[RefusedReason, tuple[str, str]] = {
    "oversized": ("token.oversized", "The access token is too long."),
    "malformed": ("token.malformed", "The access token is no signed JWT."),
    "header": ("token.header_refused", "The access token's header holds a member that is not accepted."),
    "algorithm": ("token.algorithm_refused", "The access token's algorithm is not accepted."),
    "type": ("token.wrong_type", "The token is no access token."),
    "key": ("token.unknown_key", "The access token is not signed by a key of the authorization server."),
    "signature": ("token.wrong_signature", "The access token's signature is wrong."),
    "claims": ("token.malformed", "The access token is no signed JWT."),
}


class AccessTokenVerifier:
    """Verifies access tokens of one authorization server for one resource, offline (RFC 9068 §4).

    A revoked token is good here until it expires: the authorization server keeps lifetimes short. Where that is too
    long, ``ResourceOptions.revocation`` puts a ``CheckedTokenVerifier`` around this.
    """

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        keys: Keys,
        leeway_seconds: int = 10,
        remembered_tokens: int = 4096,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``leeway_seconds`` allows for clocks that differ; ``clock`` gives epoch seconds.

        A token seen before costs one SHA-256. At most ``remembered_tokens`` are kept, the least recently used go
        first, none past its ``exp`` or a change of keys. Raises ``ConfigurationError`` for URLs that cannot be
        identifiers.
        """
        check_identifier_url("issuer", issuer)
        check_identifier_url("resource", resource)
        self._issuer = issuer
        self._resource = resource
        self._keys = keys
        self._leeway_seconds = leeway_seconds
        self._remembered_tokens = remembered_tokens
        self._clock = clock
        self._remembered: OrderedDict[bytes, AccessToken] = OrderedDict()
        self._remembered_keys: KeySet | None = None

    async def verify(self, token: str) -> AccessToken:
        """The token, if it is good.

        Raises ``BearerError`` ``invalid_token`` (401), or ``FetchError`` where no key can be had to judge it by.
        """
        if not token.isascii():
            raise _build_refusal("malformed")
        keys = await self._keys.load()
        self._forget_others(keys)
        digest = sha256(token.encode()).digest()
        now = self._clock()
        known = self._remembered.get(digest)
        if known is not None and now < known.expires_at:
            self._remembered.move_to_end(digest)
            return known
        self._remembered.pop(digest, None)
        verified = await self._verify_signature(keys, token)
        access_token = check_access_token_claims(
            verified.claims, issuer=self._issuer, resource=self._resource, now=now, leeway_seconds=self._leeway_seconds
        )
        self._remember(digest, access_token)
        return access_token

    async def aclose(self) -> None:
        """Close the source of keys."""
        await self._keys.aclose()

    async def _verify_signature(self, keys: KeySet, token: str) -> Verified:
        outcome = keys.verify(token, typ=ACCESS_TOKEN_TYPES)
        if isinstance(outcome, UnknownKey):
            keys = await self._keys.reload()
            self._forget_others(keys)
            outcome = keys.verify(token, typ=ACCESS_TOKEN_TYPES)
        match outcome:
            case Verified():
                return outcome
            case UnknownKey():
                raise _build_refusal("key")
            case Refused(reason):
                raise _build_refusal(reason)
            case _:
                assert_never(outcome)

    def _forget_others(self, keys: KeySet) -> None:
        """Nothing outlives the key that signed it: what other keys verified is verified again."""
        if keys is not self._remembered_keys:
            self._remembered.clear()
            self._remembered_keys = keys

    def _remember(self, digest: bytes, access_token: AccessToken) -> None:
        self._remembered[digest] = access_token
        if len(self._remembered) > self._remembered_tokens:
            self._remembered.popitem(last=False)


def _build_refusal(refused: RefusedReason) -> BearerError:
    reason, description = _REFUSALS[refused]
    return BearerError("invalid_token", description, reason=reason)
