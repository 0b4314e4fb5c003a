"""An identity provider that answers what it is told to, in the shapes that real ones send, on a real socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from nameplate.protocol.parameters import Parameters
from nameplate.secret import Secret
from nameplate.testing.serving import open_listener, serve_app
from nameplate.upstream.code_flow import open_upstream
from nameplate.upstream.port import Completed, SignInHints, Upstream
from nameplate.upstream.presets import UpstreamSettings, build_upstream
from nameplate.upstream.provider import ProviderOptions

__all__ = [
    "CLIENT",
    "NOW",
    "SECRET",
    "CannedProvider",
    "Seen",
    "begin_sign_in",
    "build_options",
    "complete_sign_in",
    "make_settings",
    "read_query",
    "run_provider",
]

NOW = 1_800_000_000
CLIENT = "a-client"
SECRET = Secret("s3cret")
CALLBACK = "https://auth.example.com/sign-in/work/callback"
STATE = "the-state-of-this-sign-in"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(kw_only=True)
class CannedProvider:
    """``answers`` has a status and a JSON value for each ``METHOD /path``; everything else is not found."""

    url: str
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError  # as ASGI asks of an application without a lifespan
        request = Request(scope, receive)
        path = request.url.path
        self.seen.append(
            Seen(
                method=request.method,
                path=path,
                query=request.url.query,
                headers=dict(request.headers),
                body=await request.body(),
            )
        )
        status, value = self.answers.get(f"{request.method} {path}", (404, {"message": "Not Found"}))
        response = Response(status_code=204) if status == 204 else JSONResponse(value, status, self.headers)
        await response(scope, receive, send)

    def find(self, path: str) -> list[Seen]:
        """What was asked of a path."""
        return [seen for seen in self.seen if seen.path == path]


@asynccontextmanager
async def run_provider() -> AsyncIterator[CannedProvider]:
    """One that knows nothing yet."""
    listener, port = open_listener()
    provider = CannedProvider(url=f"http://127.0.0.1:{port}")

    async with serve_app(provider, listener):
        yield provider


def make_settings(**given: Any) -> UpstreamSettings:
    """A table that says ``given``, of a client with a secret."""
    return UpstreamSettings(**{"name": "work", "client_id": CLIENT, "client_secret": SECRET, **given})


def build_options(settings: UpstreamSettings) -> ProviderOptions:
    """The options that a preset makes of settings that can work."""
    return build_upstream(settings).options


def read_query(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def complete_sign_in(
    upstream: Upstream, *, memory: bytes, parameters: Mapping[str, str] | None = None
) -> Completed:
    """What comes of a browser's return from the provider, with a code unless ``parameters`` say otherwise."""
    brought = Parameters({"code": "a-code", "state": STATE, **(parameters or {})})
    return await upstream.complete(brought, memory=memory, callback=CALLBACK, now=NOW)


@asynccontextmanager
async def begin_sign_in(options: ProviderOptions) -> AsyncIterator[tuple[Upstream, str, bytes]]:
    """A provider at which a sign-in has begun: it, the URL that the browser was sent to, and the memory."""
    upstream = open_upstream(options, clock=lambda: NOW)
    try:
        begun = await upstream.begin(state=STATE, callback=CALLBACK, hints=SignInHints())
        yield upstream, begun.url, begun.memory
    finally:
        await upstream.aclose()
