"""A provider over TLS, this server's side of it, and clocks that stand still."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from nameplate.errors import UpstreamError
from nameplate.protocol.parameters import parse_parameters
from nameplate.secret import Secret
from nameplate.testing.clock import FixedClock
from nameplate.testing.identity_provider import FakeIdentityProvider, run_identity_provider
from nameplate.upstream.code_flow import open_upstream
from nameplate.upstream.port import Begun, Completed, SignInHints, Upstream
from nameplate.upstream.provider import ProviderOptions

__all__ = [
    "CALLBACK",
    "NO_HINTS",
    "STATE",
    "ProviderWorld",
    "build_fixed_endpoints",
    "read_query",
    "run_provider_world",
]

CALLBACK = "https://login.example.com/sign-in/company"
STATE = "state-of-this-browser"
NO_HINTS = SignInHints()


def read_query(url: str) -> dict[str, str]:
    """The parameters of a URL, each of which must be there once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), url
    return dict(pairs)


@dataclass(kw_only=True)
class ProviderWorld:
    """What a test plays with. ``steady`` is the clock by which things are fetched again."""

    provider: FakeIdentityProvider
    clock: FixedClock
    steady: FixedClock
    opened: list[Upstream] = field(default_factory=list)

    @property
    def now(self) -> int:
        """Epoch seconds."""
        return int(self.clock())

    def build_options(self, **changes: Any) -> ProviderOptions:
        """The provider as it would be configured, with changes."""
        client = self.provider.client
        options: dict[str, Any] = {
            "name": "company",
            "title": "Company",
            "kind": "oidc",
            "issuer": self.provider.issuer,
            "client_id": client.client_id,
            "client_secret": Secret(client.secret) if client.auth_method.startswith("client_secret") else None,
            "auth_method": client.auth_method,
            "scopes": ("openid", "profile", "email"),
            "trusted_ca_file": str(self.provider.ca_file),
        }
        return ProviderOptions(**{**options, **changes})

    def open(self, **changes: Any) -> Upstream:
        """This server's side of the provider; closed when the world ends."""
        upstream = open_upstream(self.build_options(**changes), clock=self.clock, steady_clock=self.steady)
        self.opened.append(upstream)
        return upstream

    async def begin(self, upstream: Upstream, hints: SignInHints = NO_HINTS) -> Begun:
        """The way there."""
        return await upstream.begin(state=STATE, callback=CALLBACK, hints=hints)

    async def visit(self, begun: Begun) -> str:
        """The browser goes to the provider and comes back: the query that it brings."""
        location = await self.provider.visit(begun.url)
        assert location.startswith(f"{CALLBACK}?")
        return urlsplit(location).query

    async def complete(self, upstream: Upstream, begun: Begun, query: str) -> Completed:
        """What comes of a query that a browser brings."""
        parameters = parse_parameters(query.encode())
        return await upstream.complete(parameters, memory=begun.memory, callback=CALLBACK, now=self.now)

    async def sign_in(self, upstream: Upstream, hints: SignInHints = NO_HINTS) -> Completed:
        """The whole way."""
        begun = await self.begin(upstream, hints)
        return await self.complete(upstream, begun, await self.visit(begun))

    async def find_failure(self, upstream: Upstream, hints: SignInHints = NO_HINTS) -> UpstreamError:
        """Why the whole way fails."""
        with pytest.raises(UpstreamError) as caught:
            await self.sign_in(upstream, hints)
        return caught.value

    async def find_answer_failure(self, upstream: Upstream, **changes: str) -> UpstreamError:
        """Why a sign-in fails when the browser brings a changed query."""
        begun = await self.begin(upstream)
        query = {**read_query(f"{CALLBACK}?{await self.visit(begun)}"), **changes}
        with pytest.raises(UpstreamError) as caught:
            await self.complete(upstream, begun, urlencode(query))
        return caught.value


def build_fixed_endpoints(provider: FakeIdentityProvider) -> dict[str, str]:
    """The endpoints as an operator would write them down for a provider without metadata."""
    return {
        "authorization_endpoint": provider.url("authorize"),
        "token_endpoint": provider.url("token"),
        "userinfo_endpoint": provider.url("userinfo"),
        "revocation_endpoint": provider.url("revoke"),
    }


@asynccontextmanager
async def run_provider_world(directory: Path, *, path: str = "") -> AsyncIterator[ProviderWorld]:
    """Start a provider. ``path`` is that of its issuer."""
    clock = FixedClock()
    async with run_identity_provider(directory, path=path, clock=clock) as provider:
        world = ProviderWorld(provider=provider, clock=clock, steady=FixedClock())
        yield world
        for upstream in world.opened:
            await upstream.aclose()
