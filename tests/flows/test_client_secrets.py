"""Clients that are registered here: known by a secret, by a key, or by nothing but their entry."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx2
import pytest

from assertion_kit import ClientKey, expect, publish_keys, read_endings, wrap_assertion
from flow_world import REDIRECT_URI, Attempt, World, run_world
from nameplate.protocol.client_keys import parse_key_set
from nameplate.protocol.client_metadata import ClientMetadata, build_snapshot
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.secret import hash_bearer_value

pytestmark = pytest.mark.anyio

CLIENT_ID = "npd_client"
SECRET = f"npe_{secrets.token_urlsafe(32)}"


async def register(
    world: World, method: str, client_id: str = CLIENT_ID, secret: str | None = SECRET, **members: Any
) -> None:
    """Put a client into the store as the operator would."""
    metadata = ClientMetadata(
        client_id=client_id,
        redirect_uris=("http://127.0.0.1/callback",),
        client_name="Ledger",
        auth_methods=(method,),
        **{"known_by": "operator", **members},
    )
    now = int(world.clock())
    client = RegisteredClient(
        client_id=client_id,
        metadata=build_snapshot(metadata),
        created_at=now,
        secret_hash=None if secret is None else hash_bearer_value(secret),
    )
    await world.server.context.store.record_client(client, limit=100, now=now)


async def obtain_code(world: World, client_id: str = CLIENT_ID) -> tuple[Attempt, str]:
    attempt = world.attempt(client_id=client_id, redirect_uri=REDIRECT_URI)
    return attempt, await world.obtain_code(attempt)


async def redeem_basic(
    world: World, attempt: Attempt, code: str, secret: str = SECRET, *, name: str = CLIENT_ID, **form: str
) -> httpx2.Response:
    data = {"grant_type": "authorization_code", "code": code, "code_verifier": attempt.verifier, **form}
    auth = (quote_plus(name), quote_plus(secret))
    return await world.http.post(f"{world.issuer}/token", data=data, auth=auth)


async def refresh_basic(world: World, tokens: dict[str, Any], secret: str = SECRET) -> httpx2.Response:
    data = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    return await world.http.post(f"{world.issuer}/token", data=data, auth=(CLIENT_ID, secret))


@pytest.mark.proves("O21-13", "O21-14")
async def test_a_client_with_a_secret_shows_it_in_the_header_each_time(world: World) -> None:
    await register(world, "client_secret_basic")
    attempt, code = await obtain_code(world)
    expect(await redeem_basic(world, attempt, code, "wrong"), "invalid_client", "client.wrong_secret", 401)
    expect(await redeem_basic(world, attempt, code, "w" * 9000), "invalid_client", "client.authorization_header", 401)
    expect(await redeem_basic(world, attempt, code, ""), "invalid_client", "client.authorization_header", 401)
    expect(await redeem_basic(world, attempt, code, name="npd_x"), "invalid_client", "client.unknown", 401)
    other = await redeem_basic(world, attempt, code, client_id="npd_x")
    expect(other, "invalid_client", "client.authorization_header", 401)
    both = await redeem_basic(world, attempt, code, client_secret=SECRET)
    expect(both, "invalid_request", "client.auth_methods_several")
    mixed = await redeem_basic(world, attempt, code, client_id=CLIENT_ID, redirect_uri=REDIRECT_URI)
    tokens = mixed.json()
    assert mixed.status_code == 200
    expect(await refresh_basic(world, tokens, "wrong"), "invalid_client", "client.wrong_secret", 401)
    response = await refresh_basic(world, tokens)
    assert response.status_code == 200
    unknown = {"refresh_token": "npr_x"}
    expect(await refresh_basic(world, unknown), "invalid_grant", "refresh_token.unknown")
    expect(await refresh_basic(world, unknown, "wrong"), "invalid_client", "client.wrong_secret", 401)


async def test_a_client_with_a_secret_may_send_it_in_the_body_where_it_is_registered_so(world: World) -> None:
    await register(world, "client_secret_post")
    attempt, code = await obtain_code(world)
    for form, reason in (
        ({}, "client.auth_method_unsupported"),
        ({"client_secret": ""}, "client.auth_method_unsupported"),
        ({"client_secret": "wrong"}, "client.wrong_secret"),
        ({"client_secret": f"{SECRET} "}, "client.wrong_secret"),
        (wrap_assertion("a.b.c"), "client.auth_method_unsupported"),
    ):
        expect(await world.redeem(attempt, code, **form), "invalid_client", reason)
    expect(await redeem_basic(world, attempt, code), "invalid_client", "client.auth_method_unsupported", 401)
    response = await world.redeem(attempt, code, client_secret=SECRET)
    assert response.status_code == 200
    token = response.json()["refresh_token"]
    expect(await world.refresh(token, client_id=CLIENT_ID), "invalid_client", "client.auth_method_unsupported")
    assert (await world.refresh(token, client_id=CLIENT_ID, client_secret=SECRET)).status_code == 200


async def test_a_secret_is_one_clients(world: World) -> None:
    await register(world, "client_secret_post")
    await register(world, "client_secret_post", "npd_other", "npe_other")
    await register(world, "none", "npd_public", None)
    attempt, code = await obtain_code(world)
    for client_id, secret, error in (
        (CLIENT_ID, "npe_other", "invalid_client"),
        ("npd_other", "npe_other", "invalid_grant"),
        ("npd_public", SECRET, "invalid_client"),
        (world.client_id, SECRET, "invalid_client"),
    ):
        response = await world.redeem(attempt, code, client_id=client_id, client_secret=secret)
        assert response.json()["error"] == error
    assert (await world.redeem(attempt, code, client_secret=SECRET)).status_code == 200


async def test_a_registered_public_client_needs_no_secret_and_may_not_pretend_to_one(world: World) -> None:
    await register(world, "none", secret=None)
    attempt, code = await obtain_code(world)
    refused = await world.redeem(attempt, code, client_secret="x")
    expect(refused, "invalid_client", "client.auth_method_unsupported")
    response = await world.redeem(attempt, code)
    assert response.status_code == 200
    assert (await world.refresh(response.json()["refresh_token"], client_id=CLIENT_ID)).status_code == 200


@pytest.mark.parametrize("is_remote", [False, True])
async def test_a_registered_client_may_have_a_key(world: World, is_remote: bool) -> None:
    key = ClientKey.generate()
    if is_remote:
        await register(world, "private_key_jwt", secret=None, jwks_uri=publish_keys(world, key))
    else:
        await register(world, "private_key_jwt", secret=None, jwks=parse_key_set({"keys": [key.build_jwk()]}))

    def prove(**changes: object) -> dict[str, str | None]:
        now = int(world.clock())
        claims = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": world.issuer, "exp": now + 60}
        jti = secrets.token_hex(8)
        return wrap_assertion(key.sign({**claims, "jti": jti, **changes}, {"alg": key.alg, "kid": key.kid}))

    attempt, code = await obtain_code(world)
    expect(await world.redeem(attempt, code, client_secret=SECRET), "invalid_client", "client.auth_method_unsupported")
    expect(await world.redeem(attempt, code, **prove(iss="x")), "invalid_client", "assertion.other_client")
    response = await world.redeem(attempt, code, **prove())
    assert response.status_code == 200, response.text
    token = response.json()["refresh_token"]
    assert (await world.refresh(token, client_id=CLIENT_ID, **prove())).status_code == 200


async def test_a_client_that_was_removed_is_told_to_register_anew(world: World) -> None:
    await register(world, "client_secret_post")
    attempt, code = await obtain_code(world)
    tokens = (await world.redeem(attempt, code, client_secret=SECRET)).json()
    await world.server.context.store.remove_client(CLIENT_ID, int(world.clock()))
    for secret in (SECRET, "wrong"):
        response = await world.refresh(tokens["refresh_token"], client_id=CLIENT_ID, client_secret=secret)
        expect(response, "invalid_client", "client.unknown")
    assert await read_endings(world) == ["client.removed"]


async def test_nobody_stands_for_a_client_that_registered_itself(tmp_path: Path) -> None:
    async with run_world(tmp_path, tokens={"unverified": {"access_token_seconds": 42}}) as world:
        await register(world, "client_secret_post", known_by="itself")
        attempt, code = await obtain_code(world)
        tokens = (await world.redeem(attempt, code, client_secret=SECRET)).json()
        assert tokens["expires_in"] == 42
        again = await world.refresh(tokens["refresh_token"], client_id=CLIENT_ID, client_secret=SECRET)
        assert again.json()["expires_in"] == 42
        assert (await world.obtain_tokens())["expires_in"] == 600


async def test_a_registration_that_is_damaged_is_our_fault(world: World) -> None:
    await register(world, "client_secret_post")
    store, now = world.server.context.store, int(world.clock())
    broken = RegisteredClient(
        client_id="npd_broken", metadata=json.dumps({}), created_at=now, secret_hash=hash_bearer_value(SECRET)
    )
    await store.record_client(broken, limit=100, now=now)
    response = await world.refresh("npr_x", client_id="npd_broken", client_secret=SECRET)
    expect(response, "temporarily_unavailable", "store.failed", 503)
