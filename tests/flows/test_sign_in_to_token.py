"""The main job, over sockets: a client known by its document gets a token through a person."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from flow_world import World, read_answer, run_world
from nameplate.jose.key_set import KeySet
from nameplate.jose.outcomes import Verified
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPES, check_access_token_claims

pytestmark = pytest.mark.anyio


async def read_token(world: World, token: str) -> dict[str, Any]:
    """The claims, once the signature was checked against the published keys."""
    jwks = (await world.http.get(f"{world.issuer}/jwks")).json()
    outcome = KeySet.from_jwks(jwks).verify(token, typ=ACCESS_TOKEN_TYPES, algorithms=frozenset({"ES256"}))
    assert isinstance(outcome, Verified), outcome
    return dict(outcome.claims)


@pytest.mark.proves(
    "CIMD-3",
    "CIMD-20",
    "CIMD-90",
    "MCP-2",
    "MCP-6",
    "MCP-12",
    "MCP-15",
    "MCP-17",
    "MCP-81",
    "O21-12",
    "BCP-4",
    "AT-1",
    "ISS-1",
    "RES-3",
)
async def test_a_client_known_by_its_document_gets_a_token_through_a_person(world: World) -> None:
    attempt = world.attempt()
    async with world.user() as user:
        page = await user.open(world.authorize_url(attempt))
        assert page.status == 200
        consent = await user.sign_in(page)
        for fact in ("Notebook", f"localhost:{world.host.port}", "127.0.0.1", "Read your notes", "Alice", "Notes"):
            assert fact in consent.text, fact
        answered = await user.answer(consent)
    assert answered.left_to is not None
    assert answered.left_to.startswith("http://127.0.0.1:51763/callback?")
    answer = read_answer(answered.left_to)
    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == "st-1"
    assert answer["iss"] == world.issuer
    response = await world.redeem(attempt, answer["code"], resource=world.resource)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    tokens = response.json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 600
    assert tokens["scope"] == "notes:read"
    claims = await read_token(world, tokens["access_token"])
    token = check_access_token_claims(
        claims, issuer=world.issuer, resource=world.resource, now=world.clock(), leeway_seconds=0
    )
    assert token.client_id == world.client_id
    assert token.scope == ("notes:read",)
    assert token.subject != "alice"
    assert claims["groups"] == ["staff"]
    header = json.loads(urlsafe_b64decode(tokens["access_token"].split(".")[0] + "=="))
    assert header["typ"] == "at+jwt"
    assert header["alg"] == "ES256"
    assert world.host.requests == ["/oauth/client.json"]


@pytest.mark.proves("MCP-15", "BCP-5")
async def test_refreshing_rotates_and_keeps_scope_and_subject(world: World) -> None:
    first = await world.obtain_tokens(scope="notes:read notes:write")
    world.clock.advance(300)
    response = await world.refresh(first["refresh_token"])
    second = response.json()
    assert response.status_code == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == "notes:read notes:write"
    before, after = await read_token(world, first["access_token"]), await read_token(world, second["access_token"])
    assert before["sub"] == after["sub"]
    assert before["jti"] != after["jti"]
    assert after["exp"] == before["exp"] + 300


@pytest.mark.proves("O21-16", "BCP-5")
async def test_a_refresh_can_narrow_the_scope_and_never_widen_it(world: World) -> None:
    tokens = await world.obtain_tokens(scope="notes:read notes:write")
    narrowed = (await world.refresh(tokens["refresh_token"], scope="notes:read")).json()
    assert narrowed["scope"] == "notes:read"
    whole = (await world.refresh(narrowed["refresh_token"])).json()
    assert whole["scope"] == "notes:read notes:write"
    wider = await world.refresh(whole["refresh_token"], scope="notes:read admin")
    assert wider.status_code == 400
    assert wider.json()["error"] == "invalid_scope"


async def test_the_same_person_has_the_same_sub_at_every_client(world: World) -> None:
    other = world.host.publish("/other.json", {"client_name": "Other", "redirect_uris": ["http://127.0.0.1/callback"]})
    first, second = await world.obtain_tokens(), await world.obtain_tokens(client_id=other)
    assert (await read_token(world, first["access_token"]))["sub"] == (await read_token(world, second["access_token"]))[
        "sub"
    ]


@pytest.mark.proves("MCP-6", "O21-8", "ISS-1")
async def test_a_denial_reaches_the_client_with_state_and_iss(world: World) -> None:
    async with world.user() as user:
        url = await user.authorize(world.authorize_url(world.attempt()), answer="deny")
    answer = read_answer(url)
    assert answer["error"] == "access_denied"
    assert answer["state"] == "st-1"
    assert answer["iss"] == world.issuer
    assert "code" not in answer


@pytest.mark.proves("CIMD-98")
async def test_a_signed_in_person_is_only_asked_for_consent(world: World) -> None:
    async with world.user() as user:
        await user.authorize(world.authorize_url(world.attempt()))
        page = await user.open(world.authorize_url(world.attempt()))
        assert page.asks_for("answer")
        assert not page.asks_for("password")


async def test_prompt_login_asks_for_the_password_again(world: World) -> None:
    async with world.user() as user:
        await user.authorize(world.authorize_url(world.attempt()))
        world.clock.advance(5)
        page = await user.open(world.authorize_url(world.attempt(prompt="login")))
        assert page.asks_for("password")
        page = await user.sign_in(page)
        assert page.asks_for("answer")


async def test_claude_asks_for_offline_access_with_a_leading_space(world: World) -> None:
    tokens = await world.obtain_tokens(scope=" offline_access", prompt="consent")
    assert tokens["scope"].split() == ["notes:read", "notes:write", "offline_access"]
    assert tokens["refresh_token"]


@pytest.mark.proves("O21-12")
async def test_unknown_scopes_are_left_out_and_the_answer_says_so(world: World) -> None:
    tokens = await world.obtain_tokens(scope="openid profile notes:read email")
    assert tokens["scope"] == "notes:read"


async def test_a_document_without_refresh_token_in_its_grant_types_gets_none(world: World) -> None:
    client_id = world.host.publish(
        "/plain.json",
        {"client_name": "P", "redirect_uris": ["http://127.0.0.1/callback"], "grant_types": ["authorization_code"]},
    )
    assert "refresh_token" not in await world.obtain_tokens(client_id=client_id)


@pytest.mark.proves("CIMD-62")
async def test_a_document_without_grant_types_gets_a_refresh_token_that_works(world: World) -> None:
    client_id = world.host.publish("/silent.json", {"client_name": "S", "redirect_uris": ["http://127.0.0.1/callback"]})
    tokens = await world.obtain_tokens(client_id=client_id)
    response = await world.refresh(tokens["refresh_token"], client_id=client_id)
    assert response.status_code == 200


@pytest.mark.proves("MCP-17", "RES-3", "RES-5")
@pytest.mark.parametrize("resource", [None, "HTTP://127.0.0.1:8000/mcp", "http://127.0.0.1:8000/mcp/"])
async def test_the_canonical_form_of_the_resource_is_enough(world: World, resource: str | None) -> None:
    tokens = await world.obtain_tokens(resource=resource)
    assert (await read_token(world, tokens["access_token"]))["aud"] == world.resource


@pytest.mark.proves("ASM-1")
async def test_an_issuer_with_a_path_works_the_whole_way(tmp_path: Path) -> None:
    async with run_world(tmp_path, issuer_path="/tenant/auth") as world:
        tokens = await world.obtain_tokens()
        assert (await read_token(world, tokens["access_token"]))["iss"] == world.issuer
