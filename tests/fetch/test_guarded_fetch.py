"""One fetch: what is asked, and which answers are taken."""

import asyncio
import gzip
import logging
from pathlib import Path

import pytest
import trustme
from conftest import MakeFetcher, Names, build_private_host, build_url
from hostile import (
    CLIENT_HOST,
    Exchange,
    HostileServer,
    answer,
    build_answer,
    build_server_context,
    drip,
    flood,
    say_nothing,
    send,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from nameplate.errors import BadMediaType, BadStatus, Busy, FetchError, RedirectRefused, TooLarge, Unreachable
from nameplate.fetch import FetchedResponse, FetchOptions, GuardedFetcher

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


async def test_the_request_is_a_bare_get_for_json(server: HostileServer, fetcher: GuardedFetcher) -> None:
    await fetcher.fetch(build_url(server.port, "/a/b.json?v=1"))
    lines = server.requests[0].request.decode().split("\r\n")
    assert lines[0] == "GET /a/b.json?v=1 HTTP/1.1"
    assert lines[4].startswith("User-Agent: nameplate/")
    assert [*lines[1:4], *lines[5:]] == [
        f"Host: {CLIENT_HOST}:{server.port}",
        "Accept: application/json, application/*+json;q=0.9",
        "Accept-Encoding: identity",
        "",
        "",
    ]
    assert server.server_names == [CLIENT_HOST]


async def test_an_answer_carries_its_headers_body_and_time(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = answer(b'{"a": 1}', headers=["ETag: \"1\"", "X-Latin: \xe9"])
    response = await fetcher.fetch(build_url(server.port))
    assert (response.status, response.body, response.received_at) == (200, b'{"a": 1}', 1_800_000_000)
    assert ("etag", '"1"') in response.headers
    assert ("x-latin", "é") in response.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json ;charset=utf-8",
        "application/cimd+json",
        "application/ld+json",
        "application/vnd.a-b.c+json",
    ],
)
async def test_a_json_type_is_taken(server: HostileServer, fetcher: GuardedFetcher, content_type: str) -> None:
    server.script = answer(headers=[f"Content-Type: {content_type}"])
    assert (await fetcher.fetch(build_url(server.port))).body == b"{}"


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Type: text/html"],
        ["Content-Type: text/plain"],
        ["Content-Type: image/png"],
        ["Content-Type: application/octet-stream"],
        ["Content-Type: application/jsonp"],
        ["Content-Type: application/json+x"],
        ["Content-Type: application/+json"],
        ["Content-Type: text/ld+json"],
        ["Content-Type: application/json, text/html"],
        ["Content-Type:"],
        ["Content-Type: application/json", "Content-Type: text/html"],
        ["Content-Type: application/json", "Content-Encoding: gzip"],
        ["Content-Type: application/json", "Content-Encoding: br"],
        ["Content-Type: application/json", "Content-Encoding: identity", "Content-Encoding: zstd"],
    ],
)
async def test_another_type_or_any_encoding_is_refused(
    server: HostileServer, fetcher: GuardedFetcher, headers: list[str]
) -> None:
    server.script = answer(headers=headers)
    with pytest.raises(BadMediaType):
        await fetcher.fetch(build_url(server.port))


async def test_a_missing_type_is_refused(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    with pytest.raises(BadMediaType):
        await fetcher.fetch(build_url(server.port))


async def test_a_gzip_bomb_is_refused_without_reading_it(server: HostileServer, fetcher: GuardedFetcher) -> None:
    bomb = gzip.compress(b"{" + b" " * 5_000_000 + b"}")
    server.script = answer(bomb[:5000], headers=["Content-Type: application/json", "Content-Encoding: gzip"])
    with pytest.raises(BadMediaType):
        await fetcher.fetch(build_url(server.port))


@pytest.mark.parametrize("status", ["201 C", "202 A", "203 N", "206 P", "299 X", "400 B", "401 U", "404 N", "500 I", "503 S"])
async def test_any_other_status_is_refused(server: HostileServer, fetcher: GuardedFetcher, status: str) -> None:
    server.script = answer(status=status)
    with pytest.raises(BadStatus) as refusal:
        await fetcher.fetch(build_url(server.port))
    assert refusal.value.status == int(status[:3])
    assert refusal.value.reason == "fetch.unreachable"


async def test_a_status_without_a_body_is_refused(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = send(b"HTTP/1.1 204 No Content\r\n\r\n")
    with pytest.raises(BadStatus):
        await fetcher.fetch(build_url(server.port))


async def test_switching_protocols_is_refused(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
    with pytest.raises(FetchError):
        await fetcher.fetch(build_url(server.port))


@pytest.mark.parametrize("status", ["300 M", "301 M", "302 F", "303 S", "305 U", "307 T", "308 P"])
async def test_a_redirect_is_refused_and_not_followed(
    server: HostileServer, fetcher: GuardedFetcher, status: str
) -> None:
    server.script = answer(status=status, headers=[f"Location: https://{CLIENT_HOST}:{server.port}/other.json"])
    with pytest.raises(RedirectRefused):
        await fetcher.fetch(build_url(server.port))
    assert len(server.requests) == 1


async def test_a_refresh_header_is_no_redirect(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = answer(headers=[f"Refresh: 0; url=https://{CLIENT_HOST}:{server.port}/other.json"])
    assert (await fetcher.fetch(build_url(server.port))).body == b"{}"
    assert len(server.requests) == 1


async def test_304_is_an_answer_only_to_a_revalidation(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = send(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
    with pytest.raises(BadStatus):
        await fetcher.fetch(build_url(server.port))
    response = await fetcher.fetch(build_url(server.port), etag='"1"', last_modified="Sun, 06 Nov 1994 08:49:37 GMT")
    assert (response.status, response.body) == (304, b"")
    sent = server.requests[1].headers
    assert (sent["if-none-match"], sent["if-modified-since"]) == ('"1"', "Sun, 06 Nov 1994 08:49:37 GMT")


@pytest.mark.parametrize("etag", ['"a"\r\nX-Injected: 1', '"a"\n', '"\x00"', '"\u2028"'])
async def test_a_validator_that_would_break_the_request_is_never_sent(
    server: HostileServer, fetcher: GuardedFetcher, etag: str
) -> None:
    with pytest.raises(Unreachable):
        await fetcher.fetch(build_url(server.port), etag=etag)
    assert server.requests == []


# Sizes


async def test_a_body_of_exactly_the_limit_is_taken(server: HostileServer, fetcher: GuardedFetcher) -> None:
    for script in (answer(b" " * 5120), send(_chunked(b" " * 5120)), send(_chunked(b" " * 5120, size=1))):
        server.script = script
        assert len((await fetcher.fetch(build_url(server.port))).body) == 5120


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


@pytest.mark.parametrize("length", ["1073741824", "5121", "99999999999999999999", "9" * 5000, "-1", "+5", "0x10", "1, 2", "²"])
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


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"), id="chunks"),
        pytest.param(flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 99 + b"\r\n1\r\n"), id="extensions"),
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


async def test_an_interim_answer_and_large_headers_are_borne(server: HostileServer, fetcher: GuardedFetcher) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    server.script = send(early + build_answer(headers=["X-Policy: " + "x" * 20_000]))
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
        pytest.param(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and chunks"),
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


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(say_nothing, id="silence"),
        pytest.param(drip(HEAD, b"X: y\r\n", every_seconds=0.03), id="headers"),
        pytest.param(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every_seconds=0.03), id="interim answers"),
        pytest.param(drip(HEAD + b"Content-Length: 5000\r\n\r\n", b" ", every_seconds=0.03), id="body"),
        pytest.param(drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", every_seconds=0.03), id="chunks"),
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
    while not server.requests:
        await asyncio.sleep(0)
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
    while not server.requests:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(2):
        await server.wait_until_left()


# The log


async def test_every_fetch_is_one_log_line(
    server: HostileServer, fetcher: GuardedFetcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nameplate.fetch")
    await fetcher.fetch(build_url(server.port))
    server.script = answer(headers=["Content-Type: text/\x1b[31mhtml"])
    with pytest.raises(FetchError):
        await fetcher.fetch(build_url(server.port))
    good, bad = (vars(record) for record in caplog.records if record.name == "nameplate.fetch")
    assert (good["reason"], good["host"], good["port"]) == ("ok", CLIENT_HOST, server.port)
    assert 0 < good["milliseconds"] < 2000
    assert (bad["reason"], bad["levelname"]) == ("BadMediaType", "WARNING")
    assert bad["detail"].isprintable()


# Anything


@settings(max_examples=40)
@given(data=st.one_of(st.binary(max_size=400), st.binary(max_size=100).map(lambda tail: HEAD + tail)))
def test_any_bytes_are_an_answer_or_one_of_our_errors(data: bytes, ca: trustme.CA, ca_file: Path) -> None:
    async def main() -> None:
        async with HostileServer(build_server_context(ca, CLIENT_HOST), send(data, then_close=True)) as server:
            options = FetchOptions(
                private_hosts=(build_private_host(CLIENT_HOST, server.port),),
                trusted_ca_file=ca_file,
                deadline_seconds=1.0,
            )
            fetcher = GuardedFetcher(options, resolver=Names())
            try:
                assert isinstance(await fetcher.fetch(build_url(server.port)), FetchedResponse)
            except FetchError as error:
                assert error.reason == "fetch.unreachable"  # noqa: PT017
            finally:
                await fetcher.aclose()

    asyncio.run(main())


def _chunked(body: bytes, size: int = 1000) -> bytes:
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[start : start + size]), body[start : start + size]) for start in range(0, len(body), size)
    )
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
