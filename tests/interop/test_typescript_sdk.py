"""The official TypeScript SDK, both of its release lines, signs in through our server and calls protected tools."""

from pathlib import Path

import pytest
from interop_world import run_interop_world
from node_client import run_node_client

from flow_world import DOCUMENT

pytestmark = [pytest.mark.anyio, pytest.mark.interop, pytest.mark.usefixtures("node_peers")]

BOTH = pytest.mark.parametrize("sdk", ["v1", "v2"])
WITHOUT_REFRESH = {**DOCUMENT, "grant_types": ["authorization_code"]}


@pytest.mark.parametrize(("sdk", "document"), [("v1", WITHOUT_REFRESH), ("v2", DOCUMENT)])
async def test_it_signs_in_calls_a_tool_and_steps_up_for_another(
    tmp_path: Path, sdk: str, document: dict[str, object]
) -> None:
    async with run_interop_world(tmp_path, document=document) as world, run_node_client(world, sdk) as client:
        assert await client.call("list_notes") == {"result": [f"{world.client_id} may notes:read"]}
        assert world.asked == (1, 1)
        assert await client.call("add_note", text="bread") == {"result": ["noted bread"]}
        assert world.asked == (2, 2)
        assert await client.call("list_notes") == {"result": [f"{world.client_id} may notes:read notes:write"]}
        assert world.asked == (2, 2)


async def test_v1_with_a_refresh_token_cannot_step_up_and_gets_nothing_more(tmp_path: Path) -> None:
    """It refreshes where it should ask the person (typescript-sdk#2255); v2 does not."""
    async with run_interop_world(tmp_path) as world, run_node_client(world, "v1") as client:
        await client.call("list_notes")
        assert "403" in (await client.call("add_note", text="bread"))["error"]
        assert world.asked == (1, 2)
        assert await client.call("list_notes") == {"result": [f"{world.client_id} may notes:read"]}


@BOTH
async def test_it_refreshes_an_expired_token_after_the_server_restarted(tmp_path: Path, sdk: str) -> None:
    async with run_interop_world(tmp_path) as world, run_node_client(world, sdk) as client:
        await client.call("list_notes")
        world.expire_access_tokens()
        await world.restart()
        assert "result" in await client.call("list_notes")
        assert world.asked == (1, 2)


@BOTH
@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
async def test_without_a_document_it_registers_and_refreshes(tmp_path: Path, sdk: str, method: str) -> None:
    async with (
        run_interop_world(tmp_path) as world,
        run_node_client(world, sdk, clientId=None, authMethod=method) as client,
    ):
        before = await client.call("list_notes")
        assert before["result"][0].endswith(" may notes:read")
        world.expire_access_tokens()
        assert await client.call("list_notes") == before
        assert world.asked == (1, 2)
        assert world.host.requests == []


@BOTH
async def test_it_finds_an_issuer_with_a_path(tmp_path: Path, sdk: str) -> None:
    async with run_interop_world(tmp_path, issuer_path="/tenant/auth") as world, run_node_client(world, sdk) as client:
        assert "result" in await client.call("list_notes")
        assert world.asked == (1, 1)


async def test_it_hears_of_a_denial(tmp_path: Path) -> None:
    async with run_interop_world(tmp_path) as world, run_node_client(world, "v2") as client:
        assert "access_denied" in (await client.call("list_notes", answer="deny"))["error"]
        assert world.asked == (1, 0)


async def test_it_refuses_a_server_whose_metadata_names_another_issuer(tmp_path: Path) -> None:
    """RFC 8414 §3.3. v1 does not look."""
    async with run_interop_world(tmp_path, advertised_host="localhost") as world:
        async with run_node_client(world, "v2") as client:
            assert (await client.call("list_notes"))["error"].startswith("IssuerMismatchError")
        assert world.asked == (0, 0)
