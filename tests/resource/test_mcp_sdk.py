"""The official MCP SDK's server behind our guard, and its own client in front of it, over a socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from resource_kit import IssuerHost, call, run_issuers, serve
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from nameplate.errors import ConfigurationError
from nameplate.integrations.mcp import McpOptions, NameplateTokenVerifier, protect_mcp
from nameplate.jose import SigningKey
from nameplate.protocol.revocation import build_revoked_grants
from nameplate.resource import ProtectedApp, ResourceOptions, RevocationFeed, StaticKeys, current_access_token
from nameplate.secret import Secret

Mode = Literal["legacy", "auto"]
MODES: list[Mode] = ["legacy", "auto"]  # the handshake of 2025, and 2026-07-28
SCOPES = {"notes:read": "See your notes", "notes:write": "Change your notes"}
TOOL_SCOPES = {"write_note": ["notes:write"]}


def build_server(**settings: Any) -> MCPServer:
    server = MCPServer("notes", **settings)

    @server.tool()
    def read_note() -> str:
        """Who is asking, as nameplate and as the SDK see it."""
        ours, theirs = current_access_token(), get_access_token()
        assert theirs is not None
        return f"{ours.subject if ours else '-'} {theirs.subject} {theirs.client_id} {' '.join(theirs.scopes)}"

    @server.tool()
    def write_note(text: str) -> str:
        """Change something."""
        return f"wrote {text}"

    return server


class Notes:
    """An MCP server at a URL, and the issuer it trusts."""

    def __init__(self, url: str, issuer: IssuerHost) -> None:
        self.url = url
        self.issuer = issuer

    def sign(self, **changes: Any) -> str:
        """A token for it."""
        return self.issuer.sign(**{"aud": self.url, "scope": "notes:read", **changes})

    def build_client(self, token: str, refusals: list[httpx2.Response]) -> httpx2.AsyncClient:
        """An HTTP client with this token, which notes the refusals that it gets."""

        async def note(response: httpx2.Response) -> None:
            if response.status_code >= 400:
                refusals.append(response)

        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.AsyncClient(headers=headers, trust_env=False, event_hooks={"response": [note]})


@pytest.fixture(scope="module")
def notes() -> Iterator[Notes]:
    with run_issuers() as house:

        def build(origin: str) -> ASGIApp:
            return protect_mcp(
                build_server(),
                resource=f"{origin}/mcp",
                issuer=house.host.issuer,
                scopes=SCOPES,
                tool_scopes=TOOL_SCOPES,
                options=McpOptions(required_scope=["notes:read"], allowed_origins=["https://app.example.com"]),
            )

        with serve(build) as origin:
            yield Notes(f"{origin}/mcp", house.host)


@asynccontextmanager
async def connect(notes: Notes, mode: Mode, token: str, refusals: list[httpx2.Response]) -> AsyncIterator[Client]:
    async with (
        notes.build_client(token, refusals) as http_client,
        Client(streamable_http_client(notes.url, http_client=http_client), mode=mode) as client,
    ):
        yield client


def play(
    notes: Notes, mode: Mode, token: str, scene: Callable[[Client], Coroutine[Any, Any, None]]
) -> list[httpx2.Response]:
    """Play a scene with the SDK's client; the refusals that it met."""
    refusals: list[httpx2.Response] = []

    async def run() -> None:
        async with connect(notes, mode, token, refusals) as client:
            await scene(client)

    asyncio.run(run())
    return refusals


def read_text(result: Any) -> str:
    assert not result.is_error
    text: str = result.content[0].text
    return text


@pytest.mark.parametrize("mode", MODES)
def test_a_client_with_a_token_lists_tools_and_calls_one(notes: Notes, mode: Mode) -> None:
    async def scene(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {"read_note", "write_note"}
        text = read_text(await client.call_tool("read_note"))
        assert text == "person person https://client.example/client.json notes:read"

    assert play(notes, mode, notes.sign(), scene) == []


@pytest.mark.proves("MCP-34", "MCP-35")
@pytest.mark.parametrize("mode", MODES)
def test_a_tool_that_needs_more_is_refused_with_a_challenge_and_the_others_still_work(notes: Notes, mode: Mode) -> None:
    async def scene(client: Client) -> None:
        with pytest.raises(MCPError):
            await client.call_tool("write_note", {"text": "a"})
        assert read_text(await client.call_tool("read_note")).startswith("person")

    (refusal,) = play(notes, mode, notes.sign(), scene)
    assert refusal.status_code == 403
    challenge = refusal.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="notes:read notes:write"' in challenge
    assert "/.well-known/oauth-protected-resource/mcp" in challenge


@pytest.mark.parametrize("mode", MODES)
def test_a_token_with_the_tools_scope_calls_it(notes: Notes, mode: Mode) -> None:
    async def scene(client: Client) -> None:
        assert read_text(await client.call_tool("write_note", {"text": "a"})) == "wrote a"

    assert play(notes, mode, notes.sign(scope="notes:read notes:write"), scene) == []


def test_without_a_token_no_message_is_answered(notes: Notes) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert call(notes.url, json=message).status_code == 401
    assert call(notes.url, notes.sign(aud="https://other.example"), json=message).status_code == 401


INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


def open_session(notes: Notes, token: str) -> str:
    initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
    response = call(notes.url, token, json=initialize, headers={"Accept": "application/json, text/event-stream"})
    assert response.status_code == 200
    session: str = response.headers["mcp-session-id"]
    return session


@pytest.mark.proves("MCP-41")
def test_a_session_belongs_to_the_person_and_client_that_opened_it(notes: Notes) -> None:
    """MCP-41, RS-07."""
    session = open_session(notes, notes.sign(sub="alice"))
    headers = {"Accept": "application/json, text/event-stream", "Mcp-Session-Id": session}
    message = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    assert call(notes.url, notes.sign(sub="bob"), json=message, headers=headers).status_code == 404
    foreign = notes.sign(sub="alice", client_id="https://other.example/client.json")
    assert call(notes.url, foreign, json=message, headers=headers).status_code == 404
    assert call(notes.url, json=message, headers=headers).status_code == 401
    assert call(notes.url, notes.sign(sub="alice", jti="another"), json=message, headers=headers).status_code == 200


def test_a_request_that_was_addressed_to_another_host_is_refused(notes: Notes) -> None:
    """RS-08."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for headers in ({"Host": "attacker.example"}, {"Origin": "https://attacker.example"}):
        response = call(notes.url, notes.sign(), json=message, headers=headers)
        assert response.status_code in {403, 421}


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example.com", 200),
        ("https://app.example.com:8443", 403),
        ("https://app.example.com.attacker.example", 403),
        ("http://app.example.com", 403),
        ("null", 403),
    ],
)
def test_pages_of_an_allowed_origin_may_call_the_server_and_no_others(notes: Notes, origin: str, status: int) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
    headers = {"Accept": "application/json, text/event-stream", "Origin": origin}
    assert call(notes.url, notes.sign(), json=message, headers=headers).status_code == status


# What cannot work is refused


def build_protected(server: MCPServer | ASGIApp, **changes: Any) -> ProtectedApp:
    settings = {
        "resource": "https://mcp.example.com/mcp",
        "issuer": "https://login.example.com",
        "scopes": SCOPES,
        "options": ResourceOptions(keys=StaticKeys({"keys": [SigningKey.generate().public_jwk()]})),
        **changes,
    }
    return protect_mcp(server, **settings)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("write_notes", "the server has no tool 'write_notes'; did you mean 'write_note'?"),
        ("Write_note", "the server has no tool 'Write_note'; did you mean 'write_note'?"),
        ("zzz", "the server has no tool 'zzz'"),
    ],
)
def test_a_server_without_a_tool_that_tool_scopes_names_does_not_start(name: str, problem: str) -> None:
    app = build_protected(build_server(), tool_scopes={**TOOL_SCOPES, name: ["notes:write"]})
    with pytest.raises(ConfigurationError) as caught, TestClient(app):
        pass
    assert (caught.value.setting, caught.value.problem) == ("tool_scopes", problem)


def test_the_web_server_is_told_why_the_start_failed() -> None:
    app = build_protected(build_server(), tool_scopes={"write_notes": ["notes:write"]})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def start() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    with pytest.raises(ConfigurationError):
        asyncio.run(start())
    problem = "tool_scopes: the server has no tool 'write_notes'; did you mean 'write_note'?"
    assert sent == [{"type": "lifespan.startup.failed", "message": problem}]


def test_tools_may_be_added_until_the_servers_own_lifespan_has_begun() -> None:
    @asynccontextmanager
    async def add_tools(server: MCPServer[None]) -> AsyncIterator[None]:
        server.add_tool(lambda: "", name="late", description="Added at the start.")
        yield

    server = build_server(lifespan=add_tools)
    app = build_protected(server, tool_scopes={"late": ["notes:write"], "later": ["notes:write"]})
    server.add_tool(lambda: "", name="later", description="Added after the guard.")
    with TestClient(app, base_url="https://mcp.example.com") as client:
        assert client.post("/mcp").status_code == 401


def test_a_lifespan_that_fails_by_itself_fails_as_before() -> None:
    @asynccontextmanager
    async def fail(server: MCPServer[None]) -> AsyncIterator[None]:
        if server.name:
            raise OSError("no database")
        yield

    with pytest.raises(OSError, match="no database"), TestClient(build_protected(build_server(lifespan=fail))):
        pass


@pytest.mark.parametrize("resource", ["foo", "", "/mcp", "https://mcp.example.com/mcp#a", "http://mcp.example.com/mcp"])
def test_a_resource_that_is_no_identifier_is_refused_as_protect_does(resource: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_protected(build_server(), resource=resource)
    assert caught.value.setting == "resource"


@pytest.mark.parametrize(
    "origins",
    [
        "https://app.example.com",
        ["https://app.example.com/"],
        ["https://App.example.com"],
        ["app.example.com"],
        ["*"],
        ["https://*"],
        ["http://localhost:*"],
        ["null"],
        [""],
    ],
)
def test_what_no_browser_sends_as_origin_is_refused(origins: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_protected(build_server(), options=McpOptions(allowed_origins=origins))
    assert caught.value.setting == "allowed_origins"


def test_allowed_origins_are_refused_where_they_would_do_nothing() -> None:
    app = build_server().streamable_http_app()
    with pytest.raises(ConfigurationError) as caught:
        build_protected(app, options=McpOptions(allowed_origins=["https://app.example.com"]))
    assert caught.value.setting == "allowed_origins"


def test_an_application_of_ones_own_is_protected_as_it_is() -> None:
    with run_issuers() as house:

        def build(origin: str) -> ASGIApp:
            server = build_server()
            app = server.streamable_http_app(streamable_http_path="/deep/mcp", json_response=True, stateless_http=True)
            options = ResourceOptions(keys=StaticKeys({"keys": [house.host.keys[0].public_jwk()]}))
            return protect_mcp(
                app, resource=f"{origin}/deep/mcp", issuer=house.host.issuer, scopes=["notes:read"], options=options
            )

        with serve(build) as origin:
            notes = Notes(f"{origin}/deep/mcp", house.host)
            headers = {"Accept": "application/json, text/event-stream"}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            response = call(notes.url, notes.sign(), json=message, headers=headers)
            assert len(response.json()["result"]["tools"]) == 2
            assert house.host.asked == []


# The SDK's own bearer check with our verifier


@pytest.fixture(scope="module")
def sdk_notes() -> Iterator[Notes]:
    with run_issuers() as house:

        def build(origin: str) -> ASGIApp:
            url = f"{origin}/mcp"
            issuer = house.host.issuer
            server = build_server(
                token_verifier=NameplateTokenVerifier(issuer=issuer, resource=url),
                auth=AuthSettings.model_validate(
                    {
                        "issuer_url": issuer,
                        "resource_server_url": url,
                        "required_scopes": ["notes:read"],
                        "validate_token_resource": False,
                    }
                ),
            )
            return server.streamable_http_app(host=str(urlsplit(origin).hostname))

        with serve(build) as origin:
            yield Notes(f"{origin}/mcp", house.host)


def test_the_sdks_own_check_works_with_our_verifier(sdk_notes: Notes) -> None:
    async def scene(client: Client) -> None:
        text = read_text(await client.call_tool("read_note"))
        assert text == "- person https://client.example/client.json notes:read"

    assert play(sdk_notes, "auto", sdk_notes.sign(), scene) == []
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert call(sdk_notes.url, sdk_notes.sign(aud="https://other.example"), json=message).status_code == 401
    assert call(sdk_notes.url, sdk_notes.sign(scope="other"), json=message).status_code == 403
    assert call(sdk_notes.url, json=message).status_code == 401


def test_the_verifier_gives_the_sdk_everything_byte_for_byte() -> None:
    async def run() -> None:
        with run_issuers() as house:
            verifier = NameplateTokenVerifier(issuer=house.host.issuer, resource="https://mcp.example.com")
            token = house.host.sign(aud="https://mcp.example.com", scope="a b")
            read = await verifier.verify_token(token)
            assert read is not None
            assert (read.token, read.resource, read.subject) == (token, "https://mcp.example.com", "person")
            assert (read.client_id, read.scopes) == ("https://client.example/client.json", ["a", "b"])
            assert read.claims is not None
            assert read.claims["iss"] == house.host.issuer
            assert read.expires_at == read.claims["exp"]
            assert await verifier.verify_token(house.host.sign(aud="https://mcp.example.com/")) is None
            assert await verifier.verify_token("junk") is None
            await verifier.aclose()

    asyncio.run(run())


def test_the_verifier_accepts_nothing_while_no_key_can_be_had() -> None:
    async def run() -> None:
        with run_issuers() as house:
            house.host.statuses["/jwks"] = 500
            verifier = NameplateTokenVerifier(issuer=house.host.issuer, resource="https://mcp.example.com")
            assert await verifier.verify_token(house.host.sign(aud="https://mcp.example.com")) is None
            await verifier.aclose()

    asyncio.run(run())


def test_the_verifier_refuses_what_was_revoked_if_it_is_told_how_to_know() -> None:
    async def run() -> None:
        with run_issuers() as house:
            host = house.host
            feed = RevocationFeed(resource_server_id="notes", secret=Secret("geheim"))
            verifier = NameplateTokenVerifier(issuer=host.issuer, resource="https://mcp.example.com", revocation=feed)
            now = int(time.time())
            host.documents["/revocations"] = build_revoked_grants(
                ["g1"], issuer=host.issuer, resources=["https://mcp.example.com"], now=now, since=now - 600
            )
            revoked, good = (host.sign(aud="https://mcp.example.com", grant_id=grant_id) for grant_id in ("g1", "g2"))
            assert await verifier.verify_token(revoked) is None
            assert await verifier.verify_token(good) is not None
            await verifier.aclose()

    asyncio.run(run())
