"""A web server in a thread, an authorization server's published half, and tokens that it signs."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import anyio.to_thread
import httpx2
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from nameplate.jose import SigningKey
from nameplate.protocol.access_token import ACCESS_TOKEN_TYPE

__all__ = [
    "ISSUER",
    "RESOURCE",
    "Clock",
    "IssuerHost",
    "IssuerHouse",
    "build_claims",
    "call",
    "publish_keys",
    "run_issuers",
    "serve",
]

RESOURCE = "https://mcp.example.com/mcp"
ISSUER = "https://login.example.com"


@contextmanager
def serve(build_app: Callable[[str], ASGIApp], *, certificate_file: str | None = None) -> Iterator[str]:
    """Run an application on 127.0.0.1 until the block ends. ``build_app`` is given its origin, as the block is."""
    listener = socket.create_server(("127.0.0.1", 0))  # connections queue from now on: nobody waits for a start
    origin = f"{'https' if certificate_file else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        build_app(origin), log_level="error", timeout_graceful_shutdown=1, ssl_certfile=certificate_file
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield origin
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass
class Clock:
    """Time that moves when a test says so."""

    now: float = 1_800_000_000

    def __call__(self) -> float:
        return self.now


def publish_keys(keys: Sequence[SigningKey]) -> dict[str, Any]:
    """The key set of these keys."""
    return {"keys": [key.public_jwk() for key in keys]}


def build_claims(*, now: float | None = None, **changes: Any) -> dict[str, Any]:
    """The claims of a good token, with changes; a change to None leaves the claim out."""
    issued_at = int(time.time() if now is None else now)
    claims = {
        "iss": ISSUER,
        "sub": "person",
        "aud": RESOURCE,
        "client_id": "https://client.example/client.json",
        "exp": issued_at + 300,
        "iat": issued_at,
        "jti": "id",
        "scope": "read",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


@dataclass
class IssuerHost:
    """The published half of an authorization server: metadata and keys, and what was asked for.

    ``documents`` maps a path to a JSON document, to bytes that are sent as they are, or to a function that makes the
    document of the form that was posted; ``statuses`` to a status other than 200. ``credentials`` are the Authorization
    headers that came, with their paths. While ``held`` is not set, nothing is answered.
    """

    origin: str
    path: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey.generate()])
    documents: dict[str, Any] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    credentials: list[tuple[str, str]] = field(default_factory=list)
    held: threading.Event | None = None

    def __post_init__(self) -> None:
        self.documents[f"/.well-known/oauth-authorization-server{self.path}"] = self.build_metadata()

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.origin + self.path

    @property
    def key_fetches(self) -> int:
        """How often the keys were asked for."""
        return self.asked.count("/jwks")

    def build_metadata(self, **changes: Any) -> dict[str, Any]:
        """The metadata document, with changes."""
        return {"issuer": self.issuer, "jwks_uri": f"{self.origin}/jwks", **changes}

    def sign(self, *, key: SigningKey | None = None, typ: str = ACCESS_TOKEN_TYPE, **changes: Any) -> str:
        """An access token of this issuer, with changed claims."""
        return (key or self.keys[0]).sign(build_claims(**{"iss": self.issuer, **changes}), typ=typ)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what was put into ``documents``; the keys as they are now."""
        path = scope["path"]
        self.asked.append(path)
        self.credentials += [(path, value.decode()) for name, value in scope["headers"] if name == b"authorization"]
        document = self.documents.get(path, publish_keys(self.keys) if path == "/jwks" else None)
        if callable(document):
            document = document(dict(parse_qsl((await receive())["body"].decode())))
        status = self.statuses.get(path, 404 if document is None else 200)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = [(b"content-type", b"application/json"), (b"location", b"/jwks")]
        if self.held is not None:
            await anyio.to_thread.run_sync(self.held.wait)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class IssuerHouse:
    """One server for many tests: each asks for a new host in it."""

    def __init__(self, origin: str) -> None:
        self.host = IssuerHost(origin)

    def open(self, path: str = "") -> IssuerHost:
        """A host of its own; the one before is gone."""
        self.host = IssuerHost(self.host.origin, path)
        return self.host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the host answer."""
        if scope["type"] == "http":
            await self.host(scope, receive, send)


@contextmanager
def run_issuers(*, certificate_file: str | None = None) -> Iterator[IssuerHouse]:
    """The published half of an authorization server, on a socket."""
    houses: list[IssuerHouse] = []

    def build(origin: str) -> ASGIApp:
        houses.append(IssuerHouse(origin))
        return houses[0]

    with serve(build, certificate_file=certificate_file):
        yield houses[0]


def call(url: str, token: str | None = None, *, method: str = "POST", **options: Any) -> httpx2.Response:
    """One request on a connection of its own."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    headers |= options.pop("headers", {})
    with httpx2.Client(trust_env=False) as client:
        return client.request(method, url, headers=headers, **options)
