"""Bearer tokens: any Authorization headers give a token, none, or ``BearerError``; any challenge is one line.

The lines of the first list are the headers' values; those of the second are the description, the metadata's URL and the
scope of a challenge.
"""

import re

from fuzz.inputs import read_blocks
from nameplate.errors import BearerError
from nameplate.protocol.bearer import build_challenge, parse_authorization_header

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"Bearer ", b"bearer ", b"BEARER  ", b"Basic ", b"DPoP ", b"eyJ.e30.x", b"=", b"\t", b"\n", b"\n\n", b","),
    *(b"\r", b'"', b"\\", b"\xff", b"https://mcp.example.com/.well-known/oauth-protected-resource"),
)

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_CHALLENGE = re.compile(r'Bearer (?:[a-z_]+="[ !#-\[\]-~]*")(?:, [a-z_]+="[ !#-\[\]-~]*")*')


def check(data: bytes) -> None:
    """Try one set of headers."""
    headers, _, _ = data.partition(b"\n\n")
    values = headers.split(b"\n") if headers else []
    try:
        token = parse_authorization_header(values)
    except BearerError as error:
        assert (error.code, error.status) == ("invalid_request", 400)
        assert values
    else:
        _check_token(token, values)
    _check_challenge(read_blocks(data, 2)[1])


def _check_token(token: str | None, values: list[bytes]) -> None:
    if token is None:
        assert not values or not values[0].lower().lstrip(b" \t").startswith(b"bearer ")
        return
    assert len(values) == 1
    assert _TOKEN.fullmatch(token)
    assert values[0].strip(b" \t").endswith(b" " + token.encode())
    assert parse_authorization_header([b"Bearer " + token.encode()]) == token


def _check_challenge(lines: list[str]) -> None:
    description, url, *scope = [*lines, "", ""]
    error = BearerError("invalid_token", description, reason="token.expired")
    for said in (None, error):
        assert _CHALLENGE.fullmatch(build_challenge(said, resource_metadata_url=url, scope=scope))
