"""FastMCP's application behind ``protect_mcp``, as docs/protect-a-python-server.md shows it, called over a socket."""

import time
from urllib.parse import urlsplit

import httpx2
import pytest
from fastmcp import Client, FastMCP
from fastmcp.server.dependencies import get_access_token

from nameplate.integrations.mcp import protect_mcp
from nameplate.jose import SigningKey
from nameplate.resource import ProtectedApp, ResourceOptions, StaticKeys, current_access_token
from nameplate.testing.serving import open_listener, serve_app

ISSUER = "https://auth.example.com"


def build_app(resource: str, key: SigningKey) -> ProtectedApp:
    server = FastMCP("Notes")

    @server.tool
    def whose() -> list[str]:
        """Whose notes these are, as FastMCP and as we see it."""
        theirs, ours = get_access_token(), current_access_token()
        return [theirs.subject or "" if theirs else "", ours.subject if ours else ""]

    return protect_mcp(
        server.http_app(path="/mcp", host_origin_protection=True, allowed_hosts=[urlsplit(resource).netloc]),
        resource=resource,
        issuer=ISSUER,
        scopes=["notes:read"],
        tool_scopes={"whose": ["notes:read"]},
        options=ResourceOptions(keys=StaticKeys({"keys": [key.public_jwk()]})),
    )


def sign(key: SigningKey, resource: str, scope: str) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": resource, "sub": "ada", "client_id": "https://app.example.com/oauth/client.json"}
    return key.sign({**claims, "iat": now, "exp": now + 60, "jti": "1", "scope": scope}, typ="at+jwt")


@pytest.mark.anyio
async def test_a_tool_of_fastmcp_sees_the_person_and_needs_its_scope() -> None:
    key = SigningKey.generate()
    listener, port = open_listener()
    resource = f"http://127.0.0.1:{port}/mcp"
    async with serve_app(build_app(resource, key), listener):
        async with Client(resource, auth=sign(key, resource, "notes:read")) as client:
            assert (await client.call_tool("whose")).data == ["ada", "ada"]
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whose"}}
        headers = {"Authorization": f"Bearer {sign(key, resource, 'other')}"}
        async with httpx2.AsyncClient(trust_env=False) as http:
            refused = await http.post(resource, json=call, headers=headers)
        assert refused.status_code == 403
        assert 'scope="notes:read"' in refused.headers["www-authenticate"]
