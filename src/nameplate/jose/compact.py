"""Reads the JWS compact serialization (RFC 7515 §7.1) without repairing anything."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from nameplate.jose.outcomes import Refused
from nameplate.jose.strict_json import read_json

__all__ = ["TOKEN_BYTES", "CompactToken", "decode_base64url", "encode_base64url", "read_compact"]

TOKEN_BYTES = 16 * 1024
"""A longer token is refused before it is read."""

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
    return urlsafe_b64encode(data).rstrip(b"=")


def decode_base64url(text: str) -> bytes | None:
    """The bytes, or None unless encoding them gives the same text: no padding, foreign character or stray last bit."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return data if encode_base64url(data) == text.encode() else None
    except ValueError:
        return None


def read_compact(token: str) -> CompactToken | Refused:
    """Header, payload and signature of a token whose header asks for nothing that we do not do."""
    if len(token) > TOKEN_BYTES:
        return Refused("oversized")
    parts = _COMPACT.fullmatch(token)  # three parts, none empty: no JWE, no unsecured JWS (RFC 7515 §7.1, appendix A.5)
    if parts is None:
        return Refused("malformed")
    header_bytes, payload, signature = (decode_base64url(part) for part in parts.groups())
    if header_bytes is None or payload is None or signature is None:
        return Refused("malformed")
    header = read_json(header_bytes)
    if not isinstance(header, dict):
        return Refused("malformed")
    if not _REFUSED_MEMBERS.isdisjoint(header):
        return Refused("header")
    return CompactToken(header, payload, token[: parts.end(2)].encode(), signature)
