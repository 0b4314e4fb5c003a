"""The official Python SDK signs in through our server and calls protected tools, over sockets."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from interop_world import REDIRECT_URI, InteropWorld, run_interop_world
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types import TextContent
from pydantic import AnyUrl

from flow_world import read_answer

pytestmark = pytest.mark.anyio

Mode = Literal["legacy", "auto"]
Method = Literal["none", "client_secret_post", "client_secret_basic"]
MODES: list[Mode] = ["legacy", "auto"]  # the handshake of 2025, and 2026-07-28


@dataclass
class Storage:
    """The SDK's ``TokenStorage``. It outlives the client, as a file would."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass(kw_only=True)
class Person:
    """Goes to the authorization server and brings the answer back, with ``changes`` made on the way."""

    world: InteropWorld
    answer: str = "allow"
    changes: Mapping[str, str] = field(default_factory=dict)
    restarts_server: bool = False
    _came_back: str = ""

    async def redirect(self, url: str) -> None:
        """The SDK's redirect handler."""
        self._came_back = await self.world.user.authorize(url, self.answer)

    async def wait(self) -> AuthorizationCodeResult:
        """The SDK's callback handler."""
        if self.restarts_server:
            await self.world.restart()
        assert self._came_back.startswith(f"{REDIRECT_URI}?")
        came = {**read_answer(self._came_back), **self.changes}
        return AuthorizationCodeResult(code=came.get("code", ""), state=came["state"], iss=came.get("iss"))


@dataclass(kw_only=True)
class Peer:
    """The SDK's client, connected."""

    client: Client
    provider: OAuthClientProvider

    async def call(self, tool: str, **arguments: str) -> str:
        """The text that a tool answers."""
        result = await self.client.call_tool(tool, arguments)
        (block,) = result.content
        assert isinstance(block, TextContent)
        assert not result.is_error, block.text
        return block.text

    def notice_expiry(self) -> None:
        """As if the token's ten minutes were over on the client's own clock, which cannot be injected."""
        self.provider.context.token_expiry_time = 1.0


@asynccontextmanager
async def connect(
    person: Person, mode: Mode = "auto", *, storage: Storage | None = None, registers_for: Method | None = None
) -> AsyncIterator[Peer]:
    """``registers_for``: without a document, for this method."""
    provider = OAuthClientProvider(
        server_url=person.world.mcp_url,
        client_metadata=OAuthClientMetadata(
            redirect_uris=[AnyUrl(REDIRECT_URI)],
            grant_types=["authorization_code", "refresh_token"],
            token_endpoint_auth_method=registers_for or "none",
        ),
        storage=storage or Storage(),
        redirect_handler=person.redirect,
        callback_handler=person.wait,
        client_metadata_url=None if registers_for else person.world.client_id,
    )
    async with (
        httpx2.AsyncClient(auth=provider, trust_env=False, timeout=10) as http,
        Client(streamable_http_client(person.world.mcp_url, http_client=http), mode=mode) as client,
    ):
        yield Peer(client=client, provider=provider)


async def expect_refusal(person: Person, message: str) -> None:
    """The client gives up with this message, and never asks for tokens."""
    with pytest.RaisesGroup(pytest.RaisesExc(OAuthFlowError, match=message), flatten_subgroups=True):
        async with connect(person):
            pass
    assert person.world.asked[1] == 0


@pytest.mark.proves("MCP-2")
@pytest.mark.parametrize("mode", MODES)
async def test_it_signs_in_calls_a_tool_and_steps_up_for_another(tmp_path: Path, mode: Mode) -> None:
    async with run_interop_world(tmp_path) as world, connect(Person(world=world), mode) as peer:
        assert await peer.call("list_notes") == f"{world.client_id} may notes:read offline_access"
        assert world.asked == (1, 1)
        assert await peer.call("add_note", text="bread") == "noted bread"
        assert world.asked == (2, 2)
        assert await peer.call("list_notes") == f"{world.client_id} may notes:read notes:write offline_access"
        assert world.asked == (2, 2)


async def test_it_refreshes_an_expired_token_and_keeps_what_it_stepped_up_to(tmp_path: Path) -> None:
    async with run_interop_world(tmp_path) as world, connect(Person(world=world)) as peer:
        await peer.call("add_note", text="bread")
        world.expire_access_tokens()
        peer.notice_expiry()
        assert await peer.call("add_note", text="salt") == "noted salt"
        assert world.asked == (2, 3)


async def test_a_token_that_expired_on_the_servers_clock_alone_leads_to_the_person_once_more(tmp_path: Path) -> None:
    """The SDK refreshes by its own clock only; a 401 starts it over."""
    async with run_interop_world(tmp_path) as world, connect(Person(world=world)) as peer:
        world.expire_access_tokens()
        await peer.call("list_notes")
        assert world.asked == (2, 2)


@pytest.mark.proves("MCP-1", "MCP-3")
@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
async def test_without_a_document_it_registers_and_refreshes(tmp_path: Path, method: Method) -> None:
    async with (
        run_interop_world(tmp_path) as world,
        connect(Person(world=world), registers_for=method) as peer,
    ):
        before = await peer.call("list_notes")
        assert before.endswith(" may notes:read offline_access")
        assert world.client_id not in before
        world.expire_access_tokens()
        peer.notice_expiry()
        assert await peer.call("list_notes") == before
        assert world.asked == (1, 2)
        assert world.host.requests == []


@pytest.mark.proves("CIMD-117")
async def test_a_restart_between_code_and_token_and_before_the_refresh_goes_unnoticed(tmp_path: Path) -> None:
    """K31: the last good copy of the document, from the store, serves a refresh whose host has lost it."""
    async with run_interop_world(tmp_path) as world, connect(Person(world=world, restarts_server=True)) as peer:
        await peer.call("list_notes")
        assert world.asked == (1, 1)
        world.expire_access_tokens()
        peer.notice_expiry()
        world.host.documents.clear()
        await world.restart()
        await peer.call("list_notes")
        assert world.asked == (1, 2)


async def test_a_stored_token_serves_the_next_client_without_the_person(tmp_path: Path) -> None:
    storage = Storage()
    async with run_interop_world(tmp_path) as world:
        async with connect(Person(world=world), storage=storage):
            pass
        await world.restart()
        async with connect(Person(world=world), storage=storage) as peer:
            await peer.call("list_notes")
        assert world.asked == (1, 1)


@pytest.mark.parametrize("mode", MODES)
async def test_it_finds_an_issuer_with_a_path(tmp_path: Path, mode: Mode) -> None:
    async with (
        run_interop_world(tmp_path, issuer_path="/tenant/auth") as world,
        connect(Person(world=world), mode) as peer,
    ):
        await peer.call("add_note", text="bread")
        assert world.asked == (2, 2)


async def test_it_refuses_a_server_whose_metadata_names_another_issuer(tmp_path: Path) -> None:
    """RFC 8414 §3.3: the MCP server names our server by another spelling than our server itself."""
    async with run_interop_world(tmp_path, advertised_host="localhost") as world:
        await expect_refusal(Person(world=world), "metadata issuer mismatch")
        assert world.asked == (0, 0)


async def test_it_refuses_an_answer_from_another_issuer(tmp_path: Path) -> None:
    """RFC 9207 §2.4: mix-up."""
    async with run_interop_world(tmp_path) as world:
        await expect_refusal(Person(world=world, changes={"iss": "https://evil.example"}), "iss mismatch")


async def test_a_denial_carries_the_issuer_too(tmp_path: Path) -> None:
    """Else the client would complain of the missing iss, not of the missing code (kody#2279)."""
    async with run_interop_world(tmp_path) as world:
        await expect_refusal(Person(world=world, answer="deny"), "No authorization code received")
