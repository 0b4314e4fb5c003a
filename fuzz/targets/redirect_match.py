"""Redirect URIs: any text is a URI that may be used, or a ``Fault``; a match is byte for byte but for a loopback port.

Three lists with empty lines between: the requested URI and those that a document registers, the patterns that an
operator allows, and texts to try as such patterns. A list of patterns only ever narrows, and a wildcard never reaches
another origin. A script-like scheme is found in every spelling that a browser would run.
"""

import re
from urllib.parse import urlsplit

from fuzz.inputs import read_blocks
from nameplate.errors import ConfigurationError
from nameplate.protocol.fault import Fault
from nameplate.protocol.redirect_uri import (
    SCRIPT_SCHEMES,
    RedirectTarget,
    RedirectUri,
    check_redirect_pattern,
    match_redirect_uri,
    read_redirect_uri,
)

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"https://", b"http://", b"http://127.0.0.1", b"http://localhost", b"http://[::1]", b":*", b"/*", b"*"),
    *(b":8080", b"javascript:", b"data:", b"com.example.app:", b"//", b"/..", b"/%2e%2e", b"%2F", b"?", b"#", b"@"),
    *(b"\\", b"\n\n", b"\t", b"\r", b"%0d%0a", b"localhost.", b"127.1", b"[::ffff:127.0.0.1]"),
    *(b"https://app.example.com/callback",),
)

_IGNORED_BY_BROWSERS = re.compile(r"[\x00-\x20]")
_LOOPBACK_PORT = re.compile(r"(?<=^http://)(127\.0\.0\.1|\[::1\]|localhost):(?:[0-9]+|\*)")


def check(data: bytes) -> None:
    """Try one set of URIs."""
    (requested, *registered), allowed, patterns = _read(data)
    read = read_redirect_uri(requested)
    if isinstance(read, Fault):
        _check_fault(requested, read)
    else:
        _check_uri(read)
    target = match_redirect_uri(requested, registered)
    narrowed = match_redirect_uri(requested, registered, allowed)
    assert narrowed in (None, target)
    if target is not None:
        _check_target(target, requested, registered)
    if narrowed is not None:
        assert any(_may_reach(pattern, requested) for pattern in allowed)
    for pattern in patterns:
        _check_pattern(pattern)


def _read(data: bytes) -> tuple[list[str], list[str], list[str]]:
    uris, allowed, patterns = read_blocks(data, 3)
    return uris or [""], allowed, patterns


def _check_fault(text: str, fault: Fault) -> None:
    assert fault.problem.isascii()
    assert match_redirect_uri(text, [text]) is None
    if fault.reason == "script_scheme":
        for variant in (text.upper(), text.swapcase(), f" \t{text}", f"{text[:1]}\n{text[1:]}", f"\x00{text}\x7f"):
            again = read_redirect_uri(variant)
            assert isinstance(again, Fault)
            assert again.reason in {"script_scheme", "too_long"}, f"another spelling is not found: {variant!a}"


def _check_uri(uri: RedirectUri) -> None:
    assert uri.text.isascii()
    assert uri.text.isprintable()
    assert _IGNORED_BY_BROWSERS.sub("", uri.text).partition(":")[0].lower() not in SCRIPT_SCHEMES
    seen = urlsplit(uri.text.replace(":*", "", 1) if uri.kind == "loopback" else uri.text)
    assert not seen.fragment
    match uri.kind:
        case "https":
            assert (seen.scheme, seen.username, seen.password) == ("https", None, None)
            assert seen.hostname == uri.host.strip("[]").lower()
        case "loopback":
            assert (seen.scheme, seen.username) == ("http", None)
            assert seen.hostname in {"127.0.0.1", "::1", "localhost"}
        case "private_use":
            assert seen.scheme == uri.host.lower()
            assert "." in uri.host


def _check_target(target: RedirectTarget, requested: str, registered: list[str]) -> None:
    assert target.uri == requested
    assert target.registered in registered
    assert "*" not in requested
    if target.registered != requested:
        assert target.kind == "loopback"
        assert _LOOPBACK_PORT.sub(r"\1", requested) == _LOOPBACK_PORT.sub(r"\1", target.registered)
        urlsplit(requested).port  # noqa: B018 - raises where it is no port


def _may_reach(pattern: str, requested: str) -> bool:
    """Whether the literal beginning of a pattern begins the URI, ports of loopback hosts aside."""
    beginning = _LOOPBACK_PORT.sub(r"\1", pattern).partition("*")[0].removesuffix(":")
    return _LOOPBACK_PORT.sub(r"\1", requested).startswith(beginning)


def _check_pattern(pattern: str) -> None:
    try:
        check_redirect_pattern(pattern, setting="redirects")
    except ConfigurationError as error:
        assert error.setting == "redirects"
        return
    example = pattern.replace(":*", ":1", 1).replace("/*", "/x")
    assert match_redirect_uri(example, [example], [pattern]) is not None, "a pattern that was let pass matches nothing"
