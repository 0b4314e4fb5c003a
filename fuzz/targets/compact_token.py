"""Tokens in compact form: any text is a token to the byte, or ``Refused``.

What is accepted, put together again, is the same text; its header is JSON that another reader reads alike, and asks for
nothing that we do not do.
"""

import base64
import json

from fuzz.inputs import read_text
from nameplate.jose.compact import TOKEN_BYTES, decode_base64url, encode_base64url, read_compact
from nameplate.jose.outcomes import Refused

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(base64.urlsafe_b64encode(text).rstrip(b"=") for text in (b'{"crit":["b64"]}', b'{"jwk":{}}', b'{"a":1,"a":2}')),
    *(b".", b"..", b"=", b"-", b"_", b"+", b"/", b"e30", b"eyJhbGciOiJFUzI1NiJ9", b"eyJhbGciOiJub25lIn0", b"eyJ"),
    *(b"\n",),
)

_FORBIDDEN = {"b64", "crit", "enc", "jku", "jwk", "x5c", "x5u", "zip"}


def check(data: bytes) -> None:
    """Try one token."""
    text = read_text(data)
    decoded = decode_base64url(text)
    if decoded is not None:
        assert encode_base64url(decoded).decode() == text
        assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) == decoded
    token = read_compact(text)
    if isinstance(token, Refused):
        return
    header, payload, signature = text.split(".")
    assert len(text) <= TOKEN_BYTES
    assert token.signing_input == f"{header}.{payload}".encode()
    assert (encode_base64url(token.payload), encode_base64url(token.signature)) == (
        payload.encode(),
        signature.encode(),
    )
    assert dict(token.header) == json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    assert _FORBIDDEN.isdisjoint(token.header)
