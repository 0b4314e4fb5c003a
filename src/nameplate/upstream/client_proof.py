"""How this server proves at a provider who it is (RFC 6749 §2.3.1, RFC 7523 §2.2, OpenID Connect Core §9)."""

import secrets
from base64 import b64encode
from typing import assert_never
from urllib.parse import quote_plus

from nameplate.secret import Secret
from nameplate.upstream.provider import ProviderOptions

__all__ = ["ASSERTION_SECONDS", "build_client_proof"]

ASSERTION_SECONDS = 60
"""How long an assertion of ours is good for."""

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def build_client_proof(
    options: ProviderOptions, *, token_endpoint: str, now: int
) -> tuple[dict[str, str], dict[str, str]]:
    """The headers and the form fields that say who we are. ``now`` is epoch seconds."""
    match options.auth_method:
        case "client_secret_basic":
            return _build_basic_credentials(options.client_id, options.client_secret), {}
        case "client_secret_post":
            secret = "" if options.client_secret is None else options.client_secret.reveal()
            return {}, {"client_id": options.client_id, "client_secret": secret}
        case "private_key_jwt":
            return {}, {
                "client_id": options.client_id,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": _sign_assertion(options, token_endpoint, now),
            }
        case "none":
            return {}, {"client_id": options.client_id}
        case _:
            assert_never(options.auth_method)


def _build_basic_credentials(client_id: str, secret: Secret | None) -> dict[str, str]:
    """RFC 6749 §2.3.1: both parts are form-encoded, in UTF-8, before they are joined."""
    pair = f"{quote_plus(client_id)}:{quote_plus('' if secret is None else secret.reveal())}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _sign_assertion(options: ProviderOptions, token_endpoint: str, now: int) -> str:
    """RFC 7523 §3. ``typ`` is that of any JWT: Entra and others refuse the one of RFC 10070."""
    if options.signing_key is None:
        raise ValueError("private_key_jwt without a key")  # ProviderOptions refuses that
    audience = options.issuer if options.assertion_audience == "issuer" else token_endpoint
    claims = {
        "iss": options.client_id,
        "sub": options.client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(16),
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    return options.signing_key.sign(claims, typ="JWT")
