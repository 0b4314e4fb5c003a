"""What an operator can write down that cannot work, and where it is said to be wrong."""

from typing import Any

import pytest

from nameplate.errors import ConfigurationError
from nameplate.jose import SigningKey
from nameplate.secret import Secret
from nameplate.upstream.provider import ProviderOptions, is_endpoint

GOOD: dict[str, Any] = {
    "name": "company",
    "title": "Company",
    "kind": "oidc",
    "issuer": "https://id.example.com",
    "client_id": "nameplate",
    "client_secret": Secret("secret"),
    "scopes": ("openid",),
}


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("name", {"name": "Company"}),
        ("name", {"name": ""}),
        ("name", {"name": "a/b"}),
        ("name", {"name": "-a"}),
        ("name", {"name": "a" * 65}),
        ("title", {"title": ""}),
        ("title", {"title": "x" * 81}),
        ("title", {"title": "a\x00"}),
        ("issuer", {"issuer": "http://id.example.com"}),
        ("issuer", {"issuer": "id.example.com"}),
        ("issuer", {"issuer": "https://id.example.com?a=b"}),
        ("token_endpoint", {"token_endpoint": "http://id.example.com/token"}),
        ("token_endpoint", {"token_endpoint": "http://localhost/token"}),
        ("jwks_uri", {"jwks_uri": "https://id.example.com/keys#1"}),
        ("metadata_url", {"metadata_url": "ftp://id.example.com/"}),
        ("issuer_template", {"issuer_template": "https://id.example.com/tenant"}),
        ("issuer_template", {"issuer_template": "https://id.example.com/{tenantid}/{tenantid}"}),
        ("issuer_template", {"issuer_template": "https://id.example.com/{tenantid}", "kind": "oauth2"}),
        ("client_id", {"client_id": ""}),
        ("client_id", {"client_id": "a b"}),
        ("client_secret", {"client_secret": None}),
        ("client_secret", {"client_secret": Secret("")}),
        ("client_secret", {"auth_method": "none"}),
        ("auth_method", {"auth_method": "private_key_jwt", "client_secret": None}),
        ("auth_method", {"signing_key": SigningKey.generate()}),
        ("deadline_seconds", {"deadline_seconds": 0.5}),
        ("deadline_seconds", {"deadline_seconds": float("inf")}),
        ("deadline_seconds", {"deadline_seconds": float("nan")}),
        ("scopes", {"scopes": ("profile",)}),
        ("scopes", {"scopes": ("openid", "a b")}),
        ("authorize_parameters", {"authorize_parameters": {"state": "fixed"}}),
        ("authorize_parameters", {"authorize_parameters": {"redirect_uri": "https://evil.example"}}),
        ("authorize_parameters", {"authorize_parameters": {"prompt": "none"}}),
        ("token_parameters", {"token_parameters": {"code": "fixed"}}),
        ("id_token_algorithms", {"id_token_algorithms": ("RS256", "none")}),
        ("id_token_algorithms", {"id_token_algorithms": ("HS256",)}),
        ("subject_claim", {"subject_claim": "email"}),
        ("subject_claim", {"subject_claim": "preferred_username"}),
        ("subject_claim", {"subject_claim": "mail", "email_claim": "mail"}),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(setting: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ProviderOptions(**{**GOOD, **changes})
    assert caught.value.setting.endswith(f".{setting}")
    assert "Secret(" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"issuer": "https://id.example.com/"},
        {"issuer": "http://127.0.0.1:9000", "token_endpoint": "http://localhost:9001/token"},
        {"issuer_template": "https://id.example.com/{tenantid}/v2.0"},
        {"auth_method": "none", "client_secret": None},
        {"kind": "oauth2", "scopes": ()},
        {"authorize_parameters": {"prompt": "consent", "access_type": "offline"}},
        {"subject_claim": "oid"},
    ],
)
def test_what_can_work_is_taken(changes: dict[str, Any]) -> None:
    assert ProviderOptions(**{**GOOD, **changes}).name == "company"


@pytest.mark.parametrize(
    ("given", "needs"),
    [
        ({}, True),
        ({"authorization_endpoint": "https://id.example.com/a", "token_endpoint": "https://id.example.com/t"}, True),
        (
            {
                "authorization_endpoint": "https://id.example.com/a",
                "token_endpoint": "https://id.example.com/t",
                "jwks_uri": "https://id.example.com/k",
            },
            False,
        ),
    ],
)
def test_metadata_is_needed_where_an_endpoint_is_not_given(given: dict[str, Any], *, needs: bool) -> None:
    assert ProviderOptions(**{**GOOD, **given}).needs_metadata is needs


@pytest.mark.parametrize(("member", "needs"), [("userinfo_endpoint", False), ("jwks_uri", True)])
def test_plain_oauth_needs_to_know_who_the_person_is(member: str, *, needs: bool) -> None:
    given = {name: f"https://id.example.com/{name}" for name in ("authorization_endpoint", "token_endpoint", member)}
    assert ProviderOptions(**{**GOOD, "kind": "oauth2", **given}).needs_metadata is needs


@pytest.mark.parametrize(
    ("url", "issuer", "is_good"),
    [
        ("https://id.example.com/token?a=b", "https://id.example.com", True),
        ("https://elsewhere.example:8443/token", "https://id.example.com", True),
        ("http://localhost:1/token", "http://127.0.0.1:1", True),
        ("http://localhost:1/token", "https://id.example.com", False),
        ("http://localhost:1/token#f", "http://127.0.0.1:1", False),
        ("http://user@localhost:1/token", "http://127.0.0.1:1", False),
        ("http://192.0.2.1/token", "http://127.0.0.1:1", False),
        ("http://localhost.evil.example/token", "http://127.0.0.1:1", False),
        ("https://user@id.example.com/token", "https://id.example.com", False),
        ("https://id.example.com/token#f", "https://id.example.com", False),
        ("https://id.example.com:99999/token", "https://id.example.com", False),
        ("https:///token", "https://id.example.com", False),
        ("HTTPS://id.example.com/token", "https://id.example.com", False),
        ("https://id.example.com/to\nken", "https://id.example.com", False),
        ("", "https://id.example.com", False),
    ],
)
def test_an_endpoint_is_https_or_on_this_machine(url: str, issuer: str, *, is_good: bool) -> None:
    assert is_endpoint(url, issuer) is is_good
