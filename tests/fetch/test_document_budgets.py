"""Documents under attack: budgets, slots, the breaker, and what an outsider can tell."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fetch_kit import (
    Clock,
    MakeDocuments,
    MakeFetcher,
    Names,
    build_document,
    build_private_host,
    build_url,
    serve_documents,
)
from hostile import CLIENT_HOST, Exchange, HostileServer, SilentListener, answer
from nameplate.errors import (
    AddressRefused,
    BadStatus,
    Busy,
    ClientMetadataError,
    FetchError,
    Unreachable,
)
from nameplate.fetch import CachedDocuments, FetchOptions, GuardedFetcher, SystemResolver
from nameplate.protocol.client_id import ClientIdUrl

pytestmark = pytest.mark.anyio
HOUR = 3600
DAY = 24 * HOUR


async def say_nothing_and_close(exchange: Exchange) -> None:
    exchange.writer.close()


# Bounded


@pytest.mark.proves("CIMD-44")
async def test_strangers_do_not_push_out_clients_that_hold_a_grant(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl
) -> None:
    documents = make_documents(other_entries=5)
    await documents.load_document(client_id)
    await documents.record_approval(client_id.text)
    for number in range(20):
        await documents.load_document(build_url(server.port, f"/stranger{number}.json"))
    count = len(server.requests)
    await documents.load_document(client_id)
    assert len(server.requests) == count


@pytest.mark.proves("CIMD-44")
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


@pytest.mark.proves("CIMD-44")
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


@pytest.mark.proves("CIMD-28")
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


@pytest.mark.proves("CIMD-28")
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
    await documents.record_approval(build_url(server.port).text)
    await documents.load_document(build_url(server.port))
    assert sum(not load.done() for load in slow) == 96  # three quarters of all slots; the others were refused at once
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


async def test_a_refused_address_neither_counts_nor_clears_what_was_counted(
    server: HostileServer, make_documents: MakeDocuments, names: Names
) -> None:
    documents = make_documents(breaker_failures=2)
    server.script = say_nothing_and_close
    names.answers[CLIENT_HOST] = [["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]]
    for number, error in enumerate([Unreachable, AddressRefused, AddressRefused, Unreachable, Unreachable]):
        with pytest.raises(error):
            await documents.load_document(build_url(server.port, f"/{number}.json"))
    assert len(server.requests) == 2


async def test_what_a_host_says_never_trips_the_breaker(server: HostileServer, make_documents: MakeDocuments) -> None:
    documents = make_documents(breaker_failures=2)
    server.script = answer(status="500 Oops")
    for number in range(6):
        with pytest.raises(BadStatus):
            await documents.load_document(build_url(server.port, f"/{number}.json"))
    assert len(server.requests) == 6


# What an outsider can tell


async def test_failures_before_any_http_answer_take_equally_long_and_say_the_same(
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
        }
        private_hosts = tuple(
            build_private_host(host, port, network="127.0.0.1/32")
            for host, port in kinds.items()
            if host != "refused.example"
        )
        for host in kinds:
            names.answers[host] = [["127.0.0.1"]]
        del names.answers["unknown.example"]
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
    server.script = say_nothing_and_close
    first = asyncio.create_task(documents.load_document(client_id))
    await server.wait_for_request()
    await server.wait_until_left()
    with pytest.raises(Unreachable):
        await documents.load_document(client_id)
    with pytest.raises(Unreachable):
        await first
    assert len(server.requests) == 1
    server.script = serve_documents()
    await documents.load_document(client_id)


async def test_what_anybody_can_see_by_asking_the_host_is_said_at_once(
    server: HostileServer, make_documents: MakeDocuments, client_id: ClientIdUrl
) -> None:
    documents = make_documents(failure_seconds=60)
    server.script = answer(status="404 Not Found")
    async with asyncio.timeout(2):
        with pytest.raises(BadStatus):
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


@pytest.mark.proves("CIMD-76", "MCP-11")
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
