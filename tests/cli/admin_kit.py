"""What the tests of the administration commands share: a store with something in it, and the command beside it."""

import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from nameplate.cli import main
from nameplate.ports.store import Store
from nameplate.ports.verdicts import Approved
from nameplate.protocol.client_metadata import ClientMetadata, KnownBy, build_snapshot
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_samples import BROWSER, sample_code, sample_grant, sample_pending

__all__ = [
    "HASH",
    "HOSTILE",
    "STORE",
    "Outcome",
    "fill",
    "record_grant",
    "registered_client",
    "run",
    "snapshot",
    "write_configuration",
]

HASH = "$argon2id$v=19$m=65536,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY"
CONFIGURATION = f"""
issuer = "https://auth.example.com"
store = {{ url = "sqlite:///nameplate.sqlite3" }}

[[accounts]]
username = "alice"
password_hash = "{HASH}"
display_name = "Alice"
groups = ["staff", "admins"]

[[accounts]]
username = "bob"
password_hash = "{HASH}"

[[resources]]
identifier = "https://mcp.example/mcp"
name = "Notes"
"""
STORE = "nameplate.sqlite3"

# Red letters, a line that is overwritten, a window's title, a bell, reversed text, hidden characters, rich's markup.
HOSTILE = "Ev\x1b[31mil\r\x1b]0;pwned\x07 \u202egnp\u2066 \u200b\x9b1m\x7f [bold]name[/bold]\nsecond line"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    output: str
    errors: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects that it printed, one a line."""
        return [json.loads(line) for line in self.output.splitlines()]


class Terminal(io.StringIO):
    """Standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


def write_configuration(folder: Path) -> None:
    (folder / "nameplate.toml").write_text(CONFIGURATION)


def fill(folder: Path, *steps: Callable[[Store], Awaitable[object]]) -> None:
    """Make a configuration and a store in the folder, and do this to the store."""

    async def do_all() -> None:
        store = await SqliteStore.open(str(folder / STORE))
        try:
            for step in steps:
                await step(store)
        finally:
            await store.aclose()

    write_configuration(folder)
    asyncio.run(do_all())


def run(folder: Path, *arguments: str, typed: str | None = None) -> Outcome:
    """Run the command in the folder; ``typed`` is what somebody types at a terminal, None where there is none."""
    output, errors = io.StringIO(), io.StringIO()
    standard_input = io.StringIO() if typed is None else Terminal(typed)
    status: object = 0
    with (
        chdir(folder),
        redirect_stdout(output),
        redirect_stderr(errors),
        patch("sys.stdin", standard_input),
    ):
        try:
            main(arguments)
        except SystemExit as ended:
            status = ended.code
    assert isinstance(status, int)
    return Outcome(status, output.getvalue(), errors.getvalue())


def record_grant(name: str = "one", **changes: Any) -> Callable[[Store], Awaitable[None]]:
    """A step: the person allowed it just now, by this machine's clock, which is the one that the commands go by."""
    now = int(time.time())
    pending = sample_pending(name, created_at=now, expires_at=now + 600)
    grant = sample_grant(name, **{"created_at": now, "expires_at": now + 86400, **changes})
    code = sample_code(name, issued_at=now, expires_at=now + 60)

    async def step(store: Store) -> None:
        await store.record_authorization(pending, limit=10_000)
        verdict = await store.approve_authorization(pending.id_hash, BROWSER, grant=grant, code=code, now=now)
        assert verdict == Approved(pending)

    return step


def snapshot(name: str, client_id: str = "https://app.example/client.json", known_by: KnownBy = "document") -> str:
    """What a grant or a registration remembers of a client that calls itself so."""
    return build_snapshot(
        ClientMetadata(
            client_id=client_id, client_name=name, redirect_uris=("http://127.0.0.1/callback",), known_by=known_by
        )
    )


def registered_client(
    client_id: str, known_by: KnownBy = "itself", name: str = "Registered", **changes: Any
) -> RegisteredClient:
    """A client that was registered just now; for a day where it did that itself."""
    now = int(time.time())
    members = {
        "client_id": client_id,
        "metadata": snapshot(name, client_id, known_by),
        "created_at": now,
        "expires_at": now + 86400 if known_by == "itself" else None,
    }
    return RegisteredClient(**{**members, **changes})
