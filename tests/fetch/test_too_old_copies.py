"""Copies that are fresh and will not do: too old for whoever asks, or with keys that may have been withdrawn."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fetch_kit import Clock, MakeFetcher, build_document, serve_documents
from hostile import Exchange, HostileServer, answer
from nameplate.errors import Unreachable
from nameplate.fetch import CachedDocuments, DocumentOptions
from nameplate.jose import SigningKey
from nameplate.protocol.client_id import ClientIdUrl
from nameplate.stores.sqlite import SqliteStore

pytestmark = pytest.mark.anyio
HOUR = 3600
DAY = 24 * HOUR

MakeReplica = Callable[[], CachedDocuments]


@pytest.fixture
async def make_replica(
    make_fetcher: MakeFetcher, server: HostileServer, clock: Clock, tmp_path: Path
) -> AsyncIterator[MakeReplica]:
    """Makes what each process has of its own, over one store."""
    server.script = serve_documents("Cache-Control: max-age=600", 'ETag: "1"')
    store = await SqliteStore.open(str(tmp_path / "store.sqlite"))
    made: list[CachedDocuments] = []

    def make() -> CachedDocuments:
        options = DocumentOptions(failure_seconds=0)
        made.append(CachedDocuments(make_fetcher(server.port), options, store=store, clock=clock))
        return made[-1]

    yield make
    for documents in made:
        await documents.aclose()
    await store.aclose()


async def approve(documents: CachedDocuments, client_id: ClientIdUrl) -> None:
    """Somebody is asked about the client, and says yes."""
    await documents.load_document(client_id)
    await documents.record_approval(client_id.text)


async def say_nothing_and_close(exchange: Exchange) -> None:
    exchange.writer.close()


# Too old for whoever asks


async def test_a_copy_from_before_an_instant_gives_way_to_the_stores(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    old, young = make_replica(), make_replica()
    await old.load_document(client_id)
    clock.now += 300
    await young.load_document(client_id)
    await young.record_approval(client_id.text)
    at = int(clock.now)
    clock.now += 100
    assert (await old.load_document(client_id, live_grant=True)).fetched_at == at - 300, "fresh for whoever is content"
    assert (await old.load_document(client_id, live_grant=True, fetched_since=at)).fetched_at == at
    assert len(server.requests) == 2


async def test_where_every_copy_is_from_before_it_the_host_is_asked_once_for_all(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    documents = make_replica()
    await approve(documents, client_id)
    clock.now += 300
    since = int(clock.now) - 1
    calls = [documents.load_document(client_id, live_grant=True, fetched_since=since) for _ in range(50)]
    assert {each.fetched_at for each in await asyncio.gather(*calls)} == {clock.now}
    assert len(server.requests) == 2
    clock.now += 1
    ahead = await documents.load_document(client_id, live_grant=True, fetched_since=int(clock.now) + 5)
    assert ahead.fetched_at == clock.now, "another replica's clock is ahead"
    assert len(server.requests) == 3


async def test_a_copy_from_before_it_does_not_stand_in_for_a_host_that_is_down(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    documents = make_replica()
    await approve(documents, client_id)
    first = await documents.load_document(client_id)
    clock.now += 300
    server.script = say_nothing_and_close
    with pytest.raises(Unreachable):
        await documents.load_document(client_id, live_grant=True, fetched_since=first.fetched_at + 1)
    assert await documents.load_document(client_id, live_grant=True) == first
    clock.now += HOUR
    assert (await documents.load_document(client_id, live_grant=True)).stale_because


# Keys in the document


@pytest.mark.proves("JWT-9")
async def test_a_document_with_keys_is_fresh_for_an_hour_at_most(
    server: HostileServer, make_replica: MakeReplica, client_id: ClientIdUrl, clock: Clock
) -> None:
    """What is withdrawn there is a credential."""
    documents = make_replica()
    keys = {"keys": [SigningKey.generate().public_jwk()]}
    for members, seconds in (({}, DAY), ({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys}, HOUR)):
        clock.now += 2 * DAY
        server.script = answer(build_document(client_id.text, **members), headers=["Cache-Control: max-age=86400"])
        document = await documents.load_document(client_id)
        assert document.fresh_until - document.fetched_at == seconds
    await documents.record_approval(client_id.text)
    clock.now += 1
    assert await make_replica().load_document(client_id) == document, "nor is what another replica stored"
    server.script = answer(build_document(client_id.text, **members), headers=["Cache-Control: no-cache"])
    clock.now += HOUR
    document = await documents.load_document(client_id)
    assert document.fresh_until == document.fetched_at
