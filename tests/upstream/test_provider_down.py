"""A provider that is down, slow, untrusted or wrongly configured: what is said then, and that no start waits for it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from upstream_kit import CALLBACK, NO_HINTS, STATE, ProviderWorld, build_fixed_endpoints, run_provider_world

from nameplate.errors import ConfigurationError, UpstreamError
from nameplate.testing.clock import FixedClock
from nameplate.testing.identity_provider import FakeAnswer, FakeIdentityProvider
from nameplate.testing.serving import open_listener, serve_app
from nameplate.upstream.code_flow import open_upstream
from nameplate.upstream.port import Upstream
from nameplate.upstream.provider import ProviderOptions

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProviderWorld]:
    async with run_provider_world(tmp_path) as running:
        yield running


async def find_begin_failure(upstream: Upstream) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await upstream.begin(state=STATE, callback=CALLBACK, hints=NO_HINTS)
    return caught.value


async def test_nothing_is_asked_at_the_start(world: ProviderWorld) -> None:
    world.open()
    assert world.provider.requests == []


async def test_a_provider_that_is_down_is_said_to_be_and_found_when_it_is_back(tmp_path: Path) -> None:
    listener, port = open_listener()
    steady = FixedClock()
    options = ProviderOptions(
        name="company",
        title="Company",
        kind="oidc",
        issuer=f"http://127.0.0.1:{port}",
        client_id="nameplate",
        auth_method="none",
        scopes=("openid",),
    )
    upstream = open_upstream(options, steady_clock=steady)
    listener.close()
    failure = await find_begin_failure(upstream)
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.unreachable")
    assert failure.retry_after_seconds == 1
    again, _ = open_listener(port)
    provider = FakeIdentityProvider(origin=options.issuer)
    async with serve_app(provider.build_app(), again):
        assert (await find_begin_failure(upstream)).reason == "upstream.unreachable"
        assert provider.requests == []
        steady.advance(1)
        await upstream.begin(state=STATE, callback=CALLBACK, hints=NO_HINTS)
        await upstream.aclose()


async def test_a_provider_that_stays_down_is_asked_ever_less(world: ProviderWorld) -> None:
    world.provider.instead["metadata"] = FakeAnswer(status=503)
    upstream = world.open()
    waits = []
    for _ in range(9):
        failure = await find_begin_failure(upstream)
        assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.metadata_missing")
        waits.append(failure.retry_after_seconds)
        asked = len(world.provider.requests)
        await find_begin_failure(upstream)
        assert len(world.provider.requests) == asked
        world.steady.advance(failure.retry_after_seconds or 0)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    del world.provider.instead["metadata"]
    await world.begin(upstream)


async def test_a_slow_provider_is_given_up_at_the_deadline(world: ProviderWorld) -> None:
    gate = world.provider.waits_for["metadata"] = asyncio.Event()
    failure = await find_begin_failure(world.open(deadline_seconds=1))
    gate.set()
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.timed_out")


async def test_a_certificate_that_is_not_trusted_is_said_to_be_that(world: ProviderWorld, tmp_path: Path) -> None:
    other = tmp_path / "other-ca.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    for file in (None, str(other)):
        failure = await find_begin_failure(world.open(trusted_ca_file=file))
        assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.tls_failed")
    assert world.provider.requests == []


async def test_a_certificate_for_another_name_is_not_trusted(world: ProviderWorld) -> None:
    issuer = world.provider.issuer.replace("localhost", "127.0.0.1")
    assert (await find_begin_failure(world.open(issuer=issuer))).reason == "upstream.tls_failed"


async def test_an_authority_file_that_cannot_be_read_is_refused_at_the_start(
    world: ProviderWorld, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigurationError) as caught:
            world.open(trusted_ca_file=str(tmp_path / name))
        assert caught.value.setting == "upstreams.company.trusted_ca_file"


async def test_no_proxy_of_the_environment_is_used(world: ProviderWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await world.sign_in(world.open())).person.username == "jane"


async def test_no_cookie_of_the_provider_is_kept(world: ProviderWorld) -> None:
    upstream = world.open()
    world.provider.instead["revoke"] = FakeAnswer(headers={"Set-Cookie": "session=one-persons; Path=/; Secure"})
    tokens = (await world.sign_in(upstream)).tokens
    await upstream.revoke(tokens)
    await upstream.refresh(tokens, world.now)
    assert [request.headers.get("cookie") for request in world.provider.requests] == [None] * len(
        world.provider.requests
    )


# Metadata


async def test_metadata_is_looked_up_once_a_day_in_the_background(world: ProviderWorld) -> None:
    upstream = world.open()
    for _ in range(3):
        await world.begin(upstream)
    assert len(world.provider.find_requests("metadata")) == 1
    world.provider.instead["metadata"] = FakeAnswer(status=500)
    world.steady.advance(24 * 3600)
    await world.begin(upstream)
    await finish()
    assert len(world.provider.find_requests("metadata")) == 2
    await world.begin(upstream)
    world.provider.instead.clear()
    world.provider.metadata_changes = {"authorization_endpoint": world.provider.url("authorize?v=2")}
    world.steady.advance(1)
    await world.begin(upstream)
    await finish()
    assert "?v=2&" in (await world.begin(upstream)).url


async def finish() -> None:
    """Wait for what is fetched in the background."""
    for task in asyncio.all_tasks():
        if task.get_name() == "nameplate-upstream-fetch":
            await task


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"issuer": 7},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "http://evil.example/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"token_endpoint": "http://localhost/token"},
        {"token_endpoint": "https://user@evil.example/token"},
        {"token_endpoint": "https://evil.example/token#fragment"},
        {"token_endpoint": ["https://evil.example/token"]},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"userinfo_endpoint": "http://evil.example/"},
        {"revocation_endpoint": "ftp://evil.example/"},
    ],
    ids=str,
)
async def test_metadata_that_breaks_a_rule_is_not_used(world: ProviderWorld, changes: dict[str, Any]) -> None:
    world.provider.metadata_changes = changes
    failure = await find_begin_failure(world.open())
    assert (failure.code, failure.reason) == ("server_error", "upstream.metadata")


async def test_an_issuer_that_differs_by_a_slash_is_told_beside_the_one_that_was_given(world: ProviderWorld) -> None:
    failure = await find_begin_failure(world.open(issuer=f"{world.provider.issuer}/"))
    assert f"'{world.provider.issuer}'" in failure.detail
    assert f"'{world.provider.issuer}/'" in failure.detail
    assert "a trailing slash counts" in failure.detail


@pytest.mark.parametrize(
    "answer",
    [
        FakeAnswer(status=404),
        FakeAnswer(status=302, headers={"Location": "/"}),
        FakeAnswer(body=b"<html>", content_type="text/html"),
        FakeAnswer(body=b"[]"),
        FakeAnswer(body=b'{"issuer": 1, "issuer": 2}'),
    ],
)
async def test_what_is_no_metadata_is_not_used(world: ProviderWorld, answer: FakeAnswer) -> None:
    world.provider.instead["metadata"] = answer
    failure = await find_begin_failure(world.open())
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.metadata_missing")


async def test_metadata_is_bounded(world: ProviderWorld) -> None:
    world.provider.instead["metadata"] = FakeAnswer(body=b" " * 300_000)
    assert (await find_begin_failure(world.open())).reason == "upstream.too_large"


@pytest.mark.parametrize("path", ["/tenant/v2.0", "/"])
async def test_an_issuer_with_a_path_is_found(tmp_path: Path, path: str) -> None:
    async with run_provider_world(tmp_path, path=path) as world:
        assert world.provider.issuer.endswith(path)
        assert (await world.sign_in(world.open())).person.issuer == world.provider.issuer


async def test_metadata_may_lie_where_the_operator_says(tmp_path: Path) -> None:
    async with run_provider_world(tmp_path, path="/tenant") as world:
        origin = world.provider.origin
        url = f"{origin}/.well-known/oauth-authorization-server/tenant?policy=1"
        await world.sign_in(world.open(metadata_url=url))
        (request,) = world.provider.find_requests("metadata")
        assert request.parameters == {"policy": "1"}
        world.provider.metadata_changes = {"issuer": "https://evil.example"}
        assert (await find_begin_failure(world.open(metadata_url=url))).reason == "upstream.metadata"


async def test_given_endpoints_are_preferred_and_make_metadata_needless(world: ProviderWorld) -> None:
    given = {**build_fixed_endpoints(world.provider), "jwks_uri": world.provider.url("jwks")}
    world.provider.sends_issuer = False
    await world.sign_in(world.open(**given))
    assert world.provider.find_requests("metadata") == []
    world.provider.metadata_changes = {"token_endpoint": world.provider.url("nowhere")}
    await world.sign_in(world.open(token_endpoint=world.provider.url("token")))


async def test_a_way_of_authenticating_that_the_metadata_lacks_is_tried_and_logged(
    world: ProviderWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.provider.metadata_changes = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    with caplog.at_level(logging.WARNING):
        await world.sign_in(world.open())
    assert "does not list client_secret_basic" in caplog.text


async def test_what_fails_in_the_background_is_in_the_log(
    world: ProviderWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.provider.metadata_changes = {"issuer": "https://evil.example"}
    await find_begin_failure(world.open())
    (record,) = [record for record in caplog.records if record.name == "nameplate.upstream"]
    assert "https://evil.example" in record.getMessage()
    assert record.__dict__["reason"] == "upstream.metadata"
