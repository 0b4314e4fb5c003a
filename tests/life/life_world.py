"""A server that a test can start, ask, stop and start again from code that is not asynchronous.

Hypothesis runs the steps of a state machine one after the other, so each request is played to its end on an event loop
of the world's own; between them nothing moves.
"""

import asyncio
import json
import sqlite3
from collections.abc import Coroutine, Iterator, Mapping, MutableMapping
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import httpx2
from starlette.types import ASGIApp

from flow_world import PASSWORD, PASSWORD_HASH, build_settings
from nameplate.server.app import AuthorizationServer
from nameplate.server.encryption_keys import open_vault
from nameplate.server.settings import Settings
from nameplate.testing.clock import FixedClock
from nameplate.testing.document_host import DocumentHost, HostedDocument, run_document_host
from nameplate.testing.headless_user import HeadlessUser, Page
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


class InProcess(httpx2.AsyncBaseTransport):
    """Takes requests to whichever application answers just now, without a socket: a world lives for thousands of them,
    and what a socket adds is proven elsewhere. (What httpx2 has for that takes half of all the time.)
    """

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert self.app is not None, "the server does not run"
        url, sent = request.url, await request.aread()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 50_000),
        }
        answer: dict[str, Any] = {"body": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            answer.update(message, body=answer["body"] + message.get("body", b""))

        await self.app(scope, receive, send)
        return httpx2.Response(answer["status"], headers=answer["headers"], content=answer["body"], request=request)


class Person(HeadlessUser):
    """The person, in a browser that has its own way to the server."""

    def __init__(self, transport: InProcess) -> None:
        self._username = "alice"
        self._password = PASSWORD
        self._http = httpx2.AsyncClient(transport=transport)


@dataclass(kw_only=True)
class LifeWorld:
    """One store, and one server over it at a time."""

    issuer: ClassVar[str] = "http://127.0.0.1:8080"

    bench: LifeBench
    directory: Path
    changes: dict[str, Any]
    clock: FixedClock = field(default_factory=FixedClock)

    def __post_init__(self) -> None:
        self._transport = InProcess()
        self._stopping = asyncio.Event()
        self.person = Person(self._transport)
        self.http = httpx2.AsyncClient(transport=self._transport)

    @property
    def now(self) -> int:
        """The time, by the clock of this world."""
        return int(self.clock())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Play to the end."""
        return self.bench.runner.run(work)

    def start(self, *, username: str = "alice") -> None:
        """Start the server, with an account of this name."""
        self.settings = self._build_settings(username)
        self.server = AuthorizationServer(self.settings, clock=self.clock)
        self._transport.app = self.server.standalone_app()
        self.run(self._start())

    def stop(self) -> None:
        """Stop the server; the store stays."""
        self._transport.app = None
        self.run(self._stop())

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self.run(self.person.__aexit__(None, None, None))
        self.run(self.http.aclose())

    async def _start(self) -> None:
        started, self._stopping = asyncio.Event(), asyncio.Event()
        self._serving = asyncio.create_task(self._serve(started))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([self._serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not started.is_set():
            waiting.cancel()
            await self._serving

    async def _serve(self, started: asyncio.Event) -> None:
        """A task of its own, as what ``running`` opens has to be closed by the task that opened it."""
        async with self.server.running():
            started.set()
            await self._stopping.wait()

    async def _stop(self) -> None:
        self._stopping.set()
        await self._serving

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
        settings = build_settings(self.issuer, RESOURCE, self.directory, self.bench.host, changes)
        # No fetch fails in these worlds because the machine that they are played on is busy.
        return settings.model_copy(update={"fetch": settings.fetch.model_copy(update={"deadline_seconds": 10.0})})

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

    def fetch_revocations(self) -> set[str]:
        """The feed of revoked grants, as one of our resource servers reads it."""
        response = self.run(self.http.get(f"{self.issuer}/revocations", auth=("ours", ASKERS["ours"][1])))
        assert response.status_code == 200, response.text
        return set(response.json()["revoked"])

    def fetch_keys(self) -> dict[str, Any]:
        """The published key set."""
        keys: dict[str, Any] = self.run(self.http.get(f"{self.issuer}/jwks")).json()
        return keys

    def open_authorization(self, url: str) -> Page:
        """The page to which an authorization request leads; the person signs in where that is asked for."""
        return self.run(self._open(url))

    async def _open(self, url: str) -> Page:
        page = await self.person.open(url)
        return await self.person.sign_in(page) if page.asks_for("password") else page

    def answer_consent(self, page: Page, answer: str) -> str:
        """The URL at the client that the person's answer leads to."""
        answered = self.run(self.person.answer(page, answer))
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
