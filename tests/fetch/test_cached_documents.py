"""Documents through their whole life, from a real host: cached, shared, revalidated, bridged, bounded."""

import asyncio
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hostile import CLIENT_HOST, Exchange, HostileServer, SilentListener, answer, say_nothing, send

from conftest import Clock, MakeFetcher, Names, build_document, build_private_host, build_url, serve_documents
from nameplate.errors import (
    AddressRefused,
    BadStatus,
    Busy,
    ClientMetadataError,
    FetchError,
    TlsFailed,
    Unreachable,
)
from nameplate.fetch import CachedDocuments, DocumentOptions, FetchOptions, GuardedFetcher, SystemResolver
from nameplate.protocol.client_id import ClientIdUrl

pytestmark = pytest.mark.anyio
HOUR = 3600
DAY = 24 * HOUR

MakeDocuments = Callable[..., CachedDocuments]


@pytest.fixture
async def make_documents(
    make_fetcher: MakeFetcher, server: HostileServer, clock: Clock
) -> AsyncIterator[MakeDocuments]:
    server.script = serve_documents("Cache-Control: max-age=600")
    made: list[CachedDocuments] = []

    def make(fetcher: GuardedFetcher | None = None, **options: Any) -> CachedDocuments:
        options.setdefault("failure_seconds", 0)
        made.append(CachedDocuments(fetcher or make_fetcher(server.port), DocumentOptions(**options), clock=clock))
        return made[-1]

    yield make
    for documents in made:
        await documents.aclose()


@pytest.fixture
async def documents(make_documents: MakeDocuments) -> CachedDocuments:
    return make_documents()


@pytest.fixture
async def client_id(server: HostileServer) -> ClientIdUrl:
    return build_url(server.port)


# Cached


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


async def test_ids_that_differ_in_anything_are_different_documents(
    server: HostileServer, documents: CachedDocuments
) -> None:
    paths = ["/c.json", "/c.json?x=1", "/C.json", "/c.json/"]
    for path in paths * 2:
        document = await documents.load_document(build_url(server.port, path))
        assert document.metadata.client_id.endswith(path)
    assert len(server.requests) == 4


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


async def test_a_document_that_names_another_client_is_refused(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl
) -> None:
    server.script = answer(build_document("https://claude.ai/oauth/client.json"))
    with pytest.raises(ClientMetadataError):
        await documents.load_document(client_id)


# Revalidated


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


async def test_404_ends_a_live_grant_only_when_seen_twice_an_hour_apart(
    server: HostileServer, documents: CachedDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    await documents.load_document(client_id, live_grant=True)
    documents.keep_document(client_id.text)
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


# Bounded


async def test_strangers_do_not_push_out_clients_that_hold_a_grant(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl
) -> None:
    documents = make_documents(other_entries=5)
    await documents.load_document(client_id)
    documents.keep_document(client_id.text)
    for number in range(20):
        await documents.load_document(build_url(server.port, f"/stranger{number}.json"))
    count = len(server.requests)
    await documents.load_document(client_id)
    assert len(server.requests) == count


async def test_a_spent_budget_refuses_at_once_and_known_clients_have_a_reserve(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    documents = make_documents(total_burst=8, total_per_second=0.01, reserved_share=0.25)
    results = await asyncio.gather(
        *(documents.load_document(build_url(server.port, f"/{n}.json")) for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, Busy) for result in results) == 14
    assert len(server.requests) == 6
    with pytest.raises(Busy) as busy:
        await documents.load_document(client_id)
    assert (busy.value.reason, busy.value.retry_after_seconds > 0) == ("fetch.busy", True)
    await documents.load_document(client_id, live_grant=True)


async def test_a_host_is_not_asked_more_than_its_budget_allows(
    server: HostileServer, make_documents: MakeDocuments, clock: Clock
) -> None:
    documents = make_documents(host_burst=10, host_per_second=1.0)
    for second in range(5):
        clock.now += 1
        await asyncio.gather(
            *(documents.load_document(build_url(server.port, f"/{second}/{n}.json")) for n in range(20)),
            return_exceptions=True,
        )
    assert len(server.requests) <= 10 + 5


async def test_a_busy_refusal_is_bridged_by_a_last_good_copy(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    documents = make_documents(host_burst=1, host_per_second=0.0001)
    await documents.load_document(client_id)
    clock.now += 700
    assert "budget" in (await documents.load_document(client_id)).stale_because


async def test_tar_pits_fill_only_the_slots_of_their_site(
    server: HostileServer, make_documents: MakeDocuments, make_fetcher: MakeFetcher, names: Names, tls: ssl.SSLContext
) -> None:
    async with SilentListener() as pit:
        hosts = [f"h{n}.evil.example" for n in range(20)]
        declared = [build_private_host(host, pit.port, address="127.0.0.1") for host in hosts]
        private_hosts = (*declared, build_private_host(CLIENT_HOST, server.port))
        documents = make_documents(make_fetcher(private_hosts=private_hosts), site_at_once=4)
        loads = [asyncio.create_task(documents.load_document(build_url(pit.port, host=host))) for host in hosts]
        await asyncio.sleep(0)
        await documents.load_document(build_url(server.port))
        assert sum(not load.done() for load in loads) == 4
        await documents.aclose()
        results = await asyncio.gather(*loads, return_exceptions=True)
    assert sum(isinstance(result, Busy) for result in results) == 16
    assert pit.accepted <= 4


async def test_slow_dns_of_two_hundred_names_delays_no_other_client(
    server: HostileServer, make_documents: MakeDocuments, ca_file: Path, clock: Clock
) -> None:
    released = threading.Event()

    def lookup(host: str) -> Sequence[str]:
        if host != CLIENT_HOST:
            released.wait(10)
        return ["127.0.0.1"]

    hosts = [f"h{n}.slow{n % 9}.example" for n in range(200)]
    private_hosts = tuple(build_private_host(host, server.port) for host in [*hosts, CLIENT_HOST])
    options = FetchOptions(private_hosts=private_hosts, trusted_ca_file=ca_file, deadline_seconds=2.0)
    documents = make_documents(GuardedFetcher(options, resolver=SystemResolver(lookup=lookup), clock=clock))
    slow = [asyncio.create_task(documents.load_document(build_url(server.port, host=host))) for host in hosts]
    await asyncio.sleep(0)
    documents.keep_document(build_url(server.port).text)
    await documents.load_document(build_url(server.port))
    assert sum(not load.done() for load in slow) == 48  # three quarters of all slots; the others were refused at once
    released.set()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_a_dead_host_is_left_alone_after_some_failures(
    server: HostileServer, make_documents: MakeDocuments, clock: Clock
) -> None:
    documents = make_documents(breaker_failures=3, breaker_seconds=10.0)
    server.script = say_nothing_and_close
    for number in range(6):
        with pytest.raises(Unreachable):
            await documents.load_document(build_url(server.port, f"/{number}.json"))
    assert len(server.requests) == 3
    server.script = serve_documents()
    clock.now += 10
    await documents.load_document(build_url(server.port, "/good.json"))
    await documents.load_document(build_url(server.port, "/good2.json"))


async def test_what_a_host_says_never_trips_the_breaker(server: HostileServer, make_documents: MakeDocuments) -> None:
    documents = make_documents(breaker_failures=2)
    server.script = answer(status="500 Oops")
    for number in range(6):
        with pytest.raises(BadStatus):
            await documents.load_document(build_url(server.port, f"/{number}.json"))
    assert len(server.requests) == 6


# What an outsider can tell


async def test_failures_of_every_kind_take_equally_long_and_say_the_same(
    server: HostileServer, make_documents: MakeDocuments, make_fetcher: MakeFetcher, names: Names, ca: Any
) -> None:
    async with SilentListener() as silent:
        loop = asyncio.get_running_loop()
        kinds = {
            "refused.example": server.port,
            "closed.example": 1025,
            "untrusted.example": server.port,
            "silent.example": silent.port,
            "unknown.example": server.port,
            CLIENT_HOST: server.port,
        }
        private_hosts = tuple(
            build_private_host(host, port, network="127.0.0.1/32")
            for host, port in kinds.items()
            if host != "refused.example"
        )
        for host in kinds:
            names.answers[host] = [["127.0.0.1"]]
        del names.answers["unknown.example"]
        server.script = answer(status="404 Not Found")
        fetcher = make_fetcher(private_hosts=private_hosts, deadline_seconds=0.25)
        documents = make_documents(fetcher, failure_seconds=None)
        took, told = {}, set()

        async def load(host: str, port: int) -> None:
            started = loop.time()
            with pytest.raises(FetchError) as failure:
                await documents.load_document(build_url(port, host=host))
            took[host] = loop.time() - started
            told.add(failure.value.reason)

        await asyncio.gather(*(load(host, port) for host, port in kinds.items()))
    assert told == {"fetch.unreachable"}
    assert min(took.values()) >= 0.25
    assert max(took.values()) - min(took.values()) < 0.03


async def test_a_failure_that_waits_for_its_time_is_shared(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl
) -> None:
    documents = make_documents(failure_seconds=0.2)
    server.script = answer(status="404 Not Found")
    first = asyncio.create_task(documents.load_document(client_id))
    await server.wait_for_request()
    await server.wait_until_left()
    with pytest.raises(BadStatus):
        await documents.load_document(client_id)
    with pytest.raises(BadStatus):
        await first
    assert len(server.requests) == 1
    server.script = serve_documents()
    await documents.load_document(client_id)


async def test_a_broken_rule_and_a_bridged_failure_do_not_wait(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl, clock: Clock
) -> None:
    documents = make_documents(failure_seconds=60)
    async with asyncio.timeout(2):
        await documents.load_document(client_id)
        server.script = answer(b"{}")
        with pytest.raises(ClientMetadataError):
            await documents.load_document(build_url(server.port, "/other.json"))
        server.script = answer(status="500 Oops")
        clock.now += 700
        assert (await documents.load_document(client_id)).stale_because


async def test_a_client_without_a_name_is_accepted_only_where_that_is_allowed(
    server: HostileServer, make_fetcher: MakeFetcher, client_id: ClientIdUrl, clock: Clock
) -> None:
    server.script = answer(build_document(client_id.text).replace(b"client_name", b"other_name"))
    for require_client_name in (True, False):
        documents = CachedDocuments(make_fetcher(server.port), require_client_name=require_client_name, clock=clock)
        if require_client_name:
            with pytest.raises(ClientMetadataError):
                await documents.load_document(client_id)
        else:
            assert (await documents.load_document(client_id)).metadata.client_name is None
        await documents.aclose()


async def test_loads_from_memory_log_nothing(
    documents: CachedDocuments, client_id: ClientIdUrl, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nameplate.fetch")
    for _ in range(5):
        await documents.load_document(client_id)
    assert [record.message for record in caplog.records if record.name == "nameplate.fetch"] == ["fetched"]
