"""Ending what a person authorised, asked for by the client (RFC 7009), and telling resource servers of it.

The unit that ends is the grant. The feed is a format of ours: all grants of which tokens could still be around, anew in
each answer, so that nobody has to follow an order of events.
"""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from nameplate.errors import BearerError, FetchError, TokenError
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.grant import Grant
from nameplate.protocol.parameters import Parameters

__all__ = [
    "CLOCK_SECONDS",
    "REVOCATION_REASON",
    "RevokedGrants",
    "build_revoked_grants",
    "check_grant_listed",
    "choose_loaded_since",
    "choose_promised_since",
    "digest_grant_id",
    "is_revocable_by",
    "parse_presented_token",
    "parse_revoked_grants",
    "read_grant_id",
]

REVOCATION_REASON = "client.revoked"
"""Why a grant ended that its client ended (the detail of ``grant.revoked``)."""

CLOCK_SECONDS = 60
"""What the clocks of two replicas, or of a replica and a resource server, are allowed to differ in the feed."""

_KNOWN_SECONDS = 24 * 60 * 60  # GrantStore.load_revocations

# Of ids that nobody can choose: with 10**5 grants revoked and 10**6 alive, two are alike once in 10**8 such servers.
_DIGEST_BYTES = 8
_UNREADABLE = "the list of revoked grants"
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedGrants:
    """The feed as a resource server reads it.

    It names every revoked grant of which a token was issued at ``since`` or later, by ``digest_grant_id``: of older
    tokens it says nothing. ``at`` is when it was made, by the authorization server's clock. Both are epoch seconds.
    """

    at: int
    since: int
    digests: frozenset[str]


def parse_presented_token(parameters: Parameters) -> str:
    """The ``token`` of a revocation or introspection request (RFC 7009 §2.1, RFC 7662 §2.1).

    ``token_type_hint`` is not even read: a wrong one must not hide a token, and looking in both places costs little.
    Raises ``TokenError`` ``invalid_request``.
    """
    token = parameters.get("token")
    if token is None:
        raise TokenError("invalid_request", "The request has no token.", reason="token.token_missing")
    return token


def read_grant_id(claims: Mapping[str, object], issuer: str) -> str | None:
    """The grant of an access token whose signature is ours; None where the token is of no grant of this issuer.

    When the token expires is of no interest here: a client that signs out with the last token it has means the grant.
    """
    grant_id = claims.get("grant_id")
    return grant_id if claims.get("iss") == issuer and isinstance(grant_id, str) else None


def is_revocable_by(grant: Grant, client_id: str, now: int) -> bool:
    """Whether there is anything to end: the grant lives, and the client says that it is its own (RFC 7009 §2.1).

    Where it is not, the answer is that to an unknown token: who guesses must not learn what is there (TK-08).
    """
    return grant.client_id == client_id and grant.revoked_at is None and grant.expires_at > now


def choose_promised_since(now: int, lifetime_seconds: int) -> int:
    """What the feed says as ``since``. ``lifetime_seconds`` is that of the longest-lived token.

    Revocations are known for a day, so a token that lives as long is refused a little before its end.
    """
    return now - min(lifetime_seconds + CLOCK_SECONDS, _KNOWN_SECONDS - CLOCK_SECONDS)


def choose_loaded_since(promised_since: int) -> int:
    """From when on revocations are loaded, to keep the promise: a token may bear a later time than the revocation of
    its grant, by the clock of another replica.
    """
    return promised_since - CLOCK_SECONDS


def digest_grant_id(grant_id: str) -> str:
    """What stands for a grant in the feed: half as long, so that the list holds twice as many."""
    digest = sha256(grant_id.encode(errors="surrogatepass")).digest()[:_DIGEST_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def build_revoked_grants(
    grant_ids: Iterable[str], *, issuer: str, resources: Collection[str], now: int, since: int
) -> dict[str, object]:
    """The feed's JSON. ``grant_ids`` are those of the grants for ``resources`` that were revoked since
    ``choose_loaded_since(since)``.
    """
    return {
        "issuer": issuer,
        "resources": sorted(resources),
        "at": now,
        "since": since,
        "revoked": sorted(map(digest_grant_id, grant_ids)),
    }


def parse_revoked_grants(
    document: Mapping[str, object], *, issuer: str, resource: str, now: float, stale_seconds: float
) -> RevokedGrants:
    """Read the feed. Raises ``FetchError`` where it is malformed, another server's, about other resources, or too old
    to be the answer of now.

    A list that says nothing of ``resource`` is empty for it, whatever was revoked. An answer that something between the
    servers kept would otherwise pass for a fresh one.
    """
    if document.get("issuer") != issuer:
        raise FetchError(f"{_UNREADABLE} is another issuer's")
    at, since, revoked = document.get("at"), document.get("since"), document.get("revoked")
    if type(at) is not int or type(since) is not int:  # not isinstance: a truth value is no instant
        raise FetchError(f"{_UNREADABLE} does not say from when it is")
    if not isinstance(revoked, list) or not all(isinstance(digest, str) for digest in revoked):
        raise FetchError(f"{_UNREADABLE} is no list of texts")
    resources = document.get("resources")
    if not isinstance(resources, list) or resource not in resources:
        about = f"{resources!a}"[:_SHOWN_CHARACTERS]
        raise FetchError(f"{_UNREADABLE} is about {about}, and says nothing of {resource!a}")
    if at < now - stale_seconds - CLOCK_SECONDS:
        raise FetchError(f"{_UNREADABLE} was made at {at}, and it is {now:.0f}: is it cached, or is a clock wrong?")
    return RevokedGrants(at=at, since=since, digests=frozenset(revoked))


def check_grant_listed(token: AccessToken, revoked: RevokedGrants) -> None:
    """Raises ``BearerError`` ``invalid_token`` (401) unless the feed shows that the token's grant lives.

    A token from before ``since`` cannot be judged: its lifetime is over by what the server now hands out. One without a
    grant cannot either.
    """
    if not token.grant_id:
        raise _build_refusal("token.grant_missing", "The access token names no grant, so it cannot be looked up.")
    if digest_grant_id(token.grant_id) in revoked.digests:
        raise _build_refusal("token.revoked", "The access token was revoked.")
    issued_at = token.claims.get("iat")
    if not isinstance(issued_at, (int, float)) or issued_at < revoked.since:
        raise _build_refusal("token.too_old", "The access token is older than the revocations that are known.")


def _build_refusal(reason: str, description: str) -> BearerError:
    return BearerError("invalid_token", description, reason=reason)
