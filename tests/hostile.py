"""A TLS server that does whatever a test tells it, and counts what reaches it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import trustme

CLIENT_HOST = "client.example"


@dataclass(eq=False)
class Exchange:
    """One request as it came, and its connection. ``number`` counts the server's requests from 1."""

    number: int
    request: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def headers(self) -> dict[str, str]:
        lines = self.request.decode("ascii").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Script = Callable[[Exchange], Awaitable[None]]


def build_answer(body: bytes = b"{}", status: str = "200 OK", *, headers: Sequence[str] = ()) -> bytes:
    """An honest answer with a Content-Length, and Content-Type unless ``headers`` has one."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    if not any(line.lower().startswith("content-type") for line in headers):
        lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answer(body: bytes = b"{}", status: str = "200 OK", *, headers: Sequence[str] = ()) -> Script:
    """A script that always answers the same."""
    return send(build_answer(body, status, headers=headers))


def send(data: bytes, *, then_close: bool = False) -> Script:
    """A script that sends these bytes."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(data)
        if then_close:
            exchange.writer.close()

    return script


def drip(first: bytes, part: bytes, *, every_seconds: float) -> Script:
    """A script that sends ``first`` and then ``part`` again and again, for as long as anybody listens."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(first)
        while True:
            await exchange.send(part)
            await asyncio.sleep(every_seconds)

    return script


def flood(first: bytes, part: bytes) -> Script:
    """A script that sends without end and without pause."""
    return drip(first, part, every_seconds=0)


async def say_nothing(exchange: Exchange) -> None:
    """A script that reads and never answers."""
    await exchange.reader.read()


def build_server_context(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's context with a certificate of ``ca`` for ``names``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return context


@dataclass(eq=False)
class HostileServer:
    """Speaks TLS on a loopback port while its ``async with`` lasts. ``script`` may be replaced between requests."""

    context: ssl.SSLContext
    script: Script
    address: str = "127.0.0.1"
    connections: int = 0
    requests: list[Exchange] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)
    port: int = 0

    async def __aenter__(self) -> Self:
        self.context.sni_callback = lambda _sock, name, _context: self.server_names.append(name)
        self._tasks: set[asyncio.Task[None]] = set()
        self._was_asked = asyncio.Event()
        self._server = await asyncio.start_server(self._accept, self.address, self.port, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def wait_for_request(self) -> None:
        """Until the first request came."""
        await self._was_asked.wait()

    async def wait_until_left(self) -> None:
        """Until no connection is open any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the fetcher hung up, or the test is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            exchange = Exchange(len(self.requests) + 1, request, reader, writer)
            self.requests.append(exchange)
            self._was_asked.set()
            await self.script(exchange)


@dataclass(eq=False)
class SilentListener:
    """A TCP port that counts who connects, and says ``greeting`` if it has one."""

    address: str = "127.0.0.1"
    port: int = 0
    greeting: bytes = b""
    accepted: int = 0

    async def __aenter__(self) -> Self:
        self._writers: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._accept, self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _accept(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.append(writer)
        writer.write(self.greeting)
