"""Connections that are used again: when they are, and what a peer could do with one."""

import asyncio
from typing import Any

import pytest

from fetch_kit import MakeFetcher, build_url
from hostile import Exchange, HostileServer, Script, answer, build_answer, send
from nameplate.errors import FetchError, Unreachable
from nameplate.fetch import GuardedFetcher

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(either_loop: Any) -> Any:
    return either_loop


GOOD = build_answer(b'{"good": 1}')
SMUGGLED = build_answer(b'{"smuggled": 1}')


def take_turns(*scripts: Script) -> Script:
    """A script whose requests are answered by one script after another; the last one stays."""

    async def script(exchange: Exchange) -> None:
        await scripts[min(exchange.number, len(scripts)) - 1](exchange)

    return script


async def fetch_bodies(fetcher: GuardedFetcher, port: int, count: int) -> list[bytes]:
    return [(await fetcher.fetch(build_url(port))).body for _ in range(count)]


async def test_a_connection_serves_one_fetch_after_another(server: HostileServer, fetcher: GuardedFetcher) -> None:
    await fetch_bodies(fetcher, server.port, 5)
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_a_304_keeps_the_connection_too(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = send(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 77\r\n\r\n')
    for _ in range(3):
        assert (await fetcher.fetch(build_url(server.port), etag='"1"')).status == 304
    assert server.connections == 1


async def test_an_idle_connection_is_closed_soon(server: HostileServer, make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher(server.port, keepalive_seconds=0.05)
    await fetcher.fetch(build_url(server.port))
    async with asyncio.timeout(2):
        await server.wait_until_left()
    await fetcher.fetch(build_url(server.port))
    assert server.connections == 2


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(send(GOOD, then_close=True), id="closed after the answer"),
        pytest.param(answer(b'{"good": 1}', headers=["Connection: close"]), id="said it would close"),
    ],
)
async def test_a_connection_that_ended_is_replaced(
    server: HostileServer, fetcher: GuardedFetcher, first: Script
) -> None:
    server.script = take_turns(first, send(GOOD))
    assert await fetch_bodies(fetcher, server.port, 2) == [b'{"good": 1}'] * 2
    assert server.connections == 2


async def close(exchange: Exchange) -> None:
    exchange.writer.close()


async def reset(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


@pytest.mark.parametrize("second", [close, reset])
async def test_a_kept_connection_that_was_closed_meanwhile_is_tried_again_on_a_new_one(
    server: HostileServer, fetcher: GuardedFetcher, second: Script
) -> None:
    server.script = take_turns(send(GOOD), second, send(GOOD))
    assert await fetch_bodies(fetcher, server.port, 2) == [b'{"good": 1}'] * 2
    assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.parametrize("script", [close, reset])
async def test_a_new_connection_that_is_closed_is_not_tried_again(
    server: HostileServer, fetcher: GuardedFetcher, script: Script
) -> None:
    server.script = script
    with pytest.raises(Unreachable):
        await fetcher.fetch(build_url(server.port))
    assert len(server.requests) == 1


async def test_a_kept_connection_that_breaks_within_its_answer_is_not_tried_again(
    server: HostileServer, fetcher: GuardedFetcher
) -> None:
    server.script = take_turns(send(GOOD), send(GOOD[:-2], then_close=True))
    await fetcher.fetch(build_url(server.port))
    with pytest.raises(Unreachable):
        await fetcher.fetch(build_url(server.port))
    assert len(server.requests) == 2


async def send_in_two_records(exchange: Exchange) -> None:
    exchange.writer.write(GOOD)
    exchange.writer.write(SMUGGLED)
    await exchange.writer.drain()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(send(GOOD + SMUGGLED), id="in one record"),
        pytest.param(send_in_two_records, id="in two records"),
        pytest.param(send(GOOD + b"\r\n"), id="an empty line"),
        pytest.param(send(GOOD + b"x"), id="a byte"),
        pytest.param(send(b"HTTP/1.1 103 Early\r\n\r\n" + GOOD + SMUGGLED), id="after an interim answer"),
        pytest.param(
            send(
                b"HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 11\n\n" + b'{"good": 1}' + SMUGGLED
            ),
            id="after bare line feeds",
        ),
        pytest.param(
            # Whoever looked for CRLF CRLF alone would see the header block end in the body, and the count fit.
            send(b'HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 12\n\n\r\n\r\n{"a":1} HTTP'),
            id="with a second end of headers in the body",
        ),
        pytest.param(
            send(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"2\r\n{}\r\n0\r\n\r\n" + SMUGGLED
            ),
            id="after chunks",
        ),
    ],
)
async def test_a_second_answer_nobody_asked_for_is_never_taken(
    server: HostileServer, fetcher: GuardedFetcher, script: Script
) -> None:
    server.script = take_turns(script, send(GOOD))
    await fetcher.fetch(build_url(server.port))
    assert (await fetcher.fetch(build_url(server.port))).body == b'{"good": 1}'
    assert server.connections == 2


async def test_an_answer_that_comes_between_two_requests_is_never_taken(
    server: HostileServer, fetcher: GuardedFetcher
) -> None:
    fetched, sent = asyncio.Event(), asyncio.Event()

    async def answer_and_then_again(exchange: Exchange) -> None:
        await exchange.send(GOOD)
        await fetched.wait()
        await exchange.send(SMUGGLED)
        sent.set()

    server.script = take_turns(answer_and_then_again, send(GOOD))
    await fetcher.fetch(build_url(server.port))
    fetched.set()
    await sent.wait()
    assert await fetch_bodies(fetcher, server.port, 1) == [b'{"good": 1}']
    assert server.connections == 2


async def test_a_refused_answer_ends_its_connection(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = take_turns(answer(status="404 Not Found"), send(GOOD))
    with pytest.raises(FetchError):
        await fetcher.fetch(build_url(server.port))
    await fetcher.fetch(build_url(server.port))
    assert server.connections == 2


async def test_fetches_at_once_have_a_connection_each(server: HostileServer, fetcher: GuardedFetcher) -> None:
    responses = await asyncio.gather(*(fetcher.fetch(build_url(server.port, f"/{n}.json")) for n in range(20)))
    assert {response.status for response in responses} == {200}
    assert 1 < server.connections <= 20
