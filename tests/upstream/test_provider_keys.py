"""A provider's keys: what is taken for a key set, and when one is fetched again."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from upstream_kit import ProviderWorld, run_provider_world

from nameplate.testing.identity_provider import FakeAnswer
from nameplate.testing.provider_signing import ProviderKey

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProviderWorld]:
    async with run_provider_world(tmp_path) as running:
        yield running


def build_key_set(world: ProviderWorld, *others: object) -> dict[str, object]:
    return {"keys": [*(key.public_jwk() for key in world.provider.keys), *others]}


@pytest.mark.parametrize("status", [201, 203, 302, 404, 500])
async def test_good_keys_with_another_status_are_not_taken(world: ProviderWorld, status: int) -> None:
    body = json.dumps(build_key_set(world)).encode()
    world.provider.instead["jwks"] = FakeAnswer(status=status, body=body, content_type="")
    failure = await world.find_failure(world.open())
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.keys_missing")
    assert f"answered {status} without a media type" in failure.detail


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b'{"keys": 7}', b'{"keys": {}}', b'{"keys": [7]}'])
async def test_what_is_no_key_set_has_no_keys(world: ProviderWorld, body: bytes) -> None:
    world.provider.instead["jwks"] = FakeAnswer(body=body)
    failure = await world.find_failure(world.open())
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.keys_missing")


async def test_an_entry_that_cannot_be_used_is_logged_and_the_others_serve(
    world: ProviderWorld, caplog: pytest.LogCaptureFixture
) -> None:
    others = (7, {"kty": "oct", "k": "AAAA", "kid": "secret"}, {"kid": 7, "issuer": "x"}, {"kid": "b", "issuer": 7})
    world.provider.instead["jwks"] = FakeAnswer(body=json.dumps(build_key_set(world, *others)).encode())
    with caplog.at_level(logging.INFO, logger="nameplate.upstream"):
        await world.sign_in(world.open())
    assert caplog.text.count("is not used") == len(others)
    assert "AAAA" not in caplog.text


async def test_a_token_without_a_kid_is_good_where_there_is_one_key(world: ProviderWorld) -> None:
    world.provider.header_changes = {"kid": None}
    assert (await world.sign_in(world.open())).person.username == "jane"
    world.provider.published_keys = [*world.provider.keys, ProviderKey("second")]
    assert (await world.find_failure(world.open())).reason == "upstream.id_token_signature"


async def test_only_what_new_keys_could_mend_makes_them_be_fetched_again(world: ProviderWorld) -> None:
    upstream = world.open()
    world.provider.signature = "none"
    await world.find_failure(upstream)
    world.provider.signature = "RS256"
    world.provider.id_token_changes = {"iss": "https://evil.example"}
    await world.find_failure(upstream)
    assert len(world.provider.find_requests("jwks")) == 1


async def test_nobody_waits_for_keys_that_are_fetched_in_the_background(world: ProviderWorld) -> None:
    upstream = world.open(deadline_seconds=60)
    await world.sign_in(upstream)
    gate = world.provider.waits_for["jwks"] = asyncio.Event()
    world.steady.advance(3600)
    async with asyncio.timeout(30):
        for _ in range(3):
            await world.sign_in(upstream)
    assert len(world.provider.find_requests("jwks")) <= 2
    gate.set()
    for task in asyncio.all_tasks():
        if task.get_name() == "nameplate-upstream-fetch":
            await task
    assert len(world.provider.find_requests("jwks")) == 2
    await world.sign_in(upstream)
    assert len(world.provider.find_requests("jwks")) == 2


async def test_a_key_that_was_withdrawn_is_refused_an_hour_later(world: ProviderWorld) -> None:
    upstream = world.open()
    await world.sign_in(upstream)
    world.provider.published_keys = [ProviderKey("new")]
    world.steady.advance(3600)
    await world.sign_in(upstream)  # this one starts the fetch
    for task in asyncio.all_tasks():
        if task.get_name() == "nameplate-upstream-fetch":
            await task
    assert (await world.find_failure(upstream)).reason == "upstream.id_token_key"
