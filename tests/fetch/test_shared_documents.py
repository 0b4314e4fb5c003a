"""Documents of approved clients outlive the process, and replicas share them, and what is spent on strangers'."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fetch_kit import Clock, MakeFetcher, build_document, build_url, serve_documents
from hostile import Exchange, HostileServer, answer, say_nothing, send
from nameplate.errors import BadStatus, Busy, ClientMetadataError, FetchError, StoreError, Unreachable
from nameplate.fetch import CachedDocuments, DocumentOptions
from nameplate.ports.store import StoredDocument
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.client_id import ClientIdUrl
from nameplate.stores.sqlite import SqliteStore

pytestmark = pytest.mark.anyio
HOUR = 3600
DAY = 24 * HOUR

MakeReplica = Callable[..., CachedDocuments]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(str(tmp_path / "store.sqlite"))
    yield store
    await store.aclose()


@pytest.fixture
async def make_replica(
    make_fetcher: MakeFetcher, server: HostileServer, clock: Clock, store: SqliteStore
) -> AsyncIterator[MakeReplica]:
    """Makes what each process has of its own. The store is the same."""
    server.script = serve_documents("Cache-Control: max-age=600", 'ETag: "1"')
    made: list[CachedDocuments] = []

    def make(**options: Any) -> CachedDocuments:
        options.setdefault("failure_seconds", 0)
        fetcher = make_fetcher(server.port)
        made.append(CachedDocuments(fetcher, DocumentOptions(**options), store=store, clock=clock))
        return made[-1]

    yield make
    for documents in made:
        await documents.aclose()


async def approve(documents: CachedDocuments, client_id: ClientIdUrl) -> None:
    """Somebody is asked about the client, and says yes."""
    await documents.load_document(client_id)
    await documents.record_approval(client_id.text)


async def load_stored(store: SqliteStore, client_id: ClientIdUrl) -> StoredDocument:
    found = await store.load_document(client_id.text)
    assert isinstance(found, StoredDocument)
    return found


async def say_nothing_and_close(exchange: Exchange) -> None:
    exchange.writer.close()


# Shared


async def test_strangers_documents_never_reach_the_store(
    server: HostileServer, make_replica: MakeReplica, store: SqliteStore, client_id: ClientIdUrl, clock: Clock
) -> None:
    documents = make_replica()
    for script in (server.script, answer(b"{}"), answer(status="404 Not Found"), serve_documents()):
        server.script = script
        clock.now += 700
        await asyncio.gather(documents.load_document(client_id), return_exceptions=True)
        assert await store.load_document(client_id.text) == Unknown()
    await documents.record_approval(client_id.text)
    assert await store.load_document(client_id.text) != Unknown()


@pytest.mark.proves("CIMD-117")
async def test_an_approved_document_needs_no_second_fetch_by_another_process(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl
) -> None:
    first, second = make_replica(), make_replica()
    await approve(first, client_id)
    assert second.find_document(client_id.text) is None
    assert await second.load_document(client_id) == await first.load_document(client_id)
    assert second.find_document(client_id.text) is not None
    assert len(server.requests) == 1


async def test_validators_survive_and_what_was_renewed_is_shared_too(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    first, second, third = (make_replica() for _ in range(3))
    await approve(first, client_id)
    clock.now += 700
    server.script = send(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
    renewed = await second.load_document(client_id)
    assert server.requests[1].headers["if-none-match"] == '"1"'
    assert (renewed.fetched_at, renewed.fresh_until) == (clock.now, clock.now + 600), "the 304 left max-age out"
    for documents in (first, third):
        assert await documents.load_document(client_id) == renewed
    assert len(server.requests) == 2


async def test_a_document_that_was_not_at_hand_at_approval_is_stored_when_a_grant_needs_it(
    make_replica: MakeReplica, store: SqliteStore, client_id: ClientIdUrl
) -> None:
    asked, approved = make_replica(), make_replica()
    await asked.load_document(client_id)
    await approved.record_approval(client_id.text)
    assert await store.load_document(client_id.text) == Unknown()
    await approved.load_document(client_id, live_grant=True)
    assert (await load_stored(store, client_id)).body == build_document(client_id.text)


async def test_neither_a_warm_document_nor_a_second_approval_costs_a_write(
    make_replica: MakeReplica, client_id: ClientIdUrl, tmp_path: Path
) -> None:
    documents = make_replica(host_burst=20)  # too few for several fetches to be paid for at once
    await approve(documents, client_id)
    watcher = sqlite3.connect(tmp_path / "store.sqlite")

    def read_version() -> int:
        """Another number after each commit of anybody else."""
        return int(watcher.execute("PRAGMA data_version").fetchone()[0])

    before = read_version()
    for _ in range(3):
        await documents.load_document(client_id, source="192.0.2.1")
        await documents.load_document(client_id, live_grant=True)
        await documents.record_approval(client_id.text)
    assert read_version() == before
    await documents.load_document(build_url(client_id.port, "/other.json"))
    assert read_version() != before
    watcher.close()


async def test_a_stored_document_is_read_by_the_rules_of_today(
    server: HostileServer, make_replica: MakeReplica, store: SqliteStore, client_id: ClientIdUrl, clock: Clock
) -> None:
    now = int(clock.now)
    broken = StoredDocument(
        client_id=client_id.text,
        body=build_document("https://claude.ai/oauth/client.json"),
        headers=(),
        fetched_at=now,
        fresh_until=now + 600,
        last_good_until=now + DAY,
    )
    await store.record_document(broken)
    documents = make_replica()
    assert (await documents.load_document(client_id)).metadata.client_id == client_id.text
    assert len(server.requests) == 1
    assert (await load_stored(store, client_id)).body == build_document(client_id.text)


async def test_what_must_not_be_kept_is_taken_out_of_the_store_and_costs_no_further_write(
    server: HostileServer, make_replica: MakeReplica, store: SqliteStore, client_id: ClientIdUrl, clock: Clock
) -> None:
    documents = make_replica()
    await approve(documents, client_id)
    clock.now += 700
    server.script = serve_documents("Cache-Control: no-store", 'ETag: "2"')
    await documents.load_document(client_id, live_grant=True)
    stored = await load_stored(store, client_id)
    assert (stored.body, stored.headers, stored.last_good_until) == (b"", (), clock.now)
    clock.now += 5
    await documents.load_document(client_id, live_grant=True)
    assert await load_stored(store, client_id) == stored
    server.script = say_nothing_and_close
    with pytest.raises(Unreachable):
        await make_replica().load_document(client_id, live_grant=True)


async def test_a_host_that_forbids_stale_copies_is_obeyed_after_a_restart(
    server: HostileServer, make_replica: MakeReplica, store: SqliteStore, client_id: ClientIdUrl, clock: Clock
) -> None:
    server.script = serve_documents("Cache-Control: max-age=600, must-revalidate")
    await approve(make_replica(), client_id)
    assert (await load_stored(store, client_id)).last_good_until == clock.now + 600
    clock.now += 700
    server.script = say_nothing_and_close
    with pytest.raises(Unreachable):
        await make_replica().load_document(client_id, live_grant=True)


async def test_a_store_that_cannot_write_hides_no_document_that_is_at_hand(
    make_replica: MakeReplica, store: SqliteStore, client_id: ClientIdUrl, caplog: pytest.LogCaptureFixture
) -> None:
    documents = make_replica()
    document = await documents.load_document(client_id)
    await store.aclose()
    await documents.record_approval(client_id.text)
    assert "a document was not stored" in [record.message for record in caplog.records]
    assert await documents.load_document(client_id, live_grant=True) is document
    with pytest.raises(StoreError):
        await documents.load_document(build_url(client_id.port, "/other.json"))


# Last good, over processes (decision 5)


@pytest.mark.proves("CIMD-45")
async def test_the_last_good_copy_survives_a_restart_for_a_day(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    await approve(make_replica(), client_id)
    server.script = say_nothing_and_close
    clock.now += 600 + DAY - 1
    for live_grant in (False, True):
        assert (await make_replica().load_document(client_id, live_grant=live_grant)).stale_because
    clock.now += 1
    for live_grant in (False, True):
        with pytest.raises(Unreachable):
            await make_replica().load_document(client_id, live_grant=live_grant)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        pytest.param(answer(status="404 Not Found"), BadStatus, id="404"),
        pytest.param(answer(status="410 Gone"), BadStatus, id="410"),
        pytest.param(answer(b"{}"), ClientMetadataError, id="a broken rule"),
    ],
)
async def test_one_process_confirms_what_another_saw_first(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock, script: Any, error: Any
) -> None:
    first, second = make_replica(), make_replica()
    await approve(first, client_id)
    clock.now += 700
    server.script = script
    assert (await first.load_document(client_id, live_grant=True)).stale_because
    clock.now += HOUR - 1
    assert (await second.load_document(client_id, live_grant=True)).stale_because
    clock.now += 1
    for documents in (second, make_replica()):
        with pytest.raises(error):
            await documents.load_document(client_id, live_grant=True)


async def test_a_good_document_at_one_process_ends_the_doubt_at_all(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    first, second = make_replica(), make_replica()
    await approve(first, client_id)
    clock.now += 700
    server.script = answer(b"{}")
    assert (await first.load_document(client_id, live_grant=True)).stale_because
    server.script = serve_documents("Cache-Control: max-age=600")
    assert (await second.load_document(client_id, live_grant=True)).stale_because == ""
    clock.now += 2 * HOUR
    server.script = answer(b"{}")
    assert (await first.load_document(client_id, live_grant=True)).stale_because


async def test_a_refusal_of_a_client_whose_document_was_never_stored_is_shared_as_well(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    server.script = answer(status="404 Not Found")
    with pytest.raises(Unreachable):
        await make_replica().load_document(client_id, live_grant=True)
    clock.now += HOUR
    with pytest.raises(BadStatus):
        await make_replica().load_document(client_id, live_grant=True)


# Patience


async def test_a_silent_host_holds_up_a_call_on_a_live_grant_for_moments_only(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    await approve(make_replica(), client_id)
    clock.now += 700
    documents, loop = make_replica(patience_seconds=0.1), asyncio.get_running_loop()
    go_on = asyncio.Event()

    async def answer_later(exchange: Exchange) -> None:
        await go_on.wait()
        await serve_documents("Cache-Control: max-age=600")(exchange)

    server.script = answer_later
    started = loop.time()
    assert "0.1 s" in (await documents.load_document(client_id, live_grant=True)).stale_because
    assert loop.time() - started < 1
    started = loop.time()
    assert (await documents.load_document(client_id, live_grant=True)).stale_because, "and the next not at all"
    assert loop.time() - started < 0.1
    authorization = asyncio.create_task(documents.load_document(client_id))
    go_on.set()
    assert (await authorization).stale_because == "", "the one fetch went on"
    assert (await documents.load_document(client_id, live_grant=True)).stale_because == ""
    assert len(server.requests) == 2


async def test_an_answer_that_may_end_the_grant_is_waited_for(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    documents = make_replica(patience_seconds=0.001)
    await approve(documents, client_id)
    clock.now += 700

    async def refuse_later(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)  # longer than anybody's patience
        await answer(status="404 Not Found")(exchange)

    server.script = refuse_later
    assert (await documents.load_document(client_id, live_grant=True)).stale_because
    with pytest.raises(BadStatus):
        await documents.load_document(client_id)
    clock.now += HOUR
    with pytest.raises(BadStatus):
        await documents.load_document(client_id, live_grant=True)


async def test_without_a_copy_that_may_stand_in_patience_is_that_of_the_deadline(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl
) -> None:
    documents = make_replica(patience_seconds=0.001)
    server.script = say_nothing
    with pytest.raises(FetchError, match="TimedOut: not done within 2"):
        await documents.load_document(client_id, live_grant=True)


# Budgets in the store


async def load_many(documents: CachedDocuments, port: int, prefix: str, count: int, **given: Any) -> list[bool]:
    """Which of so many strangers' documents could be had, one after the other."""
    got = []
    for number in range(count):
        try:
            await documents.load_document(build_url(port, f"/{prefix}/{number}.json"), **given)
        except Busy:
            got.append(False)
        else:
            got.append(True)
    return got


@pytest.mark.proves("CIMD-44")
async def test_processes_share_what_a_source_may_spend(
    server: HostileServer, make_replica: MakeReplica, clock: Clock
) -> None:
    options = {"source_burst": 4, "source_per_second": 0.5}
    first, second = make_replica(**options), make_replica(**options)
    assert await load_many(first, server.port, "a", 3, source="192.0.2.1") == [True] * 3
    assert await load_many(second, server.port, "b", 3, source="192.0.2.1") == [True, False, False]
    assert await load_many(second, server.port, "c", 3, source="192.0.2.2") == [True] * 3
    clock.now += 2
    assert await load_many(second, server.port, "d", 2, source="192.0.2.1") == [True, False]


async def test_processes_share_what_a_host_may_be_asked_and_a_refusal_takes_nothing_from_the_others(
    server: HostileServer, make_replica: MakeReplica, store: SqliteStore, clock: Clock
) -> None:
    options = {"host_burst": 3, "host_per_second": 0.5, "source_burst": 3, "source_per_second": 0.001}
    options |= {"total_burst": 20, "total_per_second": 0.001}
    first, second = make_replica(**options), make_replica(**options)
    assert await load_many(first, server.port, "a", 3, source="192.0.2.1") == [True] * 3
    assert await load_many(second, server.port, "b", 20, source="192.0.2.2") == [False] * 20
    clock.now += 2
    assert await load_many(second, server.port, "c", 2, source="192.0.2.2") == [True, False]
    for name, level, burst in (("fetch:source:192.0.2.2", 2, 3), ("fetch:total", 11, 15)):
        assert await store.spend(name, level, capacity=burst, refill_per_second=0.001, now=clock.now)
        assert not await store.spend(name, 1, capacity=burst, refill_per_second=0.001, now=clock.now)


async def test_a_crowd_pays_for_several_fetches_at_once_and_for_no_more_than_there_are(
    server: HostileServer, make_replica: MakeReplica, store: SqliteStore, clock: Clock
) -> None:
    options = {"source_burst": 50, "source_per_second": 0.5}  # two at once
    first, second = make_replica(**options), make_replica(**options)
    urls = [build_url(server.port, f"/{number}.json") for number in range(15)]
    crowd = [each.load_document(url, source="192.0.2.1") for each in (first, second) for url in urls]
    await asyncio.gather(*crowd)
    assert await store.spend("fetch:source:192.0.2.1", 18, capacity=50, refill_per_second=0.5, now=clock.now)
    assert not await store.spend("fetch:source:192.0.2.1", 1, capacity=50, refill_per_second=0.5, now=clock.now)
    for documents in (first, second):
        assert await load_many(documents, server.port, "a", 3, source="192.0.2.1") == [True, False, False]
    with pytest.raises(Busy) as busy:
        await first.load_document(build_url(server.port, "/b.json"), source="192.0.2.1")
    assert busy.value.retry_after_seconds == 4


async def test_clients_that_hold_a_grant_need_nothing_of_what_strangers_share(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    await approve(make_replica(), client_id)
    clock.now += 700
    documents = make_replica(total_burst=8, total_per_second=0.001, reserved_share=0.25)
    assert await load_many(documents, server.port, "a", 8, source="192.0.2.1") == [True] * 6 + [False] * 2
    renewed = await documents.load_document(client_id, source="192.0.2.1")
    assert (renewed.fetched_at, renewed.stale_because) == (clock.now, "")
    assert (await documents.load_document(build_url(server.port, "/b.json"), live_grant=True)).stale_because == ""


async def test_a_source_that_has_spent_its_budget_shuts_out_nobody_who_wants_the_same(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl
) -> None:
    documents = make_replica(source_burst=1, source_per_second=0.001)
    assert await load_many(documents, server.port, "a", 2, source="192.0.2.1") == [True, False]
    loads = [documents.load_document(client_id, source=f"192.0.2.{number}") for number in (1, 1, 2, 1, 3)]
    outcomes = await asyncio.gather(*loads, return_exceptions=True)
    assert not isinstance(outcomes[2], BaseException)
    assert not isinstance(outcomes[4], BaseException)
    assert len(server.requests) == 2


async def test_whoever_comes_while_a_refusal_spreads_does_not_spin(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl
) -> None:
    documents = make_replica(source_burst=1, source_per_second=0.001)
    assert await load_many(documents, server.port, "a", 1, source="192.0.2.1") == [True]

    async def load_after(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await documents.load_document(client_id, source="192.0.2.1")

    outcomes = await asyncio.gather(*(load_after(turns) for turns in range(60)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Busy}


@pytest.mark.proves("CIMD-44")
async def test_fifty_loads_of_one_cold_id_are_charged_once(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl
) -> None:
    documents = make_replica(source_burst=2, source_per_second=0.001)
    await asyncio.gather(*(documents.load_document(client_id, source="192.0.2.1") for _ in range(50)))
    assert len(server.requests) == 1
    assert await load_many(documents, server.port, "a", 2, source="192.0.2.1") == [True, False]
