"""A command-line client that is known by a document on its own domain: the official MCP SDK, and nothing of nameplate.

    python sdk_client.py https://mcp.example.com/mcp add_note text="Buy bread"

``--client-id`` is the https URL at which your copy of ``client.json`` lies; its ``client_id`` member must be that very
URL. The first call opens the browser (``BROWSER`` names another one). Needs the package ``mcp``.
"""

import argparse
import asyncio
import logging
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.shared.exceptions import MCPError
from pydantic import AnyUrl

PATIENCE_SECONDS = 300


class CallFailed(Exception):
    """The person or the tool said no. The message is for the person at the keyboard."""


# What the SDK raises when the way to the tool ends early. Its transport runs in a task group, which raises groups.
FAILURES = (CallFailed, OAuthFlowError, MCPError, httpx2.HTTPError, OSError, RuntimeError, ExceptionGroup)


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

    def __init__(self, port: int, answers: "asyncio.Queue[dict[str, str]]") -> None:
        self.redirect_uri = f"http://127.0.0.1:{port}/callback"
        self._answers = answers

    async def wait(self) -> AuthorizationCodeResult:
        """The answer. The SDK compares its ``state`` and ``iss`` with what it sent and whom it asked."""
        try:
            answer = await asyncio.wait_for(self._answers.get(), PATIENCE_SECONDS)
        except TimeoutError:
            raise CallFailed(f"Nobody answered within {PATIENCE_SECONDS} seconds.") from None
        if "code" not in answer:
            raise CallFailed(f"No access: {answer.get('error')}: {answer.get('error_description', '')}")
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


@contextmanager
def listen_for_answer() -> Iterator[Callback]:
    """Listen on a free port until the block is left. The document lists the redirect URI without a port."""
    loop, answers = asyncio.get_running_loop(), asyncio.Queue[dict[str, str]]()
    page = b"You can close this window and go back to the terminal.\n"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path != "/callback":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
            # Last, because the program may end with it; and on the loop's thread, where waiting can be interrupted.
            loop.call_soon_threadsafe(answers.put_nowait, dict(parse_qsl(parts.query)))

        def log_message(self, *_: object) -> None:
            """Say nothing: the request line holds the code."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Callback(listener.server_port, answers)
        finally:
            listener.shutdown()
            thread.join()


async def open_browser(url: str) -> None:
    """Send the person to the authorization server."""
    print(f"Sign in and allow the access in your browser. If none opens: {url}", flush=True)
    # A browser may keep the thread until it is closed. The program does not wait for it.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


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
            lines = [block.text if block.type == "text" else f"({block.type})" for block in result.content]
            if result.is_error:
                raise CallFailed(f"The tool reports an error: {' '.join(lines)}")
            print("\n".join(lines))


def explain(error: Exception) -> str:
    """One line for the first failure in nested groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    return text if isinstance(error, CallFailed) else f"{type(error).__name__}: {text}"


def main() -> None:
    """Read the arguments and call the tool. Ends with status 1 where that fails, with 130 at Ctrl-C."""
    parser = argparse.ArgumentParser(description="Call one tool of a protected MCP server.")
    parser.add_argument("server_url", help="the MCP server, for example https://mcp.example.com/mcp")
    parser.add_argument("tool")
    parser.add_argument("argument", nargs="*", help="name=value")
    parser.add_argument("--client-id", default="https://app.example.com/oauth/client.json", help="your document's URL")
    given = parser.parse_args()
    pairs = [argument.partition("=") for argument in given.argument]
    values = {name: value for name, _, value in pairs}
    logging.getLogger("mcp").addHandler(logging.NullHandler())  # what it logs is raised as well
    try:
        asyncio.run(call_tool(given.server_url, given.client_id, given.tool, values))
    except KeyboardInterrupt:
        sys.exit(130)
    except FAILURES as error:
        sys.exit(explain(error))


if __name__ == "__main__":
    main()
