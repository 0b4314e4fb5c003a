"""Redirects: in a proven URI with parameters added, each arrives exactly once and is ours; the rest stays as it was.

The first line is the redirect URI, each further one a parameter ``name=value``.
"""

from urllib.parse import parse_qsl

from fuzz.inputs import read_lines
from nameplate.protocol.fault import Fault
from nameplate.protocol.redirect_uri import build_redirect, read_redirect_uri

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"https://app.example.com/cb", b"http://127.0.0.1:1/", b"com.example.app:/cb", b"?", b"&", b"=", b"%", b"%26"),
    *(b"+", b"code=", b"state=", b"iss=", b"error=", b"c%6fde=", b"error_description=", b"\n", b"\r\n", b"%0d%0a"),
    *(b"#", b"&&"),
)

_OURS = {"code", "error", "error_description", "error_uri", "iss", "state"}


def check(data: bytes) -> None:
    """Try one redirect."""
    uri, *lines = read_lines(data)
    if isinstance(read_redirect_uri(uri), Fault):
        return
    parameters = dict(line.partition("=")[::2] for line in lines)
    built = build_redirect(uri, parameters)
    assert built.isascii()
    assert built.isprintable()
    assert "#" not in built
    base, _, query = built.partition("?")
    before, _, before_query = uri.partition("?")
    assert base == before
    added = [(_as_sent(name), _as_sent(value)) for name, value in parameters.items()]
    kept = [pair for pair in _read_query(before_query) if pair[0] not in _OURS | parameters.keys()]
    assert _read_query(query) == kept + added
    assert not isinstance(read_redirect_uri(built), Fault) or len(built) > 2048


def _as_sent(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _read_query(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)
