"""Key sets: any JSON is a set of keys, perhaps an empty one, and any token is then verified, unknown or refused.

The first line is a token, the rest a JWK Set. The corpus was signed with keys that nobody kept: what is verified was
signed by one of these, so neither another key nor a mended signature gets through. The set that a client publishes is
canonical JSON without anything private, or ``ClientMetadataError``.
"""

import json
from typing import Any

from fuzz.inputs import read_text
from nameplate.errors import ClientMetadataError
from nameplate.jose import KeySet, Refused, UnknownKey, Verified
from nameplate.protocol.client_keys import parse_key_document, parse_key_set

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b'"kty":', b'"EC"', b'"RSA"', b'"OKP"', b'"oct"', b'"crv":', b'"P-256"', b'"P-521"', b'"Ed25519"', b'"Ed448"'),
    *(b'"x":', b'"y":', b'"n":', b'"e":"AQAB"', b'"e":"AQ"', b'"kid":', b'"alg":"ES256"', b'"alg":"none"'),
    *(b'"use":"sig"', b'"d":""', b'"use":"enc"', b'"key_ops":["verify"]', b'"keys":[', b"{}", b"null", b"[]", b"AAAA"),
    *(b'"k":""', b'"\\ud800"', b"\n"),
)

_PUBLIC_MEMBERS = {"alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"}
# The beginning of x, or of n, of each key that signed something in the corpus.
_SIGNERS = (
    *("rR4snZQpDJ8X-jxkshuv", "gnZqc_SI4a83aWuVpopo", "AV9yxeZSKJES4m3C-IGm", "rh7WkyTsi9cL_YGZOmBs"),
    "u-PYRlKFNqyNUgyd8FGj",
)


def check(data: bytes) -> None:
    """Try one token and key set."""
    first, _, body = data.partition(b"\n")
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    keys = KeySet.from_jwks(document)
    assert len(keys) or keys.problems or document == {"keys": []}
    verdict = keys.verify(read_text(first), typ={"", "at+jwt"})
    assert isinstance(verdict, Verified | UnknownKey | Refused)
    if isinstance(verdict, Verified):
        assert dict(verdict.claims) == {"sub": "somebody"}
        assert any(_is_signer(entry) for entry in document["keys"])
    _check_published(body)


def _is_signer(entry: object) -> bool:
    return isinstance(entry, dict) and str(entry.get("n") or entry.get("x")).startswith(_SIGNERS)


def _check_published(body: bytes) -> None:
    try:
        published = parse_key_document(body)
    except ClientMetadataError as error:
        assert error.member == "jwks"
        assert error.reason.startswith("document.")
        return
    assert parse_key_set(json.loads(published)) == published
    assert all(key.keys() <= _PUBLIC_MEMBERS for key in json.loads(published)["keys"])
