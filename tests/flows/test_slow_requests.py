"""A request that had to wait for somebody: what counts is when it arrived, and what is recorded is when it was done."""

from pathlib import Path

import pytest

from assertion_kit import ClientKey, KeyedClient, expect, publish_keys, read_endings, run_replica
from flow_world import World
from nameplate.testing.document_host import HostedDocument

pytestmark = pytest.mark.anyio

JWKS = "/jwks.json"
SLOW = 12  # seconds for which the host of the keys lets us wait
KEYS_STALE = 301


class SlowDocuments(dict[str, HostedDocument]):
    """Documents of a host; time passes while it looks for the keys."""

    world: World
    seconds = 0

    def get(self, path: str, default: object = None) -> HostedDocument | None:  # type: ignore[override]
        if path == JWKS:
            self.world.clock.advance(self.seconds)
        return super().get(path)


@pytest.fixture
def documents(world: World) -> SlowDocuments:
    documents = SlowDocuments(world.host.documents)
    documents.world = world
    world.host.documents = documents
    return documents


@pytest.fixture
def client(world: World, documents: SlowDocuments) -> KeyedClient:
    """A client whose keys have to be fetched; ``documents`` is there first."""
    assert world.host.documents is documents
    keyed = KeyedClient(world=world, key=ClientKey.generate())
    keyed.publish(jwks_uri=publish_keys(world, keyed.key))
    return keyed


@pytest.mark.proves("O21-4")
async def test_a_code_is_spent_when_it_is_redeemed_and_not_when_it_came(
    world: World, client: KeyedClient, documents: SlowDocuments
) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    documents.seconds = SLOW
    tokens = await world.redeem(attempt, code, **client.prove())
    assert tokens.status_code == 200, tokens.text
    world.clock.advance(9)  # 21 seconds after it came
    expect(await world.redeem(attempt, code, **client.prove()), "invalid_grant", "code.replayed")
    assert await read_endings(world) == []


@pytest.mark.proves("O21-4")
@pytest.mark.parametrize(("pause", "reason"), [(9, "code.replayed"), (11, "code.replayed_and_revoked")])
async def test_a_replay_counts_by_when_it_came(
    world: World, client: KeyedClient, documents: SlowDocuments, tmp_path: Path, pause: int, reason: str
) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    assert (await world.redeem(attempt, code, **client.prove())).status_code == 200
    world.clock.advance(pause)
    documents.seconds = SLOW
    async with run_replica(world, tmp_path) as replica:  # it has to fetch the keys
        expect(await replica.redeem(attempt, code, **client.prove()), "invalid_grant", reason)


async def test_a_code_that_expires_while_its_client_is_looked_at_is_expired(
    world: World, client: KeyedClient, documents: SlowDocuments
) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    world.clock.advance(55)
    documents.seconds = SLOW
    expect(await world.redeem(attempt, code, **client.prove()), "invalid_grant", "code.expired")


@pytest.mark.proves("O21-16")
async def test_a_refresh_token_is_replaced_when_it_is_done_and_repeats_count_by_when_they_came(
    world: World, client: KeyedClient, documents: SlowDocuments
) -> None:
    tokens = await client.obtain_tokens()
    world.clock.advance(KEYS_STALE)
    documents.seconds = SLOW
    rotated = await client.refresh(tokens)
    assert rotated["status"] == 200, rotated
    world.clock.advance(115)  # 127 seconds after the first came
    assert (await client.refresh(tokens))["refresh_token"] == rotated["refresh_token"]
    world.clock.advance(6)
    assert (await client.refresh(tokens))["reason"] == "refresh_token.reused"
    assert await read_endings(world) == ["refresh_token.reused"]
