"""Access tokens: any signed claims are a token for this resource from this issuer that lives now, or ``BearerError``.

The input is the JSON of the claims, read leniently: what Python's reader takes may stand there.
"""

import json
import math
from typing import Any

from nameplate.errors import BearerError
from nameplate.protocol.access_token import AccessToken, check_access_token_claims

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b'"iss":', b'"aud":', b'"exp":', b'"iat":', b'"nbf":', b'"sub":', b'"client_id":', b'"jti":', b'"scope":'),
    *(b'"cnf":', b'"https://as.example"', b'"https://mcp.example"', b"[]", b"{}", b"null", b"true", b"1e999", b"NaN"),
    *(b"-1", b"1e400", b"1800000000", b"99999999999999999999", b'"a b"', b'"\\ud800"'),
)

_ISSUER, _RESOURCE = "https://as.example", "https://mcp.example"
_NOW, _LEEWAY_SECONDS = 1_800_000_000, 10


def check(data: bytes) -> None:
    """Try one set of claims."""
    try:
        claims = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(claims, dict):
        return
    try:
        token = check_access_token_claims(
            claims, issuer=_ISSUER, resource=_RESOURCE, now=_NOW, leeway_seconds=_LEEWAY_SECONDS
        )
    except BearerError as error:
        assert (error.code, error.status) == ("invalid_token", 401)
        assert error.description.isascii()
    else:
        _check_token(token, claims)


def _check_token(token: AccessToken, claims: dict[str, Any]) -> None:
    assert claims["iss"] == token.issuer == _ISSUER
    assert claims["aud"] in (_RESOURCE, [_RESOURCE])
    assert (token.resource, token.subject, token.client_id) == (_RESOURCE, claims["sub"], claims["client_id"])
    assert claims["iat"] - _LEEWAY_SECONDS <= _NOW < claims["exp"] + _LEEWAY_SECONDS
    assert token.expires_at == math.floor(claims["exp"])
    assert all((token.subject, token.client_id, token.jti))
    assert " ".join(token.scope).split() == list(token.scope)
    assert "cnf" not in claims
