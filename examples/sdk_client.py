"""A command-line client that is known by a document on its own domain: the official MCP SDK, and nothing of nameplate.

    python sdk_client.py https://mcp.example.com/mcp add_note text="Buy bread"

``--client-id`` is the https URL at which your copy of ``client.json`` lies; its ``client_id`` member must be that very
URL. The first call opens the browser (``BROWSER`` names another one). Needs the package ``mcp``.
"""

import argparse
import asyncio
import queue
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

PATIENCE_SECONDS = 300


class MemoryStorage:
    """Keeps the tokens while the program runs. Yours would keep them where only its user can read them."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


class Callback:
    """A loopback port of our own, to which the browser brings the answer (RFC 8252 §7.3)."""

    def __init__(self, port: int, answers: "queue.Queue[dict[str, str]]") -> None:
        self.redirect_uri = f"http://127.0.0.1:{port}/callback"
        self._answers = answers

    async def wait(self) -> AuthorizationCodeResult:
        """The answer. The SDK compares its ``state`` and ``iss`` with what it sent and whom it asked."""
        answer = await asyncio.to_thread(self._answers.get, timeout=PATIENCE_SECONDS)
        if "code" not in answer:
            raise SystemExit(f"No access: {answer.get('error')}: {answer.get('error_description', '')}")
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


@contextmanager
def listen_for_answer() -> Iterator[Callback]:
    """Listen on a free port until the block is left. The document lists the redirect URI without a port."""
    answers: queue.Queue[dict[str, str]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path != "/callback":
                self.send_error(404)
                return
            answers.put(dict(parse_qsl(parts.query)))
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"You can close this window and go back to the terminal.\n")

        def log_message(self, *_: object) -> None:
            """Say nothing: the request line holds the code."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield Callback(listener.server_port, answers)
        finally:
            listener.shutdown()
            thread.join()


async def open_browser(url: str) -> None:
    """Send the person to the authorization server."""
    print(f"Sign in and allow the access in your browser. If none opens: {url}", flush=True)
    await asyncio.to_thread(webbrowser.open, url)


async def call_tool(server_url: str, client_id: str, tool: str, arguments: dict[str, str]) -> None:
    """Call one tool, and print what it says. Signing in happens on the way, when the server asks for a token."""
    with listen_for_answer() as callback:
        sign_in = OAuthClientProvider(
            server_url=server_url,
            client_metadata=OAuthClientMetadata(
                redirect_uris=[AnyUrl(callback.redirect_uri)],
                grant_types=["authorization_code", "refresh_token"],
            ),
            storage=MemoryStorage(),
            redirect_handler=open_browser,
            callback_handler=callback.wait,
            client_metadata_url=client_id,
        )
        async with (
            httpx2.AsyncClient(auth=sign_in, timeout=30) as http,
            Client(streamable_http_client(server_url, http_client=http)) as client,
        ):
            result = await client.call_tool(tool, arguments)
            for block in result.content:
                print(block.text if block.type == "text" else f"({block.type})")


def main() -> None:
    """Read the arguments and call the tool."""
    parser = argparse.ArgumentParser(description="Call one tool of a protected MCP server.")
    parser.add_argument("server_url", help="the MCP server, for example https://mcp.example.com/mcp")
    parser.add_argument("tool")
    parser.add_argument("argument", nargs="*", help="name=value")
    parser.add_argument("--client-id", default="https://app.example.com/oauth/client.json", help="your document's URL")
    given = parser.parse_args()
    pairs = [argument.partition("=") for argument in given.argument]
    asyncio.run(call_tool(given.server_url, given.client_id, given.tool, {name: value for name, _, value in pairs}))


if __name__ == "__main__":
    main()
