"""A host of key sets, and caches of them that are closed at the end."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from fetch_kit import Clock, MakeFetcher, build_url
from hostile import Exchange, HostileServer, Script, answer
from nameplate.fetch import CachedKeySets, GuardedFetcher, KeySetOptions
from nameplate.ports.keys import ClientKeys
from nameplate.protocol.client_id import ClientIdPolicy

MakeKeySets = Callable[..., CachedKeySets]


def build_key(kid: str | None = "one", **members: object) -> dict[str, object]:
    """A public JWK that is well-formed; nothing here looks whether its point is on the curve."""
    named = {} if kid is None else {"kid": kid}
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FE",
        **named,
        **members,
    }


def build_key_set(*kids: str) -> bytes:
    return json.dumps({"keys": [build_key(kid) for kid in kids]}).encode()


def serve_keys(*kids: str, headers: Sequence[str] = ("Cache-Control: max-age=600",)) -> Script:
    return answer(build_key_set(*kids), headers=headers)


DOWN = answer(status="503 Service Unavailable")


async def hang_up(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


def list_kids(keys: ClientKeys) -> list[str]:
    return [key["kid"] for key in json.loads(keys.jwks)["keys"]]


@pytest.fixture
async def make_key_sets(make_fetcher: MakeFetcher, server: HostileServer, clock: Clock) -> AsyncIterator[MakeKeySets]:
    server.script = serve_keys("one")
    made: list[CachedKeySets] = []

    def make(fetcher: GuardedFetcher | None = None, **options: Any) -> CachedKeySets:
        options.setdefault("failure_seconds", 0)
        fetcher = fetcher or make_fetcher(server.port)
        policy = ClientIdPolicy(private_hosts=fetcher.options.private_hosts)
        made.append(CachedKeySets(fetcher, KeySetOptions(**options), policy=policy, clock=clock))
        return made[-1]

    yield make
    for key_sets in made:
        await key_sets.aclose()


@pytest.fixture
async def key_sets(make_key_sets: MakeKeySets) -> CachedKeySets:
    return make_key_sets()


@pytest.fixture
async def jwks_uri(server: HostileServer) -> str:
    return build_url(server.port, "/jwks.json").text
