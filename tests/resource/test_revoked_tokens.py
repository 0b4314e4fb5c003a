"""How the guard uses what it learns of revocations; that it asks about good tokens only, and nothing by default."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from resource_kit import RESOURCE, Clock, IssuerHost, IssuerHouse, call, publish_keys, run_issuers, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nameplate.errors import BearerError, ConfigurationError
from nameplate.jose import SigningKey
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.revocation import build_revoked_grants
from nameplate.resource import (
    AccessTokenVerifier,
    Introspection,
    ResourceOptions,
    RevocationFeed,
    StaticKeys,
    protect,
)
from nameplate.resource.protect import build_verifier
from nameplate.resource.revocation import CheckedTokenVerifier
from nameplate.secret import Secret

NOW = 1_800_000_000
WHO: dict[str, Any] = {"resource_server_id": "notes", "secret": Secret("geheim")}
FEED = RevocationFeed(**WHO, refresh_seconds=1e-6)
INTROSPECTION = Introspection(**WHO, remember_seconds=0)


@pytest.fixture(scope="module")
def house() -> Iterator[IssuerHouse]:
    with run_issuers() as house:
        yield house


@pytest.fixture
def host(house: IssuerHouse) -> IssuerHost:
    return house.open()


async def greet(_request: Request) -> Response:
    return Response(status_code=204)


def build_app(issuer: str, options: ResourceOptions) -> ASGIApp:
    app = Starlette(routes=[Route("/", greet, methods=["POST"])])
    return protect(app, resource=RESOURCE, issuer=issuer, scopes=["read"], options=options)


def publish(host: IssuerHost, *grant_ids: str) -> None:
    """What the authorization server says from now on, either way: these grants are revoked."""
    host.documents["/revocations"] = build_revoked_grants(
        grant_ids, issuer=host.issuer, resources=[RESOURCE], now=NOW, since=NOW - 600
    )
    host.documents["/introspect"] = {"active": not grant_ids}
    host.documents["/.well-known/oauth-authorization-server"] = host.build_metadata(
        introspection_endpoint=f"{host.origin}/introspect"
    )


@pytest.mark.proves("REV-3", "INT-4")
@pytest.mark.parametrize("revocation", [FEED, INTROSPECTION], ids=["feed", "introspection"])
def test_the_guard_says_that_a_token_was_revoked_or_that_it_cannot_know(
    host: IssuerHost, revocation: RevocationFeed | Introspection
) -> None:
    def build(origin: str) -> ASGIApp:
        return build_app(host.issuer, ResourceOptions(revocation=revocation, clock=Clock(NOW)))

    token = host.sign(aud=RESOURCE, iat=NOW, exp=NOW + 300, grant_id="g1")
    with serve(build) as origin:
        response = call(origin, token)
        assert (response.status_code, response.json()["reason"]) == (503, "grant.unchecked")
        assert response.headers["retry-after"]
        assert "www-authenticate" not in response.headers
        asked = len(host.asked)
        for junk in ("junk", token[:-8] + "AAAAAAAA", host.sign(aud="https://other.example", grant_id="g1")):
            assert call(origin, junk).status_code == 401
        assert len(host.asked) == asked, "junk never reaches the authorization server"

    publish(host)
    with serve(build) as origin:
        assert call(origin, token).status_code == 204
        publish(host, "g1")
        response = call(origin, token)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
        assert response.json()["reason"] == "token.revoked"
        assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_by_default_nothing_is_asked(host: IssuerHost) -> None:
    publish(host, "g1")

    def build(origin: str) -> ASGIApp:
        return build_app(host.issuer, ResourceOptions(clock=Clock(NOW)))

    with serve(build) as origin:
        assert call(origin, host.sign(aud=RESOURCE, iat=NOW, exp=NOW + 300, grant_id="g1")).status_code == 204
    assert host.asked == ["/.well-known/oauth-authorization-server", "/jwks"]
    verifier = build_verifier(resource=RESOURCE, issuer=host.issuer, options=ResourceOptions())
    assert type(verifier) is AccessTokenVerifier  # no detour that would cost each request something


@pytest.mark.parametrize(
    "revocation",
    [
        RevocationFeed(resource_server_id="", secret=Secret("x")),
        RevocationFeed(**WHO, refresh_seconds=60),
        Introspection(resource_server_id="notes", secret=Secret("")),
        Introspection(**WHO, remember_seconds=-1),
    ],
)
def test_options_that_cannot_work_are_refused_at_the_start(revocation: RevocationFeed | Introspection) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_app("https://login.example.com", ResourceOptions(revocation=revocation))
    assert caught.value.setting == "revocation"


def test_an_authority_file_that_cannot_be_read_is_refused_at_the_start() -> None:
    for revocation in (FEED, INTROSPECTION):
        key = SigningKey.generate()
        options = ResourceOptions(
            revocation=revocation, keys=StaticKeys(publish_keys([key])), trusted_ca_file="missing.pem"
        )
        with pytest.raises(ConfigurationError) as caught:
            build_app("https://login.example.com", options)
        assert caught.value.setting == "trusted_ca_file"


def test_no_secret_is_ever_printed() -> None:
    assert "geheim" not in f"{FEED!r}{INTROSPECTION!r}{ResourceOptions(revocation=FEED)!r}"


class NotingCheck:
    """A check that notes what it is asked, refuses when told to, and when it is closed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refuses = False
        self.is_closed = False

    async def check(self, token: str, access_token: AccessToken) -> None:
        self.asked.append((token, access_token.grant_id))
        if self.refuses:
            raise BearerError("invalid_token", "The access token was revoked.", reason="token.revoked")

    async def aclose(self) -> None:
        self.is_closed = True


def test_a_remembered_token_is_asked_about_again_and_junk_is_not(host: IssuerHost) -> None:
    key, check = SigningKey.generate(), NotingCheck()
    keys = StaticKeys(publish_keys([key]))
    inner = AccessTokenVerifier(issuer=host.issuer, resource=RESOURCE, keys=keys, clock=Clock(NOW))
    verifier = CheckedTokenVerifier(inner, check)
    token = host.sign(key=key, aud=RESOURCE, iat=NOW, exp=NOW + 300, grant_id="g1")

    async def run() -> None:
        for _ in range(2):
            assert (await verifier.verify(token)).grant_id == "g1"
        with pytest.raises(BearerError):
            await verifier.verify("junk")
        assert check.asked == [(token, "g1")] * 2
        check.refuses = True
        with pytest.raises(BearerError, match=r"token\.revoked"):
            await verifier.verify(token)
        await verifier.aclose()
        assert check.is_closed

    asyncio.run(run())
