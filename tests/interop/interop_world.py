"""What other projects' clients meet: our authorization server and an MCP server that it protects, on sockets."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp

from flow_world import DOCUMENT, PASSWORD, build_settings
from nameplate.demo.traffic import Traffic, WatchedApp
from nameplate.integrations.mcp import protect_mcp
from nameplate.resource import ResourceOptions, current_access_token
from nameplate.server.app import AuthorizationServer
from nameplate.server.settings import Settings
from nameplate.testing.clock import FixedClock
from nameplate.testing.document_host import DocumentHost, run_document_host
from nameplate.testing.headless_user import HeadlessUser
from nameplate.testing.serving import open_listener, serve_app

__all__ = ["ACCESS_TOKEN_SECONDS", "REDIRECT_URI", "InteropWorld", "run_interop_world"]

READ, WRITE = "notes:read", "notes:write"
REDIRECT_URI = "http://127.0.0.1:51763/callback"
ACCESS_TOKEN_SECONDS = 600
LEEWAY_SECONDS = 10


@dataclass(kw_only=True)
class InteropWorld:
    """The servers, and the person who answers. ``traffic`` is what the authorization server is asked."""

    issuer: str
    mcp_url: str
    host: DocumentHost
    client_id: str
    clock: FixedClock
    user: HeadlessUser
    traffic: Traffic = field(default_factory=Traffic)
    _settings: Settings
    _port: int
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        """Start the authorization server."""
        server = AuthorizationServer(self._settings, clock=self.clock)
        listener, _port = open_listener(self._port)
        await self._running.enter_async_context(serve_app(WatchedApp(server.standalone_app(), self.traffic), listener))

    async def stop(self) -> None:
        """Stop it. What it has to remember is in its file."""
        await self._running.aclose()

    async def restart(self) -> None:
        """As a deployment does."""
        await self.stop()
        await self.start()

    def expire_access_tokens(self) -> None:
        """Let so much time pass that the MCP server accepts none of them any more."""
        self.clock.advance(ACCESS_TOKEN_SECONDS + LEEWAY_SECONDS + 1)

    @property
    def asked(self) -> tuple[int, int]:
        """How often the person was sent here, and how often the client asked for tokens with success."""
        answered = [exchange.path for exchange in self.traffic.exchanges if exchange.status == 200]
        return sum(path.endswith("/authorize") for path in answered), sum(path.endswith("/token") for path in answered)


def build_notes_server() -> MCPServer:
    """Two tools, each of which needs a scope of its own."""
    server = MCPServer("notes")

    @server.tool()
    def list_notes() -> str:
        """Who asks, and with which permission."""
        token = current_access_token()
        return f"{token.client_id} may {' '.join(token.scope)}" if token else "nobody"

    @server.tool()
    def add_note(text: str) -> str:
        """Change something."""
        return f"noted {text}"

    return server


def build_mcp_app(mcp_url: str, issuer: str, clock: FixedClock) -> ASGIApp:
    """The server behind our guard, with the same clock as the authorization server."""
    return protect_mcp(
        build_notes_server(),
        resource=mcp_url,
        issuer=issuer,
        scopes=[READ, WRITE],
        tool_scopes={"list_notes": [READ], "add_note": [WRITE]},
        options=ResourceOptions(required_scope=[READ], leeway_seconds=LEEWAY_SECONDS, clock=clock),
    )


@asynccontextmanager
async def run_interop_world(
    directory: Path,
    *,
    issuer_path: str = "",
    document: Mapping[str, object] = DOCUMENT,
    advertised_host: str = "127.0.0.1",
) -> AsyncIterator[InteropWorld]:
    """Start everything on loopback.

    ``advertised_host`` is the name by which the MCP server knows the authorization server, whose own issuer is at
    127.0.0.1 whatever that is.
    """
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(run_document_host(directory))
        (server_listener, server_port), (mcp_listener, mcp_port) = open_listener(), open_listener()
        server_listener.close()  # its port is ours for now; the server opens it again whenever it starts
        issuer, mcp_url = f"http://127.0.0.1:{server_port}{issuer_path}", f"http://127.0.0.1:{mcp_port}/mcp"
        world = InteropWorld(
            issuer=issuer,
            mcp_url=mcp_url,
            host=host,
            client_id=host.publish("/oauth/client.json", document),
            clock=FixedClock(),
            user=await stack.enter_async_context(HeadlessUser("alice", PASSWORD)),
            _settings=build_settings(
                issuer, mcp_url, directory, host, {"tokens": {"access_token_seconds": ACCESS_TOKEN_SECONDS}}
            ),
            _port=server_port,
        )
        known_as = f"http://{advertised_host}:{server_port}{issuer_path}"
        await stack.enter_async_context(serve_app(build_mcp_app(mcp_url, known_as, world.clock), mcp_listener))
        stack.push_async_callback(world.stop)
        await world.start()
        yield world
