"""Sign-in at a plain OAuth 2.0 provider: no ID token, sometimes no metadata, and each with a way of its own."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from upstream_kit import ProviderWorld, build_fixed_endpoints, read_query, run_provider_world

from nameplate.errors import UpstreamError
from nameplate.protocol.parameters import parse_parameters
from nameplate.testing.identity_provider import FakeAnswer
from nameplate.upstream.port import SignInHints, Upstream, UpstreamTokens
from nameplate.upstream.provider import Ask

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProviderWorld]:
    """A provider such as GitHub: people have numbers, and it has no refresh tokens."""
    async with run_provider_world(tmp_path, path="/login/oauth") as running:
        running.provider.person = {"id": 583231, "login": "octocat", "name": "The Octocat", "email": None}
        running.provider.sends_issuer = False
        running.provider.issues_refresh_tokens = False
        yield running


def open_plain(world: ProviderWorld, **changes: Any) -> Upstream:
    given: dict[str, Any] = {
        "kind": "oauth2",
        "scopes": ("read:user", "user:email"),
        "subject_claim": "id",
        "username_claims": ("login",),
        "groups_claim": None,
        **build_fixed_endpoints(world.provider),
    }
    return world.open(**{**given, **changes})


async def test_a_person_signs_in_without_metadata_and_without_an_id_token(world: ProviderWorld) -> None:
    completed = await world.sign_in(open_plain(world))
    person, tokens = completed.person, completed.tokens
    assert (person.issuer, person.subject) == (world.provider.issuer, "583231")
    assert (person.username, person.display_name) == ("octocat", "The Octocat")
    assert (person.email, person.email_verified, person.groups) == (None, False, ())
    assert tokens.refresh_token is None
    assert world.provider.find_requests("metadata") == []
    assert world.provider.find_requests("jwks") == []


async def test_no_nonce_is_sent_but_pkce_is(world: ProviderWorld) -> None:
    begun = await world.begin(open_plain(world), SignInHints(login_hint="octocat"))
    sent = read_query(begun.url)
    assert "nonce" not in sent
    assert sent["code_challenge_method"] == "S256"
    assert sent["login_hint"] == "octocat"
    assert sent["scope"] == "read:user user:email"
    assert json.loads(begun.memory)["nonce"] is None


async def test_metadata_of_rfc_8414_is_found_where_endpoints_are_not_given(world: ProviderWorld) -> None:
    upstream = open_plain(world, **dict.fromkeys(build_fixed_endpoints(world.provider)))
    assert (await world.sign_in(upstream)).person.subject == "583231"
    assert len(world.provider.find_requests("metadata")) == 1


async def test_an_issuer_that_comes_is_compared(world: ProviderWorld) -> None:
    world.provider.answer_changes = {"iss": "https://evil.example"}
    assert (await world.find_failure(open_plain(world))).reason == "upstream.wrong_issuer"
    world.provider.answer_changes = {"iss": world.provider.issuer}
    assert (await world.sign_in(open_plain(world))).person.username == "octocat"


async def test_an_error_with_status_200_is_an_error(world: ProviderWorld) -> None:
    world.provider.instead["token"] = FakeAnswer(body=b'{"error": "bad_verification_code", "access_token": ""}')
    failure = await world.find_failure(open_plain(world))
    assert (failure.code, failure.reason) == ("server_error", "upstream.token_refused")
    assert "bad_verification_code" in failure.detail
    assert world.provider.find_requests("userinfo") == []


async def test_an_id_token_nobody_asked_for_changes_nothing(world: ProviderWorld) -> None:
    world.provider.token_changes = {"id_token": "not.a.token"}
    assert (await world.sign_in(open_plain(world))).person.subject == "583231"


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (FakeAnswer(status=401, body=b'{"message": "Bad credentials"}'), "server_error", "upstream.userinfo"),
        (FakeAnswer(status=403, body=b'{"message": "rate limit"}'), "server_error", "upstream.userinfo"),
        (FakeAnswer(body=b"<html>", content_type="text/html"), "server_error", "upstream.userinfo"),
        (
            FakeAnswer(body=b"eyJhbGciOiJSUzI1NiJ9.e30.AA", content_type="application/jwt"),
            "server_error",
            "upstream.userinfo",
        ),
        (FakeAnswer(body=b"[]"), "server_error", "upstream.userinfo"),
        (FakeAnswer(status=302, headers={"Location": "/"}), "server_error", "upstream.userinfo"),
        (FakeAnswer(body=b"{}"), "server_error", "upstream.subject_missing"),
        (FakeAnswer(body=b'{"id": ""}'), "server_error", "upstream.subject_missing"),
        (FakeAnswer(body=b'{"id": true}'), "server_error", "upstream.subject_missing"),
        (FakeAnswer(body=b'{"id": 1.5}'), "server_error", "upstream.subject_missing"),
        (FakeAnswer(body=b'{"id": "a\\u202eb"}'), "server_error", "upstream.subject_missing"),
        (FakeAnswer(body=b'{"id": 1, "id": 2}'), "server_error", "upstream.userinfo"),
        (FakeAnswer(body=b" " * 300_000), "server_error", "upstream.too_large"),
        (FakeAnswer(status=502), "temporarily_unavailable", "upstream.unavailable"),
        (FakeAnswer(status=429), "temporarily_unavailable", "upstream.unavailable"),
    ],
)
async def test_without_a_good_answer_about_the_person_nobody_signed_in(
    world: ProviderWorld, answer: FakeAnswer, code: str, reason: str
) -> None:
    world.provider.instead["userinfo"] = answer
    failure = await world.find_failure(open_plain(world))
    assert (failure.code, failure.reason) == (code, reason)


async def test_a_preset_can_ask_for_more(world: ProviderWorld) -> None:
    """GitHub's addresses lie at an endpoint of their own, as a list."""
    world.provider.instead["jwks"] = FakeAnswer(
        body=b'[{"email": "old@example.com", "verified": false}, {"email": "o@example.com", "verified": true}]'
    )

    async def fetch_addresses(ask: Ask, tokens: UpstreamTokens, claims: Mapping[str, object]) -> Mapping[str, object]:
        answer = await ask(
            "GET",
            world.provider.url("jwks"),
            headers={"Authorization": f"Bearer {tokens.access_token.reveal()}", "Accept": "application/vnd.x+json"},
        )
        addresses = answer.read_json()
        assert isinstance(addresses, list)
        good = next(entry for entry in addresses if entry["verified"])
        return {**claims, "email": good["email"], "email_verified": True}

    person = (await world.sign_in(open_plain(world, fetch_claims=fetch_addresses))).person
    assert (person.email, person.email_verified) == ("o@example.com", True)
    (request,) = world.provider.find_requests("jwks")
    assert request.headers["authorization"].startswith("Bearer ")
    assert request.headers["accept"] == "application/vnd.x+json"


async def test_a_request_of_a_preset_can_have_a_body(world: ProviderWorld) -> None:
    async def fetch_groups(ask: Ask, tokens: UpstreamTokens, claims: Mapping[str, object]) -> Mapping[str, object]:
        answer = await ask("POST", world.provider.url("revoke"), json={"securityEnabledOnly": False})
        return {**claims, "status": answer.status}

    person = (await world.sign_in(open_plain(world, fetch_claims=fetch_groups))).person
    assert person.claims["status"] == 401
    (request,) = world.provider.find_requests("revoke")
    assert request.headers["content-type"] == "application/json"


async def test_what_fails_in_a_preset_fails_the_sign_in(world: ProviderWorld) -> None:
    async def fetch_groups(ask: Ask, tokens: UpstreamTokens, claims: Mapping[str, object]) -> Mapping[str, object]:
        await ask("GET", "https://localhost:1/groups")
        return claims

    failure = await world.find_failure(open_plain(world, fetch_claims=fetch_groups))
    assert (failure.code, failure.reason) == ("temporarily_unavailable", "upstream.unreachable")


async def test_a_sign_in_that_was_begun_without_a_nonce_is_no_openid_sign_in(world: ProviderWorld) -> None:
    """The operator changed the kind while somebody was away at the provider."""
    world.provider.person["sub"] = "1"
    begun = await world.begin(open_plain(world, scopes=("openid",)))
    query = urlsplit(await world.provider.visit(begun.url)).query
    world.provider.id_token_changes = {"nonce": ""}
    upstream = world.open(username_claims=("login",))
    with pytest.raises(UpstreamError) as caught:
        await upstream.complete(
            parse_parameters(query.encode()),
            memory=begun.memory,
            callback=read_query(begun.url)["redirect_uri"],
            now=world.now,
        )
    assert caught.value.reason == "upstream.memory"
