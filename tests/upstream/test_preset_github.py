"""GitHub: one sign-in is four kinds of answers, and each differs from what the standards say."""

import base64
import json
from typing import Any

import pytest
from preset_kit import (
    CLIENT,
    NOW,
    CannedProvider,
    begin_sign_in,
    build_options,
    complete_sign_in,
    make_settings,
    read_query,
    run_provider,
)

from nameplate.errors import UpstreamError
from nameplate.protocol.sign_in_policy import find_sign_in_refusal
from nameplate.secret import Secret
from nameplate.upstream.port import Completed, UpstreamTokens
from nameplate.upstream.presets import build_upstream

GITHUB_USER = {"id": 583231, "login": "octocat", "name": "Mona", "email": "profile@evil.example", "type": "User"}
GITHUB_EMAILS = [
    {"email": "mona@home.example", "primary": True, "verified": True, "visibility": "private"},
    {"email": "mona@corp.example", "primary": False, "verified": True, "visibility": None},
    {"email": "ceo@other.example", "primary": False, "verified": False, "visibility": None},
]
GITHUB_TOKENS = {"access_token": "gho_16C7e42F292c6912E7710c838347Ae178B4a", "scope": "read:user,user:email"}


def answer_as_github(provider: CannedProvider, **changes: tuple[int, object]) -> None:
    provider.answers |= {
        "POST /login/oauth/access_token": (200, {**GITHUB_TOKENS, "token_type": "bearer"}),
        "GET /api/v3/user": (200, GITHUB_USER),
        "GET /api/v3/user/emails": (200, GITHUB_EMAILS),
        f"DELETE /api/v3/applications/{CLIENT}/token": (204, None),
        **changes,
    }


async def sign_in_at_github(provider: CannedProvider, **given: Any) -> Completed:
    settings = make_settings(type="github", base_url=provider.url, **(given or {"allow_everybody": True}))
    async with begin_sign_in(build_options(settings)) as (upstream, _, memory):
        return await complete_sign_in(upstream, memory=memory)


@pytest.mark.anyio
async def test_a_github_account_is_its_number_with_its_primary_verified_address() -> None:
    async with run_provider() as provider:
        answer_as_github(provider)
        completed = await sign_in_at_github(provider)
        person = completed.person
        assert (person.issuer, person.subject) == (f"{provider.url}/login/oauth", "583231")
        assert (person.username, person.display_name) == ("octocat", "Mona")
        assert (person.email, person.email_verified) == ("mona@home.example", True)
        assert completed.tokens.scope == "read:user user:email"
        assert completed.tokens.refresh_token is None
        exchange = provider.find("/login/oauth/access_token")[0].form
        assert (exchange["client_id"], exchange["client_secret"]) == (CLIENT, "s3cret")
        assert len(exchange["code_verifier"]) >= 43
        emails = provider.find("/api/v3/user/emails")[0]
        assert emails.headers["authorization"] == f"Bearer {GITHUB_TOKENS['access_token']}"
        assert provider.find("/api/v3/user/orgs") == []


@pytest.mark.anyio
async def test_of_several_verified_addresses_the_one_that_may_sign_in_is_taken() -> None:
    async with run_provider() as provider:
        answer_as_github(provider)
        domains = ("corp.example", "other.example")
        person = (await sign_in_at_github(provider, allowed_email_domains=domains)).person
        assert (person.email, person.email_verified) == ("mona@corp.example", True)
        person = (await sign_in_at_github(provider, allowed_emails=("ceo@other.example",))).person
        assert (person.email, person.email_verified) == ("mona@home.example", True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "emails",
    [
        (403, {"message": "Resource not accessible by integration"}),
        (404, {"message": "Not Found"}),
        (200, []),
        (200, [{"email": "ceo@other.example", "primary": True, "verified": False}]),
        (200, [{"email": "ceo@other.example", "primary": True, "verified": "true"}]),
        (200, [{"email": ["x"], "primary": True, "verified": True}, "x", None]),
        (200, {"email": "ceo@other.example", "verified": True}),
    ],
)
async def test_the_address_of_a_github_profile_is_not_verified(emails: tuple[int, object]) -> None:
    async with run_provider() as provider:
        answer_as_github(provider, **{"GET /api/v3/user/emails": emails})
        person = (await sign_in_at_github(provider)).person
        assert (person.email, person.email_verified) == ("profile@evil.example", False)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "value", "headers"),
    [
        (429, {"message": "too many"}, {"retry-after": "42"}),
        (403, {"message": "You have exceeded a secondary rate limit."}, {"retry-after": "42"}),
        (403, {"message": "API rate limit exceeded for user ID 583231."}, {}),
        (502, {"message": "Server Error"}, {}),
    ],
)
async def test_a_github_that_is_busy_turns_nobody_into_a_stranger(
    status: int, value: object, headers: dict[str, str]
) -> None:
    async with run_provider() as provider:
        answer_as_github(provider, **{"GET /api/v3/user/emails": (status, value)})
        provider.headers = headers
        with pytest.raises(UpstreamError) as caught:
            await sign_in_at_github(provider)
        assert (caught.value.code, caught.value.ends_grant) == ("temporarily_unavailable", False)
        assert caught.value.retry_after_seconds == int(headers.get("retry-after", "10"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        ("bad_verification_code", "upstream.code_refused", "server_error"),
        ("incorrect_client_credentials", "upstream.client_refused", "server_error"),
        ("redirect_uri_mismatch", "upstream.token_refused", "server_error"),
        ("unverified_user_email", "upstream.denied", "access_denied"),
    ],
)
async def test_a_github_error_with_status_200_is_an_error(error: str, reason: str, code: str) -> None:
    said = {"error": error, "error_description": "Something.", "error_uri": "https://docs.github.com/x"}
    async with run_provider() as provider:
        answer_as_github(provider, **{"POST /login/oauth/access_token": (200, said)})
        with pytest.raises(UpstreamError) as caught:
            await sign_in_at_github(provider)
        assert (caught.value.reason, caught.value.code) == (reason, code)


def build_tokens(*, refresh_token: str | None = "ghr_1B4a2e77838347a7E420ce178F2E7c6912E1692") -> UpstreamTokens:
    return UpstreamTokens(
        access_token=Secret("ghu_old"),
        token_type="Bearer",
        expires_at=NOW,
        refresh_token=None if refresh_token is None else Secret(refresh_token),
        scope="",
    )


@pytest.mark.anyio
async def test_a_github_refresh_token_that_is_dead_ends_the_grant() -> None:
    renewed = {**GITHUB_TOKENS, "token_type": "bearer", "expires_in": 28800, "refresh_token": "ghr_new"}
    dead = {"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect or expired."}
    async with run_provider() as provider:
        settings = make_settings(type="github", base_url=provider.url, keeps_tokens=True, allow_everybody=True)
        async with begin_sign_in(build_options(settings)) as (upstream, url, _):
            assert read_query(url)["scope"] == "read:user user:email offline_access"
            provider.answers["POST /login/oauth/access_token"] = (200, renewed)
            tokens = await upstream.refresh(build_tokens(), NOW)
            assert tokens.refresh_token == Secret("ghr_new")
            assert tokens.expires_at == NOW + 28800
            provider.answers["POST /login/oauth/access_token"] = (200, dead)
            with pytest.raises(UpstreamError) as caught:
                await upstream.refresh(build_tokens(), NOW)
            assert (caught.value.reason, caught.value.ends_grant) == ("upstream.grant_ended", True)


@pytest.mark.anyio
async def test_a_github_token_is_ended_by_the_rest_api() -> None:
    async with run_provider() as provider:
        answer_as_github(provider)
        settings = make_settings(type="github", base_url=provider.url, allow_everybody=True)
        path = f"/api/v3/applications/{CLIENT}/token"
        async with begin_sign_in(build_options(settings)) as (upstream, _, _):
            await upstream.revoke(build_tokens(refresh_token=None))
            seen = provider.find(path)[0]
            assert seen.method == "DELETE"
            assert json.loads(seen.body) == {"access_token": "ghu_old"}
            pair = base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")).decode()
            assert pair == f"{CLIENT}:s3cret"
            for status in (404, 422):  # ended before
                provider.answers[f"DELETE {path}"] = (status, {"message": "Not Found"})
                await upstream.revoke(build_tokens(refresh_token=None))
            for status, code in ((401, "server_error"), (503, "temporarily_unavailable")):
                provider.answers[f"DELETE {path}"] = (status, {"message": "No"})
                with pytest.raises(UpstreamError) as caught:
                    await upstream.revoke(build_tokens(refresh_token=None))
                assert caught.value.code == code


@pytest.mark.anyio
async def test_github_organizations_and_teams_are_groups_where_they_are_asked_for() -> None:
    asked = {"scopes": ("read:org",), "allowed_groups": ("corp", "corp/tools")}
    teams = [{"slug": "tools", "name": "Tools", "organization": {"login": "corp", "id": 1}}, {"slug": "lost"}]
    async with run_provider() as provider:
        answer_as_github(provider)
        provider.answers["GET /api/v3/user/orgs"] = (200, [{"login": "corp", "id": 1}, {"login": "other"}, {"id": 3}])
        provider.answers["GET /api/v3/user/teams"] = (200, teams)
        person = (await sign_in_at_github(provider, **asked)).person
        assert person.groups == ("corp", "other", "corp/tools")
        policy = build_upstream(make_settings(type="github", base_url=provider.url, **asked)).policy
        assert find_sign_in_refusal(policy, person) is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    "organizations",
    [(403, {"message": "Forbidden"}), (200, [{"login": f"org{number}"} for number in range(100)]), (200, {})],
)
async def test_github_organizations_that_are_not_all_known_let_nobody_in(organizations: tuple[int, object]) -> None:
    asked = {"scopes": ("read:org",), "allowed_groups": ("corp",)}
    async with run_provider() as provider:
        answer_as_github(provider)
        provider.answers["GET /api/v3/user/orgs"] = organizations
        provider.answers["GET /api/v3/user/teams"] = (200, [])
        person = (await sign_in_at_github(provider, **asked)).person
        policy = build_upstream(make_settings(type="github", base_url=provider.url, **asked)).policy
        refusal = find_sign_in_refusal(policy, person)
        assert refusal is not None
        assert refusal.reason == "sign_in.groups_unknown"


@pytest.mark.anyio
async def test_an_issuer_that_github_may_send_one_day_is_the_right_one() -> None:
    async with run_provider() as provider:
        answer_as_github(provider)
        settings = make_settings(type="github", base_url=provider.url, allow_everybody=True)
        async with begin_sign_in(build_options(settings)) as (upstream, _, memory):
            issuer = f"{provider.url}/login/oauth"
            completed = await complete_sign_in(upstream, memory=memory, parameters={"iss": issuer})
            assert completed.person.subject == "583231"
            with pytest.raises(UpstreamError) as caught:
                await complete_sign_in(upstream, memory=memory, parameters={"iss": "https://evil.example"})
            assert caught.value.reason == "upstream.wrong_issuer"
