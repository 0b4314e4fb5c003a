"""Redeeming an authorization code (RFC 6749 §4.1.3, OAuth 2.1 §4.1.3, RFC 7636 §4.6; decisions 11 and 12)."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

from nameplate.errors import TokenError
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.grant import AuthorizationCode, Grant
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.pkce import is_proof

__all__ = [
    "CODE_SECONDS",
    "REPLAY_REVOKES_AFTER_SECONDS",
    "CodeRequest",
    "build_code_refusal",
    "check_code",
    "check_code_binding",
    "derive_code",
    "is_code_burned",
    "parse_code_request",
]

CODE_SECONDS = 60
"""How long a code lives."""

_CODE_PREFIX = "npc_"

REPLAY_REVOKES_AFTER_SECONDS = 10
"""A second redemption sooner than this is a client's retry; later it is somebody else (RFC 6749 §10.5)."""


def derive_code(request_id: str, browser_hash: bytes) -> str:
    """The code that a browser gets for its answer to one request.

    It follows from the request's id, of which the store keeps a digest only, and from which browser it is. So the
    answer can be shown again to the browser that gave it, and to nobody else, without the code being kept.
    """
    digest = hmac.digest(browser_hash, b"nameplate authorization code v1\0" + request_id.encode(), "sha256")
    return _CODE_PREFIX + urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRequest:
    """A request to redeem a code. ``redirect_uri`` is enforced where it was sent, never required (OAuth 2.1 §10.2)."""

    code: str = field(repr=False)
    client_id: str
    code_verifier: str = field(repr=False)
    redirect_uri: str | None


def parse_code_request(parameters: Parameters, client_id: str) -> CodeRequest:
    """Read the request. Raises ``TokenError`` ``invalid_request`` where code or verifier is missing."""
    code, verifier = parameters.get("code"), parameters.get("code_verifier")
    if code is None:
        raise TokenError("invalid_request", "The request has no code.", reason="token.code_missing")
    if verifier is None:
        raise TokenError("invalid_request", "The request has no code_verifier.", reason="token.verifier_missing")
    return CodeRequest(
        code=code, client_id=client_id, code_verifier=verifier, redirect_uri=parameters.get("redirect_uri")
    )


def build_code_refusal(reason: str) -> TokenError:
    """The one answer to every code that is not good: unknown, expired, foreign and spent codes get the same words."""
    return TokenError("invalid_grant", "The authorization code is not valid.", reason=reason)


def check_code(request: CodeRequest, code: AuthorizationCode, grant: Grant, now: int) -> None:
    """1. Whether this client may redeem this code at all, as far as that is known before it authenticates.

    Raises ``TokenError`` ``invalid_grant``.
    """
    if code.client_id != request.client_id:
        raise build_code_refusal("code.other_client")
    # A spent code goes on to the store however old it is: the client's code in a second pair of hands is a theft.
    if code.spent_at is None and code.expires_at <= now:
        raise build_code_refusal("code.expired")
    if grant.revoked_at is not None:
        raise build_code_refusal("code.grant_revoked")
    if grant.expires_at <= now:
        raise build_code_refusal("code.grant_expired")


def check_code_binding(request: CodeRequest, code: AuthorizationCode) -> None:
    """2. Whether the client, which authenticated meanwhile, is in the same flow that the code was issued in.

    Whether the code was redeemed before, only the store can say. Raises ``TokenError`` ``invalid_grant``.
    """
    if request.redirect_uri not in (None, code.redirect_uri):
        raise build_code_refusal("code.other_redirect_uri")
    if not is_proof(request.code_verifier, code.code_challenge):
        raise build_code_refusal("code.wrong_verifier")


def is_code_burned(reason: str, client: ClientMetadata) -> bool:
    """Whether a refusal spends the code: somebody has it who must not, or it belongs to a flow that cannot succeed.

    ``client`` is the one that the code was issued to. What came in another client's name was not proven by anything.
    So it burns only codes of clients that may come without proof themselves: of others, no stranger burns any.
    """
    if reason == "code.other_client":
        return "none" in client.auth_methods
    return reason in {"code.other_redirect_uri", "code.wrong_verifier"}
