"""The identity provider's tokens that lie with a grant: sealed, refreshed by one replica at a time, ended with it.

They never reach a client (architecture decision 17).
"""

import logging

import anyio

from nameplate.errors import StoreError, TokenError, UpstreamError
from nameplate.ports.store import GrantFilter, StoredUpstreamTokens
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.grant import Grant
from nameplate.server.context import ServerContext
from nameplate.server.upstreams import ServedUpstream
from nameplate.upstream.port import UpstreamTokens
from nameplate.vault import Vault

__all__ = ["end_tokens", "load_current_tokens", "reseal_tokens", "seal_tokens"]

logger = logging.getLogger("nameplate.server")

REFRESH_AHEAD_SECONDS = 60
"""Tokens with less left are refreshed before they are handed out."""

LEASE_SECONDS = 30
"""For how long nobody else tries, where the one who is refreshing dies of it."""

_WAIT_SECONDS = 5.0  # for somebody else who is refreshing
_LOOK_EVERY_SECONDS = 0.05
_RETRY_SECONDS = 10
_OTHER_GRANTS = 200  # of one person, looked through before the provider is told that one has ended


def seal_tokens(tokens: UpstreamTokens, grant_id: str, vault: Vault) -> bytes:
    """The tokens as they lie with this grant, and with no other."""
    return vault.seal(tokens.to_json(), purpose=_build_purpose(grant_id))


def reseal_tokens(sealed: bytes, grant_id: str, vault: Vault) -> bytes:
    """The same, under the key that the vault seals with. Raises ``StoreError`` where no key opens them."""
    purpose = _build_purpose(grant_id)
    return vault.seal(vault.open(sealed, purpose=purpose), purpose=purpose)


def _build_purpose(grant_id: str) -> str:
    return f"upstream tokens {grant_id}"


async def load_current_tokens(grant: Grant, context: ServerContext) -> UpstreamTokens:
    """The tokens of a grant, with an access token that is good now.

    Raises ``TokenError``: ``invalid_request`` where there are none, or no longer, which ends the grant: without them it
    is worth nothing, and signing in again mends it. ``temporarily_unavailable`` (503) where the provider cannot be
    asked; then nothing ends.
    """
    upstream = context.upstreams.find(grant.upstream)
    stored = await context.store.load_upstream_tokens(grant.id)
    if upstream is None or isinstance(stored, Unknown):
        raise TokenError("invalid_request", "There is nothing to exchange for.", reason="exchange.no_upstream_tokens")
    tokens = _open(stored, grant, context)
    if not _is_short(tokens, REFRESH_AHEAD_SECONDS, context):
        return tokens
    if tokens.refresh_token is None:
        if not _is_short(tokens, 0, context):
            return tokens
        await context.store.revoke_grant(grant.id, reason="upstream.no_refresh_token", now=context.now())
        raise _build_end("upstream.no_refresh_token")
    now = context.now()
    if await context.store.lease_upstream_refresh(grant.id, version=stored.version, now=now, until=now + LEASE_SECONDS):
        return await _refresh(grant, upstream, stored, tokens, context)
    return await _wait_for_other(grant, stored, tokens, context)


def _open(stored: StoredUpstreamTokens, grant: Grant, context: ServerContext) -> UpstreamTokens:
    return UpstreamTokens.from_json(context.vault.open(stored.sealed, purpose=_build_purpose(grant.id)))


def _is_short(tokens: UpstreamTokens, seconds: int, context: ServerContext) -> bool:
    """Whether the access token has no more than this many seconds left."""
    return tokens.expires_at is not None and tokens.expires_at - context.now() <= seconds


async def _refresh(
    grant: Grant,
    upstream: ServedUpstream,
    stored: StoredUpstreamTokens,
    tokens: UpstreamTokens,
    context: ServerContext,
) -> UpstreamTokens:
    """Ask the provider, as the one who holds the lease."""
    try:
        # A caller that goes away now would take new tokens with it, and the old ones are worth nothing any more.
        with anyio.CancelScope(shield=True):
            fresh = await upstream.client.refresh(tokens, context.now())
            sealed = seal_tokens(fresh, grant.id, context.vault)
            await context.store.replace_upstream_tokens(
                grant.id, version=stored.version, sealed=sealed, now=context.now()
            )
    except UpstreamError as error:
        logger.warning(
            "upstream refresh failed",
            extra={"reason": error.reason, "detail": error.detail, "grant_id": grant.id, "upstream": upstream.name},
        )
        if error.ends_grant:
            await context.store.revoke_grant(grant.id, reason=error.reason, now=context.now())
            raise _build_end(error.reason) from error
        if not _is_short(tokens, 0, context):
            return tokens
        raise _build_busy(error.reason, error.retry_after_seconds) from error
    return fresh


async def _wait_for_other(
    grant: Grant, stored: StoredUpstreamTokens, tokens: UpstreamTokens, context: ServerContext
) -> UpstreamTokens:
    """Another request, here or at another replica, is refreshing: take what it brings."""
    if not _is_short(tokens, 0, context):
        return tokens
    with anyio.move_on_after(_WAIT_SECONDS):
        while True:
            found = await context.store.load_upstream_tokens(grant.id)
            if isinstance(found, Unknown):
                break
            if found.version != stored.version:
                return _open(found, grant, context)
            current = await context.store.load_grant(grant.id)
            if isinstance(current, Unknown) or current.revoked_at is not None:
                raise _build_end("upstream.grant_ended")
            await anyio.sleep(_LOOK_EVERY_SECONDS)
    raise _build_busy("upstream.unavailable", None)


def _build_end(reason: str) -> TokenError:
    return TokenError("invalid_request", "The identity provider has ended what the person allowed.", reason=reason)


def _build_busy(reason: str, retry_after_seconds: int | None) -> TokenError:
    return TokenError(
        "temporarily_unavailable",
        "The identity provider cannot be asked just now.",
        reason=reason,
        status=503,
        retry_after_seconds=retry_after_seconds or _RETRY_SECONDS,
    )


async def end_tokens(grant: Grant, context: ServerContext) -> None:
    """End the tokens of a grant that has ended at the provider too, as well as that can be done. Never raises for it.

    Not while another grant of the same person lives: several providers end everything of a person at once, and the
    other clients would be logged out with it.
    """
    upstream = context.upstreams.find(grant.upstream)
    if upstream is None:
        return
    try:
        stored = await context.store.load_upstream_tokens(grant.id)
        if isinstance(stored, Unknown) or await _has_other_grants(grant, context):
            return
        await upstream.client.revoke(_open(stored, grant, context))
    except (StoreError, UpstreamError) as error:
        logger.warning(
            "upstream revocation failed",
            extra={"detail": str(error), "grant_id": grant.id, "upstream": upstream.name},
        )


async def _has_other_grants(grant: Grant, context: ServerContext) -> bool:
    which = GrantFilter(subject=grant.subject, live_at=context.now())
    others = await context.store.list_grants(which, limit=_OTHER_GRANTS)
    return any(other.id != grant.id and other.upstream == grant.upstream for _number, other in others)
