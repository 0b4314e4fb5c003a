"""Rows of the client checklist that are about registering, and refreshing at once.

The others are in test_real_clients.py and beside their subject; ``tests/checks/checklist.py`` says what they are.
"""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flow_world import World, run_world

pytestmark = pytest.mark.anyio

CURSOR = [
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
]
CLAUDE_CODE = {
    "client_name": "Claude Code (notes)",
    "redirect_uris": ["http://localhost:3118/callback"],
    "application_type": "native",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}


async def read_metadata(world: World) -> dict[str, Any]:
    metadata: dict[str, Any] = (await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server")).json()
    return metadata


async def register(world: World, **members: object) -> httpx2.Response:
    return await world.http.post((await read_metadata(world))["registration_endpoint"], json=members)


async def test_k05_two_addresses_refresh_at_once_and_both_go_on(world: World) -> None:
    tokens = await world.obtain_tokens()
    answers = await asyncio.gather(*(world.refresh(tokens["refresh_token"]) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]
    for answer in answers:
        assert (await world.refresh(answer.json()["refresh_token"])).status_code == 200


@pytest.mark.proves("MCP-3")
async def test_k30_a_client_whose_document_is_refused_finds_the_word_it_waits_for_and_registers(world: World) -> None:
    broken = world.host.publish("/broken.json", {"client_name": "Hermes", "redirect_uris": ["javascript:alert(1)"]})
    page = await world.http.get(world.authorize_url(world.attempt(client_id=broken)))
    assert page.status_code == 400
    assert "invalid_client" in page.text
    registered = await register(world, **CLAUDE_CODE)
    assert registered.status_code == 201
    client = registered.json()
    assert await world.obtain_tokens(client_id=client["client_id"], redirect_uri=client["redirect_uris"][0])


@pytest.mark.proves("DCR-2")
async def test_k32_one_callback_that_is_not_allowed_sinks_no_others(tmp_path: Path) -> None:
    allowed = ["https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:*/callback"]
    async with run_world(tmp_path, cimd={"allowed_client_redirect_uris": allowed}) as world:
        registered = await register(
            world, client_name="Cursor", redirect_uris=CURSOR, token_endpoint_auth_method="none"
        )
        assert registered.status_code == 201
        client = registered.json()
        assert client["redirect_uris"] == CURSOR[1:]
        for redirect_uri in client["redirect_uris"]:
            assert await world.obtain_tokens(client_id=client["client_id"], redirect_uri=redirect_uri)
        refused = await world.http.get(
            world.authorize_url(world.attempt(client_id=client["client_id"], redirect_uri=CURSOR[0]))
        )
        assert refused.status_code == 400


@pytest.mark.proves("DCR-1", "DCR-7")
@pytest.mark.parametrize("absent", [{}, {"client_uri": "", "logo_uri": None, "contacts": [], "scope": ""}])
async def test_k33_what_is_not_there_is_left_out_of_what_was_registered(
    world: World, absent: dict[str, object]
) -> None:
    registered = await register(world, **CLAUDE_CODE, **absent)
    assert registered.status_code == 201
    client = registered.json()
    assert not {"client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri", "client_secret", *absent} & client.keys()
    assert [name for name, value in client.items() if value in (None, "", [])] == []
    assert client.items() >= CLAUDE_CODE.items()
