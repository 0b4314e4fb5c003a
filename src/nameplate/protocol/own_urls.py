"""Recognising this server's own URLs in every spelling: none can be a client (CIMD-15) or take an answer (RU-12)."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

__all__ = ["is_own_url"]

_OWN_PATHS = frozenset(
    {
        *("", "/authorize", "/consent", "/healthz", "/introspect", "/jwks", "/readyz", "/register", "/revocations"),
        *("/revoke", "/sign-in", "/sign-out", "/style.css", "/token"),
    }
)
_DEFAULT_PORTS = {"https": 443, "http": 80}


def is_own_url(url: str, issuer: str) -> bool:
    """Whether a URL leads to the issuer itself, one of its endpoints or pages, or its metadata.

    Here, and only here, spellings are evened out: a browser or a proxy would do so on the way to us. Other paths of the
    issuer's host are somebody else's: a client may live beside its authorization server.
    """
    try:
        asked, own = urlsplit(url), urlsplit(issuer)
        if _read_origin(asked) != _read_origin(own):
            return False
    except ValueError:
        return False  # what cannot be read cannot lead here; other rules refuse it
    path = re.sub("/+", "/", unquote(asked.path)).rstrip("/")
    return path.removeprefix(own.path) in _OWN_PATHS or "/.well-known" in path


def _read_origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _DEFAULT_PORTS.get(parts.scheme)
