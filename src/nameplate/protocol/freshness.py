"""How long a fetched document is fresh: RFC 9111 as far as it concerns a cache that several people share.

Every request for a document is the same (no cookies, no credentials, fixed headers), so ``Vary`` matters only as ``*``.
What a host says is held between our own limits, as CIMD draft §5.2 allows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nameplate.protocol.limits import DIRECTIVES_CHARACTERS, ENTITY_TAG_CHARACTERS

__all__ = ["Freshness", "FreshnessLimits", "parse_freshness", "parse_http_date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessLimits:
    """The bounds that hold whatever a host says; ``default_seconds`` is for answers that say nothing.

    RFC 9111 §4.2.2, CIMD draft §5.2.
    """

    minimum_seconds: int = 60
    default_seconds: int = 600
    maximum_seconds: int = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """What an answer's headers say about using it again.

    ``fresh_until`` is epoch seconds, and is the time of receipt where every use needs a validation first. ``may_store``
    is false where the answer serves one transaction only. ``must_revalidate`` is the host's wish that no stale copy be
    used (RFC 9111 §5.2.2.2). ``etag`` and ``last_modified`` are validators that are safe to send back.
    """

    fresh_until: int
    may_store: bool
    must_revalidate: bool
    etag: str | None = None
    last_modified: str | None = None


_DEFAULT_LIMITS = FreshnessLimits()
_STALE = -1  # RFC 9111 §4.2.1: contradictory or unreadable freshness information makes an answer stale
_LARGEST_SECONDS = 2**31  # RFC 9111 §1.2.2
_DIRECTIVE = re.compile(
    r'\s*([A-Za-z0-9!#$%&\'*+.^_`|~\-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?\s*(?:,|$)|[^,]*(?:,|$)'
)
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')  # RFC 9110 §8.8.3


def parse_freshness(
    headers: Sequence[tuple[str, str]], *, received_at: int, limits: FreshnessLimits = _DEFAULT_LIMITS
) -> Freshness:
    """Freshness of a 200 answer received at ``received_at`` (epoch seconds), from its header fields. Never raises.

    A field may come several times and in any case. RFC 9111 §3, §4.2, §5.
    """
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), []).append(value.strip())
    directives = _read_directives(",".join(fields.get("cache-control", ())))
    lifetime = _read_lifetime(directives, fields, received_at)
    return Freshness(
        fresh_until=received_at + _clamp_lifetime(lifetime, directives, limits),
        # RFC 9111 §3: shared caches leave private answers alone; §4.1: Vary * never matches a later request
        may_store=directives.keys().isdisjoint({"no-store", "private"}) and "*" not in ",".join(fields.get("vary", ())),
        must_revalidate=not directives.keys().isdisjoint(
            {"must-revalidate", "proxy-revalidate", "no-cache", "s-maxage"}
        ),
        etag=_read_etag(fields),
        last_modified=_read_last_modified(fields, received_at),
    )


def _read_directives(text: str) -> dict[str, set[str]]:
    """Each directive with every argument it came with, quotes removed. RFC 9111 §5.2: both forms, any case."""
    if len(text) > DIRECTIVES_CHARACTERS:
        return {"no-store": {""}}
    directives: dict[str, set[str]] = {}
    for match in _DIRECTIVE.finditer(text):
        name, argument = match.groups()
        if name is not None:
            directives.setdefault(name.lower(), set()).add((argument or "").strip('"').strip())
    return directives


def _read_lifetime(directives: dict[str, set[str]], fields: dict[str, list[str]], received_at: int) -> int | None:
    """Seconds for which it is still fresh, negative where it is stale, None where it does not say. RFC 9111 §4.2.1."""
    date = parse_http_date(fields.get("date", [""])[0], now=received_at)
    for name in ("s-maxage", "max-age"):
        if name in directives:
            lifetime = _read_seconds(directives[name])
            break
    else:
        if "expires" not in fields:
            return None
        expires = {parse_http_date(value, now=received_at) for value in fields["expires"]}
        only = expires.pop() if len(expires) == 1 else None
        lifetime = _STALE if only is None else only - (received_at if date is None else date)
    apparent_age = 0 if date is None else received_at - date
    age = _read_seconds({fields["age"][0]}) if "age" in fields else 0  # RFC 9111 §5.1: the first, if it is a number
    return lifetime - max(0, apparent_age, age)  # RFC 9111 §4.2.3


def _read_seconds(arguments: set[str]) -> int:
    """RFC 9111 §1.2.2; two different values for one directive are stale (§4.2.1)."""
    argument = next(iter(arguments)) if len(arguments) == 1 else ""
    if not (argument.isascii() and argument.isdigit()):
        return _STALE
    return _LARGEST_SECONDS if len(argument) > 10 else min(int(argument), _LARGEST_SECONDS)


def _clamp_lifetime(lifetime: int | None, directives: dict[str, set[str]], limits: FreshnessLimits) -> int:
    if not directives.keys().isdisjoint({"no-store", "no-cache", "private"}):
        return 0
    if lifetime is None:
        return limits.default_seconds
    return max(limits.minimum_seconds, min(lifetime, limits.maximum_seconds))


def _read_etag(fields: dict[str, list[str]]) -> str | None:
    """The entity tag, where it is one: it is sent back in a header of ours."""
    values = fields.get("etag", [])
    usable = len(values) == 1 and len(values[0]) <= ENTITY_TAG_CHARACTERS and _ENTITY_TAG.fullmatch(values[0])
    return values[0] if usable else None


def _read_last_modified(fields: dict[str, list[str]], received_at: int) -> str | None:
    values = fields.get("last-modified", [])
    return values[0] if len(values) == 1 and parse_http_date(values[0], now=received_at) is not None else None


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = "|".join(_MONTHS)
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATES = (  # RFC 9110 §5.6.7: IMF-fixdate, and the two obsolete forms that a recipient must read
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) (?P<month>{_MONTH}) (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-(?P<month>{_MONTH})-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{2}} (?P<month>{_MONTH}) (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)


def parse_http_date(text: str, *, now: int) -> int | None:
    """An HTTP date in epoch seconds, or None where the text is none. RFC 9110 §5.6.7.

    ``now`` tells the century of a two-digit year: one more than 50 years ahead lies in the past.
    """
    match = next((found for form in _DATES if (found := form.fullmatch(text)) is not None), None)
    if match is None:
        return None
    day, year, hour, minute, second = (int(match[name]) for name in ("day", "year", "hour", "minute", "second"))
    if len(match["year"]) == 2:
        this_year = datetime.fromtimestamp(now, UTC).year
        year += this_year - this_year % 100
        year -= 100 if year > this_year + 50 else 0
    try:
        moment = datetime(year, _MONTHS.index(match["month"]) + 1, day, hour, minute, second - second // 60, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp())
