"""Finds what an authorization server publishes: its metadata first (RFC 8414 §3), then what that points at."""

import asyncio
import ssl
from urllib.parse import urlsplit

import httpx2

from nameplate.errors import BadStatus, FetchError, TimedOut, TlsFailed, Unreachable
from nameplate.protocol.resource_metadata import is_loopback_url
from nameplate.protocol.server_metadata import build_metadata_paths
from nameplate.resource.trusted_http import fetch_object, open_client

__all__ = ["ANSWER_BYTES", "fetch_endpoint", "fetch_jwks"]

ANSWER_BYTES = 256 * 1024
"""A longer answer is dropped while it comes."""

# Of what a stranger wrote, in a line of the log.
_SHOWN_CHARACTERS = 300


async def fetch_jwks(issuer: str, *, tls: ssl.SSLContext, deadline_seconds: float) -> dict[str, object]:
    """The key set behind the issuer's ``jwks_uri``, a JSON object that was not looked into.

    Raises ``FetchError``. ``deadline_seconds`` bounds everything together.
    """
    try:
        async with asyncio.timeout(deadline_seconds), open_client(tls, deadline_seconds=deadline_seconds) as client:
            jwks_uri = await fetch_endpoint(client, issuer, "jwks_uri")
            return await fetch_object(client, jwks_uri, max_bytes=ANSWER_BYTES)
    except TimeoutError as error:
        raise TimedOut(f"{issuer}: no keys within {deadline_seconds} s") from error


async def fetch_endpoint(client: httpx2.AsyncClient, issuer: str, member: str) -> str:
    """The URL that this member of the issuer's metadata names.

    It is taken from the first location that has the issuer's own document; else the most telling failure is raised.
    """
    origin = "/".join(issuer.split("/", 3)[:3])
    failures: list[FetchError] = []
    for path in build_metadata_paths(issuer.removesuffix("/")):  # RFC 8414 §3.1: the terminating slash goes
        try:
            metadata = await fetch_object(client, origin + path, max_bytes=ANSWER_BYTES)
            return _read_endpoint(metadata, issuer, member)
        except (Unreachable, TlsFailed):
            raise  # the other locations are on the same host
        except FetchError as error:
            failures.append(error)
    # A document that is wrong says more than one that is missing.
    raise next((failure for failure in failures if not isinstance(failure, BadStatus)), failures[0])


def _read_endpoint(metadata: dict[str, object], issuer: str, member: str) -> str:
    # RFC 8414 §3.3: byte for byte, else one server could speak for another (mix-up, MCP 2026-07-28)
    if metadata.get("issuer") != issuer:
        shown = repr(metadata.get("issuer"))[:_SHOWN_CHARACTERS]
        problem = f"the metadata's issuer is {shown}, and this server was given {issuer!r}"
        raise FetchError(f"{problem}: they must be equal byte for byte, and a trailing slash counts")
    url = metadata.get(member)
    if not isinstance(url, str) or not _is_port_valid(url):
        raise FetchError(f"the metadata names no {member}, or one that is no URL")
    # RFC 8414 §2: https. Plain http only where the issuer itself is plain, which only loopback may be.
    is_local = issuer.startswith("http:") and url.startswith("http:") and is_loopback_url(url)
    if not url.startswith("https:") and not is_local:
        raise FetchError(f"the metadata's {member} {url!r} is not https")
    return url


def _is_port_valid(url: str) -> bool:
    """A port above 65535 would reach the socket, which fails in a way of its own."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
