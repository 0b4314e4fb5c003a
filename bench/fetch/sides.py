"""The fetchers that are compared, each as it is meant to be used, made to trust and to reach our host.

That host is on loopback, under a name that no name server knows. So in a worker's process ``socket.getaddrinfo`` looks
that one name up as ``localhost``; every side asks it, in a thread, whenever it connects.
"""

import importlib.util
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import httpcore2

from bench.failure import BenchFailed
from nameplate.fetch import FetchOptions, GuardedFetcher
from nameplate.protocol.client_id import ClientIdPolicy, ClientIdUrl, parse_client_id
from nameplate.protocol.private_hosts import PrivateHost

__all__ = [
    "BARE",
    "FASTMCP",
    "OURS",
    "SIDES",
    "Fetch",
    "Place",
    "is_installed",
    "stand_in_for_dns",
    "trust_for_fastmcp",
]

OURS, BARE, FASTMCP = "ours", "bare", "FastMCP"
ADDRESS = "127.0.0.1"

Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The host of the documents: its name, its port on loopback, and the file with its certificate authority."""

    name: str
    port: int
    ca_file: str

    @property
    def private_host(self) -> PrivateHost:
        """The declaration by which our fetcher may reach it."""
        return PrivateHost(host=self.name, network="127.0.0.0/8", ports=(self.port,))

    @property
    def fetch_options(self) -> FetchOptions:
        """What our fetcher is told."""
        return FetchOptions(private_hosts=(self.private_host,), trusted_ca_file=self.ca_file)

    def parse_url(self, url: str) -> ClientIdUrl:
        """A URL of this host, as our fetcher wants it."""
        return parse_client_id(url, ClientIdPolicy(private_hosts=(self.private_host,)))

    def build_json(self) -> str:
        """The place for a worker's command line; ``Place(**json.loads(…))`` reads it."""
        return json.dumps(asdict(self))


def stand_in_for_dns(name: str) -> None:
    """From here on, this process looks ``name`` up as ``localhost``, IPv4 only."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, family: int = 0, *rest: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if text != name:
            return look_up(host, port, family, *rest, **options)
        return look_up("localhost", port, socket.AF_INET, *rest, **options)

    socket.getaddrinfo = getaddrinfo


@asynccontextmanager
async def _open_ours(place: Place) -> AsyncIterator[Fetch]:
    fetcher = GuardedFetcher(place.fetch_options)

    async def fetch(url: str) -> bytes:
        return (await fetcher.fetch(place.parse_url(url))).body

    try:
        yield fetch
    finally:
        await fetcher.aclose()


@asynccontextmanager
async def _open_bare(place: Place) -> AsyncIterator[Fetch]:
    """One pool and one TLS context, as ours has, and nothing that looks at an address, a size or a header."""
    context = httpcore2.default_ssl_context()
    context.load_verify_locations(cafile=place.ca_file)
    headers = [("Accept", "application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "bench")]
    async with httpcore2.AsyncConnectionPool(
        ssl_context=context, max_connections=128, max_keepalive_connections=128, keepalive_expiry=15
    ) as pool:

        async def fetch(url: str) -> bytes:
            response = await pool.request("GET", url, headers=headers)
            if response.status != 200:
                raise BenchFailed(f"status {response.status}")
            return response.content

        yield fetch


@asynccontextmanager
async def _open_fastmcp(place: Place) -> AsyncIterator[Fetch]:
    """``ssrf_safe_fetch`` as it is, but for what ``trust_for_fastmcp`` changes."""
    from fastmcp.server.auth import ssrf

    trust_for_fastmcp(place.ca_file)
    yield lambda url: ssrf.ssrf_safe_fetch(url, require_path=True)


def trust_for_fastmcp(ca_file: str) -> None:
    """Let FastMCP's fetcher in this process have two answers: our address is public, our authority trusted.

    Both are asked for as ever, so that their cost stays in.
    """
    from fastmcp.server.auth import ssrf

    is_ip_allowed, default_ssl_context = ssrf.is_ip_allowed, httpcore2.default_ssl_context

    def is_allowed_here(ip_str: str) -> bool:
        return is_ip_allowed(ip_str) or ip_str == ADDRESS

    def build_context(**options: Any) -> Any:
        context = default_ssl_context(**options)
        context.load_verify_locations(cafile=ca_file)
        return context

    ssrf.is_ip_allowed = is_allowed_here
    httpcore2.default_ssl_context = build_context


SIDES: Mapping[str, Callable[[Place], AbstractAsyncContextManager[Fetch]]] = MappingProxyType(
    {OURS: _open_ours, BARE: _open_bare, FASTMCP: _open_fastmcp}
)


def is_installed(side: str) -> bool:
    """Whether this side can be measured here."""
    return side != FASTMCP or importlib.util.find_spec("fastmcp") is not None
