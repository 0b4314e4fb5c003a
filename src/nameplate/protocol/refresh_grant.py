"""Refreshing (RFC 6749 §6, OAuth 2.1 §4.3, RFC 9700 §4.14; architecture decision 12)."""

from dataclasses import dataclass, field

from nameplate.errors import TokenError
from nameplate.protocol.grant import Grant, RefreshToken
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.scope import OFFLINE_ACCESS, parse_scope

__all__ = [
    "REPEAT_LIMIT",
    "REPEAT_SECONDS",
    "RefreshRequest",
    "build_refresh_refusal",
    "check_refresh",
    "narrow_scope",
    "parse_refresh_request",
]

REPEAT_SECONDS = 120
"""For how long a rotated token gets its first answer again: clients refresh from two addresses at once."""

REPEAT_LIMIT = 100
"""How often at the most (docs/decisions/0011)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRequest:
    """A request to refresh. ``scope`` narrows the new access token; None asks for all that was granted."""

    refresh_token: str = field(repr=False)
    client_id: str
    scope: tuple[str, ...] | None


def parse_refresh_request(parameters: Parameters, client_id: str) -> RefreshRequest:
    """Read the request. Raises ``TokenError`` ``invalid_request`` or ``invalid_scope``."""
    token, scope_text = parameters.get("refresh_token"), parameters.get("scope")
    if token is None:
        raise TokenError("invalid_request", "The request has no refresh_token.", reason="token.refresh_token_missing")
    scope = parse_scope(scope_text) if scope_text is not None else None
    if scope_text is not None and scope is None:
        raise TokenError("invalid_scope", "The scope is malformed.", reason="scope.malformed")
    return RefreshRequest(refresh_token=token, client_id=client_id, scope=scope or None)


def build_refresh_refusal(reason: str) -> TokenError:
    """The one answer to every refresh token that is not good: unknown, expired, foreign, reused get the same words."""
    return TokenError("invalid_grant", "The refresh token is not valid.", reason=reason)


def check_refresh(request: RefreshRequest, token: RefreshToken, grant: Grant, now: int) -> None:
    """Whether this client may use this token at all, as far as that is known before it authenticates.

    Whether the token was used before, only the store can say. Raises ``TokenError`` ``invalid_grant``.
    """
    if grant.client_id != request.client_id:
        raise build_refresh_refusal("refresh_token.other_client")
    if token.expires_at <= now:
        raise build_refresh_refusal("refresh_token.expired")
    if grant.revoked_at is not None:
        raise build_refresh_refusal("refresh_token.grant_revoked")
    if grant.expires_at <= now:
        raise build_refresh_refusal("refresh_token.grant_expired")


def narrow_scope(request: RefreshRequest, grant: Grant) -> tuple[str, ...]:
    """The scope of the new access token.

    Raises ``TokenError`` ``invalid_scope`` where more is asked for than was granted (RFC 6749 §6).
    """
    if request.scope is None:
        return grant.scope
    # offline_access lets nobody do anything, and a client may repeat it although its grant came without.
    wanted = set(request.scope) - {OFFLINE_ACCESS}
    if not wanted <= set(grant.scope):
        raise TokenError("invalid_scope", "The scope exceeds what was granted.", reason="scope.not_granted")
    if not wanted:
        return grant.scope
    return tuple(scope for scope in grant.scope if scope in request.scope)
