"""No token, code, secret, verifier or nonce is ever in a message, in a log or in what is shown of an object (PX-07)."""

import json
import logging
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from upstream_kit import CALLBACK, NO_HINTS, ProviderWorld, read_query, run_provider_world

from nameplate.errors import UpstreamError
from nameplate.testing.identity_provider import Endpoint, FakeAnswer, FakeClient
from nameplate.upstream.port import Begun, Upstream

pytestmark = pytest.mark.anyio

SECRET = "the-clients-secret"


@pytest.fixture(params=["client_secret_basic", "client_secret_post"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[ProviderWorld]:
    async with run_provider_world(tmp_path) as running:
        running.provider.client = FakeClient(secret=SECRET, auth_method=request.param)
        running.provider.repeats_secrets = True
        yield running


async def find_failures(world: ProviderWorld, upstream: Upstream, begun: Begun) -> list[UpstreamError]:
    """What fails when a provider repeats all it was sent: an exchange, a refresh, and a revocation."""
    failures = []
    query = await world.visit(begun)
    code = read_query(f"{CALLBACK}?{query}")["code"]
    tokens = (await world.complete(upstream, begun, query)).tokens
    for answer in (None, echo(code, tokens.to_json().decode())):
        if answer is not None:
            world.provider.instead["token"] = answer
        world.provider.end_grants()
        for attempt in (world.complete(upstream, begun, query), upstream.refresh(tokens, world.now)):
            with pytest.raises(UpstreamError) as caught:
                await attempt
            failures.append(caught.value)
    for endpoint in ("token", "revoke", "userinfo"):
        world.provider.instead[named(endpoint)] = FakeAnswer(status=500, body=tokens.to_json())
    with pytest.raises(UpstreamError) as caught:
        await upstream.revoke(tokens)
    return [*failures, caught.value, await world.find_failure(upstream)]


def named(endpoint: str) -> Endpoint:
    match endpoint:
        case "token" | "revoke" | "userinfo":
            return endpoint
    raise LookupError(endpoint)


def echo(*texts: str) -> FakeAnswer:
    said = " ".join([*texts, SECRET])
    return FakeAnswer(status=400, body=json.dumps({"error": "invalid_request", "error_description": said}).encode())


async def test_nothing_that_was_sent_is_told(world: ProviderWorld, caplog: pytest.LogCaptureFixture) -> None:
    upstream = world.open()
    with caplog.at_level(logging.DEBUG, logger="nameplate"):
        begun = await world.begin(upstream)
        failures = await find_failures(world, upstream, begun)
    assert len(failures) == 6
    remembered = json.loads(begun.memory)
    hidden = [SECRET, remembered["verifier"], remembered["nonce"], *world.provider.issued]
    assert remembered["verifier"] not in repr(begun)
    told = [caplog.text, repr(world.build_options()), repr(upstream)]
    for failure in failures:
        told += [str(failure), failure.detail, failure.description, "".join(traceback.format_exception(failure))]
    for secret in hidden:
        assert all(secret not in text for text in told), secret
    assert any("***" in failure.detail for failure in failures)


async def test_what_a_sign_in_gives_shows_no_token(world: ProviderWorld) -> None:
    completed = await world.sign_in(world.open(), NO_HINTS)
    assert all(secret not in repr(completed) for secret in world.provider.issued)
