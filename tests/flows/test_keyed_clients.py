"""Clients with keys as they are found in the wild: what they sign, what they publish, and what becomes of it.

Tests named ``k…`` are rows of the compatibility checklist; the documents are in ``tests/vectors/clients``.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from assertion_kit import ClientKey, KeyedClient, expect, publish_keys, read_endings, run_replica
from flow_world import World, run_world

pytestmark = pytest.mark.anyio

VECTORS = Path(__file__).parents[1] / "vectors" / "clients"
ENTRIES = {entry["file"].removesuffix(".json"): entry for entry in json.loads((VECTORS / "index.json").read_text())}
STALE = 700  # a document whose host says nothing of caching is fresh for 600 seconds
DAY = 86400


def publish_real(world: World, name: str) -> KeyedClient:
    """The document of a real client at a host of our own, with a key of our own."""
    document = json.loads((VECTORS / f"{name}.json").read_text())
    key = ClientKey.generate(document["token_endpoint_auth_signing_alg"])
    client = KeyedClient(world=world, key=key, path=urlsplit(ENTRIES[name]["client_id"]).path)
    del document["client_id"]
    client.publish(**{**document, "jwks_uri": publish_keys(world, key, path="/oauth/jwks.json")})
    return client


async def obtain_code(client: KeyedClient) -> tuple[Any, str]:
    attempt = client.world.attempt(client_id=client.client_id, redirect_uri=client.document["redirect_uris"][0])
    return attempt, await client.world.obtain_code(attempt)


async def redeem(client: KeyedClient, **claims: object) -> dict[str, Any]:
    """The tokens of a sign-in whose assertion has these claims."""
    attempt, code = await obtain_code(client)
    response = await client.world.redeem(attempt, code, **client.prove({"typ": "JWT"}, **claims))
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


@asynccontextmanager
async def run_admitting(world: World, directory: Path, *patterns: str) -> AsyncIterator[World]:
    """A replica that admits the token endpoint as the audience of these clients' assertions."""
    listed = [world.host.url(pattern) for pattern in patterns]
    async with run_replica(world, directory, cimd={"token_endpoint_audience_clients": listed}) as replica:
        yield replica


@pytest.mark.proves("CIMD-66")
async def test_k08_chatgpt_is_whichever_of_its_two_clients_it_comes_as(world: World) -> None:
    client = publish_real(world, "chatgpt")
    attempt, code = await obtain_code(client)
    response = await world.redeem(attempt, code)
    assert response.status_code == 200, "client_id is all that a public client has"
    assert (await client.refresh(response.json(), client_assertion=None))["status"] == 200
    assert (await client.refresh(await redeem(client)))["status"] == 200


@pytest.mark.proves("JWT-2", "JWT-10", "O21-23")
@pytest.mark.parametrize("issuer_path", ["", "/tenant/one"])
async def test_k09_chatgpt_may_sign_for_the_token_endpoint_as_it_is_advertised(
    tmp_path: Path, issuer_path: str
) -> None:
    async with (
        run_world(tmp_path, issuer_path=issuer_path) as world,
        run_admitting(world, tmp_path, "/oauth/client.json", "/oauth/*/client.json") as replica,
    ):
        metadata = world.server.context.issuer + "/.well-known/openid-configuration"
        endpoint = (await world.http.get(metadata)).json()["token_endpoint"]
        assert endpoint == f"{world.issuer}/token"
        for name in ("chatgpt", "chatgpt-connector-2026-05"):
            client = publish_real(replica, name)
            tokens = await redeem(client, aud=endpoint)
            tokens = await client.refresh(tokens, **client.prove(aud=endpoint))
            assert tokens["status"] == 200, tokens
            assert (await client.refresh(tokens))["status"] == 200, "and for the issuer"
            for wrong in ([endpoint], [world.issuer], [world.issuer, endpoint], f"{world.issuer}//token"):
                attempt, code = await obtain_code(client)
                response = await replica.redeem(attempt, code, **client.prove(aud=wrong))
                expect(response, "invalid_client", "assertion.audience")


@pytest.mark.proves("JWT-2", "JWT-3", "JWT-10")
async def test_the_token_endpoint_is_nobody_elses_audience_and_none_anywhere_else(world: World, tmp_path: Path) -> None:
    endpoint = f"{world.issuer}/token"
    strict = publish_real(world, "chatgpt")
    attempt, code = await obtain_code(strict)
    expect(await world.redeem(attempt, code, **strict.prove(aud=endpoint)), "invalid_client", "assertion.audience")
    async with run_admitting(world, tmp_path, "/oauth/client.json") as replica:
        listed = publish_real(replica, "chatgpt")
        other = replace(listed, path="/oauth/other/client.json")
        other.publish(**listed.document)
        attempt, code = await obtain_code(other)
        expect(await replica.redeem(attempt, code, **other.prove(aud=endpoint)), "invalid_client", "assertion.audience")
        tokens = await redeem(listed, aud=endpoint)
        for audience, status in ((endpoint, 400), (f"{world.issuer}/revoke", 400), (world.issuer, 200)):
            form = {"token": tokens["refresh_token"], "client_id": listed.client_id, **listed.prove(aud=audience)}
            response = await replica.http.post(f"{replica.issuer}/revoke", data=form)
            assert response.status_code == status, audience


async def test_k10_a_document_that_knows_private_key_jwt_alone_is_served_by_its_key(world: World) -> None:
    client = publish_real(world, "chatgpt-connector-2026-05")
    attempt, code = await obtain_code(client)
    expect(await world.redeem(attempt, code), "invalid_client", "client.auth_method_unsupported")
    assert (await world.redeem(attempt, code, **client.prove())).status_code == 200


async def test_an_atproto_backend_is_served_by_its_key(world: World) -> None:
    client = publish_real(world, "bsky-flaskdemo")
    client.publish(**{**client.document, "scope": "notes:read"})
    assert (await client.refresh(await redeem(client)))["status"] == 200


@pytest.mark.proves("CIMD-45", "CIMD-117")
async def test_k31_a_client_with_its_keys_in_the_document_needs_no_host_after_a_restart(
    world: World, tmp_path: Path
) -> None:
    client = KeyedClient(world=world, key=ClientKey.generate())
    client.publish()
    tokens = await client.obtain_tokens()
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    for document in world.host.documents.values():
        document.status = 503
    async with run_replica(world, tmp_path) as replica:
        after = replace(client, world=replica)
        assert (await replica.redeem(attempt, code, **after.prove())).status_code == 200
        world.clock.advance(STALE)
        tokens = await after.refresh(tokens)
        assert tokens["status"] == 200, tokens


@pytest.mark.proves("CIMD-117")
async def test_k31_a_client_whose_keys_cannot_be_had_after_a_restart_loses_nothing(
    world: World, tmp_path: Path
) -> None:
    client = KeyedClient(world=world, key=ClientKey.generate())
    client.publish(jwks_uri=publish_keys(world, client.key))
    tokens = await client.obtain_tokens()
    for document in world.host.documents.values():
        document.status = 503
    async with run_replica(world, tmp_path) as replica:
        after = replace(client, world=replica)
        refused = await after.refresh(tokens)
        assert (refused["status"], refused["error"]) == (503, "temporarily_unavailable")
        world.clock.advance(11)
        for document in world.host.documents.values():
            document.status = 200
        assert (await after.refresh(tokens))["status"] == 200
    assert await read_endings(world) == []


async def test_lifetimes_follow_from_what_a_client_proves(tmp_path: Path) -> None:
    confidential = {"access_token_seconds": 77, "refresh_token_seconds": 7 * DAY, "grant_seconds": 8 * DAY}
    tokens = {
        "access_token_seconds": 300,
        "public": {"access_token_seconds": 60, "grant_seconds": 40 * DAY},
        "confidential": confidential,
    }
    async with run_world(tmp_path, tokens=tokens) as world:
        client = KeyedClient(world=world, key=ClientKey.generate())
        client.publish()
        either = replace(client, path="/either.json")
        either.publish(token_endpoint_auth_methods_supported=["none", "private_key_jwt"])
        assert (await world.obtain_tokens())["expires_in"] == 60
        kept = await client.obtain_tokens()
        assert kept["expires_in"] == 77
        assert (await either.obtain_tokens())["expires_in"] == 77
        attempt = either.attempt()
        public = (await world.redeem(attempt, await world.obtain_code(attempt))).json()
        assert public["expires_in"] == 60
        assert (await either.refresh(public, client_assertion=None))["expires_in"] == 60
        world.clock.advance(7 * DAY - 1)
        kept = await client.refresh(kept)
        assert kept["expires_in"] == 77
        world.clock.advance(DAY + 1)
        assert (await client.refresh(kept))["error"] == "invalid_grant", "eight days are over"
