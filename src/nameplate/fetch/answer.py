"""What an answer must look like to be read at all: the checks on status and headers, before a byte of the body."""

import re
from collections.abc import Sequence

from nameplate.errors import BadMediaType, BadStatus, RedirectRefused, TooLarge, Unreachable

__all__ = ["Headers", "check_answer", "decode_headers", "find_header"]

Headers = tuple[tuple[str, str], ...]
_REDIRECTS = frozenset({300, 301, 302, 303, 305, 307, 308})
_JSON_TYPE = re.compile(r"application/(?:json|[a-z0-9!#$&^_.-]+\+json)")  # RFC 6838 §4.2, §4.2.8
_DIGITS = re.compile(r"[0-9]{1,19}")


def decode_headers(raw: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Header fields as text, names in lower case; Latin-1, because octets beyond ASCII are opaque (RFC 9110 §5.5)."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)


def find_header(headers: Headers, name: str) -> list[str]:
    """Every value of a header field, in order."""
    return [value for field, value in headers if field == name]


def check_answer(status: int, headers: Headers, *, is_revalidation: bool, max_bytes: int) -> None:
    """Refuse whatever is not 200 with JSON of a bearable size, or 304 to our own question (CIMD draft §5, §9.7).

    Raises ``RedirectRefused``, ``BadStatus``, ``BadMediaType``, ``TooLarge``; ``Unreachable`` for contradictory
    framing.
    """
    if status == 304 and is_revalidation:
        return
    if status in _REDIRECTS:
        raise RedirectRefused(f"status {status}")
    if status != 200:
        raise BadStatus(status)
    _check_media_type(headers)
    _check_length(headers, max_bytes)


def _check_media_type(headers: Headers) -> None:
    types = find_header(headers, "content-type")
    if len(types) != 1:
        raise BadMediaType("no content type" if not types else "several content types")
    if not _JSON_TYPE.fullmatch(types[0].partition(";")[0].strip(" \t").lower()):
        raise BadMediaType(f"content type {types[0][:80]!a}")
    # We asked for none, and would not look into one: the size that counts is the size on the wire.
    codings = [
        coding for coding in find_header(headers, "content-encoding") if coding.strip().lower() not in {"", "identity"}
    ]
    if codings:
        raise BadMediaType(f"content encoding {codings[0][:80]!a}")


def _check_length(headers: Headers, max_bytes: int) -> None:
    lengths = find_header(headers, "content-length")
    if lengths and find_header(headers, "transfer-encoding"):
        raise Unreachable("both Content-Length and Transfer-Encoding")  # RFC 9112 §6.3: request smuggling's usual shape
    for length in lengths:
        if not _DIGITS.fullmatch(length) or int(length) > max_bytes:
            raise TooLarge(f"Content-Length {length[:20]!a}, at most {max_bytes} are read")
