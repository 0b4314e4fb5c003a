"""Reads the JWS compact serialization (RFC 7515 §7.1) without repairing anything."""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from nameplate.jose.outcomes import Refused
from nameplate.jose.strict_json import read_json

__all__ = ["TOKEN_BYTES", "CompactToken", "decode_base64url", "encode_base64url", "read_compact"]

TOKEN_BYTES = 16 * 1024
"""A longer token is refused before it is read."""

_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")

_REFUSED_MEMBERS = frozenset(
    {
        "jwk",  # a key that the token itself brings proves nothing (CVE-2026-27962)
        "jku",
        "x5u",
        "x5c",
        "crit",  # RFC 7515 §4.1.11: we understand no extension (CVE-2025-59420, CVE-2026-32597)
        "b64",  # RFC 7797 §6 wants it in crit
        "zip",  # RFC 7516 only: nothing here is ever inflated
        "enc",
    }
)


@dataclass(frozen=True, slots=True)
class CompactToken:
    """A token that was read and not yet believed."""

    header: Mapping[str, object]
    payload: bytes
    signing_input: bytes
    signature: bytes


def encode_base64url(data: bytes) -> bytes:
    """RFC 7515 §2: URL-safe alphabet, no padding."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL_SAFE)


def decode_base64url(text: str) -> bytes | None:
    """The bytes, or None unless encoding them gives the same text: no padding, foreign character or stray last bit."""
    try:
        encoded = text.encode("ascii")
        data = a2b_base64(encoded.translate(_FROM_URL_SAFE) + b"=" * (-len(encoded) % 4))
    except ValueError:
        return None
    return data if encode_base64url(data) == encoded else None


def read_compact(token: str) -> CompactToken | Refused:
    """Header, payload and signature of a token whose header asks for nothing that we do not do."""
    if len(token) > TOKEN_BYTES:
        return Refused("oversized")
    parts = _COMPACT.fullmatch(token)  # three parts, none empty: no JWE, no unsecured JWS (RFC 7515 §7.1, appendix A.5)
    if parts is None:
        return Refused("malformed")
    header, payload, signature = _read_header(parts[1]), decode_base64url(parts[2]), decode_base64url(parts[3])
    if header is None or payload is None or signature is None:
        return Refused("malformed")
    if not _REFUSED_MEMBERS.isdisjoint(header):
        return Refused("header")
    return CompactToken(header, payload, token[: parts.end(2)].encode(), signature)


@lru_cache(maxsize=32)  # one signer's tokens of one key all begin with the same header
def _read_header(text: str) -> Mapping[str, object] | None:
    header = read_json(decode_base64url(text) or b"")
    return MappingProxyType(header) if isinstance(header, dict) else None
