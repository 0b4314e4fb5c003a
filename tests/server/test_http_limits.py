"""A peer that sends too much, too slowly or nonsense over a real socket is let go, and the server answers others."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nameplate.server.http_limits import LimitedHttpProtocol
from nameplate.testing.serving import open_listener, serve_app

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 5
GOOD = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"


class HastyProtocol(LimitedHttpProtocol):
    """The same rules in a hurry."""

    max_head_bytes = 4096
    head_seconds = 0.5
    body_seconds = 0.5


async def echo(request: Request) -> JSONResponse:
    """What arrived, by headers, path and body."""
    body = await request.body()
    return JSONResponse({"path": request.url.path, "headers": request.headers.items(), "body": body.decode("latin-1")})


class Server:
    """A running server, and how to talk to it in bytes."""

    def __init__(self, port: int) -> None:
        self._port = port

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def send(self, *pieces: bytes) -> bytes:
        """Send these, one packet after the other, and all that comes until the server ends the connection."""
        async with self.connect() as (reader, writer):
            with suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            return await read_to_end(reader)

    async def assert_well(self) -> None:
        """The server answers somebody else."""
        answer = await self.send(GOOD.replace(b"Host", b"Connection: close\r\nHost"))
        assert answer.startswith(b"HTTP/1.1 200 "), answer


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                answer += piece
    return answer


@asynccontextmanager
async def run(protocol: type[LimitedHttpProtocol] = LimitedHttpProtocol) -> AsyncIterator[Server]:
    listener, port = open_listener()
    app = Starlette(routes=[Route("/echo", echo, methods=["GET", "POST"])])
    async with serve_app(app, listener, protocol=protocol):
        yield Server(port)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def test_a_large_but_reasonable_head_is_served() -> None:
    async with run() as server:
        cookie = b"Cookie: a=" + b"b" * 30_000
        answer = await server.send(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + cookie + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_counts_for_no_head_however_it_is_cut() -> None:
    body = b"b" * 200_000
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n"
    async with run() as server:
        answer = await server.send(head + body)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"b" * 200_000) == 1
        assert (await server.send(head[:40], head[40:] + body[:7], body[7:])).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /echo HTTP/1.1\r\nHost: x\r\n", *[b"X-A: " + b"a" * 1000 + b"\r\n"] * 200],
        [b"GET /echo HTTP/1.1\r\nHost: x\r\nX-A: ", *[b"a" * 10_000] * 20],
        [b"GET /", *[b"a" * 10_000] * 20],
        [b"GET /echo HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n"],
        [b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"GET /echo HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 200 + b"\r\n"],
        [GOOD[:-2], b"X: ", b"a" * 100_000],
    ],
    ids=["endless headers", "endless value", "endless path", "one huge value", "one huge path", "many", "late"],
)
async def test_a_head_without_end_is_refused_with_431(pieces: list[bytes]) -> None:
    async with run() as server:
        answer = await server.send(*pieces)
        # Where the peer was still sending, its own unread bytes may reset the connection before it reads the answer.
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
        await server.assert_well()


async def test_a_head_that_arrives_as_a_whole_is_answered_with_431() -> None:
    async with run() as server:
        answer = await server.send(b"GET /echo HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 200 + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.endswith(b"\r\n\r\nThe request headers are too long")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"1;", *[b"x" * 10_000] * 20],
        [b"0\r\nX: ", *[b"a" * 10_000] * 20],
        [b"0\r\n", *[b"X-A: " + b"a" * 1000 + b"\r\n"] * 200],
        [b"1\r\nx\r\n" * 50_000],
    ],
    ids=["extension", "one trailer", "trailers", "crumbs"],
)
async def test_what_comes_beside_a_chunked_body_is_limited_too(pieces: list[bytes]) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with run() as server:
        assert not (await server.send(head, *pieces)).startswith(b"HTTP/1.1 200 ")
        await server.assert_well()


async def test_a_trailer_is_no_header() -> None:
    async with run() as server:
        answer = await server.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'"body":"hi"' in answer
        assert b"forwarded" not in answer.lower()


STOPPED = {
    "silence": [],
    "half a line": [b"GET /ec"],
    "half a head": [b"GET /echo HTTP/1.1\r\nHost: x\r\n"],
    "an empty line": [b"\r\n"],
    "many empty lines": [b"\r\n" * 1000],
    "half a body": [b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"],
    "half a chunked body": [b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"],
    "no body for a refusal": [b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"],
    "an empty line after an answer": [GOOD, b"\r\n"],
    "half a line after an answer": [GOOD, b"GET /"],
}


async def test_a_peer_that_stops_is_let_go() -> None:
    async with run(HastyProtocol) as server:
        answers = await asyncio.gather(*(server.send(*pieces) for pieces in STOPPED.values()))
        await server.assert_well()
    answered = {name for name, answer in zip(STOPPED, answers, strict=True) if b"HTTP/1.1 200 " in answer}
    assert answered == {name for name, pieces in STOPPED.items() if GOOD in pieces}


@pytest.mark.parametrize("head", [b"GET /echo HTTP/1.1\r\nX: ", b"POST /echo HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"])
async def test_a_byte_now_and_then_buys_no_time(head: bytes) -> None:
    async with run(HastyProtocol) as server, server.connect() as (reader, writer):
        writer.write(head)
        answer = None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while answer is None:
                try:
                    answer = await asyncio.wait_for(reader.read(), 0.02)
                except TimeoutError:
                    writer.write(b"a")
                except ConnectionError:
                    answer = b""
        assert answer == b""


async def test_an_application_may_take_its_time() -> None:
    async def answer_late(request: Request) -> JSONResponse:
        await request.body()
        with anyio.move_on_after(HastyProtocol.head_seconds * 1.5) as waiting:
            await request.receive()
        return JSONResponse({"undisturbed": waiting.cancelled_caught})

    listener, port = open_listener()
    app = Starlette(routes=[Route("/", answer_late, methods=["POST"])])
    async with serve_app(app, listener, protocol=HastyProtocol):
        answer = await Server(port).send(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
        )
    assert answer.endswith(b'{"undisturbed":true}')


async def test_a_few_requests_may_be_sent_ahead_and_are_answered_in_order() -> None:
    async with run() as server:
        paths = [b"/echo?%d" % number for number in range(LimitedHttpProtocol.max_pipelined)]
        requests = [GOOD.replace(b"/echo", path) for path in paths]
        requests[-1] = requests[-1].replace(b"Host", b"Connection: close\r\nHost")
        answer = await server.send(b"".join(requests))
        assert answer.count(b"HTTP/1.1 200 ") == len(requests)


async def test_thousands_of_requests_sent_ahead_are_refused_without_being_kept(traced: None) -> None:
    async with run() as server:
        await server.assert_well()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        answer = await server.send(GOOD * 8000)
        assert answer.count(b"HTTP/1.1 200 ") <= LimitedHttpProtocol.max_pipelined + 1
        assert tracemalloc.get_traced_memory()[1] - before < 4 * 1024 * 1024
        await server.assert_well()


async def test_many_peers_with_endless_heads_hold_a_bounded_amount_of_memory(traced: None) -> None:
    async with run() as server:
        await server.assert_well()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        pieces = [b"GET /echo HTTP/1.1\r\nX: ", *[b"a" * 16_384] * 40]
        await asyncio.gather(*(server.send(*pieces) for _ in range(20)))
        # 13 MB were sent
        assert tracemalloc.get_traced_memory()[1] - before < 20 * 256 * 1024
        await server.assert_well()


NO_REQUESTS = [
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET\r\n\r\n",
    b"GET /echo HTTP/9.9\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET echo HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /echo HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET /echo HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    b"GET /echo HTTP/1.1\r\nX: a\0b\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
]


async def test_what_is_no_request_or_could_be_two_is_refused() -> None:
    async with run(HastyProtocol) as server:
        answers = await asyncio.gather(*map(server.send, NO_REQUESTS))
        await server.assert_well()
    accepted = [
        request
        for request, answer in zip(NO_REQUESTS, answers, strict=True)
        if (answer and not answer.startswith(b"HTTP/1.1 4")) or b"HTTP/1.1 200 " in answer
    ]
    assert accepted == []
