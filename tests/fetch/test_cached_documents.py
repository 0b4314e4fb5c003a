"""Documents through their whole life, from a real host: cached, shared, revalidated, bridged, bounded."""

import asyncio
from typing import Any

import pytest

from fetch_kit import (
    Clock,
    MakeDocuments,
    Names,
    build_document,
    build_url,
    serve_documents,
)
from hostile import CLIENT_HOST, Exchange, HostileServer, answer, say_nothing, send
from nameplate.errors import (
    AddressRefused,
    BadStatus,
    ClientMetadataError,
    FetchError,
    TlsFailed,
    Unreachable,
)
from nameplate.fetch import CachedDocuments
from nameplate.protocol.client_id import ClientIdUrl

pytestmark = pytest.mark.anyio
HOUR = 3600
DAY = 24 * HOUR


# Cached


@pytest.mark.proves("CIMD-38", "CIMD-42", "CIMD-43", "MCP-10")
async def test_a_fresh_document_is_not_fetched_again(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    first = await documents.load_document(client_id)
    assert first.metadata.client_id == client_id.text
    assert (first.fetched_at, first.fresh_until, first.stale_because) == (clock.now, clock.now + 600, "")
    clock.now += 599
    assert await documents.load_document(client_id) is first
    assert len(server.requests) == 1
    clock.now += 1
    again = await documents.load_document(client_id)
    assert (len(server.requests), again.fetched_at) == (2, clock.now)


@pytest.mark.proves("CIMD-8", "CIMD-9")
async def test_ids_that_differ_in_anything_are_different_documents(
    server: HostileServer, documents: CachedDocuments
) -> None:
    paths = ["/c.json", "/c.json?x=1", "/C.json", "/c.json/"]
    for path in paths * 2:
        document = await documents.load_document(build_url(server.port, path))
        assert document.metadata.client_id.endswith(path)
    assert len(server.requests) == 4


@pytest.mark.proves("CIMD-39", "MCP-10")
async def test_no_store_is_obeyed(server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl) -> None:
    server.script = serve_documents("Cache-Control: no-store")
    for _ in range(3):
        await documents.load_document(client_id)
    assert len(server.requests) == 3
    server.script = say_nothing_and_close
    with pytest.raises(Unreachable):
        await documents.load_document(client_id)


async def test_no_store_takes_the_former_copy_away(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    await documents.load_document(client_id)
    clock.now += 600
    server.script = serve_documents("Cache-Control: no-store")
    await documents.load_document(client_id)
    server.script = say_nothing_and_close
    with pytest.raises(Unreachable):
        await documents.load_document(client_id)


@pytest.mark.proves("CIMD-40", "CIMD-41")
@pytest.mark.parametrize(
    ("status", "body"),
    [("500 Oops", b""), ("404 Gone", b""), ("200 OK", b"{}"), ("200 OK", b"\xff"), ("302 Found", b"")],
)
async def test_no_failure_is_remembered(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, status: str, body: bytes
) -> None:
    server.script = answer(body, status, headers=["Cache-Control: max-age=3600", "Location: /x"])
    with pytest.raises((FetchError, ClientMetadataError)):
        await documents.load_document(client_id)
    server.script = serve_documents()
    assert (await documents.load_document(client_id)).metadata.client_id == client_id.text


@pytest.mark.proves("CIMD-50", "CIMD-51")
async def test_a_document_that_names_another_client_is_refused(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl
) -> None:
    server.script = answer(build_document("https://claude.ai/oauth/client.json"))
    with pytest.raises(ClientMetadataError):
        await documents.load_document(client_id)


# Revalidated


@pytest.mark.proves("CIMD-39", "MCP-10")
async def test_a_304_renews_the_copy(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    server.script = serve_documents(
        "Cache-Control: max-age=600", 'ETag: "1"', "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"
    )
    first = await documents.load_document(client_id)
    clock.now += 700
    server.script = send(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
    renewed = await documents.load_document(client_id)
    assert server.requests[1].headers["if-none-match"] == '"1"'
    assert server.requests[1].headers["if-modified-since"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert renewed.metadata is first.metadata
    assert (renewed.fresh_until, renewed.stale_because) == (clock.now + 600, "")
    assert await documents.load_document(client_id) is renewed
    assert len(server.requests) == 2


async def test_a_304_for_another_version_is_bridged_and_then_the_whole_document_asked_for(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    server.script = serve_documents("Cache-Control: max-age=600", 'ETag: "1"')
    await documents.load_document(client_id)
    clock.now += 700
    server.script = send(b'HTTP/1.1 304 Not Modified\r\nETag: "2"\r\n\r\n')
    assert "304" in (await documents.load_document(client_id)).stale_because
    server.script = serve_documents()
    assert (await documents.load_document(client_id)).stale_because == ""
    assert "if-none-match" not in server.requests[2].headers


async def test_a_304_to_a_first_question_is_a_failure(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl
) -> None:
    server.script = send(b"HTTP/1.1 304 Not Modified\r\n\r\n")
    with pytest.raises(BadStatus):
        await documents.load_document(client_id)


# Shared


@pytest.mark.proves("CIMD-44")
async def test_a_hundred_loads_of_one_cold_id_make_one_request(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl
) -> None:
    loaded = await asyncio.gather(*(documents.load_document(client_id) for _ in range(100)))
    assert len(set(map(id, loaded))) == 1
    assert len(server.requests) == 1


async def test_a_hundred_loads_that_fail_make_one_request_and_each_gets_the_error(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl
) -> None:
    server.script = answer(status="500 Oops")
    failed = await asyncio.gather(*(documents.load_document(client_id) for _ in range(100)), return_exceptions=True)
    assert {type(failure) for failure in failed} == {BadStatus}
    assert len(server.requests) == 1


async def test_whoever_gives_up_does_not_end_it_for_the_others(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl
) -> None:
    go_on = asyncio.Event()

    async def answer_later(exchange: Exchange) -> None:
        await go_on.wait()
        await serve_documents()(exchange)

    server.script = answer_later
    waiting = [asyncio.create_task(documents.load_document(client_id)) for _ in range(3)]
    await server.wait_for_request()
    waiting[0].cancel()
    await asyncio.sleep(0)
    go_on.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is results[2]
    assert len(server.requests) == 1


async def test_if_all_give_up_the_document_still_arrives(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl
) -> None:
    waiting = asyncio.create_task(documents.load_document(client_id))
    await server.wait_for_request()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await documents.load_document(client_id)
    assert len(server.requests) == 1


async def test_closing_ends_waiting_loads(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl
) -> None:
    documents = make_documents(failure_seconds=60)
    server.script = say_nothing
    waiting = asyncio.create_task(documents.load_document(client_id))
    await server.wait_for_request()
    async with asyncio.timeout(2):
        await documents.aclose()
        with pytest.raises(Unreachable):
            await waiting


# Last good (decision 5)


async def say_nothing_and_close(exchange: Exchange) -> None:
    exchange.writer.close()


@pytest.mark.proves("CIMD-45")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(say_nothing_and_close, id="cut"),
        pytest.param(answer(status="503 Unavailable"), id="503"),
        pytest.param(answer(status="302 Found"), id="302"),
        pytest.param(answer(b" " * 6000), id="too large"),
        pytest.param(answer(headers=["Content-Type: text/html"]), id="html"),
    ],
)
async def test_a_passing_failure_is_bridged_and_logged(
    server: HostileServer,
    documents: CachedDocuments,
    client_id: ClientIdUrl,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    script: Any,
) -> None:
    first = await documents.load_document(client_id)
    server.script = script
    clock.now += 600 + DAY - 1
    bridged = await documents.load_document(client_id)
    assert bridged.metadata is first.metadata
    assert bridged.stale_because
    used = [vars(record) for record in caplog.records if record.message == "last good copy used"]
    assert [(line["host"], line["detail"]) for line in used] == [(CLIENT_HOST, bridged.stale_because)]
    clock.now += 1
    with pytest.raises(FetchError) as failure:
        await documents.load_document(client_id)
    assert failure.value.reason == "fetch.unreachable"


async def test_a_name_that_moved_inside_is_not_bridged(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock, names: Names
) -> None:
    server.script = serve_documents("Cache-Control: max-age=600", "Connection: close")
    await documents.load_document(client_id)
    clock.now += 700
    names.answers[CLIENT_HOST] = [["10.0.0.1"]]
    for live_grant in (False, True):
        with pytest.raises(AddressRefused):
            await documents.load_document(client_id, live_grant=live_grant)


async def test_a_certificate_that_changed_is_not_bridged(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl, clock: Clock, ca: Any
) -> None:
    documents = make_documents()
    server.script = serve_documents("Cache-Control: max-age=600", "Connection: close")
    await documents.load_document(client_id)
    clock.now += 700
    ca.issue_cert("other.example").configure_cert(server.context)
    for live_grant in (False, True):
        with pytest.raises(TlsFailed):
            await documents.load_document(client_id, live_grant=live_grant)


@pytest.mark.proves("CIMD-103")
async def test_404_ends_a_live_grant_only_when_seen_twice_an_hour_apart(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    await documents.load_document(client_id, live_grant=True)
    await documents.record_approval(client_id.text)
    server.script = answer(status="404 Not Found")
    clock.now += 700
    assert (await documents.load_document(client_id, live_grant=True)).stale_because
    with pytest.raises(BadStatus):  # a new authorization is refused at once
        await documents.load_document(client_id)
    clock.now += HOUR - 1
    assert (await documents.load_document(client_id, live_grant=True)).stale_because
    clock.now += 1
    with pytest.raises(BadStatus):
        await documents.load_document(client_id, live_grant=True)


async def test_a_document_that_recovers_within_the_hour_starts_anew(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    await documents.load_document(client_id, live_grant=True)
    clock.now += 700
    server.script = answer(b"{}")
    assert (await documents.load_document(client_id, live_grant=True)).stale_because
    server.script = serve_documents("Cache-Control: max-age=600")
    assert (await documents.load_document(client_id, live_grant=True)).stale_because == ""
    clock.now += 2 * HOUR
    server.script = answer(b"{}")
    assert (await documents.load_document(client_id, live_grant=True)).stale_because


async def test_a_live_grant_whose_copy_is_lost_hears_of_no_end_before_it_is_confirmed(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    server.script = answer(b"{}")
    with pytest.raises(Unreachable):
        await documents.load_document(client_id, live_grant=True)
    clock.now += HOUR
    with pytest.raises(ClientMetadataError):
        await documents.load_document(client_id, live_grant=True)
