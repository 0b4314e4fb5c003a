"""Token introspection (RFC 7662): what a resource server is told of an access token, and what it makes of that."""

from collections.abc import Collection, Mapping

from nameplate.errors import BearerError, FetchError
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.grant import Grant
from nameplate.protocol.scope import build_scope

__all__ = [
    "build_active_response",
    "build_inactive_refusal",
    "build_inactive_response",
    "choose_audience",
    "is_active",
    "is_response_active",
]

_COPIED_CLAIMS = ("iss", "aud", "client_id", "sub", "exp", "iat", "jti", "grant_id")
_OWN_CLAIMS = ("iss", "client_id", "sub", "jti")


def choose_audience(claims: Mapping[str, object], resources: Collection[str]) -> str | None:
    """Which of the caller's resources the token is for; None where it is for none of them.

    A token for somebody else is nobody's business but theirs (RFC 7662 §2.2, §4).
    """
    audience = claims.get("aud")
    return audience if isinstance(audience, str) and audience in resources else None


def is_active(token: AccessToken, grant: Grant, now: int) -> bool:
    """Whether the grant behind a token of ours still lives, and the token too, without any leeway (RFC 7662 §4)."""
    return (
        token.expires_at > now
        and grant.revoked_at is None
        and grant.expires_at > now
        and (grant.client_id, grant.subject, grant.resource) == (token.client_id, token.subject, token.resource)
    )


def build_inactive_response() -> dict[str, object]:
    """The answer to everything that is not active. It never says why (RFC 7662 §2.2)."""
    return {"active": False}


def build_active_response(token: AccessToken) -> dict[str, object]:
    """What the caller is told of an active token (RFC 7662 §2.2). Of the person, ``sub`` alone."""
    response: dict[str, object] = {"active": True, "token_type": "Bearer"}
    response |= {name: token.claims[name] for name in _COPIED_CLAIMS if name in token.claims}
    if token.scope:
        response["scope"] = build_scope(token.scope)
    return response


def is_response_active(response: Mapping[str, object], token: AccessToken) -> bool:
    """Whether the answer says that this very token is active. Raises ``FetchError`` where it is no such answer.

    The token passed every check of its own before, so its claims count; an answer that contradicts them is about
    another token, or binds it to a key (RFC 7662 §4).
    """
    active = response.get("active")
    if not isinstance(active, bool):
        raise FetchError("the answer is no introspection response: it has no active")
    agrees = all(response.get(name, token.claims[name]) == token.claims[name] for name in _OWN_CLAIMS)
    is_here = response.get("aud", token.resource) in (token.resource, [token.resource])
    return active and agrees and is_here and "cnf" not in response


def build_inactive_refusal() -> BearerError:
    """What a resource server answers to a token that is not active: 401, so that the client signs in again."""
    return BearerError("invalid_token", "The access token is no longer good.", reason="token.revoked")
