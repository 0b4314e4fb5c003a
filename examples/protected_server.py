"""An MCP server that only people who signed in may use.

    python protected_server.py --url https://mcp.example.com/mcp --issuer https://auth.example.com

``--url`` is the server's address as clients use it: the reverse proxy in front of it brings requests for this URL to
``--listen``. ``--issuer`` is the authorization server. Both must stand in its configuration: ``issuer``, and the
``identifier`` of a ``[[resources]]`` table with these two scopes. Needs ``nameplate[mcp]``.
"""

import argparse
from collections import defaultdict

import uvicorn
from mcp.server.mcpserver import MCPServer

from nameplate.integrations.mcp import protect_mcp
from nameplate.resource import current_access_token

server = MCPServer("Notes")
notes: defaultdict[str, list[str]] = defaultdict(list)


def find_person() -> str:
    """The stable id of the person in whose name the running tool is called."""
    token = current_access_token()
    if token is None:
        raise RuntimeError("a tool runs only inside a request that nameplate let pass")
    return token.subject


@server.tool()
def list_notes() -> list[str]:
    """All notes of the person who signed in."""
    return notes[find_person()]


@server.tool()
def add_note(text: str) -> str:
    """Write a note down."""
    notes[find_person()].append(text)
    return f"Noted: {text}"


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description="An MCP server that only people who signed in may use.")
    parser.add_argument("--url", default="https://mcp.example.com/mcp", help="this server, as clients address it")
    parser.add_argument("--issuer", default="https://auth.example.com", help="the authorization server")
    parser.add_argument("--listen", default="127.0.0.1:8000", help="address and port to listen on")
    arguments = parser.parse_args()
    host, _, port = arguments.listen.rpartition(":")
    if not host or not port.isdecimal():  # without a host uvicorn would listen at every address of the machine
        parser.error("--listen: name an address and a port, such as 127.0.0.1:8000")

    app = protect_mcp(
        server,
        resource=arguments.url,
        issuer=arguments.issuer,
        scopes=["notes:read", "notes:write"],
        tool_scopes={"list_notes": ["notes:read"], "add_note": ["notes:write"]},
    )
    uvicorn.run(app, host=host, port=int(port))


if __name__ == "__main__":
    main()
