"""Redirect URIs: which entries of a document may be used, and which requested URI matches one (CIMD draft §4.2).

The comparison is byte for byte (RFC 9700 §2.1), with one exception: an ``http`` URI at a loopback host matches at any
port, whether or not the document names one, because native clients take whatever port is free (RFC 8252 §7.3). Its host
must still be spelled as registered: ``localhost`` is not ``127.0.0.1``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote_plus

from nameplate.errors import ConfigurationError
from nameplate.protocol.addresses import parse_address
from nameplate.protocol.fault import Fault, build_quotation
from nameplate.protocol.host_names import find_host_name_fault
from nameplate.protocol.limits import URL_CHARACTERS
from nameplate.protocol.urls import has_dot_segment, read_https_url

__all__ = [
    "SCRIPT_SCHEMES",
    "RedirectTarget",
    "RedirectUri",
    "RedirectUriKind",
    "build_redirect",
    "check_redirect_pattern",
    "match_redirect_uri",
    "read_redirect_uri",
]

RedirectUriKind = Literal["https", "loopback", "private_use"]

SCRIPT_SCHEMES = frozenset(
    {
        "about",
        "blob",
        "data",
        "file",
        "filesystem",
        "javascript",
        "jar",
        "jscript",
        "livescript",
        "mhtml",
        "mocha",
        "vbscript",
        "view-source",
    }
)
"""Schemes that run or reveal something in the browser. A document that lists one is refused whole."""

_PCHAR = r"A-Za-z0-9\-._~!$&'()+,;=:@%"  # RFC 3986 §3.3 without the asterisk, which is a wildcard wherever it stands
_LOOPBACK = re.compile(
    rf"http://(127\.0\.0\.1|\[::1\]|localhost)(?::([1-9][0-9]{{0,4}}|\*))?((?:/[{_PCHAR}/]*)?(?:\?[{_PCHAR}/?]*)?)"
)
# RFC 8252 §7.1: a domain that the author controls, in reverse order, so it has a dot
_PRIVATE_USE = re.compile(rf"([A-Za-z][A-Za-z0-9\-]*(?:\.[A-Za-z0-9\-]+)+):([{_PCHAR}/]+)(?:\?[{_PCHAR}/?]*)?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_IGNORED_BY_BROWSERS = re.compile(r"[\x00-\x20\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# What an authorization response carries: RFC 6749 §4.1.2 and §4.1.2.1, RFC 9207 §2
_RESPONSE_PARAMETERS = frozenset({"code", "error", "error_description", "error_uri", "iss", "state"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectUri:
    """A redirect URI that may be used. ``host`` is its host, or its scheme where the kind is ``private_use``."""

    text: str
    kind: RedirectUriKind
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectTarget:
    """A requested redirect URI that is proven to be the client's.

    ``uri`` is the requested one and ``registered`` the document's entry that it matched, both byte for byte. ``host``
    is what to show: the host as written, or the scheme of a private-use URI.
    """

    uri: str
    registered: str
    kind: RedirectUriKind
    host: str


def read_redirect_uri(text: str) -> RedirectUri | Fault:
    """A redirect URI as a document may list it, or what is wrong with it. OAuth 2.1 §2.3.1, RFC 8252 §7.

    ``http://HOST:*/path`` at a loopback host is read as that host at any port (decision 9); any other ``*`` is a fault.
    The reason ``script_scheme`` means that the whole document is to be refused.
    """
    if len(text) > URL_CHARACTERS:
        return Fault(reason="too_long", problem=f"longer than {URL_CHARACTERS} characters")
    if text.startswith("https://"):
        return _read_https(text)
    loopback = _LOOPBACK.fullmatch(text)
    if loopback is not None:
        return _read_loopback(text, loopback)
    scheme = _SCHEME.match(_IGNORED_BY_BROWSERS.sub("", text))
    if scheme is not None and scheme[1].lower() in SCRIPT_SCHEMES:
        return Fault(reason="script_scheme", problem=f"the scheme {scheme[1].lower()}: is never a redirect URI")
    private_use = _PRIVATE_USE.fullmatch(text)
    if private_use is None:
        return _explain(text, scheme[1].lower() if scheme else "")
    return _find_path_fault(text, private_use[2]) or RedirectUri(text=text, kind="private_use", host=private_use[1])


def _read_https(text: str) -> RedirectUri | Fault:
    url = read_https_url(text)
    if isinstance(url, Fault):
        return url
    if url.fragment is not None:  # RFC 6749 §3.1.2
        return Fault(reason="fragment", problem="contains a fragment, even if it is empty")
    if "*" in text:  # RFC 9700 §2.1: exact match, so a document cannot register a pattern
        return Fault(reason="wildcard", problem="contains *; list each URI exactly")
    fault = _find_host_fault(url.host) or _find_path_fault(text, url.path)
    return fault or RedirectUri(text=text, kind="https", host=url.host)


def _find_host_fault(host: str) -> Fault | None:
    """Any well-formed name or address will do: the browser goes there, we do not. Its case is kept and compared."""
    if host.startswith("["):
        return None if parse_address(host[1:-1]) else Fault(reason="host", problem="the host is no IPv6 address")
    return find_host_name_fault(host.lower())


def _read_loopback(text: str, match: re.Match[str]) -> RedirectUri | Fault:
    host, port, rest = match.groups()
    if port not in {None, "*"} and int(port) > 65535:
        return Fault(reason="port", problem="the port is not between 1 and 65535")
    return _find_path_fault(text, rest.partition("?")[0]) or RedirectUri(text=text, kind="loopback", host=host)


def _find_path_fault(text: str, path: str) -> Fault | None:
    if has_dot_segment(path):
        return Fault(reason="dot_segment", problem="the path contains a . or .. segment")
    if "%" in text and _BAD_ESCAPE.search(text):
        return Fault(reason="percent_encoding", problem="a % is not followed by two hexadecimal digits")
    return None


def _explain(text: str, scheme: str) -> Fault:
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        return Fault(reason="character", problem="contains a character that no URI may contain")
    if not scheme:
        return Fault(reason="relative", problem="is not an absolute URI")
    if "#" in text:
        return Fault(reason="fragment", problem="contains a fragment, even if it is empty")
    if "*" in text:
        return Fault(
            reason="wildcard", problem="contains *; list each URI exactly, and leave the port of a loopback URI out"
        )
    if scheme == "http":
        return Fault(reason="plain_http", problem="http is only for 127.0.0.1, [::1] and localhost, spelled exactly so")
    if scheme == "https":
        return Fault(reason="scheme", problem="the scheme must be in lower case")
    if "." not in scheme:  # RFC 8252 §7.1, §8.4
        return Fault(
            reason="scheme_without_dot", problem=f"{scheme}: is no reversed domain name such as com.example.app:"
        )
    return Fault(reason="character", problem="is not a well-formed private-use URI")


def match_redirect_uri(
    requested: str, registered: Sequence[str], allowed: Sequence[str] | None = None
) -> RedirectTarget | None:
    """The proven target where ``requested`` matches an entry of ``registered``; None where it matches none.

    ``registered`` is the document's list. ``allowed`` is the operator's list of patterns, which narrows it: a URI must
    pass both (decision 9). Never resolves, never normalises. CIMD draft §4.2, OAuth 2.1 §4.1.1, RFC 8252 §7.3.
    """
    uri = read_redirect_uri(requested)
    if isinstance(uri, Fault) or "*" in requested:
        return None
    entry = requested if requested in registered else None
    if entry is None and uri.kind == "loopback":
        entry = _find_loopback_entry(requested, registered)
    if entry is None or (allowed is not None and not any(_is_allowed(requested, pattern) for pattern in allowed)):
        return None
    return RedirectTarget(uri=requested, registered=entry, kind=uri.kind, host=uri.host)


def _find_loopback_entry(requested: str, registered: Sequence[str]) -> str | None:
    """The first loopback entry that differs from the requested URI in its port at most. RFC 8252 §7.3."""
    mine = _LOOPBACK.fullmatch(requested)
    for entry in registered:
        theirs = _LOOPBACK.fullmatch(entry)
        if mine is not None and theirs is not None and mine.group(1, 3) == theirs.group(1, 3):
            return entry
    return None


def _is_allowed(requested: str, pattern: str) -> bool:
    if requested == pattern:
        return True
    expression = _compile_pattern(pattern)
    return expression is not None and expression.fullmatch(requested) is not None


# One whole segment, in which nothing decodes to a separator or makes a dot segment
_SEGMENT = r"(?!\.{1,2}(?:[/?;]|$))(?:[A-Za-z0-9\-._~!$&'()+,;=:@]|%(?!2[EeFf]|5[Cc])[0-9A-Fa-f]{2})+"
_PATTERN = re.compile(
    r"([A-Za-z][A-Za-z0-9+.\-]*:(?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+))?)(:(?:[0-9]+|\*))?((?:/[^?#]*)?)(\?[^#*]*)?"
)


def _split_pattern(pattern: str) -> tuple[str, str, list[str], str] | None:
    """Origin, port, path segments and query of an operator's pattern; None where ``*`` stands where it may not."""
    match = _PATTERN.fullmatch(pattern)
    if match is None:
        return None
    origin, port, path, query = match.groups(default="")
    segments = path.split("/")
    if path.startswith("//") or any("*" in segment and segment != "*" for segment in segments):
        return None  # https://*/cb has no host, so its asterisk would be one
    return origin, port, segments, query


@lru_cache(maxsize=1024)
def _compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """The pattern as an expression over whole URIs, or None where it is no pattern."""
    parts = _split_pattern(pattern)
    if parts is None:
        return None
    origin, port, segments, query = parts
    any_port = port == ":*" or (not port and _LOOPBACK.fullmatch(origin) is not None)
    return re.compile(
        re.escape(origin)
        + (r"(?::[1-9][0-9]{0,4})?" if any_port else re.escape(port))
        + "/".join(_SEGMENT if segment == "*" else re.escape(segment) for segment in segments)
        + re.escape(query)
    )


def check_redirect_pattern(pattern: str, *, setting: str) -> None:
    """Refuse an operator's pattern that could never match a redirect URI.

    A pattern is a redirect URI in which ``*`` may stand for the port or for one whole path segment; a loopback URI
    without a port stands for every port. Raises ``ConfigurationError`` that names ``setting``.
    """
    parts = _split_pattern(pattern)
    if parts is None:
        raise ConfigurationError(
            setting, f"{build_quotation(pattern)}: * stands for a port or one whole path segment only"
        )
    origin, port, segments, query = parts
    path = "/".join("x" if segment == "*" else segment for segment in segments)
    fault = read_redirect_uri(f"{origin}{':1' if port == ':*' else port}{path}{query}")
    if isinstance(fault, Fault):
        raise ConfigurationError(setting, f"{build_quotation(pattern)} matches no redirect URI: it {fault.problem}")


def build_redirect(uri: str, parameters: Mapping[str, str]) -> str:
    """The proven redirect URI with the parameters added to its query. RFC 6749 §4.1.2, §3.1.2.

    What the query already holds stays byte for byte, except response parameters of the same kind, so that exactly one
    ``code``, ``state``, ``iss`` or ``error`` arrives, and it is ours.
    """
    base, mark, query = uri.partition("?")
    removed = _RESPONSE_PARAMETERS | parameters.keys()
    kept = [pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) not in removed] if mark else []
    added = [f"{_encode(name)}={_encode(value)}" for name, value in parameters.items()]
    return f"{base}?{'&'.join(kept + added)}" if kept or added else base


def _encode(text: str) -> str:
    return quote(text, safe="", errors="replace")
