"""Client assertions: JWTs by which clients prove that they have their private key (RFC 7523 §3, RFC 10070).

The signature is ``jose``'s business. Whoever verified it gives the claims to ``check_assertion_claims``.
"""

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NoReturn

from nameplate.errors import TokenError
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.client_proof import AssertionUse

__all__ = [
    "ASSERTION_ALGORITHMS",
    "ASSERTION_SECONDS",
    "ASSERTION_TYPES",
    "CLOCK_SKEW_SECONDS",
    "REPLICA_SKEW_SECONDS",
    "build_replay_refusal",
    "build_signature_refusal",
    "check_assertion_claims",
    "choose_algorithms",
    "choose_audiences",
    "is_client_pattern",
    "matches_client_pattern",
]

ASSERTION_ALGORITHMS = (
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
    "PS256",
    "PS384",
    "PS512",
    "RS256",
    "RS384",
    "RS512",
)
"""The signature algorithms of assertions, in the order in which they are advertised. All have a public key: an HMAC
would have it for its secret (RFC 8725 §3.1).
"""

# RFC 7515 §4.1.9: what has no slash stands for application/<name>.
_NAMES = ("client-authentication+jwt", "oauth-client-auth+jwt")
ASSERTION_TYPES = frozenset({"", "JWT", "jwt", *_NAMES, *(f"application/{name}" for name in _NAMES)})
"""The ``typ`` values of an assertion, the empty text for a header without one (RFC 10070 asks not to refuse those).

Everything else is a token of another kind, that somebody found elsewhere: ``at+jwt``, ``dpop+jwt``, ``logout+jwt``.
"""

ASSERTION_SECONDS = 300
"""How long an assertion may be good for."""

CLOCK_SKEW_SECONDS = 60
"""What the client's clock and ours may differ."""

REPLICA_SKEW_SECONDS = 60
"""What the clocks of two replicas may differ, before one forgets a use while another still accepts the assertion."""

JTI_CHARACTERS = 256

_SIGNATURE_REFUSALS = {
    "oversized": ("assertion.malformed", "The client assertion is longer than this server reads."),
    "malformed": ("assertion.malformed", "The client assertion is no signed JWT in compact form."),
    "header": (
        "assertion.header",
        "The client assertion has a header that is not accepted: crit, jwk, jku, x5c, x5u, b64, zip or enc.",
    ),
    "algorithm": (
        "assertion.algorithm",
        "alg of the client assertion is not one that both this server and the client allow.",
    ),
    "type": (
        "assertion.type",
        "typ of the client assertion is that of another kind of token; use client-authentication+jwt.",
    ),
    "key": (
        "assertion.key",
        "No key of the client can be chosen: name it by kid, and sign by an alg that fits the key.",
    ),
    "signature": ("assertion.signature", "The signature of the client assertion is wrong."),
    "claims": ("assertion.malformed", "The payload of the client assertion is no strict JSON object."),
    "unknown_key": ("assertion.unknown_key", "The client publishes no usable key of this kid."),
}
_LATEST_INSTANT = 2**40  # the year 36812: what is later is no instant but an attempt to overflow somebody


def choose_algorithms(client: ClientMetadata) -> frozenset[str]:
    """The algorithms by which this client's assertions may be signed: the one that it names, or any.

    Empty where it names one that is not supported. RFC 7591 §2 (``token_endpoint_auth_signing_alg``), RFC 8725 §3.1.
    """
    named = client.auth_signing_alg
    return frozenset(ASSERTION_ALGORITHMS) & ({named} if named is not None else set(ASSERTION_ALGORITHMS))


def choose_audiences(
    client_id: str, *, issuer: str, token_endpoint: str | None, patterns: Sequence[str]
) -> tuple[str, ...]:
    """What an assertion of this client may name as its audience: the issuer (RFC 10070 §4).

    An assertion that names an endpoint can be had by another server which claims that endpoint for its own and passes
    it on. So the token endpoint is admitted for the clients that the operator lists, and nowhere but there (decision
    7): ``token_endpoint`` is None at every other endpoint.
    """
    if token_endpoint is None or not any(matches_client_pattern(client_id, pattern) for pattern in patterns):
        return (issuer,)
    return (issuer, token_endpoint)


def is_client_pattern(pattern: str) -> bool:
    """Whether ``*`` stands in the pattern for whole path segments only."""
    segments = pattern.split("/")
    return all("*" not in segment or (segment == "*" and place >= 3) for place, segment in enumerate(segments))


def matches_client_pattern(client_id: str, pattern: str) -> bool:
    """Whether the client id is the pattern, ``*`` standing for one path segment. Byte for byte otherwise."""
    if client_id == pattern:
        return True
    mine, theirs = client_id.split("/"), pattern.split("/")
    return (
        is_client_pattern(pattern)
        and len(mine) == len(theirs)
        and all(_is_segment(own) if wanted == "*" else own == wanted for own, wanted in zip(mine, theirs, strict=True))
    )


def _is_segment(text: str) -> bool:
    """Whether this is one path segment, with nothing that begins a query."""
    return text != "" and "?" not in text and "#" not in text


def check_assertion_claims(
    claims: Mapping[str, object], *, client_id: str, audiences: Sequence[str], now: float
) -> AssertionUse:
    """The one use that an assertion with these claims, whose signature is good, has.

    ``client_id`` is whose key it was. ``audiences`` are from ``choose_audiences``; one of them must be the whole
    ``aud``, as a text: an array is refused, even of one. ``now`` is epoch seconds. Raises ``TokenError``
    ``invalid_client``. RFC 7523 §3, RFC 10070 §4.
    """
    # 1, 2. and 5. RFC 7523 §3, RFC 7521 §4.2: client_id, iss and sub are the same, by simple string comparison
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        _refuse("assertion.other_client", "iss and sub of the client assertion must be the client_id.")
    # 3. RFC 10070 §4
    audience = claims.get("aud")
    if not isinstance(audience, str) or audience not in audiences:
        _refuse("assertion.audience", "aud of the client assertion must be the issuer, as one string.")
    # 4. and 6. RFC 7523 §3
    expires_at = _check_times(claims, now)
    # 7. RFC 7523 §3, which leaves it to us: without it, who reads an assertion in a log could use it
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= JTI_CHARACTERS:
        _refuse(
            "assertion.claim", f"jti of the client assertion must be a text of at most {JTI_CHARACTERS} characters."
        )
    digest = sha256(f"{client_id}\0{jti}".encode(errors="surrogatepass")).digest()
    kept_until = math.ceil(expires_at) + CLOCK_SKEW_SECONDS + REPLICA_SKEW_SECONDS
    return AssertionUse(client_id=client_id, use_hash=digest, kept_until=kept_until)


def build_signature_refusal(outcome: str, detail: str = "") -> TokenError:
    """The answer to an assertion that no key of the client signed.

    ``outcome`` is a reason of ``jose.Refused``, or ``unknown_key``. What is said can be known by everybody who has the
    assertion: the client's keys are public.
    """
    reason, description = _SIGNATURE_REFUSALS[outcome]
    return TokenError("invalid_client", description, reason=reason, detail=detail)


def build_replay_refusal() -> TokenError:
    """The answer to an assertion that was used before (RFC 7523 §3)."""
    return TokenError(
        "invalid_client",
        "The client assertion was used before; sign a new one for each request.",
        reason="assertion.replayed",
    )


def _check_times(claims: Mapping[str, object], now: float) -> float:
    """``exp``, once it, ``nbf`` and ``iat`` are found to be right."""
    expires_at = _read_instant(claims, "exp")
    issued_at = _read_instant(claims, "iat") if "iat" in claims else None
    not_before = _read_instant(claims, "nbf") if "nbf" in claims else 0
    if now >= expires_at + CLOCK_SKEW_SECONDS:
        _refuse("assertion.expired", "The client assertion has expired.")
    if now < max(not_before, issued_at or 0) - CLOCK_SKEW_SECONDS:
        _refuse("assertion.not_yet_valid", "The client assertion is not valid yet.")
    if expires_at - now > ASSERTION_SECONDS + CLOCK_SKEW_SECONDS or (
        issued_at is not None and expires_at - issued_at > ASSERTION_SECONDS + CLOCK_SKEW_SECONDS
    ):
        _refuse(
            "assertion.too_long_lived", f"The client assertion may be good for {ASSERTION_SECONDS} seconds at the most."
        )
    return expires_at


def _read_instant(claims: Mapping[str, object], name: str) -> float:
    """A NumericDate (RFC 7519 §2), which may have a fraction: a number, no truth value, within all calendars."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _LATEST_INSTANT:
        _refuse("assertion.claim", f"{name} of the client assertion is missing or no instant.")
    return value


def _refuse(reason: str, description: str) -> NoReturn:
    raise TokenError("invalid_client", description, reason=reason)
