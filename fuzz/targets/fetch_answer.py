"""The guarded fetcher at a hostile host: whatever comes over TLS is a document within the limits, or a ``FetchError``.

The input is what the host sends, in one piece, or in several with ``~~`` in a line of its own between them. Then the
host waits a moment for another request, and hangs up where none comes. Every other request is answered honestly. Where
all has come at once, that answer arrives: no byte of the first is taken for it. (A host that waits until it is asked
again can always answer wrongly; it does so for itself alone.)
"""

import asyncio
import ssl
import tempfile
from collections.abc import Sequence
from functools import cache

import trustme

from nameplate.errors import FetchError
from nameplate.fetch import FetchedResponse, FetchOptions, GuardedFetcher
from nameplate.protocol.client_id import ClientIdPolicy, ClientIdUrl, parse_client_id
from nameplate.protocol.private_hosts import PrivateHost

__all__ = ["TOKENS", "check"]

TOKENS = (
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 304 \r\n", b"HTTP/1.1 103 \r\n\r\n", b"Content-Length: 2\r\n", b"\r\n\r\n"),
    *(b"{}", b"Content-Type: application/json\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"2\r\n{}\r\n"),
    *(b"\n~~\n", b"HTTP/1.1 101 \r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n", b"HTTP/1.0", b"\xff"),
    *(b"\x00", b"2;x\r\n"),
)

_HOST = "client.example"
_BODY = b'{"answer":"honest"}'
_HONEST = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_MAX_BYTES = 1000
# Both ends run in one loop. So many turns of it let the fetcher read what came and ask again, without a clock.
_TURNS = 60


def check(data: bytes) -> None:
    """Try one answer."""
    asyncio.run(_fetch_twice(data.split(b"\n~~\n")))


async def _fetch_twice(pieces: Sequence[bytes]) -> None:
    host = _Host(pieces)
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=_build_trust()[0])
    port = server.sockets[0].getsockname()[1]
    declared = (PrivateHost(host=_HOST, network="127.0.0.0/8", ports=(port,), address="127.0.0.1"),)
    url = parse_client_id(f"https://{_HOST}:{port}/client.json", ClientIdPolicy(private_hosts=declared))
    fetcher = _build_fetcher(declared)
    try:
        await _fetch(fetcher, url, etag='"1"')
        second = await _fetch(fetcher, url)
        if len(pieces) == 1:
            assert second is not None
            assert second.body == _BODY, "bytes of the first answer are taken for the second"
    finally:
        await fetcher.aclose()
        server.close()
        await host.leave()


async def _fetch(fetcher: GuardedFetcher, url: ClientIdUrl, etag: str | None = None) -> FetchedResponse | None:
    try:
        response = await fetcher.fetch(url, etag=etag)
    except FetchError as error:
        assert error.detail.isprintable()
        return None
    assert response.status == 200 or (response.status == 304 and etag is not None and not response.body)
    assert len(response.body) <= _MAX_BYTES
    return response


class _Host:
    """Answers the first request with the pieces, every other one honestly."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await _has_request(reader):
                await self._answer(writer)
        except (OSError, asyncio.CancelledError):
            pass  # the fetcher hung up, or it is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        pieces, self._pieces = self._pieces or [_HONEST], []
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)

    async def leave(self) -> None:
        """Close every connection."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _has_request(reader: asyncio.StreamReader) -> bool:
    """Whether a request comes soon."""
    reading = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
    for _ in range(_TURNS):
        if reading.done():
            return reading.exception() is None
        await asyncio.sleep(0)
    reading.cancel()
    return False


def _build_fetcher(declared: tuple[PrivateHost, ...]) -> GuardedFetcher:
    with tempfile.NamedTemporaryFile() as file:
        file.write(_build_trust()[1])
        file.flush()
        return GuardedFetcher(
            FetchOptions(private_hosts=declared, trusted_ca_file=file.name, max_document_bytes=_MAX_BYTES)
        )


@cache
def _build_trust() -> tuple[ssl.SSLContext, bytes]:
    """The host's TLS, and the certificate authority to trust for it."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(_HOST, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context, authority.cert_pem.bytes()
