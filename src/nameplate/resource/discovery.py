"""Fetches an authorization server's keys: metadata first (RFC 8414 §3), then its ``jwks_uri``.

The issuer is the operator's own setting and trusted, so the guard for strangers' URLs does not apply; what comes back
is read like any other input.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import httpx2

from nameplate import __version__
from nameplate.errors import (
    BadMediaType,
    BadStatus,
    FetchError,
    RedirectRefused,
    TimedOut,
    TlsFailed,
    TooLarge,
    Unreachable,
)
from nameplate.jose import read_json
from nameplate.protocol.resource_metadata import is_loopback_url
from nameplate.protocol.server_metadata import build_metadata_paths

__all__ = ["ANSWER_BYTES", "fetch_jwks"]

ANSWER_BYTES = 256 * 1024
"""A longer answer is dropped while it comes."""

# Of what a stranger wrote, in a line of the log.
_SHOWN_CHARACTERS = 300

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # nothing is ever inflated
    "User-Agent": f"nameplate/{__version__}",
}


async def fetch_jwks(issuer: str, *, tls: ssl.SSLContext, deadline_seconds: float) -> dict[str, object]:
    """The key set behind the issuer's ``jwks_uri``, a JSON object that was not looked into.

    Raises ``FetchError``. ``deadline_seconds`` bounds everything together.
    """
    try:
        async with (
            asyncio.timeout(deadline_seconds),
            httpx2.AsyncClient(verify=tls, trust_env=False, timeout=deadline_seconds) as client,
        ):
            return await _fetch_object(client, await _fetch_jwks_uri(client, issuer))
    except TimeoutError as error:
        raise TimedOut(f"{issuer}: no keys within {deadline_seconds} s") from error


async def _fetch_jwks_uri(client: httpx2.AsyncClient, issuer: str) -> str:
    """The ``jwks_uri`` from the first location that has the issuer's own document; else the most telling failure."""
    origin = "/".join(issuer.split("/", 3)[:3])
    failures: list[FetchError] = []
    for path in build_metadata_paths(issuer.removesuffix("/")):  # RFC 8414 §3.1: the terminating slash goes
        try:
            return _read_jwks_uri(await _fetch_object(client, origin + path), issuer)
        except (Unreachable, TlsFailed):
            raise  # the other locations are on the same host
        except FetchError as error:
            failures.append(error)
    # A document that is wrong says more than one that is missing.
    raise next((failure for failure in failures if not isinstance(failure, BadStatus)), failures[0])


def _read_jwks_uri(metadata: dict[str, object], issuer: str) -> str:
    # RFC 8414 §3.3: byte for byte, else one server could speak for another (mix-up, MCP 2026-07-28)
    if metadata.get("issuer") != issuer:
        shown = repr(metadata.get("issuer"))[:_SHOWN_CHARACTERS]
        problem = f"the metadata's issuer is {shown}, and this server was given {issuer!r}"
        raise FetchError(f"{problem}: they must be equal byte for byte, and a trailing slash counts")
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str) or not _is_port_valid(jwks_uri):
        raise FetchError("the metadata names no jwks_uri, or one that is no URL")
    # RFC 8414 §2: https. Plain http only where the issuer itself is plain, which only loopback may be.
    is_local = issuer.startswith("http:") and jwks_uri.startswith("http:") and is_loopback_url(jwks_uri)
    if not jwks_uri.startswith("https:") and not is_local:
        raise FetchError(f"the metadata's jwks_uri {jwks_uri!r} is not https")
    return jwks_uri


def _is_port_valid(url: str) -> bool:
    """A port above 65535 would reach the socket, which fails in a way of its own."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


async def _fetch_object(client: httpx2.AsyncClient, url: str) -> dict[str, object]:
    try:
        body = await _fetch_body(client, url)
    except httpx2.TimeoutException as error:
        raise TimedOut(f"{url}: {error!r}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        failed = TlsFailed if _is_tls_failure(error) else Unreachable
        raise failed(f"{url}: {error!r}") from error
    value = read_json(body)
    if not isinstance(value, dict):
        raise BadMediaType(f"{url}: the answer is no JSON object")
    return value


async def _fetch_body(client: httpx2.AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url, headers=_HEADERS, follow_redirects=False) as response:
        if 300 <= response.status_code < 400:
            raise RedirectRefused(f"{url}: status {response.status_code}")
        if response.status_code != 200:
            raise BadStatus(response.status_code)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > ANSWER_BYTES:
                raise TooLarge(f"{url}: more than {ANSWER_BYTES} bytes")
        return bytes(body)


def _is_tls_failure(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
