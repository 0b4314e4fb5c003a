"""What becomes of a live grant when its client's keys, or its ways to authenticate, change or cannot be had."""

import asyncio
import json
import secrets
from dataclasses import replace

import pytest

from assertion_kit import ClientKey, KeyedClient, expect, publish_keys, read_endings
from flow_world import World

pytestmark = pytest.mark.anyio

STALE = 700  # a document whose host says nothing of caching is fresh for 600 seconds
KEYS_STALE = 301  # and so is a key set for 300
JWKS = "/jwks.json"


@pytest.fixture
def client(world: World) -> KeyedClient:
    """A client whose only method is its key, which stands in its document."""
    keyed = KeyedClient(world=world, key=ClientKey.generate())
    keyed.publish()
    return keyed


@pytest.fixture
def remote(world: World) -> KeyedClient:
    """The same with a ``jwks_uri``."""
    keyed = KeyedClient(world=world, key=ClientKey.generate())
    keyed.publish(jwks_uri=publish_keys(world, keyed.key))
    return keyed


@pytest.mark.proves("CIMD-101", "JWT-9")
async def test_a_new_key_is_found_when_it_signs(world: World, remote: KeyedClient) -> None:
    tokens = await remote.obtain_tokens()
    rotated = replace(remote, key=ClientKey.generate(kid="two"))
    world.clock.advance(10)
    publish_keys(world, remote.key, rotated.key)
    for signer in (rotated, remote, rotated):
        tokens = await signer.refresh(tokens)
        assert tokens["status"] == 200, tokens
    assert world.host.requests.count(JWKS) == 2
    publish_keys(world, rotated.key)
    world.clock.advance(KEYS_STALE)
    assert (await remote.refresh(tokens))["reason"] == "assertion.unknown_key"
    assert (await rotated.refresh(tokens))["status"] == 200
    assert await read_endings(world) == []


# SS-16
@pytest.mark.proves("JWT-9")
async def test_a_flood_of_invented_kids_causes_one_fetch_in_ten_seconds(world: World, remote: KeyedClient) -> None:
    tokens = await remote.obtain_tokens()
    for _ in range(3):
        world.clock.advance(10)
        answers = await asyncio.gather(
            *(remote.refresh(tokens, **remote.prove({"kid": secrets.token_hex(8)})) for _ in range(20))
        )
        assert {answer["reason"] for answer in answers} == {"assertion.unknown_key"}
    assert world.host.requests.count(JWKS) == 4
    assert (await remote.refresh(tokens))["status"] == 200


# JA-12
@pytest.mark.proves("JWT-9")
async def test_keys_that_cannot_be_fetched_are_no_fault_of_the_client(world: World, remote: KeyedClient) -> None:
    attempt = remote.attempt()
    code = await world.obtain_code(attempt)
    good = world.host.documents.pop(JWKS)
    expect(await world.redeem(attempt, code, **remote.prove()), "temporarily_unavailable", "fetch.status", 503)
    world.clock.advance(11)
    world.host.documents[JWKS] = replace(good, status=503)
    expect(await world.redeem(attempt, code, **remote.prove()), "temporarily_unavailable", "fetch.status", 503)
    world.clock.advance(11)
    world.host.documents[JWKS] = good
    response = await world.redeem(attempt, code, **remote.prove())
    assert response.status_code == 200
    world.host.documents.pop(JWKS)
    world.clock.advance(KEYS_STALE)
    refused = await remote.refresh(response.json())
    assert (refused["status"], refused["error"]) == (503, "temporarily_unavailable")
    assert await read_endings(world) == []


async def test_a_key_set_that_breaks_a_rule_is_the_clients_fault(world: World, remote: KeyedClient) -> None:
    attempt = remote.attempt()
    code = await world.obtain_code(attempt)
    private = {"keys": [{**remote.key.key.as_dict(private=True), "kid": "one"}]}
    world.host.documents[JWKS] = replace(world.host.documents[JWKS], body=json.dumps(private).encode())
    expect(await world.redeem(attempt, code, **remote.prove()), "invalid_client", "document.private_key")
    world.clock.advance(11)
    publish_keys(world, remote.key)
    assert (await world.redeem(attempt, code, **remote.prove())).status_code == 200


@pytest.mark.proves("CIMD-101")
async def test_keys_in_the_document_may_go_one_after_the_other(world: World, client: KeyedClient) -> None:
    tokens = await client.obtain_tokens()
    one, two, three = client, *(replace(client, key=ClientKey.generate(kid=kid)) for kid in ("two", "three"))
    for published, signer in (((one, two), one), ((two, three), two), ((three,), three)):
        client.publish(jwks={"keys": [each.key.build_jwk() for each in published]})
        world.clock.advance(STALE)
        tokens = await signer.refresh(tokens)
        assert tokens["status"] == 200, tokens
    three.publish(jwks=None, jwks_uri=publish_keys(world, two.key))
    world.clock.advance(STALE)
    tokens = await two.refresh(tokens)
    assert tokens["status"] == 200, "keys may move to the host of the document"
    assert await read_endings(world) == []


@pytest.mark.proves("CIMD-100", "CIMD-101")
async def test_keys_that_are_all_replaced_at_once_end_the_grant(world: World, client: KeyedClient) -> None:
    tokens = await client.obtain_tokens()
    other = replace(client, key=ClientKey.generate(kid="one"))
    other.publish()
    assert (await other.refresh(tokens))["reason"] == "assertion.signature", "the document is fresh"
    world.clock.advance(STALE)
    assert (await client.refresh(tokens))["reason"] == "assertion.signature"
    assert await read_endings(world) == [], "that proved nothing"
    proof = other.prove()
    refused = await other.refresh(tokens, **proof)
    assert (refused["error"], refused["reason"]) == ("invalid_grant", "client.keys_replaced")
    assert await read_endings(world) == ["client.keys_replaced"]
    assert (await other.refresh(tokens))["reason"] == "refresh_token.grant_revoked"
    assert await other.obtain_tokens(), "the client itself is welcome"


# Methods that change


@pytest.mark.proves("CIMD-68")
async def test_who_used_its_key_once_cannot_do_without(world: World) -> None:
    client = KeyedClient(world=world, key=ClientKey.generate())
    client.publish(token_endpoint_auth_methods_supported=["none", "private_key_jwt"])
    attempt = client.attempt()
    response = await world.redeem(attempt, await world.obtain_code(attempt))
    assert response.status_code == 200, "as a public client"
    tokens = await client.refresh(response.json(), client_assertion=None)
    assert tokens["status"] == 200
    for broken in (client.prove(aud="x"), client.prove({"alg": "none"}), {"client_assertion": "a.b.c"}):
        assert (await client.refresh(tokens, **broken))["error"] == "invalid_client", "never taken for none"
    tokens = await client.refresh(tokens)
    assert tokens["status"] == 200
    refused = await client.refresh(tokens, client_assertion=None)
    assert (refused["error"], refused["reason"]) == ("invalid_client", "client.auth_method_pinned")
    assert (await client.refresh(tokens))["status"] == 200
    assert await read_endings(world) == []


@pytest.mark.proves("CIMD-68")
async def test_an_old_token_without_the_key_does_not_end_what_the_key_bought(world: World) -> None:
    client = KeyedClient(world=world, key=ClientKey.generate())
    client.publish(token_endpoint_auth_method="none")
    attempt = client.attempt()
    tokens = (await world.redeem(attempt, await world.obtain_code(attempt))).json()
    client.publish(token_endpoint_auth_methods_supported=["none", "private_key_jwt"])
    world.clock.advance(STALE)
    rotated = await client.refresh(tokens)
    assert rotated["status"] == 200, rotated
    for seconds in (0, 3600):
        world.clock.advance(seconds)
        assert (await client.refresh(tokens, client_assertion=None))["reason"] == "client.auth_method_pinned"
    assert (await client.refresh(rotated))["status"] == 200
    assert (await client.refresh(tokens))["reason"] == "refresh_token.reused", "its holder has the key"
    assert await read_endings(world) == ["refresh_token.reused"]


@pytest.mark.proves("CIMD-68", "CIMD-100")
async def test_a_client_that_gives_its_key_up_is_authorized_again(world: World, client: KeyedClient) -> None:
    tokens = await client.obtain_tokens()
    client.publish(token_endpoint_auth_method="none")
    world.clock.advance(STALE)
    assert (await client.refresh(tokens))["reason"] == "client.auth_method_withdrawn"
    assert await read_endings(world) == []
    refused = await client.refresh(tokens, client_assertion=None)
    assert (refused["error"], refused["reason"]) == ("invalid_grant", "client.auth_method_weakened")
    assert await read_endings(world) == ["client.auth_method_weakened"]
