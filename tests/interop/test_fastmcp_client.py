"""FastMCP's client signs in through our server and calls protected tools, over sockets.

It opens a web browser, and listens for the answer on a port of its own at ``localhost``. Its browser is the one that is
registered here with Python's ``webbrowser``: the headless person.
"""

import asyncio
import json
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.auth import OAuth
from interop_world import InteropWorld, run_interop_world
from key_value.aio.protocols import AsyncKeyValue
from key_value.aio.stores.memory import MemoryStore
from mcp_types import TextContent

from flow_world import DOCUMENT
from nameplate.testing.headless_user import HeadlessUser

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Using in-memory token storage:UserWarning")]

VECTORS = Path(__file__).parents[1] / "vectors" / "clients"
# What FastMCP's own guide to client documents makes: any port by an asterisk, and no refresh token.
TEMPLATE = {
    name: value
    for name, value in json.loads((VECTORS / "fastmcp-template.json").read_text()).items()
    if name != "client_id"
}
NATIVE = {**DOCUMENT, "redirect_uris": ["http://localhost/callback"]}
CONNECT_TRIES = 5


class HeadlessBrowser(webbrowser.BaseBrowser):
    """The person's browser, while there is a person. It goes where it is sent, and on to the client with the answer."""

    def __init__(self) -> None:
        super().__init__("headless")
        self.user: HeadlessUser | None = None
        self.visits: list[asyncio.Task[httpx2.Response]] = []

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        if self.user is None:
            return False
        self.visits.append(asyncio.create_task(self._visit(self.user, url)))
        return True

    async def _visit(self, user: HeadlessUser, url: str) -> httpx2.Response:
        came_back = await user.authorize(url)
        # The client begins to listen after it opened the browser, and this person is quick.
        transport = httpx2.AsyncHTTPTransport(retries=CONNECT_TRIES)
        async with httpx2.AsyncClient(transport=transport, timeout=10) as http:
            return await http.get(came_back)


@pytest.fixture(scope="module")
def registered_browser() -> HeadlessBrowser:
    """Python's preferred browser from now on; without a person it leaves everything to the others."""
    browser = HeadlessBrowser()
    webbrowser.register("nameplate-headless", None, browser, preferred=True)
    return browser


@pytest.fixture
def browser(registered_browser: HeadlessBrowser) -> HeadlessBrowser:
    registered_browser.visits.clear()
    return registered_browser


@asynccontextmanager
async def connect(
    world: InteropWorld, browser: HeadlessBrowser, storage: AsyncKeyValue, *, has_document: bool = True
) -> AsyncIterator[Client[Any]]:
    browser.user = world.user
    document = world.client_id if has_document else None
    oauth = OAuth(client_metadata_url=document, token_storage=storage, callback_timeout=20)
    try:
        async with Client(world.mcp_url, auth=oauth) as client:
            yield client
    finally:
        browser.user = None
    for visit in browser.visits:
        assert (await visit).status_code == 200


async def call(client: Client[Any], tool: str, **arguments: str) -> str:
    (block,) = (await client.call_tool(tool, arguments)).content
    assert isinstance(block, TextContent)
    return block.text


async def test_it_signs_in_calls_a_tool_and_steps_up_for_another(tmp_path: Path, browser: HeadlessBrowser) -> None:
    async with run_interop_world(tmp_path, document=NATIVE) as world, connect(world, browser, MemoryStore()) as client:
        assert await call(client, "list_notes") == f"{world.client_id} may notes:read offline_access"
        assert await call(client, "add_note", text="bread") == "noted bread"
        # Before it opens the browser it asks for the page itself, to see whether the client is known.
        assert world.asked == (4, 2)
        assert len(browser.visits) == 2


async def test_a_document_as_its_own_guide_makes_it_works(tmp_path: Path, browser: HeadlessBrowser) -> None:
    """``http://localhost:*/callback`` is read as any port."""
    async with (
        run_interop_world(tmp_path, document=TEMPLATE) as world,
        connect(world, browser, MemoryStore()) as client,
    ):
        assert await call(client, "list_notes") == f"{world.client_id} may notes:read"


async def test_a_stored_token_serves_the_next_client_without_the_person(
    tmp_path: Path, browser: HeadlessBrowser
) -> None:
    storage = MemoryStore()
    async with run_interop_world(tmp_path, document=NATIVE) as world:
        async with connect(world, browser, storage):
            pass
        await world.restart()
        async with connect(world, browser, storage) as client:
            assert await call(client, "list_notes") == f"{world.client_id} may notes:read offline_access"
        assert world.asked == (2, 1)
        assert len(browser.visits) == 1


async def test_without_a_document_it_registers(tmp_path: Path, browser: HeadlessBrowser) -> None:
    async with (
        run_interop_world(tmp_path) as world,
        connect(world, browser, MemoryStore(), has_document=False) as client,
    ):
        assert (await call(client, "list_notes")).endswith(" may notes:read offline_access")
        assert await call(client, "add_note", text="bread") == "noted bread"
        assert world.host.requests == []


async def test_a_client_without_a_document_is_told_before_a_browser_opens(
    tmp_path: Path, browser: HeadlessBrowser
) -> None:
    async with run_interop_world(tmp_path, document=NATIVE) as world:
        world.host.documents.clear()
        with pytest.raises(RuntimeError, match="OAuth client not found"):
            async with connect(world, browser, MemoryStore()):
                pass
        assert browser.visits == []
