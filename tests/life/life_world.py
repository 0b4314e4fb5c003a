"""A server that a test can start, ask, stop and start again from code that is not asynchronous.

Hypothesis runs the steps of a state machine one after the other, so each request is played to its end on an event loop
of the world's own; between them nothing moves.
"""

import asyncio
import json
import sqlite3
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from flow_world import PASSWORD, PASSWORD_HASH, build_settings
from nameplate.server.app import AuthorizationServer
from nameplate.server.encryption_keys import open_vault
from nameplate.server.settings import Settings
from nameplate.testing.clock import FixedClock
from nameplate.testing.document_host import DocumentHost, HostedDocument, run_document_host
from nameplate.testing.headless_user import HeadlessUser, Page
from nameplate.testing.serving import open_listener, serve_app
from nameplate.vault import Vault

__all__ = ["RESOURCE", "LifeBench", "LifeWorld", "open_bench"]

RESOURCE = "http://127.0.0.1:8000/mcp"
OTHER_RESOURCE = "http://127.0.0.1:8000/other"
ASKERS = {"ours": (RESOURCE, "secret-of-ours"), "other": (OTHER_RESOURCE, "secret-of-the-other")}
"""Resource servers that may ask about tokens: what they serve, and their secrets."""

T = TypeVar("T")


@dataclass(kw_only=True)
class LifeBench:
    """What worlds can share that are played one after the other: an event loop, and a host for documents."""

    runner: asyncio.Runner
    host: DocumentHost
    directory: Path
    worlds: int = 0

    def open_world(self, settings: Mapping[str, Any]) -> "LifeWorld":
        """A world with an empty store. ``settings`` are top-level settings beside those of the flow tests."""
        self.worlds += 1
        directory = self.directory / f"world-{self.worlds}"
        directory.mkdir()
        self.host.documents.clear()
        return LifeWorld(bench=self, directory=directory, changes=dict(settings))


@contextmanager
def open_bench(directory: Path) -> Iterator[LifeBench]:
    """The loop and the host, for as long as the block lasts."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            host = runner.run(stack.enter_async_context(run_document_host(directory)))
            yield LifeBench(runner=runner, host=host, directory=directory)
        finally:
            runner.run(stack.aclose())


@dataclass(kw_only=True)
class LifeWorld:
    """One store, and one server over it at a time."""

    bench: LifeBench
    directory: Path
    changes: dict[str, Any]
    clock: FixedClock = field(default_factory=FixedClock)
    port: int = 0
    _parts: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self.user = HeadlessUser("alice", PASSWORD)
        self.http = httpx2.AsyncClient(trust_env=False, timeout=10)

    @property
    def now(self) -> int:
        """The time, by the clock of this world."""
        return int(self.clock())

    @property
    def issuer(self) -> str:
        """Where the server answers."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Play to the end."""
        return self.bench.runner.run(work)

    def start(self, *, username: str = "alice") -> None:
        """Start the server, with an account of this name."""
        listener, self.port = open_listener(self.port)
        self.settings = self._build_settings(username)
        self.server = AuthorizationServer(self.settings, clock=self.clock)
        self.run(self._parts.enter_async_context(serve_app(self.server.standalone_app(), listener)))

    def stop(self) -> None:
        """Stop the server; the store stays."""
        self.run(self._parts.aclose())
        self._parts = AsyncExitStack()

    def close(self) -> None:
        """Stop for good."""
        self.run(self.user.__aexit__(None, None, None))
        self.run(self.http.aclose())
        self.stop()

    def _build_settings(self, username: str) -> Settings:
        servers = [
            {"id": name, "secret_hash": f"sha256:{sha256(secret.encode()).hexdigest()}", "resources": [resource]}
            for name, (resource, secret) in ASKERS.items()
        ]
        scopes = [{"name": name, "description": name} for name in ("notes:read", "notes:write")]
        changes = {
            "accounts": [{"username": username, "password_hash": PASSWORD_HASH}],
            "resources": [{"identifier": each, "name": each, "scopes": scopes} for each in (RESOURCE, OTHER_RESOURCE)],
            "resource_servers": servers,
            **self.changes,
        }
        return build_settings(self.issuer, RESOURCE, self.directory, self.bench.host, changes)

    # Requests

    def post(self, path: str, form: Mapping[str, str | None], auth: tuple[str, str] | None = None) -> httpx2.Response:
        """A form to an endpoint, without what is None."""
        data = {name: value for name, value in form.items() if value is not None}
        if auth is None:
            return self.run(self.http.post(f"{self.issuer}{path}", data=data))
        return self.run(self.http.post(f"{self.issuer}{path}", data=data, auth=auth))

    def introspect(self, token: str, asker: str = "ours") -> dict[str, Any]:
        """What a resource server is told of a token."""
        response = self.post("/introspect", {"token": token}, auth=(asker, ASKERS[asker][1]))
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def fetch_keys(self) -> dict[str, Any]:
        """The published key set."""
        keys: dict[str, Any] = self.run(self.http.get(f"{self.issuer}/jwks")).json()
        return keys

    def open_authorization(self, url: str) -> Page:
        """The page to which an authorization request leads; the person signs in where that is asked for."""
        return self.run(self._open(url))

    async def _open(self, url: str) -> Page:
        page = await self.user.open(url)
        return await self.user.sign_in(page) if page.asks_for("password") else page

    def answer_consent(self, page: Page, answer: str) -> str:
        """The URL at the client that the person's answer leads to."""
        answered = self.run(self.user.answer(page, answer))
        assert answered.left_to is not None, f"{answered.status}: {answered.title}"
        return answered.left_to

    # The host of documents

    def host_document(self, path: str, members: Mapping[str, object], status: int = 200) -> str:
        """Serve these members, or this status; the client identifier URL."""
        client_id = self.bench.host.url(path)
        body = json.dumps({"client_id": client_id, **members}).encode()
        self.bench.host.documents[path] = HostedDocument(body, status=status)
        return client_id

    # What an operator sees

    def look_after_keys(self) -> None:
        """What the server does by itself every half minute."""
        self.run(self.server.context.signing_keys.rotate_if_due())

    def open_vault(self) -> Vault:
        """What the commands of the operator open keys with."""
        return self.run(open_vault(self.settings.store, self.server.context.store))

    def count_unrotated(self) -> dict[str, int]:
        """For each grant, how many refresh tokens lie in the store that were not rotated."""
        query = (
            "SELECT g.grant_id, count(*) FROM refresh_tokens t JOIN grants g ON g.id = t.grant_row"
            " WHERE t.rotated_at IS NULL GROUP BY g.grant_id"
        )
        with closing(sqlite3.connect(self.directory / "store.sqlite3")) as connection:
            return dict(connection.execute(query).fetchall())
