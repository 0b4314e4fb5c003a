"""One fetch: what is asked, and which answers are taken."""

import asyncio
import gzip
import logging
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from fetch_kit import Names, build_private_host, build_url
from hostile import (
    CLIENT_HOST,
    HostileServer,
    answer,
    build_server_context,
    send,
)
from nameplate.errors import BadMediaType, BadStatus, FetchError, RedirectRefused, Unreachable
from nameplate.fetch import FetchedResponse, FetchOptions, GuardedFetcher

pytestmark = pytest.mark.anyio


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.proves("CIMD-26", "CIMD-43")
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
    server.script = answer(b'{"a": 1}', headers=['ETag: "1"', "X-Latin: \xe9"])
    response = await fetcher.fetch(build_url(server.port))
    assert (response.status, response.body, response.received_at) == (200, b'{"a": 1}', 1_800_000_000)
    assert ("etag", '"1"') in response.headers
    assert ("x-latin", "é") in response.headers


@pytest.mark.proves("CIMD-24")
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


@pytest.mark.proves("CIMD-25")
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


@pytest.mark.proves("CIMD-25")
async def test_a_missing_type_is_refused(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    with pytest.raises(BadMediaType):
        await fetcher.fetch(build_url(server.port))


@pytest.mark.proves("CIMD-27")
async def test_a_gzip_bomb_is_refused_without_reading_it(server: HostileServer, fetcher: GuardedFetcher) -> None:
    bomb = gzip.compress(b"{" + b" " * 5_000_000 + b"}")
    server.script = answer(bomb[:5000], headers=["Content-Type: application/json", "Content-Encoding: gzip"])
    with pytest.raises(BadMediaType):
        await fetcher.fetch(build_url(server.port))


@pytest.mark.proves("CIMD-21")
@pytest.mark.parametrize(
    "status", ["201 C", "202 A", "203 N", "206 P", "299 X", "400 B", "401 U", "404 N", "500 I", "503 S"]
)
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


@pytest.mark.proves("CIMD-21", "CIMD-22")
@pytest.mark.parametrize("status", ["300 M", "301 M", "302 F", "303 S", "305 U", "307 T", "308 P"])
async def test_a_redirect_is_refused_and_not_followed(
    server: HostileServer, fetcher: GuardedFetcher, status: str
) -> None:
    server.script = answer(status=status, headers=[f"Location: https://{CLIENT_HOST}:{server.port}/other.json"])
    with pytest.raises(RedirectRefused):
        await fetcher.fetch(build_url(server.port))
    assert len(server.requests) == 1


@pytest.mark.proves("CIMD-22")
async def test_a_refresh_header_is_no_redirect(server: HostileServer, fetcher: GuardedFetcher) -> None:
    server.script = answer(headers=[f"Refresh: 0; url=https://{CLIENT_HOST}:{server.port}/other.json"])
    assert (await fetcher.fetch(build_url(server.port))).body == b"{}"
    assert len(server.requests) == 1


@pytest.mark.proves("CIMD-21")
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
