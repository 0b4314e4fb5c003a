"""The provider of the test kit is as strict as a real one, or tests against it would prove little."""

import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest

from nameplate.jose import SigningKey
from nameplate.protocol.pkce import build_code_challenge
from nameplate.testing.identity_provider import FakeClient, FakeIdentityProvider, run_identity_provider

pytestmark = pytest.mark.anyio

VERIFIER = "v" * 43
KEY = SigningKey.generate()
CALLBACK = "https://login.example.com/callback/company"
BASIC = {"Authorization": f"Basic {b64encode(b'nameplate:a+secret').decode()}"}


@dataclass(kw_only=True)
class Visitor:
    """Somebody who talks to the provider by hand."""

    provider: FakeIdentityProvider
    http: httpx2.AsyncClient

    async def obtain_code(self, **changes: str | None) -> str:
        asked = {
            "response_type": "code",
            "client_id": "nameplate",
            "redirect_uri": CALLBACK,
            "scope": "openid",
            "state": "s",
            "nonce": "n",
            "code_challenge": build_code_challenge(VERIFIER),
            **changes,
        }
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        location = await self.provider.visit(f"{self.provider.url('authorize')}?{query}")
        return dict(parse_qsl(urlsplit(location).query))["code"]

    async def post_token(self, *, headers: dict[str, str] = BASIC, **form: str) -> httpx2.Response:
        return await self.http.post(self.provider.url("token"), data=form, headers=headers)

    async def redeem(self, code: str, *, headers: dict[str, str] = BASIC, **changes: str) -> httpx2.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.post_token(headers=headers, **{**form, **changes})


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with run_visitor(tmp_path) as running:
        yield running


@asynccontextmanager
async def run_visitor(directory: Path) -> AsyncIterator[Visitor]:
    async with run_identity_provider(directory) as provider:
        tls = ssl.create_default_context(cafile=provider.ca_file)
        async with httpx2.AsyncClient(verify=tls, trust_env=False) as http:
            yield Visitor(provider=provider, http=http)


async def test_a_code_buys_tokens_once(visitor: Visitor) -> None:
    code = await visitor.obtain_code()
    first = await visitor.redeem(code)
    assert first.status_code == 200
    assert first.json().keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
    assert (await visitor.redeem(code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes", [{"client_id": "another"}, {"response_type": "token"}, {"code_challenge": None}, {"redirect_uri": None}]
)
async def test_a_wrong_request_is_not_answered_with_a_code(visitor: Visitor, changes: dict[str, Any]) -> None:
    with pytest.raises(LookupError):
        await visitor.obtain_code(**changes)


@pytest.mark.parametrize("changes", [{"code_verifier": "w" * 43}, {"code_verifier": ""}, {"redirect_uri": "https://x"}])
async def test_a_code_is_bound_to_its_request(visitor: Visitor, changes: dict[str, Any]) -> None:
    assert (await visitor.redeem(await visitor.obtain_code(), **changes)).json()["error"] == "invalid_grant"


async def test_a_verifier_without_a_challenge_is_refused(visitor: Visitor) -> None:
    visitor.provider.requires_pkce = False
    code = await visitor.obtain_code(code_challenge=None)
    assert (await visitor.redeem(code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("method", "headers", "form"),
    [
        ("client_secret_basic", {}, {}),
        ("client_secret_basic", {}, {"client_id": "nameplate", "client_secret": "a secret"}),
        ("client_secret_basic", BASIC, {"client_id": "nameplate", "client_secret": "a secret"}),
        ("client_secret_basic", {"Authorization": f"Basic {b64encode(b'nameplate:a secret!').decode()}"}, {}),
        ("client_secret_basic", {"Authorization": "Basic ???"}, {}),
        ("client_secret_basic", {"Authorization": "Bearer a"}, {}),
        ("client_secret_post", BASIC, {}),
        ("client_secret_post", {}, {"client_id": "nameplate", "client_secret": "another"}),
        ("none", BASIC, {"client_id": "nameplate"}),
        ("none", {}, {"client_id": "another"}),
        ("private_key_jwt", {}, {"client_id": "nameplate"}),
        ("private_key_jwt", {}, {"client_assertion": "a.b.c"}),
    ],
)
async def test_only_the_registered_way_of_authenticating_counts(
    visitor: Visitor, method: str, headers: dict[str, str], form: dict[str, Any]
) -> None:
    visitor.provider.client = FakeClient(auth_method=method, keys=[KEY.public_jwk()])
    answer = await visitor.redeem(await visitor.obtain_code(), headers=headers, **form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("changes", "is_good"),
    [
        ({}, True),
        ({"iss": "another"}, False),
        ({"sub": "another"}, False),
        ({"aud": "https://another.example"}, False),
        ({"exp": 0}, False),
        ({"exp": 2**33}, False),
        ({"jti": None}, False),
    ],
)
async def test_an_assertion_is_read_in_full_and_once(
    visitor: Visitor, changes: dict[str, object], *, is_good: bool
) -> None:
    visitor.provider.client = FakeClient(auth_method="private_key_jwt", keys=[KEY.public_jwk()])
    claims = {
        "iss": "nameplate",
        "sub": "nameplate",
        "aud": visitor.provider.issuer,
        "exp": int(time.time()) + 60,
        "jti": "1",
        **changes,
    }
    proof: dict[str, Any] = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": KEY.sign(claims, typ="JWT"),
    }
    statuses = [(await visitor.redeem(await visitor.obtain_code(), headers={}, **proof)).status_code for _ in range(2)]
    assert statuses == ([200, 401] if is_good else [401, 401])


async def test_a_refresh_token_that_was_rotated_away_is_dead(visitor: Visitor) -> None:
    tokens = (await visitor.redeem(await visitor.obtain_code())).json()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await visitor.post_token(**form)).status_code == 200
    assert (await visitor.post_token(**form)).json()["error"] == "invalid_grant"
    assert (await visitor.post_token(grant_type="refresh_token")).json()["error"] == "invalid_grant"
    assert (await visitor.post_token(grant_type="password")).json()["error"] == "unsupported_grant_type"


async def test_what_was_revoked_is_dead(visitor: Visitor) -> None:
    tokens = (await visitor.redeem(await visitor.obtain_code())).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    url = visitor.provider.url("userinfo")
    assert (await visitor.http.get(url, headers=bearer)).json()["sub"] == "248289761001"
    for headers, status in (({}, 401), (BASIC, 200)):
        revoked = await visitor.http.post(
            visitor.provider.url("revoke"), data={"token": tokens["refresh_token"]}, headers=headers
        )
        assert revoked.status_code == status
    assert (await visitor.http.get(url, headers=bearer)).status_code == 401
    assert (await visitor.http.get(url)).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await visitor.post_token(**form)).json()["error"] == "invalid_grant"
