"""Where a provider's metadata is looked for, and what is read from it."""

from typing import Any

import pytest

from nameplate.errors import UpstreamError
from nameplate.jose import SIGNATURE_ALGORITHMS
from nameplate.secret import Secret
from nameplate.upstream.metadata import build_fixed_metadata, build_metadata_urls, read_metadata
from nameplate.upstream.provider import ProviderOptions

HOST = "https://id.example.com"
DOCUMENT: dict[str, Any] = {
    "issuer": HOST,
    "authorization_endpoint": f"{HOST}/authorize",
    "token_endpoint": f"{HOST}/token",
    "userinfo_endpoint": f"{HOST}/userinfo",
    "jwks_uri": f"{HOST}/jwks",
}


def build_options(**changes: Any) -> ProviderOptions:
    options: dict[str, Any] = {
        "name": "company",
        "title": "Company",
        "kind": "oidc",
        "issuer": HOST,
        "client_id": "nameplate",
        "client_secret": Secret("secret"),
        "scopes": ("openid",),
    }
    return ProviderOptions(**{**options, **changes})


def find_refusal(document: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(UpstreamError) as caught:
        read_metadata(document, build_options(**changes))
    assert (caught.value.code, caught.value.reason) == ("server_error", "upstream.metadata")
    return caught.value.detail


OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize(
    ("changes", "urls"),
    [
        ({}, [f"{HOST}{OPENID}", f"{HOST}{OAUTH}"]),
        ({"issuer": f"{HOST}/"}, [f"{HOST}{OPENID}", f"{HOST}{OAUTH}"]),
        ({"issuer": f"{HOST}/a/b"}, [f"{HOST}/a/b{OPENID}", f"{HOST}{OAUTH}/a/b"]),
        ({"issuer": f"{HOST}/a", "kind": "oauth2"}, [f"{HOST}{OAUTH}/a", f"{HOST}/a{OPENID}"]),
        ({"issuer": f"{HOST}/a/", "kind": "oauth2"}, [f"{HOST}{OAUTH}/a", f"{HOST}/a{OPENID}"]),
        ({"metadata_url": f"{HOST}/x?p=1"}, [f"{HOST}/x?p=1"]),
    ],
)
def test_the_likelier_place_comes_first(changes: dict[str, Any], urls: list[str]) -> None:
    assert list(build_metadata_urls(build_options(**changes))) == urls


def test_what_is_not_there_is_none() -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != "userinfo_endpoint"}
    metadata = read_metadata(document, build_options())
    assert (metadata.userinfo_endpoint, metadata.revocation_endpoint) == (None, None)
    assert metadata.sends_issuer is False
    assert metadata.auth_methods == ()
    assert metadata.id_token_algorithms == SIGNATURE_ALGORITHMS


def test_plain_oauth_needs_userinfo_and_no_keys() -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != "jwks_uri"}
    metadata = read_metadata(document, build_options(kind="oauth2"))
    assert (metadata.jwks_uri, metadata.id_token_algorithms) == (None, frozenset())
    assert "jwks_uri" in find_refusal(document)
    without = {name: value for name, value in DOCUMENT.items() if name != "userinfo_endpoint"}
    assert "userinfo_endpoint" in find_refusal(without, kind="oauth2")


@pytest.mark.parametrize(
    ("promise", "sends_issuer"), [(True, True), (False, False), ("true", False), (1, False), (None, False)]
)
def test_only_true_is_a_promise(promise: object, *, sends_issuer: bool) -> None:
    document = {**DOCUMENT, "authorization_response_iss_parameter_supported": promise}
    assert read_metadata(document, build_options()).sends_issuer is sends_issuer


@pytest.mark.parametrize(
    ("named", "configured", "usable"),
    [
        (["RS256", "none", "HS256", 7], (), {"RS256"}),
        (["RS256", "ES256"], ("ES256",), {"ES256"}),
        ("RS256", (), SIGNATURE_ALGORITHMS),
        ([], (), SIGNATURE_ALGORITHMS),
    ],
)
def test_algorithms_are_the_providers_as_far_as_they_can_be_verified(
    named: object, configured: tuple[str, ...], usable: set[str]
) -> None:
    document = {**DOCUMENT, "id_token_signing_alg_values_supported": named}
    assert read_metadata(document, build_options(id_token_algorithms=configured)).id_token_algorithms == usable


def test_given_endpoints_come_before_published_ones() -> None:
    given = {
        "authorization_endpoint": f"{HOST}/a",
        "token_endpoint": f"{HOST}/t",
        "jwks_uri": f"{HOST}/k",
        "revocation_endpoint": f"{HOST}/r",
    }
    metadata = read_metadata(DOCUMENT, build_options(**given))
    assert (metadata.token_endpoint, metadata.revocation_endpoint) == (f"{HOST}/t", f"{HOST}/r")
    assert metadata.userinfo_endpoint == f"{HOST}/userinfo"
    fixed = build_fixed_metadata(build_options(**given))
    assert (fixed.token_endpoint, fixed.userinfo_endpoint) == (f"{HOST}/t", None)


TEMPLATE = f"{HOST}/{{tenantid}}/v2.0"


@pytest.mark.parametrize(
    ("issuer", "is_good"), [(TEMPLATE, True), (HOST, True), (f"{HOST}/t/v2.0", False), (f"{TEMPLATE}/", False)]
)
def test_metadata_of_many_tenants_names_the_template(issuer: str, *, is_good: bool) -> None:
    document = {**DOCUMENT, "issuer": issuer}
    if is_good:
        assert read_metadata(document, build_options(issuer_template=TEMPLATE)).token_endpoint
    else:
        assert TEMPLATE in find_refusal(document, issuer_template=TEMPLATE)


@pytest.mark.parametrize("issuer", [None, "", 7, [HOST], {"a": HOST}, f"{HOST}/", HOST.upper(), "x" * 100_000])
def test_metadata_of_another_issuer_is_refused_and_quoted_briefly(issuer: object) -> None:
    assert len(find_refusal({**DOCUMENT, "issuer": issuer})) < 600
