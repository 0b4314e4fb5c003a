"""The demo's MCP server: notes of whoever signed in, with the official SDK, protected by us."""

from collections import defaultdict
from urllib.parse import urlsplit

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from nameplate.integrations.mcp import protect_mcp
from nameplate.resource import Keys, ResourceOptions, current_access_token

__all__ = ["READ", "SCOPES", "SERVER_NAME", "WRITE", "build_notes_app", "build_unprotected_notes_app"]

SERVER_NAME = "Demo notes"
READ, WRITE = "notes:read", "notes:write"
SCOPES = {READ: "Read your notes", WRITE: "Write new notes"}
"""Every scope, with the sentence that the consent page shows for it."""

_FIRST_NOTES = ("Water the plants", "Buy bread")


def build_notes_app(*, resource: str, issuer: str, keys: Keys | None = None) -> ASGIApp:
    """The server at the URL ``resource``, which trusts the tokens of ``issuer``. ``keys``: instead of fetching them."""
    return protect_mcp(
        _build_server(),
        resource=resource,
        issuer=issuer,
        scopes=SCOPES,
        tool_scopes={"list_notes": [READ], "add_note": [WRITE]},
        # Reading is the least that anybody comes for, so that is what a stranger is told to ask for first.
        options=ResourceOptions(required_scope=[READ], name=SERVER_NAME, keys=keys),
    )


def build_unprotected_notes_app(*, resource: str) -> ASGIApp:
    """The same server without protection: the demo must not take its answers for proof."""
    parts = urlsplit(resource)
    return _build_server().streamable_http_app(
        streamable_http_path=parts.path,
        transport_security=TransportSecuritySettings(allowed_hosts=[parts.netloc]),
    )


def _build_server() -> MCPServer:
    server = MCPServer(SERVER_NAME)
    notes: defaultdict[str, list[str]] = defaultdict(lambda: list(_FIRST_NOTES))

    @server.tool()
    def list_notes() -> list[str]:
        """All notes of the person who signed in."""
        return notes[_whose()]

    @server.tool()
    def add_note(text: str) -> str:
        """Write a note down."""
        notes[_whose()].append(text)
        return f"Noted: {text}"

    return server


def _whose() -> str:
    """The person's stable id at the authorization server, which the token carries as ``sub``."""
    token = current_access_token()
    return token.subject if token else ""
