"""One browser: the cookies that bind a request and a session to it, and the check that a form is our own."""

import secrets
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from nameplate.protocol.source_networks import list_source_networks
from nameplate.secret import hash_bearer_value

__all__ = ["BrowserCookies", "client_address", "client_host", "is_own_form", "new_bearer_value"]


def new_bearer_value(prefix: str) -> str:
    """A random value of 256 bits. The prefix says what it is, so that a leaked one can be recognised."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


@dataclass(frozen=True, slots=True)
class BrowserCookies:
    """The two cookies of an issuer: which browser this is, and who is signed in. There are never more.

    ``__Host-`` keeps sibling subdomains from setting them (HT-07); plain http on loopback cannot have that. The names
    differ by issuer, because cookies ignore ports and two servers may share a host.
    """

    issuer: str

    def browser_hash(self, request: Request) -> bytes | None:
        """What pending authorizations are bound to; None for a browser that has not been here, or keeps no cookies."""
        return self._read(request, "browser")

    def session_hash(self, request: Request) -> bytes | None:
        """The id of the session that the browser claims."""
        return self._read(request, "session")

    def _read(self, request: Request, purpose: str) -> bytes | None:
        value = request.cookies.get(_build_cookie_name(self.issuer, purpose))
        return hash_bearer_value(value) if value and len(value) <= 128 else None

    def write_browser(self, response: Response, value: str) -> None:
        """Mark the browser, for as long as it runs."""
        self._write(response, "browser", value)

    def write_session(self, response: Response, value: str, *, max_age_seconds: int) -> None:
        """Hand out a new session."""
        self._write(response, "session", value, max_age_seconds)

    def clear_session(self, response: Response) -> None:
        """Take the session back."""
        self._write(response, "session", "", 0)

    def _write(self, response: Response, purpose: str, value: str, max_age_seconds: int | None = None) -> None:
        # By hand: the standard library's SimpleCookie takes longer than all else on the way to the sign-in page.
        attributes = ["Path=/", "HttpOnly", "SameSite=lax"]
        if max_age_seconds is not None:
            attributes.append(f"Max-Age={max_age_seconds}")
        if _is_secure(self.issuer):
            attributes.append("Secure")
        name = _build_cookie_name(self.issuer, purpose)
        response.headers.append("Set-Cookie", "; ".join([f"{name}={value}", *attributes]))


def _is_secure(issuer: str) -> bool:
    return issuer.startswith("https:")


@cache
def _build_cookie_name(issuer: str, purpose: str) -> str:
    suffix = sha256(issuer.encode()).hexdigest()[:8]
    return f"{'__Host-' if _is_secure(issuer) else ''}nameplate-{purpose}-{suffix}"


def is_own_form(request: Request, issuer: str) -> bool:
    """Whether a POST can have come from one of our own pages (CP-09), by what browsers add and pages cannot forge.

    Our pages send no referrer, for which browsers answer ``Origin: null`` even to ourselves: that is believed only
    beside ``Sec-Fetch-Site: same-origin``. A peer that sends neither header is no browser, and has the form's secret or
    has not.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    issuer_parts = urlsplit(issuer)
    return origin in (None, f"{issuer_parts.scheme}://{issuer_parts.netloc}")


def client_host(request: Request) -> str:
    """The peer, as the connection or a trusted proxy says: an address nearly always."""
    return request.client.host if request.client else "unknown"


def client_address(request: Request) -> str:
    """The peer's address for budgets: an IPv4 address, or the /64 of an IPv6 one, which is what one household has."""
    return list_source_networks(client_host(request))[0].name
