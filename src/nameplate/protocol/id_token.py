"""ID tokens (OpenID Connect Core §2, §3.1.3.7): what must be in one that a provider issued to us just now.

Signatures are ``jose``'s business; once one is verified, its claims come here. Numbers are those of §3.1.3.7.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from typing import Any, NoReturn

from nameplate.errors import UpstreamError
from nameplate.protocol.fault import build_quotation, is_blank, is_visible

__all__ = ["CLOCK_SKEW_SECONDS", "ExpectedIdToken", "IdToken", "check_id_token_claims", "compute_token_hash"]

CLOCK_SKEW_SECONDS = 60
"""What the provider's clock and ours may differ."""

SUBJECT_CHARACTERS = 255
"""OpenID Connect Core §2."""

_AUDIENCES = 16
_LATEST_INSTANT = 2**40  # the year 36812: what is later is no instant but an attempt to overflow somebody
_TENANT_MARK = "{tenantid}"
_TENANT_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedIdToken:
    """What the token must say.

    ``issuer_template`` takes the place of ``issuer`` at a provider of many tenants: the token's ``iss`` is the template
    with its own ``tenant_claim`` in the place of ``{tenantid}``. ``max_age_seconds`` is how long before ``begun_at``
    (epoch seconds) the person may have signed in; ``has_auth_time`` whether the provider must say when that was.
    """

    issuer: str
    client_id: str
    nonce: str
    begun_at: float
    issuer_template: str | None = None
    tenant_claim: str = "tid"
    max_age_seconds: int | None = None
    has_auth_time: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """An ID token that passed every check. ``issuer`` is its own ``iss``."""

    issuer: str
    subject: str
    claims: Mapping[str, object]


def check_id_token_claims(
    claims: Mapping[str, object],
    expected: ExpectedIdToken,
    *,
    algorithm: str,
    access_token: str,
    now: float,
) -> IdToken:
    """The ID token with these claims, whose signature by ``algorithm`` is good.

    ``access_token`` came with it. ``now`` is epoch seconds. Raises ``UpstreamError`` ``server_error``: the provider, or
    somebody in its place, sent something that was not meant for this sign-in.
    """
    # 2. the issuer, exactly
    issuer = _check_issuer(claims, expected)
    # 3. to 5. meant for us
    _check_audience(claims, expected.client_id)
    # 9., 10. and RFC 7519 §4.1.5
    _check_times(claims, now)
    # 11. the answer to our own request, and no other (a token that somebody else was issued is no sign-in here)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(_encode(nonce), _encode(expected.nonce)):
        _refuse("the nonce is missing or another one", reason="upstream.id_token_nonce")
    # 13. how long ago the person signed in
    _check_sign_in_time(claims, expected)
    # §3.1.3.8 the access token came with it, if the provider says so
    _check_access_token(claims, algorithm, access_token)
    return IdToken(issuer=issuer, subject=_read_subject(claims), claims=claims)


def compute_token_hash(token: str, algorithm: str) -> str | None:
    """``at_hash`` of a token, by the hash function of the ID token's algorithm; None for an unknown one. §3.1.3.6."""
    function = _find_hash(algorithm)
    if function is None:
        return None
    digest: bytes = function(_encode(token)).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _find_hash(algorithm: str) -> Callable[[bytes], Any] | None:
    if algorithm in {"EdDSA", "Ed25519"}:  # RFC 8032 §5.1: Ed25519 hashes by SHA-512
        return sha512
    return {"256": sha256, "384": sha384, "512": sha512}.get(algorithm[-3:])


def _check_issuer(claims: Mapping[str, object], expected: ExpectedIdToken) -> str:
    issuer = claims.get("iss")
    wanted = expected.issuer
    if expected.issuer_template is not None:
        tenant = claims.get(expected.tenant_claim)
        if not isinstance(tenant, str) or not _is_tenant(tenant):
            _refuse(f"{expected.tenant_claim} names no tenant", reason="upstream.id_token_issuer")
        wanted = expected.issuer_template.replace(_TENANT_MARK, tenant)
    if issuer != wanted:
        _refuse(
            f"iss is {build_quotation(str(issuer))}, and must be {wanted!r} byte for byte",
            reason="upstream.id_token_issuer",
        )
    return wanted


def _is_tenant(text: str) -> bool:
    """One path segment with nothing in it that could lead to another issuer."""
    return 0 < len(text) <= _TENANT_CHARACTERS and text.isascii() and text.replace("-", "").isalnum()


def _check_audience(claims: Mapping[str, object], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences or len(audiences) > _AUDIENCES:
        _refuse("aud does not name this client", reason="upstream.id_token_audience")
    # 4. and 5. Whoever else is named could have got it; then it must say that it was issued to us.
    party = claims.get("azp")
    if (party is not None or len(audiences) > 1) and party != client_id:
        _refuse("azp is another party, or missing beside several audiences", reason="upstream.id_token_audience")


def _check_times(claims: Mapping[str, object], now: float) -> None:
    expires_at = _read_instant(claims, "exp")
    issued_at = _read_instant(claims, "iat")
    not_before = _read_instant(claims, "nbf") if "nbf" in claims else issued_at
    if now >= expires_at + CLOCK_SKEW_SECONDS:
        _refuse(f"exp is {expires_at:.0f}, and by our clock it is {now:.0f}", reason="upstream.id_token_expired")
    if now < max(issued_at, not_before) - CLOCK_SKEW_SECONDS:
        _refuse(
            f"iat or nbf is {max(issued_at, not_before):.0f}, and by our clock it is {now:.0f}",
            reason="upstream.id_token_not_yet_valid",
        )


def _check_sign_in_time(claims: Mapping[str, object], expected: ExpectedIdToken) -> None:
    """The time is counted back from the request: how long the person then takes at the provider does not matter."""
    if expected.max_age_seconds is None:
        return
    if "auth_time" not in claims and not expected.has_auth_time:
        return
    signed_in_at = _read_instant(claims, "auth_time")
    if signed_in_at < expected.begun_at - expected.max_age_seconds - CLOCK_SKEW_SECONDS:
        _refuse(
            f"auth_time is {signed_in_at:.0f}, and max_age {expected.max_age_seconds} was asked for at "
            f"{expected.begun_at:.0f}",
            reason="upstream.sign_in_too_old",
        )


def _check_access_token(claims: Mapping[str, object], algorithm: str, access_token: str) -> None:
    if "at_hash" not in claims:
        return
    named, actual = claims["at_hash"], compute_token_hash(access_token, algorithm)
    is_same = isinstance(named, str) and actual is not None and hmac.compare_digest(_encode(named), _encode(actual))
    if not is_same:
        _refuse("at_hash is not that of the access token", reason="upstream.id_token_at_hash")


def _read_instant(claims: Mapping[str, object], name: str) -> float:
    """A NumericDate (RFC 7519 §2): a number, neither a truth value nor beyond all calendars."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _LATEST_INSTANT:
        _refuse(f"{name} is missing or no instant", reason="upstream.id_token_claim")
    return value


def _read_subject(claims: Mapping[str, object]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS:
        _refuse("sub is missing, empty or too long", reason="upstream.id_token_claim")
    if not is_visible(subject) or is_blank(subject):
        _refuse("sub has characters that do not show", reason="upstream.id_token_claim")
    return subject


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _refuse(problem: str, *, reason: str) -> NoReturn:
    raise UpstreamError(
        "server_error",
        "The identity provider's answer is not for this sign-in.",
        reason=reason,
        detail=f"ID token: {problem}",
    )
