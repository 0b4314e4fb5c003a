"""The two streams that httpcore2 reads and writes through: a connected socket, and TLS upon it.

Written on plain sockets and an ``ssl.MemoryBIO`` pair rather than on the loop's transports, for three things that
those hide: every byte that has arrived is in sight (so a second answer nobody asked for is never taken for the next
one), nothing is read that nobody waits for, and closing closes at once. httpcore2's timeouts are not looked at: the
fetch's one deadline cancels whatever waits.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpcore2

from nameplate.errors import TlsFailed, Unreachable
from nameplate.fetch.meter import AnswerMeter

__all__ = ["PlainStream", "StaleConnection", "StreamLimits", "TlsStream"]

_READ_BYTES = 64 * 1024


class StaleConnection(httpcore2.ReadError):
    """The peer closed a kept connection instead of answering: ask on another. RFC 9112 §9.3.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """``header_bytes`` may come before a body; an unused connection closes after ``idle_seconds``."""

    header_bytes: int
    idle_seconds: float


class PlainStream(httpcore2.AsyncNetworkStream):
    """A connected TCP socket. The fetcher speaks on it only to an egress proxy; to everybody else TLS comes first."""

    def __init__(self, sock: socket.socket, limits: StreamLimits) -> None:
        self._socket = sock
        self._limits = limits

    async def read(self, max_bytes: int, *_: object, **_timeout: object) -> bytes:
        """Whatever has arrived, at most ``max_bytes``; empty at the end."""
        with _as_network_error(httpcore2.ReadError):
            return await asyncio.get_running_loop().sock_recv(self._socket, max_bytes)

    async def write(self, buffer: bytes, *_: object, **_timeout: object) -> None:
        """Send all of ``buffer``."""
        with _as_network_error(httpcore2.WriteError):
            await asyncio.get_running_loop().sock_sendall(self._socket, buffer)

    async def aclose(self) -> None:
        """Close the socket."""
        self._socket.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_: object, **_timeout: object
    ) -> "TlsStream":
        """Shake hands and verify the certificate for ``server_hostname``; unless that succeeds the socket is closed.

        Raises ``TlsFailed`` where the certificate or its name is not trusted, ``Unreachable`` for any other end.
        """
        try:
            stream = TlsStream(self._socket, ssl_context, server_hostname or "", self._limits)
            await stream.shake_hands()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise TlsFailed(error.verify_message or error.reason) from error
            if isinstance(error, (OSError, ValueError)):  # ValueError: a name that cannot stand in SNI
                raise Unreachable(f"TLS handshake: {error}") from error
            raise
        return stream


class TlsStream(httpcore2.AsyncNetworkStream):
    """A TLS connection that carries one request after another, counting what comes back for each.

    A connection is used again only after ``settle`` proved that the answer ended exactly where the bytes ended.
    """

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, server_hostname: str, limits: StreamLimits
    ) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._limits = limits
        self._requests = 0
        self._meter = AnswerMeter(limits.header_bytes)
        self._is_settled = False
        self._idle_timer: asyncio.TimerHandle | None = None

    async def shake_hands(self) -> None:
        """The TLS handshake. Raises ``ssl.SSLError`` or ``OSError``."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            else:
                return await self._flush()

    async def write(self, buffer: bytes, *_: object, **_timeout: object) -> None:
        """Send a request's header block; httpcore2 writes it in one piece, and then an empty body."""
        if not buffer:
            return
        self._begin_request()
        with _as_network_error(httpcore2.WriteError):
            self._tls.write(buffer)
            await self._flush()

    async def read(self, max_bytes: int, *_: object, **_timeout: object) -> bytes:
        """Decrypted bytes, empty at the end. Raises ``TooLarge`` beyond what this part of the answer may take."""
        try:
            data = await self._receive(min(max_bytes, self._meter.readable_bytes))
        except OSError as error:
            if self._is_untouched:
                raise StaleConnection(str(error)) from error
            raise httpcore2.ReadError(str(error)) from error
        if not data and self._is_untouched:
            raise StaleConnection("closed while it was kept")
        self._meter.count_received(data)
        return data

    def expect_body(self, body_bytes: int) -> None:
        """The header block is read: from here on, ``body_bytes`` and what framing may add to them may come."""
        self._meter.expect_body(body_bytes)

    def settle(self, body_bytes: int) -> None:
        """The answer said its length, ``body_bytes``, beforehand: keep the connection if that was all that came.

        Anything beyond would be taken for the answer to the next request (response splitting, RFC 9112 §11.1).
        """
        if not self._meter.is_whole(body_bytes) or self._has_unread:
            return
        self._is_settled = True
        self._idle_timer = self._loop.call_later(self._limits.idle_seconds, self._close)

    async def aclose(self) -> None:
        """Close the socket at once: without a closing handshake, for which a peer could let us wait."""
        self._close()

    def get_extra_info(self, info: str) -> object:
        """``is_readable`` is how httpcore2 asks whether a kept connection must not be used again."""
        if info == "is_readable":
            return not self._is_settled or self._has_unread
        if info == "ssl_object":
            return self._tls
        return None

    @property
    def _is_untouched(self) -> bool:
        return self._requests > 1 and not self._meter.received_bytes

    @property
    def _has_unread(self) -> bool:
        """Whether anything has arrived that was not read, the end of the connection included."""
        if self._incoming.pending or self._incoming.eof or self._tls.pending():
            return True
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _begin_request(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        self._requests += 1
        self._meter = AnswerMeter(self._limits.header_bytes)
        self._is_settled = False

    async def _receive(self, max_bytes: int) -> bytes:
        while True:
            try:
                return self._tls.read(max_bytes)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLEOFError:
                # No closing alert. JSON says itself where it ends, so a cut answer cannot pass for a whole one.
                return b""

    async def _fill(self) -> None:
        data = await self._loop.sock_recv(self._socket, _READ_BYTES)
        self._meter.count_encrypted(len(data))
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._loop.sock_sendall(self._socket, self._outgoing.read())

    def _close(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        self._is_settled = False
        self._socket.close()


@contextlib.contextmanager
def _as_network_error(kind: type[httpcore2.NetworkError]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise kind(str(error)) from error
