"""JWT access tokens (RFC 9068): what we put into one, and what a resource server must find in one.

Signatures are ``jose``'s business. A resource server verifies the signature first and gives the claims to
``check_access_token_claims``, whose checks are numbered as in RFC 9068 §4 where that has a number.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn, NotRequired, TypedDict

from nameplate.errors import BearerError
from nameplate.protocol.grant import Grant
from nameplate.protocol.scope import build_scope, parse_scope

__all__ = [
    "ACCESS_TOKEN_TYPE",
    "ACCESS_TOKEN_TYPES",
    "AccessToken",
    "AccessTokenClaims",
    "build_access_token_claims",
    "check_access_token_claims",
]

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - the header's typ, RFC 9068 §2.1
"""The ``typ`` of every access token that we sign."""

ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
"""The ``typ`` values that a resource server accepts (RFC 9068 §4): an ID token or a client assertion has another."""

_LATEST_INSTANT = 2**40  # the year 36812: what is later is no instant but an attempt to overflow somebody


class AccessTokenClaims(TypedDict):
    """The claims of an access token as they are signed (RFC 9068 §2.2)."""

    iss: str
    sub: str
    aud: str
    client_id: str
    exp: int
    iat: int
    jti: str
    grant_id: str
    scope: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An access token that passed every check. ``expires_at`` is epoch seconds; ``claims`` are all that were signed.

    ``grant_id`` names what the person authorised, among all that the issuer knows; empty where the issuer does not say.
    """

    subject: str
    client_id: str
    scope: tuple[str, ...]
    resource: str
    issuer: str
    expires_at: int
    jti: str
    claims: Mapping[str, object]
    grant_id: str = ""


def build_access_token_claims(
    grant: Grant, *, scope: tuple[str, ...], issuer: str, now: int, lifetime_seconds: int, jti: str
) -> AccessTokenClaims:
    """The claims of a token for ``scope`` of the grant (RFC 9068 §2.2). No token outlives its grant.

    ``aud`` is the grant's resource, byte for byte, and nothing else: a token is of use at one place (RFC 9068 §3).
    ``grant_id`` is by what resource servers learn of revocations; the name is that of "Grant Management for OAuth 2.0".
    It is a random handle and no secret: whoever knows it can do nothing with it.
    """
    claims: AccessTokenClaims = {
        "iss": issuer,
        "sub": grant.subject,
        "aud": grant.resource,
        "client_id": grant.client_id,
        "exp": min(now + lifetime_seconds, grant.expires_at),
        "iat": now,
        "jti": jti,
        "grant_id": grant.id,
    }
    if scope:
        claims["scope"] = build_scope(scope)
    return claims


def check_access_token_claims(
    claims: Mapping[str, object], *, issuer: str, resource: str, now: float, leeway_seconds: int
) -> AccessToken:
    """The token in the claims of a good signature, if it was issued by ``issuer`` for ``resource`` and lives.

    Raises ``BearerError`` ``invalid_token`` (401). ``leeway_seconds`` allows for clocks that differ.
    """
    # RFC 9068 §4: the issuer, exactly
    if claims.get("iss") != issuer:
        _refuse("token.wrong_issuer", "The access token was issued by another authorization server.")
    # RFC 9068 §4, MCP authorization "Token Handling": for us, and for nobody else. An array may hold us alone: whoever
    # else is named in it received the token too, and could use it here.
    if claims.get("aud") not in (resource, [resource]):
        _refuse("token.wrong_audience", "The access token was not issued for this resource.")
    expires_at = _read_instant(claims, "exp")
    issued_at = _read_instant(claims, "iat")  # RFC 9068 §2.2
    not_before = _read_instant(claims, "nbf") if "nbf" in claims else issued_at
    if now >= expires_at + leeway_seconds:  # RFC 7519 §4.1.4
        _refuse("token.expired", "The access token has expired.")
    if now < max(issued_at, not_before) - leeway_seconds:  # RFC 7519 §4.1.5
        _refuse("token.not_yet_valid", "The access token is not valid yet.")
    # RFC 9449 §6.1, RFC 8705 §3.1: bound to a key that a bearer request does not prove
    if "cnf" in claims:
        _refuse("token.sender_constrained", "The access token is bound to a key and cannot be used as a bearer token.")
    return AccessToken(
        subject=_read_text(claims, "sub"),
        client_id=_read_text(claims, "client_id"),
        scope=_read_scope(claims),
        resource=resource,
        issuer=issuer,
        expires_at=math.floor(expires_at),
        jti=_read_text(claims, "jti"),
        claims=MappingProxyType(dict(claims)),
        grant_id=_read_text(claims, "grant_id") if "grant_id" in claims else "",
    )


def _read_instant(claims: Mapping[str, object], name: str) -> float:
    """A NumericDate (RFC 7519 §2): a number, neither a truth value nor beyond all calendars."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _LATEST_INSTANT:
        _refuse("token.claim_invalid", f"The access token's {name} is missing or no instant.")
    return value


def _read_text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        _refuse("token.claim_invalid", f"The access token's {name} is missing or no text.")
    return value


def _read_scope(claims: Mapping[str, object]) -> tuple[str, ...]:
    """RFC 9068 §2.2.3: may be missing, and then allows nothing that needs a scope."""
    value = claims.get("scope", "")
    scope = parse_scope(value) if isinstance(value, str) else None
    if scope is None:
        _refuse("token.claim_invalid", "The access token's scope is malformed.")
    return scope


def _refuse(reason: str, description: str) -> NoReturn:
    raise BearerError("invalid_token", description, reason=reason)
