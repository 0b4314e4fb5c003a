"""The limits of one fetch (sizes, framing, pieces, time): nothing that a host sends, or does not, goes beyond them."""

import asyncio
from typing import Any

import pytest

from fetch_kit import MakeFetcher, build_url
from hostile import (
    Exchange,
    HostileServer,
    answer,
    build_answer,
    drip,
    flood,
    say_nothing,
    send,
)
from nameplate.errors import Busy, FetchError, TooLarge, Unreachable
from nameplate.fetch import GuardedFetcher

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def anyio_backend(either_loop: Any) -> Any:
    return either_loop


@pytest.mark.proves("CIMD-27")
async def test_a_body_of_exactly_the_limit_is_taken(server: HostileServer, fetcher: GuardedFetcher) -> None:
    for script in (answer(b" " * 5120), send(_chunked(b" " * 5120)), send(_chunked(b" " * 5120, size=30))):
        server.script = script
        assert len((await fetcher.fetch(build_url(server.port))).body) == 5120


@pytest.mark.proves("CIMD-27")
async def test_a_body_of_one_byte_more_is_refused(server: HostileServer, fetcher: GuardedFetcher) -> None:
    for script in (
        answer(b" " * 5121),
        send(_chunked(b" " * 5121)),
        send(HEAD + b"\r\n" + b" " * 5121, then_close=True),
    ):
        server.script = script
        with pytest.raises(TooLarge):
            await fetcher.fetch(build_url(server.port))


async def test_a_fetch_may_have_a_limit_of_its_own(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = answer(b" " * 60_000)
    assert len((await fetcher.fetch(build_url(server.port), max_bytes=60_000)).body) == 60_000
    with pytest.raises(TooLarge):
        await fetcher.fetch(build_url(server.port), max_bytes=59_999)


@pytest.mark.parametrize(
    "length", ["1073741824", "5121", "99999999999999999999", "9" * 5000, "-1", "+5", "0x10", "1, 2", "²"]
)
async def test_a_content_length_beyond_the_limit_or_no_number_is_refused_at_once(
    server: HostileServer, fetcher: GuardedFetcher, length: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD + f"Content-Length: {length}\r\n\r\n".encode())
        await exchange.reader.read()

    server.script = script
    with pytest.raises((TooLarge, Unreachable)):
        await fetcher.fetch(build_url(server.port))
    await server.wait_until_left()


@pytest.mark.proves("CIMD-27")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"), id="chunks"
        ),
        pytest.param(
            flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 99 + b"\r\n1\r\n"), id="extensions"
        ),
        pytest.param(flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n"), id="trailers"),
        pytest.param(flood(HEAD + b"\r\n", b" " * 1024), id="body without framing"),
        pytest.param(flood(HEAD, b"X-Header: 1\r\n"), id="headers"),
        pytest.param(flood(HEAD, b"x" * 1024), id="one header"),
        pytest.param(flood(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), id="interim answers"),
        pytest.param(flood(b"", b"\x00" * 1024), id="no HTTP"),
        pytest.param(flood(b"", b"\r\n"), id="empty lines"),
    ],
)
async def test_whatever_has_no_end_is_cut_off_long_before_the_deadline(
    server: HostileServer, make_fetcher: MakeFetcher, script: object
) -> None:
    server.script = script  # type: ignore[assignment]
    fetcher = make_fetcher(server.port, deadline_seconds=30.0)
    async with asyncio.timeout(5):
        with pytest.raises((TooLarge, Unreachable)):
            await fetcher.fetch(build_url(server.port))
        await server.wait_until_left()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD + b"a:b\r\n" * 300 + b"\r\n{}", id="header lines"),
        pytest.param(b"HTTP/1.1 100 \r\n\r\n" * 100 + build_answer(), id="interim answers"),
    ],
)
async def test_an_answer_of_many_small_parts_is_refused_however_few_its_bytes(
    server: HostileServer, fetcher: GuardedFetcher, data: bytes
) -> None:
    server.script = send(data)
    with pytest.raises(TooLarge):
        await fetcher.fetch(build_url(server.port))


async def test_a_body_in_chunks_of_one_byte_is_refused(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = send(_chunked(b" " * 5000, size=1))
    with pytest.raises(TooLarge):
        await fetcher.fetch(build_url(server.port))


async def test_a_body_in_records_of_one_byte_is_refused(server: HostileServer, fetcher: GuardedFetcher) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD + b"Content-Length: 5000\r\n\r\n")
        for _ in range(5000):
            exchange.writer.write(b" ")
        await exchange.writer.drain()

    server.script = script
    with pytest.raises(TooLarge):
        await fetcher.fetch(build_url(server.port))


async def test_an_interim_answer_and_large_headers_are_borne(server: HostileServer, fetcher: GuardedFetcher) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    server.script = send(early + build_answer(headers=["X-Policy: " + "x" * 12_000]))
    assert (await fetcher.fetch(build_url(server.port))).body == b"{}"


# Framing


async def test_a_body_may_be_ended_by_closing(server: HostileServer, fetcher: GuardedFetcher) -> None:
    for head in (HEAD, HEAD.replace(b"1.1", b"1.0")):
        server.script = send(head + b"\r\n{}", then_close=True)
        assert (await fetcher.fetch(build_url(server.port))).body == b"{}"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD + b"Content-Length: 10\r\n\r\n{}", id="shorter than it says"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}", id="a chunk cut"),
        pytest.param(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", id="two lengths"),
        pytest.param(
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and chunks"
        ),
        pytest.param(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="transfer coding"),
        pytest.param(HEAD + b" folded: x\r\nX Y: z\r\n\r\n{}", id="bad header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="headers cut"),
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="another protocol"),
        pytest.param(b"{}", id="nothing but a body"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_a_broken_answer_is_unreachable(server: HostileServer, fetcher: GuardedFetcher, data: bytes) -> None:
    server.script = send(data, then_close=True)
    with pytest.raises(Unreachable):
        await fetcher.fetch(build_url(server.port))
    assert len(server.requests) == 1


# Time


@pytest.mark.proves("CIMD-28")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(say_nothing, id="silence"),
        pytest.param(drip(HEAD, b"X: y\r\n", every_seconds=0.03), id="headers"),
        pytest.param(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every_seconds=0.03), id="interim answers"),
        pytest.param(drip(HEAD + b"Content-Length: 5000\r\n\r\n", b" ", every_seconds=0.03), id="body"),
        pytest.param(
            drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", every_seconds=0.03), id="chunks"
        ),
    ],
)
async def test_one_deadline_spans_the_whole_answer(
    server: HostileServer, make_fetcher: MakeFetcher, script: object
) -> None:
    server.script = script  # type: ignore[assignment]
    fetcher = make_fetcher(server.port, deadline_seconds=0.2)
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch(build_url(server.port))
    assert type(failure.value).__name__ == "TimedOut"
    assert 0.19 < loop.time() - started < 0.5
    async with asyncio.timeout(2):
        await server.wait_until_left()


async def test_a_fetch_too_many_at_once_is_refused_not_queued(server: HostileServer, make_fetcher: MakeFetcher) -> None:
    server.script = say_nothing
    fetcher = make_fetcher(server.port, max_connections=3, deadline_seconds=0.3)
    results = await asyncio.gather(
        *(fetcher.fetch(build_url(server.port, f"/{n}.json")) for n in range(5)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Busy", "Busy", "TimedOut", "TimedOut", "TimedOut"]
    assert all(result.reason == "fetch.busy" for result in results if isinstance(result, Busy))


async def test_closing_ends_what_runs(server: HostileServer, make_fetcher: MakeFetcher) -> None:
    server.script = say_nothing
    fetcher = make_fetcher(server.port, deadline_seconds=30.0)
    running = asyncio.create_task(fetcher.fetch(build_url(server.port)))
    await server.wait_for_request()
    async with asyncio.timeout(2):
        await fetcher.aclose()
        with pytest.raises(Unreachable):
            await running
        with pytest.raises(Unreachable):
            await fetcher.fetch(build_url(server.port))
        await server.wait_until_left()


async def test_whoever_gives_up_leaves_no_connection_behind(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = say_nothing
    running = asyncio.create_task(fetcher.fetch(build_url(server.port)))
    await server.wait_for_request()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(2):
        await server.wait_until_left()


def _chunked(body: bytes, size: int = 1000) -> bytes:
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[start : start + size]), body[start : start + size])
        for start in range(0, len(body), size)
    )
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
