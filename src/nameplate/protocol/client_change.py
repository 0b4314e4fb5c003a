"""What becomes of a grant when its client's document changes, or can no longer be had (decisions 5, 6 and 14).

A grant is judged by the document of the day on which the person allowed it; most of what changes later concerns new
authorizations only (docs/decisions/0008). What is asked at each refresh stands here (docs/decisions/0011).
"""

import base64
import json
from functools import lru_cache
from hashlib import sha256
from typing import assert_never
from urllib.parse import urlsplit

from nameplate.errors import BadStatus, ClientIdError, ClientMetadataError, FetchError, TokenError
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.client_proof import ClientProof
from nameplate.protocol.client_refusal import GONE, choose_retry_seconds, describe_fetch_failure
from nameplate.protocol.grant import Grant

__all__ = [
    "ENDING_REASONS",
    "are_keys_replaced",
    "build_key_memory",
    "build_lost_client_refusal",
    "build_lost_keys_refusal",
    "check_proof",
    "is_doubtful",
    "is_end_of_client",
    "is_weaker",
]

ENDING_REASONS = frozenset({"client.auth_method_weakened", "client.keys_replaced"})
"""Refusals of ``check_proof`` that end the grant."""

# What a client is refused for that a copy of its document does not know as it is.
_DOUBTFUL_REASONS = frozenset(
    {
        "assertion.algorithm",
        "assertion.key",
        "assertion.signature",
        "assertion.unknown_key",
        "client.auth_method_unsupported",
        "client.auth_method_withdrawn",
    }
)

# A secret went through at least two hands; a private key never left its own.
_STRENGTHS = {"": 0, "none": 0, "client_secret_basic": 1, "client_secret_post": 1, "private_key_jwt": 2}
_STRONGEST = max(_STRENGTHS.values())


def is_weaker(method: str, pinned: str) -> bool:
    """Whether ``method`` proves less than ``pinned``, which is empty where nothing was pinned yet."""
    return _STRENGTHS.get(method, 0) < _STRENGTHS.get(pinned, _STRONGEST)


def check_proof(proof: ClientProof, grant: Grant, client: ClientMetadata) -> None:
    """Whether a client that proved itself like this may go on with its grant. ``client`` is the client of today.

    What was proven once on a grant is never proven less again, and not by other keys altogether (decisions 6 and 14).
    Raises ``TokenError``: ``invalid_client`` where the client has to authenticate as before, ``invalid_grant`` with one
    of ``ENDING_REASONS`` where it cannot any more; then the grant ends, and the person is asked again.
    """
    if is_weaker(proof.auth_method, grant.auth_method):
        if grant.auth_method in client.auth_methods:
            raise TokenError(
                "invalid_client",
                f"The client used {grant.auth_method} for this authorization before, and must go on with it.",
                reason="client.auth_method_pinned",
            )
        raise TokenError(
            "invalid_grant",
            f"The client no longer offers {grant.auth_method}, by which it authenticated before. Authorize it again.",
            reason="client.auth_method_weakened",
        )
    if are_keys_replaced(grant.client_keys, client):
        raise TokenError(
            "invalid_grant",
            "All keys of the client were replaced since it was here last. Authorize it again.",
            reason="client.keys_replaced",
        )


def is_doubtful(outcome: ClientProof | TokenError, grant: Grant, client: ClientMetadata) -> bool:
    """Whether a copy of the client's document that is older than the client's last visit may be wrong in this.

    ``outcome`` is how the client fared by that copy: a refusal, or a proof that would end the grant. Another replica
    may have let it in by a younger copy, so nobody is refused, and nothing ended, before that was looked at.
    """
    if isinstance(outcome, TokenError):
        return outcome.reason in _DOUBTFUL_REASONS
    try:
        check_proof(outcome, grant, client)
    except TokenError as refusal:
        return refusal.reason in ENDING_REASONS
    return False


def build_key_memory(client: ClientMetadata) -> str:
    """What a grant remembers of its client's keys: the thumbprints of ``jwks`` (RFC 7638), or the ``jwks_uri``.

    Empty where the client has none. Whoever controls a ``jwks_uri`` may serve other keys there at any time, so that
    nothing is gained by remembering these.
    """
    if client.jwks is not None:
        return f"jwks {' '.join(sorted(_list_thumbprints(client.jwks)))}"
    return "" if client.jwks_uri is None else f"jwks_uri {client.jwks_uri}"


def are_keys_replaced(memory: str, client: ClientMetadata) -> bool:
    """Whether a client has other keys altogether than those in ``memory``, as ``build_key_memory`` wrote it.

    Rotation is no replacement: one remembered key is enough, and so is the same host of ``jwks_uri``. Keys may move
    from the document to a ``jwks_uri``, and back, on the host of the client's own document: who writes the one may
    write the other there. Nothing remembered, nothing replaced.
    """
    if not memory:
        return False
    form, _, remembered = memory.partition(" ")
    if client.jwks is not None and form == "jwks":
        return _list_thumbprints(client.jwks).isdisjoint(remembered.split())
    before = remembered if form == "jwks_uri" else client.client_id
    after = client.jwks_uri or client.client_id
    return (client.jwks, client.jwks_uri) == (None, None) or _find_host(before) != _find_host(after)


@lru_cache(maxsize=256)
def _list_thumbprints(jwks: str) -> frozenset[str]:
    """RFC 7638 §3 for each key of a canonical key set."""
    described = {"alg", "kid", "use"}  # a canonical key holds these and, else, only what makes it up
    members = [
        {name: value for name, value in key.items() if name not in described} for key in json.loads(jwks)["keys"]
    ]
    texts = (json.dumps(each, separators=(",", ":"), sort_keys=True) for each in members)
    return frozenset(base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode() for text in texts)


def _find_host(url: str) -> str:
    """The host of a URL that was read strictly before; the text itself where it is none."""
    return urlsplit(url).hostname or url


def is_end_of_client(error: ClientIdError | ClientMetadataError | FetchError) -> bool:
    """Whether what a load for a live grant raised ends the grant (decision 5, rows 3 to 5).

    Documents that are gone or break a rule are raised only once that is confirmed; a ``ClientIdError`` means that the
    operator's policy no longer admits the client.
    """
    return not isinstance(error, FetchError) or (isinstance(error, BadStatus) and error.status in GONE)


def build_lost_client_refusal(error: ClientIdError | ClientMetadataError | FetchError, client_id: str) -> TokenError:
    """The answer to a refresh whose client's document cannot be had: ``invalid_client`` where that ends the grant.

    Everything else passes: 503 ``temporarily_unavailable``, and the client keeps its refresh token.
    """
    match error:
        case ClientIdError():
            return _build_end("This server does not admit the client any more.", error.reason, error)
        case ClientMetadataError():
            return _build_end("The client's document breaks a rule.", error.reason, error)
        case FetchError() if is_end_of_client(error):
            return _build_end("The client's document is gone.", "fetch.not_found", error)
        case FetchError():
            return _build_delay(error, client_id)  # it was a URL, or not fetched
        case _:
            assert_never(error)


def build_lost_keys_refusal(error: ClientMetadataError | FetchError, jwks_uri: str) -> TokenError:
    """The answer to an assertion whose client's ``jwks_uri`` cannot be had. No grant ends by that.

    Keys that cannot be fetched are no failure of the client's: 503 ``temporarily_unavailable``. A key set that breaks a
    rule is: ``invalid_client``.
    """
    match error:
        case ClientMetadataError():
            return _build_end("The key set at the client's jwks_uri breaks a rule.", error.reason, error)
        case FetchError():
            return _build_delay(error, jwks_uri, what="key set")
        case _:
            assert_never(error)


def _build_delay(error: FetchError, url: str, *, what: str = "document") -> TokenError:
    sentence, reason = describe_fetch_failure(error, url.split("/", 3)[2], what=what)
    return TokenError(
        "temporarily_unavailable",
        sentence,
        reason=reason,
        detail=error.detail,
        status=503,
        retry_after_seconds=choose_retry_seconds(error),
    )


def _build_end(sentence: str, reason: str, error: Exception) -> TokenError:
    return TokenError("invalid_client", sentence, reason=reason, detail=str(error))
