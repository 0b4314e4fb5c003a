"""Drives ``node/client.mjs``, the client that is made with the official TypeScript SDK."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from interop_world import REDIRECT_URI, InteropWorld

from nameplate.testing.headless_user import HeadlessUser

__all__ = ["NodeClient", "run_node_client"]

PROGRAM = Path(__file__).parent / "node" / "client.mjs"
LONGEST_SECONDS = 30


class NodeClient:
    """A running client, and the person whom it sends to the authorization server."""

    def __init__(self, process: asyncio.subprocess.Process, user: HeadlessUser) -> None:
        self._process = process
        self._user = user

    async def call(self, tool: str, answer: str = "allow", **arguments: str) -> dict[str, Any]:
        """Call a tool; the person presses ``answer`` wherever one is needed. What the client says in the end."""
        said = await self._ask({"call": tool, "arguments": arguments})
        while "authorize" in said:
            said = await self._ask({"callback": await self._user.authorize(said["authorize"], answer)})
        return said

    async def _ask(self, line: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        answer = await asyncio.wait_for(self._process.stdout.readline(), LONGEST_SECONDS)
        said: dict[str, Any] = json.loads(answer)
        return said


@asynccontextmanager
async def run_node_client(world: InteropWorld, sdk: str, **changes: str | None) -> AsyncIterator[NodeClient]:
    """A client of the SDK's version ``v1`` or ``v2``, ended with the block. Its complaints go to pytest's stderr.

    ``changes`` replace what the program is told: ``clientId`` None has it register, ``authMethod`` says for what.
    """
    settings: dict[str, str | None] = {
        "sdk": sdk,
        "server": world.mcp_url,
        "clientId": world.client_id,
        "redirectUri": REDIRECT_URI,
        "authMethod": "none",
        **changes,
    }
    process = await asyncio.create_subprocess_exec(
        "node", PROGRAM, json.dumps(settings), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield NodeClient(process, world.user)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), LONGEST_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
