"""The operator changes accounts and resources while grants live: the next token follows."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flow_world import PASSWORD_HASH, World, build_settings, run_world
from nameplate.server.app import AuthorizationServer
from nameplate.testing.serving import open_listener, serve_app

pytestmark = pytest.mark.anyio

ALICE = {"username": "alice", "password_hash": PASSWORD_HASH, "display_name": "Alice", "groups": ["staff"]}
BOB = {"username": "bob", "password_hash": PASSWORD_HASH}


@asynccontextmanager
async def restart(world: World, directory: Path, **changes: Any) -> AsyncIterator[str]:
    """The same store under other settings, at another port; its token endpoint."""
    listener, port = open_listener()
    settings = build_settings(world.issuer, world.resource, directory, world.host, changes)
    async with serve_app(AuthorizationServer(settings, clock=world.clock).standalone_app(), listener):
        yield f"http://127.0.0.1:{port}"


async def refresh(url: str, world: World, token: str) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": world.client_id}
    return await world.http.post(f"{url}/token", data=form)


def read_claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def test_an_account_that_was_taken_out_gets_no_more_tokens(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        tokens = await world.obtain_tokens()
        async with restart(world, tmp_path, accounts=[BOB]) as url:
            refused = await refresh(url, world, tokens["refresh_token"])
            assert refused.status_code == 400
            assert refused.json()["error"] == "invalid_grant"
            assert refused.json()["reason"] == "grant.account_removed"
        # Put back, for instance after a mistake, the grant lives on.
        assert (await world.refresh(tokens["refresh_token"])).status_code == 200


async def test_groups_are_those_of_today(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        tokens = await world.obtain_tokens()
        assert read_claims(tokens["access_token"])["groups"] == ["staff"]
        async with restart(world, tmp_path, accounts=[{**ALICE, "groups": ["guests"]}]) as url:
            renewed = (await refresh(url, world, tokens["refresh_token"])).json()
            assert read_claims(renewed["access_token"])["groups"] == ["guests"]


async def test_a_changed_password_ends_the_sessions_of_the_old_one(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world, world.user() as user:
        await user.authorize(world.authorize_url(world.attempt()))
        assert (await user.open(world.authorize_url(world.attempt()))).asks_for("answer")
        changed = {**ALICE, "password_hash": PASSWORD_HASH[:-4] + "AAAA"}
        async with restart(world, tmp_path, accounts=[changed]) as url:
            page = await user.open(world.authorize_url(world.attempt()).replace(world.issuer, url))
            assert page.asks_for("password")


async def test_scopes_that_the_operator_took_back_are_not_issued_again(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        tokens = await world.obtain_tokens(scope="notes:read notes:write")
        resource = {
            "identifier": world.resource,
            "name": "Notes",
            "scopes": [{"name": "notes:read", "description": "Read your notes"}],
        }
        async with restart(world, tmp_path, resources=[resource]) as url:
            assert (await refresh(url, world, tokens["refresh_token"])).json()["scope"] == "notes:read"


async def test_a_resource_without_scopes_serves_clients_that_ask_for_another_s(tmp_path: Path) -> None:
    bare = {"identifier": "http://127.0.0.1:8001/mcp", "name": "Bare"}
    notes = {
        "identifier": "http://127.0.0.1:8000/mcp",
        "name": "Notes",
        "scopes": [{"name": "notes:read", "description": "Read your notes"}],
    }
    async with run_world(tmp_path, resources=[notes, bare]) as world:
        tokens = await world.obtain_tokens(resource=bare["identifier"], scope="notes:read offline_access")
        assert tokens["scope"] == "offline_access"
