"""A load generator for any server that speaks HTTP/1.1: requests are bytes made beforehand, and it only counts time.

It must cost little, because it shares the machine with the server. So there is no HTTP client in it: each connection
writes the next request when the answer to the last one has come.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast
from urllib.parse import urlencode, urlsplit

import httptools

from bench.failure import BenchFailed

__all__ = ["Answer", "Driver", "Load", "ask_once", "build_request", "connect"]

LONGEST_SECONDS = 120
"""Whatever is sent at once is answered by then, or something hangs."""


@dataclass(slots=True)
class Answer:
    """A response. Header names are in lower case."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def check(self, status: int) -> "Answer":
        """This answer, if it has the status that it must have. Raises ``BenchFailed``."""
        if self.status != status:
            raise BenchFailed(f"an answer has status {self.status} instead of {status}: {self.body[:300]!r}")
        return self

    def read_header(self, name: str) -> str:
        """The header's first value. Raises ``BenchFailed`` where there is none."""
        for key, value in self.headers:
            if key == name:
                return value
        raise BenchFailed(f"an answer has no {name} header")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came back: an answer for each request, in order, and how long it took, for all together and for each."""

    answers: list[Answer]
    seconds: float
    latencies: list[float]


class _Connection(asyncio.Protocol):
    """A kept-alive connection, one request at a time. httptools calls the ``on_`` methods."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer = Answer()
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.set_exception(BenchFailed(f"the server closed a connection ({exc})"))
            self._waiting = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._answer = Answer()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._answer.body += body

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        if self._waiting is not None:
            self._waiting.set_result(self._answer)
            self._waiting = None

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request. It raises ``BenchFailed``, as the answer does, where the server hangs up."""
        if self._transport is None or self._transport.is_closing():
            raise BenchFailed("the server closed a connection")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Driver:
    """Some open connections to one server. ``connect`` makes one."""

    def __init__(self, connections: Sequence[_Connection]) -> None:
        self._connections = connections

    async def send(self, requests: Sequence[bytes]) -> Load:
        """Send all requests, as many at once as there are connections. Raises ``BenchFailed``."""
        answers = [Answer()] * len(requests)
        latencies: list[float] = []
        waiting = iter(enumerate(requests))
        started = perf_counter()
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await asyncio.gather(*(_work(each, waiting, answers, latencies) for each in self._connections))
        except TimeoutError:
            raise BenchFailed(f"{len(latencies)} of {len(requests)} answers came in {LONGEST_SECONDS} s") from None
        return Load(answers=answers, seconds=perf_counter() - started, latencies=latencies)


async def _work(
    connection: _Connection, waiting: Iterator[tuple[int, bytes]], answers: list[Answer], latencies: list[float]
) -> None:
    for index, request in waiting:
        started = perf_counter()
        answers[index] = await connection.ask(request)
        latencies.append(perf_counter() - started)


@asynccontextmanager
async def connect(url: str, *, connections: int) -> AsyncIterator[Driver]:
    """Connections to the server of this ``http://`` URL. Raises ``OSError`` where nobody listens there."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise BenchFailed(f"{url} is no http:// URL, and TLS is not what is measured here")
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        opened: list[_Connection] = []
        for _ in range(connections):
            _, connection = await loop.create_connection(_Connection, parts.hostname, parts.port or 80)
            stack.callback(connection.close)
            opened += [connection]
        yield Driver(opened)


async def ask_once(url: str, request: bytes) -> Answer:
    """The answer to one request, on a connection of its own."""
    async with connect(url, connections=1) as driver:
        return (await driver.send([request])).answers[0]


def build_request(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
) -> bytes:
    """A request as it goes over the wire, with the form as its body."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    body = urlencode(form).encode() if form is not None else b""
    all_headers = {"Host": parts.netloc, **(headers or {})}
    if form is not None:
        all_headers |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in all_headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body
