"""One strict reader of URLs (RFC 3986): it rejects and never repairs, and nothing it returns was normalised.

The string is judged as it came. A library that parses first removes dot segments, folds case and drops default ports
before anybody looks, and two libraries that disagree about one string are how checks are passed (CIMD draft §3).
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from nameplate.protocol.fault import Fault, is_visible
from nameplate.protocol.limits import URL_CHARACTERS

__all__ = [
    "HttpsUrl",
    "find_https_url_fault",
    "find_target_fault",
    "has_dot_segment",
    "is_permitted_port",
    "read_https_url",
]

_PCHAR = r"A-Za-z0-9\-._~!$&'()*+,;=:@%"  # RFC 3986 §3.3; what follows a % is looked at separately
_HOST = re.compile(r"[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\]")  # a name of letters, digits, hyphens, dots, or an IP literal
_PORT = re.compile(r"[1-9][0-9]{0,4}")  # not empty and no leading zero: both are second spellings
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(.*))?")
_URL = re.compile(
    rf"https://({_HOST.pattern})(?::({_PORT.pattern}))?"
    rf"((?:/[{_PCHAR}/]*)?)"
    rf"(\?[{_PCHAR}/?]*)?"
    rf"(#[{_PCHAR}/?]*)?"
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_SEPARATOR = re.compile(r"%(?:2[Ff]|5[Cc])")
_DOUBLE_ENCODING = re.compile(r"%25[0-9A-Fa-f]{2}")
_AUTHORITY_END = re.compile(r"[/?#]")

# https://fetch.spec.whatwg.org/#port-blocking, from 1024 up: services that can be made to take a request for their own.
_BAD_PORTS = {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
# Databases, queues and remote desktops that list leaves out: no document is served there.
_STORE_PORTS = {1433, 1521, 2375, 3306, 3389, 5432, 5900, 6379, 9200, 9300, 11211, 27017}
_REFUSED_PORTS = frozenset(_BAD_PORTS | _STORE_PORTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsUrl:
    """An ``https`` URL in its parts, each as written.

    ``host`` keeps the brackets of an IPv6 literal, ``port`` is 443 where none is written, ``query`` and ``fragment``
    are None where there is none and empty where there is an empty one.
    """

    text: str
    host: str
    port: int
    path: str
    query: str | None = None
    fragment: str | None = None

    @property
    def target(self) -> str:
        """Path and query, as an HTTP request names them."""
        return self.path if self.query is None else f"{self.path}?{self.query}"


def read_https_url(text: str) -> HttpsUrl | Fault:
    """An absolute ``https`` URL without userinfo, or what is wrong with it. RFC 3986 §3, CIMD draft §3."""
    match = _match(text)
    if isinstance(match, Fault):
        return match
    host, port, path, query, fragment = match.groups()
    return HttpsUrl(
        text=text,
        host=host,
        port=int(port) if port else 443,
        path=path,
        query=query and query[1:],
        fragment=fragment and fragment[1:],
    )


def find_https_url_fault(text: str) -> Fault | None:
    """What keeps the text from being a URL that ``read_https_url`` reads."""
    match = _match(text)
    return match if isinstance(match, Fault) else None


def _match(text: str) -> re.Match[str] | Fault:
    match = _URL.fullmatch(text) if len(text) <= URL_CHARACTERS else None
    if match is None:
        return _find_grammar_fault(text)
    if match[2] and int(match[2]) > 65535:
        return Fault(reason="port", problem="the port is not between 1 and 65535")
    if "%" in text and _BAD_ESCAPE.search(text):
        return Fault(reason="percent_encoding", problem="a % is not followed by two hexadecimal digits")
    return match


def _find_grammar_fault(text: str) -> Fault:
    """What in a string that is no ``https`` URL should be named to its author."""
    if len(text) > URL_CHARACTERS:
        return Fault(reason="too_long", problem=f"longer than {URL_CHARACTERS} characters")
    if "\\" in text:
        return Fault(reason="backslash", problem="contains a backslash, which parsers take for different things")
    if not text.isascii() or not text.isprintable() or " " in text:
        return Fault(reason="character", problem="contains a space, a control character or one outside ASCII")
    if not text.startswith("https://"):
        folded = text[:8].lower() == "https://"
        return Fault(
            reason="scheme", problem="the scheme must be in lower case" if folded else "the scheme is not https"
        )
    authority = _AUTHORITY_END.split(text[8:], maxsplit=1)[0]
    return _find_authority_fault(authority) or Fault(
        reason="character", problem="contains a character that RFC 3986 does not allow there"
    )


def _find_authority_fault(authority: str) -> Fault | None:
    if "@" in authority:  # RFC 3986 §7.6: https://claude.ai@evil.example/
        return Fault(reason="userinfo", problem="contains userinfo, even if it is empty")
    match = _AUTHORITY.fullmatch(authority)
    host, port = match.groups() if match else (authority, None)
    if not host:
        return Fault(reason="host", problem="has no host")
    if not _HOST.fullmatch(host):
        return Fault(reason="host", problem="the host is not a name of letters, digits, hyphens and dots")
    if port is not None and not _PORT.fullmatch(port):
        return Fault(reason="port", problem="the port is empty, not a number, or has a leading zero")
    return None


def has_dot_segment(path: str) -> bool:
    """Whether a segment is ``.`` or ``..``, be it percent-encoded or with parameters (``..;x``). RFC 3986 §5.2.4."""
    if "/." not in path and "/%2" not in path:
        return False
    return any(
        segment.partition(";")[0].replace("%2e", ".").replace("%2E", ".") in {".", ".."} for segment in path.split("/")
    )


def find_target_fault(url: HttpsUrl) -> Fault | None:
    """What makes a path or query unfit to name one document: a second spelling, or text that does not show."""
    if has_dot_segment(url.path):  # CIMD draft §3
        return Fault(reason="dot_segment", problem="the path contains a . or .. segment")
    if "%" not in url.text:
        return None
    # Origins, CDNs and proxies decode these differently, so one document would have several names.
    if _ENCODED_SEPARATOR.search(url.path):
        return Fault(reason="encoded_separator", problem="the path contains a percent-encoded slash or backslash")
    if _DOUBLE_ENCODING.search(url.path):
        return Fault(reason="double_encoding", problem="the path is percent-encoded twice")
    # It is shown to people and written to logs; %0d%0a must not become a header line anywhere.
    try:
        decoded = unquote_to_bytes(url.target).decode()
    except UnicodeDecodeError:
        return Fault(reason="encoded_character", problem="percent-encoded bytes are not UTF-8")
    if not is_visible(decoded):
        return Fault(reason="encoded_character", problem="contains a percent-encoded control or invisible character")
    return None


def is_permitted_port(port: int) -> bool:
    """Whether a public host may be fetched from at this port: 443, or from 1024 up and not another service's."""
    return port == 443 or (1024 <= port <= 65535 and port not in _REFUSED_PORTS)
