"""This server's own URLs, in every spelling that would lead to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.own_urls import is_own_url

ROOT = "https://auth.example.com"
TENANT = "https://auth.example.com/tenant"


@pytest.mark.proves("CIMD-15")
@pytest.mark.parametrize(
    "url",
    [
        ROOT,
        f"{ROOT}/",
        f"{ROOT}/authorize",
        f"{ROOT}/authorize?client_id=x",
        f"{ROOT}/authorize#x",
        f"{ROOT}/authorize/",
        f"{ROOT}//authorize",
        f"{ROOT}/%61uthorize",
        f"{ROOT}:443/authorize",
        "https://AUTH.example.com/authorize",
        "HTTPS://auth.example.com./token",
        f"{ROOT}/consent",
        f"{ROOT}/healthz",
        f"{ROOT}/.well-known/openid-configuration",
        f"{ROOT}/.well-known/oauth-authorization-server/tenant",
    ],
)
def test_every_spelling_of_an_own_url_is_recognised(url: str) -> None:
    assert is_own_url(url, ROOT)


@pytest.mark.parametrize(
    "url",
    [
        "https://auth.example.com.evil.example/authorize",
        "https://evil.example/auth.example.com/authorize",
        "http://auth.example.com/authorize",
        f"{ROOT}:8443/authorize",
        f"{ROOT}/clients/notebook.json",
        f"{ROOT}/callback",
        "com.example.app:/authorize",
        "https://[::1/authorize",
        "https://auth.example.com:99999/authorize",
        "",
    ],
)
def test_what_leads_elsewhere_is_somebody_elses(url: str) -> None:
    assert not is_own_url(url, ROOT)


def test_an_issuer_with_a_path_owns_what_lies_below_its_path() -> None:
    assert is_own_url(f"{TENANT}/token", TENANT)
    assert is_own_url(f"{ROOT}/tenant", TENANT)
    assert not is_own_url(f"{ROOT}/tenant2/token", TENANT)
    assert not is_own_url(f"{TENANT}/clients/notebook.json", TENANT)


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    assert is_own_url(text, ROOT) in (True, False)
    assert is_own_url(f"{ROOT}/{text}", ROOT) in (True, False)
