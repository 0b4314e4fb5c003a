"""oauth4webapi and openid-client, libraries that know nothing of MCP, sign in, refresh and revoke at our server.

oauth4webapi is strict about what a server answers: issuer, content types, members, status codes.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from interop_world import REDIRECT_URI, InteropWorld, run_interop_world

from flow_world import DOCUMENT
from nameplate.jose.signing_key import SigningKey

pytestmark = [pytest.mark.anyio, pytest.mark.interop, pytest.mark.usefixtures("node_peers")]

BOTH = pytest.mark.parametrize("library", ["oauth4webapi", "openid-client"])
PROGRAM = Path(__file__).parent / "node" / "library.mjs"
LONGEST_SECONDS = 30


async def run_library(world: InteropWorld, library: str, **settings: object) -> dict[str, Any]:
    """What the program ends with, once the person whom it sends over allowed it."""
    about = {
        "library": library,
        "issuer": world.issuer,
        "resource": world.mcp_url,
        "redirectUri": REDIRECT_URI,
        "clientId": world.client_id,
        "clockSkew": int(world.clock() - time.time()),
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        "node", PROGRAM, json.dumps(about), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            said: dict[str, Any] = json.loads(await process.stdout.readline())
            while "authorize" in said:
                callback = await world.user.authorize(said["authorize"])
                process.stdin.write(json.dumps({"callback": callback}).encode() + b"\n")
                said = json.loads(await process.stdout.readline())
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said


def check_flow(said: dict[str, Any]) -> dict[str, Any]:
    """The whole flow went well, and the revoked token is good for nothing. What the client is to the server."""
    assert "result" in said, said
    result: dict[str, Any] = said["result"]
    first, second = result["tokens"], result["refreshed"]
    assert first["scope"] == second["scope"] == "notes:read"
    assert first["access_token"] != second["access_token"]
    assert result["afterwards"] == "invalid_grant"
    client: dict[str, Any] = result["client"]
    return client


@BOTH
@pytest.mark.parametrize("issuer_path", ["", "/tenant/auth"])
async def test_a_public_client_signs_in_refreshes_and_revokes(tmp_path: Path, library: str, issuer_path: str) -> None:
    async with run_interop_world(tmp_path, issuer_path=issuer_path) as world:
        check_flow(await run_library(world, library))


@BOTH
async def test_a_client_signs_with_the_key_of_its_document(tmp_path: Path, library: str) -> None:
    """The libraries name the issuer as audience, and no type."""
    key = SigningKey.generate()
    document = {
        **DOCUMENT,
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [key.public_jwk()]},
    }
    async with run_interop_world(tmp_path, document=document) as world:
        check_flow(await run_library(world, library, key=json.loads(key.private_jwk())))


@BOTH
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
async def test_a_client_without_a_document_registers(tmp_path: Path, library: str, method: str) -> None:
    metadata = {
        "client_name": "Library",
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": method,
        "grant_types": ["authorization_code", "refresh_token"],
    }
    async with run_interop_world(tmp_path) as world:
        client = check_flow(await run_library(world, library, register=metadata, method=method))
        assert client["client_id"] != world.client_id
        assert ("client_secret" in client) is (method != "none")
