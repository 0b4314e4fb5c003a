"""Freshness: any header fields give one within our limits; never longer than the host says, never stored against it.

Each line is a field ``name: value``. Validators that come out can be sent back in a header. A date that was read and is
written again is the same.
"""

from email.utils import formatdate

from nameplate.protocol.freshness import Freshness, FreshnessLimits, parse_freshness, parse_http_date

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"Cache-Control: ", b"max-age=", b"s-maxage=", b"no-store", b"no-cache", b"private", b"must-revalidate"),
    *(b"Expires: ", b"Date: ", b"Age: ", b"Vary: *", b'ETag: "a"', b'W/"a"', b"Last-Modified: "),
    *(b"Sun, 06 Nov 1994 08:49:37 GMT", b",", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"),
    *(b"Fri, 15 Jan 2027 08:00:00 GMT", b"0", b'"', b"\\", b"99999999999999999999", b"-1", b"\n", b'max-age="5"'),
    *(b'x="no-store"', b"30 Feb", b":60"),
)

_NOW = 1_800_000_000
_LIMITS = FreshnessLimits(minimum_seconds=60, default_seconds=600, maximum_seconds=86_400)


def check(data: bytes) -> None:
    """Try one set of header fields."""
    fields = [line.decode("latin-1").partition(":")[::2] for line in data.split(b"\n")]
    headers = [(name, value) for name, value in fields]
    freshness = parse_freshness(headers, received_at=_NOW, limits=_LIMITS)
    lifetime = freshness.fresh_until - _NOW
    assert lifetime == 0 or _LIMITS.minimum_seconds <= lifetime <= _LIMITS.maximum_seconds
    for validator in (freshness.etag, freshness.last_modified):
        assert validator is None or (validator.isascii() and validator.isprintable())
    _check_directives(freshness, ",".join(value for name, value in headers if name.lower() == "cache-control"))
    for _, value in headers:
        _check_date(value.strip())


def _check_directives(freshness: Freshness, text: str) -> None:
    """The same by a reader that only splits at commas, where there is no quotation that would mislead it."""
    if '"' in text:
        return
    directives = [part.strip(" \t").lower() for part in text.split(",")]
    if {"no-store", "private"}.intersection(directives):
        assert not freshness.may_store
    if {"no-store", "private", "no-cache"}.intersection(directives):
        assert freshness.fresh_until == _NOW
    ages = [part.partition("=")[2] for part in directives if part.startswith(("max-age=", "s-maxage="))]
    if ages and all(age.isascii() and age.isdigit() and len(age) < 10 for age in ages):
        assert freshness.fresh_until - _NOW <= max(_LIMITS.minimum_seconds, *map(int, ages))


def _check_date(text: str) -> None:
    date = parse_http_date(text, now=_NOW)
    if date is not None:
        assert parse_http_date(formatdate(date, usegmt=True), now=_NOW) == date
