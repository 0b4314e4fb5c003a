"""A protected server refuses what was revoked at the authorization server, within the time that it promises."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from revocation_kit import NOTES, OTHERS, RESOURCE_SERVERS, read_feed, revoke
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from assertion_kit import run_replica
from flow_world import World, run_world
from nameplate.errors import FetchError
from nameplate.protocol.revocation import parse_revoked_grants
from nameplate.resource import Introspection, ResourceOptions, RevocationFeed, protect
from nameplate.secret import Secret
from nameplate.testing.serving import open_listener, serve_app

pytestmark = pytest.mark.anyio

WHO: dict[str, Any] = {"resource_server_id": NOTES[0], "secret": Secret(NOTES[1])}
WAYS: dict[str, RevocationFeed | Introspection] = {
    # So short that each request finds the list too old: what is bounded by time is tested with a clock elsewhere.
    "feed": RevocationFeed(**WHO, refresh_seconds=1e-6),
    "introspection": Introspection(**WHO, remember_seconds=0),
}


@asynccontextmanager
async def run_authorization_server(directory: Path, **changes: Any) -> AsyncIterator[World]:
    async with run_world(directory, **RESOURCE_SERVERS, **changes) as running:
        yield running


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with run_authorization_server(tmp_path) as running:
        yield running


@dataclass(kw_only=True)
class Resource:
    """A protected server on a socket."""

    url: str
    http: httpx2.AsyncClient

    async def call(self, token: str) -> tuple[int, str]:
        """Status, and the reason of a refusal."""
        response = await self.http.get(self.url, headers={"Authorization": f"Bearer {token}"})
        return response.status_code, "" if response.status_code == 200 else response.json()["reason"]


async def greet(_request: Request) -> Response:
    return PlainTextResponse("hello")


@asynccontextmanager
async def run_resource(world: World, revocation: RevocationFeed | Introspection | None) -> AsyncIterator[Resource]:
    options = ResourceOptions(revocation=revocation, clock=world.clock)
    app = protect(
        Starlette(routes=[Route("/mcp", greet)]),
        resource=world.resource,
        issuer=world.server.context.issuer,
        scopes=["notes:read"],
        options=options,
    )
    listener, port = open_listener()
    async with serve_app(app, listener):
        yield Resource(url=f"http://127.0.0.1:{port}/mcp", http=world.http)


async def revoke_refresh_token(world: World, tokens: dict[str, Any]) -> None:
    await revoke(world, tokens["refresh_token"])


async def revoke_access_token(world: World, tokens: dict[str, Any]) -> None:
    await revoke(world, tokens["access_token"])


async def steal_and_reuse(world: World, tokens: dict[str, Any]) -> None:
    """Somebody presents a refresh token again: that ends the grant, and with it the access tokens that are around."""
    second = (await world.refresh(tokens["refresh_token"])).json()
    await world.refresh(second["refresh_token"])
    await world.refresh(tokens["refresh_token"])


@pytest.mark.proves("REV-3", "REV-4")
@pytest.mark.parametrize("way", WAYS)
async def test_a_revoked_token_is_refused_and_others_go_on(world: World, way: str) -> None:
    """RS-05."""
    async with run_resource(world, WAYS[way]) as resource:
        other = await world.obtain_tokens()
        for end in (revoke_refresh_token, revoke_access_token, steal_and_reuse):
            tokens = await world.obtain_tokens()
            assert await resource.call(tokens["access_token"]) == (200, "")
            await end(world, tokens)
            assert await resource.call(tokens["access_token"]) == (401, "token.revoked")
            assert await resource.call(other["access_token"]) == (200, "")


async def test_without_either_a_revoked_token_lives_until_it_expires(world: World) -> None:
    async with run_resource(world, None) as resource:
        tokens = await world.obtain_tokens()
        await revoke(world, tokens["refresh_token"])
        assert await resource.call(tokens["access_token"]) == (200, "")
        world.clock.advance(600 + 10)
        assert await resource.call(tokens["access_token"]) == (401, "token.expired")


@pytest.mark.parametrize("way", WAYS)
async def test_while_the_server_is_away_its_list_serves_on_but_introspection_lets_nobody_in(
    tmp_path: Path, way: str
) -> None:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(run_authorization_server(tmp_path))
        tokens, revoked = await world.obtain_tokens(), await world.obtain_tokens()
        await revoke(world, revoked["access_token"])
        async with run_resource(world, WAYS[way]) as resource:
            assert await resource.call(revoked["access_token"]) == (401, "token.revoked")
            await stack.aclose()
            async with httpx2.AsyncClient(trust_env=False) as http:
                alone = Resource(url=resource.url, http=http)
                expected = (200, "") if way == "feed" else (503, "grant.unchecked")
                assert await alone.call(tokens["access_token"]) == expected
                refused = (401, "token.revoked") if way == "feed" else (503, "grant.unchecked")
                assert await alone.call(revoked["access_token"]) == refused


@pytest.mark.proves("REV-3", "INT-2")
@pytest.mark.parametrize("way", WAYS)
async def test_credentials_for_another_resource_let_no_revoked_token_in(world: World, way: str) -> None:
    """To them the list of this resource's revoked grants is empty."""
    tokens = await world.obtain_tokens()
    await revoke(world, tokens["refresh_token"])
    other: dict[str, Any] = {"resource_server_id": OTHERS[0], "secret": Secret(OTHERS[1])}
    async with run_resource(world, replace(WAYS[way], **other)) as resource:
        expected = (503, "grant.unchecked") if way == "feed" else (401, "token.revoked")
        assert await resource.call(tokens["access_token"]) == expected


@pytest.mark.proves("REV-3")
async def test_after_a_resource_was_renamed_its_server_lets_nobody_in_until_it_follows(
    world: World, tmp_path: Path
) -> None:
    tokens = await world.obtain_tokens()
    await revoke(world, tokens["refresh_token"])
    renamed = f"{world.resource}/v2"
    changes = json.loads(json.dumps(RESOURCE_SERVERS).replace(f'"{world.resource}"', f'"{renamed}"'))
    async with run_replica(world, tmp_path, **changes) as replica:
        feed = await read_feed(replica)
        assert (feed["resources"], feed["revoked"]) == ([renamed], [])
        with pytest.raises(FetchError, match=renamed):
            parse_revoked_grants(
                feed, issuer=feed["issuer"], resource=world.resource, now=world.clock(), stale_seconds=60
            )


@pytest.mark.parametrize("way", WAYS)
async def test_whoever_never_reached_the_server_lets_nobody_in_and_blames_no_token(world: World, way: str) -> None:
    tokens = await world.obtain_tokens()
    wrong: dict[str, Any] = {"resource_server_id": NOTES[0], "secret": Secret("wrong")}
    ways: dict[str, RevocationFeed | Introspection] = {
        "feed": RevocationFeed(**wrong),
        "introspection": Introspection(**wrong),
    }
    async with run_resource(world, ways[way]) as resource:
        response = await world.http.get(resource.url, headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert response.json()["reason"] == "grant.unchecked"
        assert int(response.headers["retry-after"]) > 0
        assert "www-authenticate" not in response.headers
        assert await resource.call("junk") == (401, "token.malformed")
