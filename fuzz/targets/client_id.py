"""Client identifier URLs: any text is an identifier to the byte, or ``ClientIdError``.

What is accepted means one thing: Python's and httpcore2's readers of URLs see the same host and port, Python's the same
path and query; no resolver takes the host for an address, and the idna library decodes it. What was refused for its
host or its path stays refused in other spellings.
"""

import re
import socket
from urllib.parse import urlsplit

import httpcore2
import idna

from fuzz.inputs import read_text
from nameplate.errors import ClientIdError
from nameplate.protocol.client_id import ClientIdUrl, is_client_id_url, parse_client_id

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"https://", b"http://", b"HTTPS://", b"//", b"\\", b"@", b":443", b":8443", b"/..", b"/./", b"..;", b"%2e"),
    *(b"%2F", b"%5c", b"%25", b"%00", b"%0a", b"?", b"#", b"[::1]", b"127.0.0.1", b"0x7f.1", b"localhost"),
    *(b".internal", b"xn--", b".example.com", b".", b"\t", b"\xe2\x80\x8b", b"\xef\xbc\x8e", b"\xe3\x80\x82"),
    *(b"xn--mnchen-3ya.de", b"xn--p1ai"),
)

_OF_THE_HOST = {f"client_id.{reason}" for reason in ("internal_name", "ip_literal", "single_label")}
_OF_THE_PATH = {f"client_id.{reason}" for reason in ("dot_segment", "double_encoding", "encoded_separator")}
_AUTHORITY = re.compile(r"//([^/?#]*)")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


def check(data: bytes) -> None:
    """Try one text."""
    text = read_text(data)
    try:
        client_id = parse_client_id(text)
    except ClientIdError as error:
        assert re.fullmatch(r"client_id\.[a-z_]+", error.reason)
        assert error.problem.isascii()
        _check_that_it_stays_refused(text, error.reason)
    else:
        assert client_id.text == text
        assert is_client_id_url(text)
        _check_other_readers(client_id)


def _check_other_readers(client_id: ClientIdUrl) -> None:
    seen = urlsplit(client_id.text)
    assert (seen.scheme, seen.hostname, seen.port or 443) == ("https", client_id.host, client_id.port)
    assert (seen.username, seen.password, seen.fragment) == (None, None, "")
    assert client_id.target in {seen.path, f"{seen.path}?{seen.query}"}
    url = httpcore2.URL(client_id.text)
    assert (url.host.decode(), url.port or 443) == (client_id.host, client_id.port)
    assert idna.decode(client_id.host)
    try:
        socket.inet_aton(client_id.host)
    except OSError:
        return
    raise AssertionError("a resolver takes the host for an address")


def _check_that_it_stays_refused(text: str, reason: str) -> None:
    variants: list[str] = []
    if reason in _OF_THE_HOST:
        host = _AUTHORITY.split(text)[1]
        spellings = (
            host.upper(),
            f"{host}.",
            f"x@{host}",
            f"{host}:443",
            "".join(f"%{ord(char):02x}" for char in host),
        )
        variants = [text.replace(host, spelling, 1) for spelling in spellings]
    if reason in _OF_THE_HOST | _OF_THE_PATH:
        variants += [f"{text}/x", f"{text}?x", f"{text}#", _ESCAPE.sub(lambda found: found[0].swapcase(), text)]
    for variant in variants:
        assert _is_refused(variant), f"refused, but in another spelling accepted: {variant!a}"


def _is_refused(text: str) -> bool:
    try:
        parse_client_id(text)
    except ClientIdError:
        return True
    return False
