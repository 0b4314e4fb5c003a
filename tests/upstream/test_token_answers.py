"""What token endpoints answer: tokens in every spelling that is met, and everything that is no token."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from upstream_kit import ProviderWorld, run_provider_world

from nameplate.errors import UpstreamError
from nameplate.secret import Secret
from nameplate.testing.identity_provider import FakeAnswer
from nameplate.upstream.port import Upstream, UpstreamTokens

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProviderWorld]:
    async with run_provider_world(tmp_path) as running:
        yield running


def build_answer(members: object, status: int = 200, **headers: str) -> FakeAnswer:
    return FakeAnswer(status=status, body=json.dumps(members).encode(), headers=headers)


HTML = FakeAnswer(body=b"<html>down for maintenance</html>", content_type="text/html")

# What comes, what the client is told, why.
FAILURES: dict[str, tuple[FakeAnswer, str, str]] = {
    "403 with JSON and no error": (
        build_answer({"message": "Forbidden"}, 403),
        "server_error",
        "upstream.token_answer",
    ),
    "403 from a firewall": (
        FakeAnswer(status=403, body=b"<html>", content_type="text/html"),
        "server_error",
        "upstream.token_answer",
    ),
    "200 with HTML": (HTML, "server_error", "upstream.token_answer"),
    "200 without a token": (build_answer({"token_type": "Bearer"}), "server_error", "upstream.token_missing"),
    "200 with nothing": (build_answer({}), "server_error", "upstream.token_type"),
    "200 with an empty token": (
        build_answer({"token_type": "Bearer", "access_token": ""}),
        "server_error",
        "upstream.token_missing",
    ),
    "200 with a list": (build_answer([1]), "server_error", "upstream.token_answer"),
    "200 with an error": (build_answer({"error": "bad_verification_code"}), "server_error", "upstream.token_refused"),
    "an error that is an object": (
        build_answer({"error": {"code": 7}}, 400),
        "server_error",
        "upstream.token_refused",
    ),
    "a repeated member": (
        FakeAnswer(body=b'{"access_token":"a","access_token":"b","token_type":"bearer"}'),
        "server_error",
        "upstream.token_answer",
    ),
    "another token type": (
        build_answer({"access_token": "a", "token_type": "mac"}),
        "server_error",
        "upstream.token_type",
    ),
    "a token of a proof": (
        build_answer({"access_token": "a", "token_type": "DPoP"}),
        "server_error",
        "upstream.token_type",
    ),
    "no token type": (build_answer({"access_token": "a"}), "server_error", "upstream.token_type"),
    "a token that breaks a header": (
        build_answer({"access_token": "a\r\nX-Forged: 1", "token_type": "bearer"}),
        "server_error",
        "upstream.token_malformed",
    ),
    "a token that is a number": (
        build_answer({"access_token": 1, "token_type": "bearer"}),
        "server_error",
        "upstream.token_malformed",
    ),
    "a redirect": (FakeAnswer(status=302, headers={"Location": "/elsewhere"}), "server_error", "upstream.token_answer"),
    "404": (FakeAnswer(status=404), "server_error", "upstream.token_answer"),
    "204": (FakeAnswer(status=204, body=b""), "server_error", "upstream.token_answer"),
    "a flood": (FakeAnswer(body=b" " * 300_000), "server_error", "upstream.too_large"),
    "deep nesting": (FakeAnswer(body=b"[" * 100_000), "server_error", "upstream.token_answer"),
    "500": (FakeAnswer(status=500), "temporarily_unavailable", "upstream.unavailable"),
    "503 with HTML": (
        FakeAnswer(status=503, body=b"<html>", content_type="text/html"),
        "temporarily_unavailable",
        "upstream.unavailable",
    ),
    "503 with invalid_grant": (
        build_answer({"error": "invalid_grant"}, 503),
        "temporarily_unavailable",
        "upstream.unavailable",
    ),
    "429": (build_answer({"error": "too_many"}, 429), "temporarily_unavailable", "upstream.unavailable"),
    "temporarily_unavailable": (
        build_answer({"error": "temporarily_unavailable"}, 400),
        "temporarily_unavailable",
        "upstream.unavailable",
    ),
    "a denial": (build_answer({"error": "access_denied"}, 403), "access_denied", "upstream.denied"),
    "our secret is wrong": (build_answer({"error": "invalid_client"}, 401), "server_error", "upstream.client_refused"),
}


async def test_whatever_is_no_token_ends_the_sign_in_with_a_reason(world: ProviderWorld) -> None:
    upstream = world.open()
    for name, (answer, code, reason) in FAILURES.items():
        world.provider.instead["token"] = answer
        failure = await world.find_failure(upstream)
        assert (failure.code, failure.reason, failure.ends_grant) == (code, reason, False), name
        assert failure.detail, name
        assert (failure.retry_after_seconds is not None) == (code == "temporarily_unavailable"), name


async def test_whatever_is_no_token_ends_no_grant_at_a_refresh(world: ProviderWorld) -> None:
    upstream = world.open()
    tokens = (await world.sign_in(upstream)).tokens
    for name, (answer, code, reason) in FAILURES.items():
        world.provider.instead["token"] = answer
        failure = await find_refresh_failure(upstream, tokens, world.now)
        assert (failure.code, failure.reason, failure.ends_grant) == (code, reason, False), name
    del world.provider.instead["token"]
    assert (await upstream.refresh(tokens, world.now)).access_token != tokens.access_token


async def find_refresh_failure(upstream: Upstream, tokens: UpstreamTokens, now: int) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await upstream.refresh(tokens, now)
    return caught.value


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (3599.9, 3599),
        ("3599.5", 3599),
        (0, 0),
        (None, None),
        ("soon", None),
        ("", None),
        (-1, None),
        (True, None),
        ([3600], None),
        (10**400, 10 * 366 * 24 * 3600),
    ],
)
async def test_a_lifetime_is_read_however_it_is_written(
    world: ProviderWorld, expires_in: object, seconds: int | None
) -> None:
    world.provider.token_changes = {"expires_in": expires_in}
    tokens = (await world.sign_in(world.open())).tokens
    assert tokens.expires_at == (None if seconds is None else world.now + seconds)


@pytest.mark.parametrize(
    ("changes", "scope"),
    [
        ({"scope": "openid email"}, "openid email"),
        ({"scope": ["openid", "email"]}, "openid email"),
        ({"scope": None}, "openid profile email"),
        ({"scope": 7}, "openid profile email"),
        ({"token_type": "bearer"}, "openid profile email"),
        ({"token_type": "BEARER"}, "openid profile email"),
    ],
)
async def test_other_spellings_are_read_too(world: ProviderWorld, changes: Mapping[str, Any], scope: str) -> None:
    world.provider.token_changes = dict(changes)
    tokens = (await world.sign_in(world.open())).tokens
    assert (tokens.scope, tokens.token_type) == (scope, "Bearer")


# Refreshing


async def test_a_new_refresh_token_replaces_the_old_one(world: ProviderWorld) -> None:
    upstream = world.open()
    first = (await world.sign_in(upstream)).tokens
    second = await upstream.refresh(first, world.now)
    assert second.refresh_token not in (None, first.refresh_token)
    assert second.expires_at == world.now + 3600
    third = await upstream.refresh(second, world.now)
    assert third.refresh_token not in (None, second.refresh_token)


async def test_where_none_comes_the_old_refresh_token_stays(world: ProviderWorld) -> None:
    world.provider.rotates_refresh_tokens = False
    upstream = world.open()
    first = (await world.sign_in(upstream)).tokens
    for omitted in (None, ""):
        world.provider.token_changes = {"refresh_token": omitted, "scope": None}
        again = await upstream.refresh(first, world.now)
        assert (again.refresh_token, again.scope) == (first.refresh_token, first.scope)
        assert again.access_token != first.access_token


async def test_a_grant_that_the_provider_ended_ends(world: ProviderWorld) -> None:
    upstream = world.open()
    tokens = (await world.sign_in(upstream)).tokens
    world.provider.end_grants()
    failure = await find_refresh_failure(upstream, tokens, world.now)
    assert (failure.reason, failure.ends_grant) == ("upstream.grant_ended", True)
    assert failure.retry_after_seconds is None


@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_invalid_grant_counts_with_every_status_that_says_the_provider_is_well(
    world: ProviderWorld, status: int
) -> None:
    upstream = world.open()
    tokens = (await world.sign_in(upstream)).tokens
    world.provider.instead["token"] = build_answer({"error": "invalid_grant"}, status)
    assert (await find_refresh_failure(upstream, tokens, world.now)).ends_grant


async def test_an_error_by_another_name_is_translated_by_the_preset(world: ProviderWorld) -> None:
    def translate(members: Mapping[str, object]) -> Mapping[str, object]:
        return {**members, "error": "invalid_grant"} if members.get("error") == "bad_refresh_token" else members

    upstream = world.open(read_token_answer=translate)
    tokens = (await world.sign_in(upstream)).tokens
    world.provider.instead["token"] = build_answer({"error": "bad_refresh_token"}, 200)
    assert (await find_refresh_failure(upstream, tokens, world.now)).ends_grant


async def test_without_a_refresh_token_nothing_is_asked(world: ProviderWorld) -> None:
    world.provider.issues_refresh_tokens = False
    upstream = world.open()
    tokens = (await world.sign_in(upstream)).tokens
    failure = await find_refresh_failure(upstream, tokens, world.now)
    assert (failure.reason, failure.ends_grant) == ("upstream.no_refresh_token", False)
    assert len(world.provider.find_requests("token")) == 1


async def test_the_providers_word_about_when_to_come_back_is_passed_on(world: ProviderWorld) -> None:
    upstream = world.open()
    tokens = (await world.sign_in(upstream)).tokens
    for header, seconds in (("120", 120), ("999999999", 24 * 3600), ("soon", 10), ("0", 1), ("-5", 10)):
        world.provider.instead["token"] = FakeAnswer(status=503, headers={"Retry-After": header})
        assert (await find_refresh_failure(upstream, tokens, world.now)).retry_after_seconds == seconds


async def test_a_provider_that_is_slow_ends_nothing(world: ProviderWorld) -> None:
    upstream = world.open(deadline_seconds=1)
    tokens = (await world.sign_in(upstream)).tokens
    gate = world.provider.waits_for["token"] = asyncio.Event()
    failure = await find_refresh_failure(upstream, tokens, world.now)
    gate.set()
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.timed_out")
    assert failure.ends_grant is False
    assert failure.retry_after_seconds == 10


# Revoking


async def test_tokens_are_revoked_by_the_refresh_token_or_else_by_the_access_token(world: ProviderWorld) -> None:
    upstream = world.open()
    tokens = (await world.sign_in(upstream)).tokens
    await upstream.revoke(tokens)
    (request,) = world.provider.find_requests("revoke")
    assert tokens.refresh_token is not None
    assert request.parameters["token"] == tokens.refresh_token.reveal()
    assert request.parameters["token_type_hint"] == "refresh_token"
    assert (await find_refresh_failure(upstream, tokens, world.now)).ends_grant
    world.provider.issues_refresh_tokens = False
    tokens = (await world.sign_in(upstream)).tokens
    await upstream.revoke(tokens)
    assert world.provider.revoked[-1] == tokens.access_token.reveal()
    assert world.provider.find_requests("revoke")[-1].parameters["token_type_hint"] == "access_token"


async def test_a_provider_without_revocation_is_left_alone(world: ProviderWorld) -> None:
    world.provider.metadata_changes = {"revocation_endpoint": None}
    upstream = world.open()
    await upstream.revoke((await world.sign_in(upstream)).tokens)
    assert world.provider.revoked == []


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        *(
            (FakeAnswer(status=status, headers={"Retry-After": "7"}), "temporarily_unavailable", "upstream.unavailable")
            for status in (429, 500, 503)
        ),
        (build_answer({"error": "invalid_client"}, 401), "server_error", "upstream.revocation_refused"),
        (FakeAnswer(status=302), "server_error", "upstream.revocation_refused"),
    ],
)
async def test_a_revocation_that_fails_is_told(
    world: ProviderWorld, answer: FakeAnswer, code: str, reason: str
) -> None:
    upstream = world.open()
    tokens = (await world.sign_in(upstream)).tokens
    world.provider.instead["revoke"] = answer
    with pytest.raises(UpstreamError) as caught:
        await upstream.revoke(tokens)
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert caught.value.retry_after_seconds == (7 if code == "temporarily_unavailable" else None)


async def test_a_provider_with_another_way_of_revoking_has_it(world: ProviderWorld) -> None:
    async def revoke(ask: Any, tokens: UpstreamTokens, options: Any) -> None:
        await ask("DELETE", f"{options.issuer}/grants", json={"access_token": tokens.access_token.reveal()})

    upstream = world.open(revoke_tokens=revoke)
    await upstream.revoke(
        UpstreamTokens(
            access_token=Secret("a"), token_type="Bearer", expires_at=None, refresh_token=None, scope="openid"
        )
    )
    assert world.provider.find_requests("revoke") == []
