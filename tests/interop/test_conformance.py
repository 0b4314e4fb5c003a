"""The MCP conformance suite examines our authorization server.

Its ``authorization`` leg is what concerns a server alone. Its other legs examine MCP servers and clients.
"""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
from interop_world import InteropWorld, run_interop_world

from nameplate.testing.headless_user import HeadlessUser
from nameplate.testing.serving import open_listener

pytestmark = [pytest.mark.anyio, pytest.mark.interop]

Check = dict[str, Any]
OLDER_NODE = Path(__file__).parent / "node" / "older_node.mjs"
LONGEST_SECONDS = 60


def build_command(node_peers: Path, *arguments: str) -> list[str]:
    """A command line of the suite's."""
    program = node_peers / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    return ["node", "--import", OLDER_NODE.as_uri(), str(program), *arguments]


async def examine(world: InteropWorld, node_peers: Path, directory: Path, client_id: str) -> list[Check]:
    """Run every scenario of the leg; the person follows the URL that the suite prints. All checks that were made."""
    listener, port = open_listener()
    listener.close()  # the suite listens there itself
    process = await asyncio.create_subprocess_exec(
        *build_command(node_peers, "authorization", "--url", world.issuer, "--client-id", client_id),
        *("--resource", world.mcp_url, "--port", str(port), "--output-dir", str(directory)),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            async for line in process.stdout:
                if line.startswith(f"{world.issuer}/authorize?".encode()):
                    await answer(world.user, line.decode().strip())
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return read_checks(directory)


def read_checks(directory: Path) -> list[Check]:
    """What the suite wrote down, scenario by scenario."""
    return [check for file in sorted(directory.rglob("checks.json")) for check in json.loads(file.read_text())]


async def answer(user: HeadlessUser, url: str) -> None:
    """Sign in, allow, and bring the answer to the suite."""
    came_back = await user.authorize(url)
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        assert (await http.get(came_back)).status_code == 200


async def register(world: InteropWorld) -> str:
    """A client that registered itself, without a secret: the suite takes ``none`` wherever that is offered."""
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        metadata = (await http.get(f"{world.issuer}/.well-known/openid-configuration")).json()
        members = {"redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none"}
        response = await http.post(metadata["registration_endpoint"], json=members)
    client_id: str = response.json()["client_id"]
    return client_id


PASSED = {
    "authorization-server-metadata": "SUCCESS",
    "authorization-server-metadata-cimd": "SUCCESS",
    "authorization-code-grant": "SUCCESS",
}


@pytest.mark.proves("CIMD-110", "MCP-2", "MCP-4")
@pytest.mark.parametrize("issuer_path", ["", "/tenant/auth"])
async def test_the_authorization_leg_passes(tmp_path: Path, node_peers: Path, issuer_path: str) -> None:
    async with run_interop_world(tmp_path, issuer_path=issuer_path) as world:
        checks = await examine(world, node_peers, tmp_path / "results", world.client_id)
    assert {check["id"]: check["status"] for check in checks} == PASSED, checks


@pytest.mark.proves("MCP-3")
async def test_the_authorization_leg_passes_for_a_client_that_registered(tmp_path: Path, node_peers: Path) -> None:
    async with run_interop_world(tmp_path) as world:
        checks = await examine(world, node_peers, tmp_path / "results", await register(world))
    assert {check["id"]: check["status"] for check in checks} == PASSED, checks


def test_the_leg_has_no_other_scenarios(node_peers: Path) -> None:
    """So that a newer suite is not taken for passed while half of it never ran. None is about registration."""
    listed = subprocess.run(build_command(node_peers, "list", "--authorization"), capture_output=True, check=True)
    scenarios = [line.split()[1] for line in listed.stdout.decode().splitlines() if line.startswith("  - ")]
    assert scenarios == ["authorization-server-metadata-endpoint", "authorization-code-grant"]
