"""The guarded fetcher: one GET of one small JSON document from a host that nobody vouches for."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol, cast

import httpcore2

from nameplate.errors import Busy, FetchError, TimedOut, TooLarge, Unreachable
from nameplate.fetch.answer import Headers, check_answer, decode_headers, find_header
from nameplate.fetch.dial import Dialler, ProxyDialler
from nameplate.fetch.options import FetchOptions
from nameplate.fetch.resolve import Resolver, SystemResolver, look_up_addresses
from nameplate.fetch.trust import build_tls_context
from nameplate.fetch.wire import StaleConnection, TlsStream
from nameplate.protocol.private_hosts import PrivateHost, find_private_host

__all__ = ["FetchTarget", "FetchedResponse", "GuardedFetcher"]

_log = logging.getLogger("nameplate.fetch")
_USER_AGENT = f"nameplate/{version('nameplate')}".encode()
_FIXED_HEADERS = (
    (b"Accept", b"application/json, application/*+json;q=0.9"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", _USER_AGENT),
)
# Chunks that came in one read are parsed without a pause: thousands of tiny ones would hold up the whole event loop.
_BODY_PARTS = 256
_BROKEN = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError, OSError, ValueError)


class FetchTarget(Protocol):
    """The parts of an https URL that was read once, strictly; ``ClientIdUrl`` and ``HttpsUrl`` are such."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def target(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedResponse:
    """A good answer: ``status`` 200 with its ``body``, or 304 to a revalidation; ``received_at`` in epoch seconds."""

    status: int
    headers: Headers
    body: bytes
    received_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    url: FetchTarget
    etag: str | None
    last_modified: str | None
    max_bytes: int

    @property
    def is_conditional(self) -> bool:
        return self.etag is not None or self.last_modified is not None


class GuardedFetcher:
    """Fetches JSON documents by https from hosts that strangers name. One per process, for the loop that first uses it.

    Never: a redirect, a cookie, credentials, a proxy from the environment, another method than GET, an address that
    is special-use, a body beyond the limit, a wait beyond the deadline. ``resolver`` answers a host name with every
    address of it; the default asks the system in threads of its own. ``clock`` gives epoch seconds.
    """

    def __init__(
        self,
        options: FetchOptions = FetchOptions(),  # noqa: B008 - frozen
        *,
        resolver: Resolver | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._clock = clock
        self._deadlines: set[asyncio.Timeout] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_closed = False
        if options.proxy_address is not None:
            backend: Dialler | ProxyDialler = ProxyDialler(options)
            _log.warning("an egress proxy is used: it, and not this server, decides which addresses are reached")
        else:
            backend = Dialler(options, resolver or build_system_resolver(options.private_hosts))
        self._pool = _build_pool(options, backend)

    @property
    def options(self) -> FetchOptions:
        """The options that it was made with."""
        return self._options

    async def fetch(
        self,
        url: FetchTarget,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        max_bytes: int | None = None,
    ) -> FetchedResponse:
        """The document at ``url``. With ``etag`` or ``last_modified`` of a former answer, 304 is an answer too.

        Raises a ``FetchError`` and nothing else, within the deadline. ``max_bytes`` overrides ``max_document_bytes``.
        CIMD draft §5, §9.6, §9.7.
        """
        limit = self._options.max_document_bytes if max_bytes is None else max_bytes
        question = _Question(url=url, etag=etag, last_modified=last_modified, max_bytes=limit)
        started = time.perf_counter()
        try:
            response = await self._fetch_in_time(question)
        except FetchError as error:
            _log_fetch(url, started, type(error).__name__, error.detail)
            raise
        _log_fetch(url, started, "", f"status {response.status}, {len(response.body)} bytes")
        return response

    async def aclose(self) -> None:
        """End the fetches that still run, with ``Unreachable``, and close every connection."""
        self._is_closed = True
        for deadline in self._deadlines:
            if not deadline.expired():  # else it is about to end anyway
                deadline.reschedule(0.0)
        try:
            await self._is_idle.wait()  # a few turns of the loop: nothing that ends a fetch waits for a peer
        finally:
            await self._pool.aclose()

    async def _fetch_in_time(self, question: _Question) -> FetchedResponse:
        if self._is_closed:
            raise Unreachable("the fetcher is closed")
        if len(self._deadlines) >= self._options.max_connections:
            raise Busy("too many fetches at once", retry_after_seconds=1)
        deadline = asyncio.timeout(self._options.deadline_seconds)
        try:
            async with deadline:
                self._deadlines.add(deadline)
                self._is_idle.clear()
                return await self._exchange(question)
        except TimeoutError:
            if self._is_closed:
                raise Unreachable("the fetcher was closed") from None
            raise TimedOut(f"not done within {self._options.deadline_seconds} s") from None
        except _BROKEN as error:
            raise Unreachable(f"{type(error).__name__}: {error}"[:200]) from error
        finally:
            self._deadlines.discard(deadline)
            if not self._deadlines:
                self._is_idle.set()

    async def _exchange(self, question: _Question) -> FetchedResponse:
        request = _build_request(question)
        while True:
            try:
                return await self._ask(request, question)
            except StaleConnection:
                continue  # a kept connection, now dropped; a new one is never stale, so this ends

    async def _ask(self, request: httpcore2.Request, question: _Question) -> FetchedResponse:
        response = await self._pool.handle_async_request(request)
        try:
            headers = decode_headers(response.headers)
            limit = question.max_bytes
            check_answer(response.status, headers, is_revalidation=question.is_conditional, max_bytes=limit)
            stream = cast("TlsStream", response.extensions["network_stream"])
            stream.expect_body(limit)
            body = await _read_body(response, limit)
            if response.status == 304 or find_header(headers, "content-length"):
                stream.settle(len(body))
            received_at = int(self._clock())
            return FetchedResponse(status=response.status, headers=headers, body=body, received_at=received_at)
        finally:
            await response.aclose()


async def _read_body(response: httpcore2.Response, limit: int) -> bytes:
    body, count = bytearray(), 0
    async with aclosing(response.aiter_stream()) as parts:
        async for part in parts:
            body += part
            count += 1
            if len(body) > limit or count > _BODY_PARTS:
                raise TooLarge(f"more than {limit} bytes or {_BODY_PARTS} pieces")
    return bytes(body)


def build_system_resolver(private_hosts: tuple[PrivateHost, ...]) -> SystemResolver:
    """The default resolver. Public names are asked for as absolute: no search domain turns them into other names."""

    def lookup(host: str) -> Sequence[str]:
        declared = find_private_host(private_hosts, host) is not None
        return look_up_addresses(host if declared else f"{host}.")

    return SystemResolver(lookup=lookup)


def _build_pool(options: FetchOptions, backend: Dialler | ProxyDialler) -> httpcore2.AsyncConnectionPool:
    proxy = None
    if options.proxy_address is not None:
        host, port = options.proxy_address
        proxy = httpcore2.Proxy(httpcore2.URL(scheme=b"http", host=host, port=port, target=b"/"))
    return httpcore2.AsyncConnectionPool(
        ssl_context=build_tls_context(options.trusted_ca_file),
        proxy=proxy,
        max_connections=options.max_connections,
        max_keepalive_connections=options.max_connections,
        keepalive_expiry=options.keepalive_seconds,
        network_backend=backend,
    )


def _build_request(question: _Question) -> httpcore2.Request:
    # The parts, never the string again: a second parser could read another host in it.
    url = question.url
    host = url.host.encode("ascii")
    headers = [(b"Host", host if url.port == 443 else b"%b:%d" % (host, url.port)), *_FIXED_HEADERS]
    if question.etag is not None:
        headers.append((b"If-None-Match", question.etag.encode("latin-1")))
    if question.last_modified is not None:
        headers.append((b"If-Modified-Since", question.last_modified.encode("latin-1")))
    parts = httpcore2.URL(scheme=b"https", host=host, port=url.port, target=url.target.encode("ascii"))
    return httpcore2.Request(b"GET", parts, headers=headers)


def _log_fetch(url: FetchTarget, started: float, error: str, detail: str) -> None:
    _log.log(
        logging.WARNING if error else logging.INFO,
        "fetch failed" if error else "fetched",
        extra={
            "host": url.host,
            "port": url.port,
            "reason": error or "ok",
            "detail": detail[:200],
            "milliseconds": round((time.perf_counter() - started) * 1000, 1),
        },
    )
