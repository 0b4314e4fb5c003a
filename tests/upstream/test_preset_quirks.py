"""Where providers differ from the standard: each difference, against answers of the shape that the provider sends."""

from collections.abc import Mapping

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
from nameplate.jose import SigningKey
from nameplate.protocol.sign_in_policy import SignInRefusal, find_sign_in_refusal
from nameplate.upstream.authorization_url import build_authorization_url
from nameplate.upstream.memory import Memory
from nameplate.upstream.port import Completed, SignInHints, UpstreamPerson
from nameplate.upstream.presets import UpstreamSettings, build_upstream

TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
OTHER_TENANT = "82229342-1101-4ab6-817b-70c0747630f3"
OID = "690222be-ff1a-4d56-abd1-7e4f7d38e474"


def read_person(settings: UpstreamSettings, claims: Mapping[str, object]) -> UpstreamPerson:
    """The person whom the preset finds in the claims of a good ID token."""
    options = build_options(settings)
    return options.read_person(claims, options.issuer, options)


def find_refusal(settings: UpstreamSettings, claims: Mapping[str, object]) -> SignInRefusal | None:
    return find_sign_in_refusal(build_upstream(settings).policy, read_person(settings, claims))


def read_request(settings: UpstreamSettings, hints: SignInHints | None = None) -> dict[str, str]:
    """What the browser is sent along with."""
    memory = Memory(
        name="work", state="s", begun_at=NOW, nonce="n", verifier="v" * 43, max_age_seconds=None, resource=None
    )
    url = build_authorization_url(
        "https://provider.example/authorize",
        build_options(settings),
        memory,
        callback="https://auth.example.com/callback/work",
        hints=hints or SignInHints(),
    )
    return read_query(url)


# --- Entra ID ---------------------------------------------------------------------------------------------------------


def build_entra_claims(**changes: object) -> dict[str, object]:
    claims: dict[str, object] = {
        "ver": "2.0",
        "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "aud": CLIENT,
        "exp": NOW + 3600,
        "iat": NOW,
        "nbf": NOW,
        "name": "Abe Lincoln",
        "preferred_username": "abeli@corp.example",
        "oid": OID,
        "email": "abeli@corp.example",
        "tid": TENANT,
        "uti": "fqiBqXLPj0eQa82S-IYFAA",
    }
    return {**claims, **changes}


def test_an_entra_person_is_the_object_id_and_not_the_pairwise_subject() -> None:
    person = read_person(make_settings(type="entra", tenant=TENANT), build_entra_claims())
    assert (person.subject, person.username, person.display_name) == (OID, "abeli@corp.example", "Abe Lincoln")


def test_an_entra_token_without_object_id_names_nobody() -> None:
    claims = build_entra_claims()
    del claims["oid"]
    with pytest.raises(UpstreamError) as caught:
        read_person(make_settings(type="entra", tenant=TENANT), claims)
    assert caught.value.reason == "upstream.subject_missing"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "sign_in.email_unverified"),
        ({"email_verified": True}, "sign_in.email_unverified"),  # Entra never sends it: somebody else added it
        ({"xms_edov": False}, "sign_in.email_unverified"),
        ({"xms_edov": True}, None),
        ({"xms_edov": True, "email": "abeli@evil.example"}, "sign_in.not_allowed"),
    ],
)
def test_an_entra_address_counts_where_its_domain_belongs_to_the_tenant(
    changes: dict[str, object], reason: str | None
) -> None:
    settings = make_settings(type="entra", tenant="organizations", allowed_email_domains=("corp.example",))
    refusal = find_refusal(settings, build_entra_claims(**changes))
    assert (refusal and refusal.reason) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"groups": ["11111111-1111-1111-1111-111111111111"]}, None),
        ({"groups": ["22222222-2222-2222-2222-222222222222"]}, "sign_in.not_allowed"),
        ({}, "sign_in.not_allowed"),
        (
            {
                "_claim_names": {"groups": "src1"},
                "_claim_sources": {"src1": {"endpoint": "https://graph.microsoft.com/v1.0/users/x/getMemberObjects"}},
            },
            "sign_in.groups_unknown",
        ),
        ({"hasgroups": True}, "sign_in.groups_unknown"),
        ({"groups": "src1"}, "sign_in.not_allowed"),
    ],
)
def test_too_many_entra_groups_are_not_the_right_ones(changes: dict[str, object], reason: str | None) -> None:
    settings = make_settings(type="entra", tenant=TENANT, allowed_groups=("11111111-1111-1111-1111-111111111111",))
    refusal = find_refusal(settings, build_entra_claims(**changes))
    assert (refusal and refusal.reason) == reason


def test_entra_is_told_the_api_by_a_scope_and_no_resource() -> None:
    settings = make_settings(type="entra", tenant=TENANT, scopes=("api://11-22/Tools.Call",), keeps_tokens=True)
    request = read_request(settings, SignInHints(resource="https://mcp.example.com/mcp"))
    assert request["scope"] == "openid profile email offline_access api://11-22/Tools.Call"
    assert "resource" not in request


async def sign_in_at_entra(provider: CannedProvider, key: SigningKey, **changes: object) -> Completed:
    """A sign-in at an app registration for many tenants."""
    settings = make_settings(type="entra", tenant="organizations", base_url=provider.url, allow_everybody=True)
    provider.answers["GET /organizations/v2.0/.well-known/openid-configuration"] = (
        200,
        {
            "issuer": f"{provider.url}/{{tenantid}}/v2.0",
            "authorization_endpoint": f"{provider.url}/organizations/oauth2/v2.0/authorize",
            "token_endpoint": f"{provider.url}/organizations/oauth2/v2.0/token",
            "userinfo_endpoint": f"{provider.url}/oidc/userinfo",
            "jwks_uri": f"{provider.url}/organizations/discovery/v2.0/keys",
            "id_token_signing_alg_values_supported": ["ES256"],
        },
    )
    jwk = {**key.public_jwk(), "issuer": f"{provider.url}/{{tenantid}}/v2.0"}
    provider.answers["GET /organizations/discovery/v2.0/keys"] = (200, {"keys": [jwk]})
    async with begin_sign_in(build_options(settings)) as (upstream, url, memory):
        claims = build_entra_claims(
            **{"iss": f"{provider.url}/{TENANT}/v2.0", "nonce": read_query(url)["nonce"], **changes}
        )
        answer = {"access_token": "at", "token_type": "Bearer", "id_token": key.sign(claims, typ="JWT")}
        provider.answers["POST /organizations/oauth2/v2.0/token"] = (200, answer)
        return await complete_sign_in(upstream, memory=memory)


@pytest.mark.anyio
async def test_an_entra_token_is_of_the_tenant_that_it_names() -> None:
    key = SigningKey.generate()
    async with run_provider() as provider:
        completed = await sign_in_at_entra(provider, key)
        assert completed.person.issuer == f"{provider.url}/{TENANT}/v2.0"
        other = await sign_in_at_entra(provider, key, iss=f"{provider.url}/{OTHER_TENANT}/v2.0", tid=OTHER_TENANT)
        assert (other.person.issuer, other.person.subject) != (completed.person.issuer, completed.person.subject)
        assert provider.find("/oidc/userinfo") == []
        for changes in ({"tid": OTHER_TENANT}, {"iss": f"{provider.url}/organizations/v2.0"}, {"tid": None}):
            with pytest.raises(UpstreamError):
                await sign_in_at_entra(provider, key, **changes)


# --- Google -----------------------------------------------------------------------------------------------------------


def build_google_claims(**changes: object) -> dict[str, object]:
    claims: dict[str, object] = {
        "iss": "https://accounts.google.com",
        "azp": CLIENT,
        "aud": CLIENT,
        "sub": "110169484474386276334",
        "email": "ada@corp.example",
        "email_verified": True,
        "hd": "corp.example",
        "name": "Ada",
        "iat": NOW,
        "exp": NOW + 3600,
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def test_google_is_asked_for_a_refresh_token_only_where_tokens_are_kept() -> None:
    kept = read_request(make_settings(type="google", domain="corp.example", keeps_tokens=True))
    assert (kept["access_type"], kept["prompt"], kept["hd"]) == ("offline", "consent", "corp.example")
    assert kept["scope"] == "openid profile email"
    plain = read_request(make_settings(type="google", domain="corp.example"))
    assert plain.keys().isdisjoint({"access_type", "prompt"})


@pytest.mark.parametrize("hd", [None, "evil.example", "corp.example.evil.example", "sub.corp.example", "", 5, True])
def test_a_google_account_of_another_organization_is_refused_whatever_was_asked_for(hd: object) -> None:
    with pytest.raises(UpstreamError) as caught:
        read_person(make_settings(type="google", domain="corp.example"), build_google_claims(hd=hd))
    assert (caught.value.code, caught.value.reason) == ("access_denied", "upstream.wrong_organization")


def test_a_google_account_of_the_organization_is_let_in() -> None:
    settings = make_settings(type="google", domain="corp.example")
    assert find_refusal(settings, build_google_claims()) is None
    assert read_person(settings, build_google_claims(hd="Corp.Example")).subject == "110169484474386276334"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"hd": None}, "sign_in.email_unverified"),  # left the company years ago, kept the account
        ({"hd": ""}, "sign_in.email_unverified"),
        ({"email_verified": False}, "sign_in.email_unverified"),
        ({"hd": None, "email": "ada@gmail.com"}, None),
        ({"hd": None, "email": "ada@gmail.com.evil.example"}, "sign_in.email_unverified"),
    ],
)
def test_a_google_address_counts_where_google_answers_for_it(changes: dict[str, object], reason: str | None) -> None:
    domains = ("corp.example", "gmail.com", "gmail.com.evil.example")
    refusal = find_refusal(make_settings(type="google", allowed_email_domains=domains), build_google_claims(**changes))
    assert (refusal and refusal.reason) == reason


# --- GitLab, Keycloak, Auth0, Okta, Cognito ---------------------------------------------------------------------------


async def sign_in_with_openid(provider: CannedProvider, settings: UpstreamSettings, **said: object) -> UpstreamPerson:
    """A sign-in at a provider with metadata; ``said`` is in the ID token, but ``userinfo`` at that endpoint."""
    key, options = SigningKey.generate(), build_options(settings)
    userinfo = said.pop("userinfo", None)
    path = options.issuer.removeprefix(provider.url)
    provider.answers[f"GET {path}/.well-known/openid-configuration"] = (
        200,
        {
            "issuer": options.issuer,
            "authorization_endpoint": f"{options.issuer}/oauth/authorize",
            "token_endpoint": f"{options.issuer}/oauth/token",
            "userinfo_endpoint": f"{options.issuer}/oauth/userinfo",
            "jwks_uri": f"{options.issuer}/oauth/keys",
        },
    )
    provider.answers[f"GET {path}/oauth/keys"] = (200, {"keys": [key.public_jwk()]})
    provider.answers[f"GET {path}/oauth/userinfo"] = (200, userinfo)
    async with begin_sign_in(options) as (upstream, url, memory):
        claims = {
            "iss": options.issuer,
            "aud": CLIENT,
            "iat": NOW,
            "exp": NOW + 120,
            "nonce": read_query(url)["nonce"],
            **said,
        }
        answer = {"access_token": "at", "token_type": "Bearer", "id_token": key.sign(claims, typ="JWT")}
        provider.answers[f"POST {path}/oauth/token"] = (200, answer)
        return (await complete_sign_in(upstream, memory=memory)).person


@pytest.mark.anyio
async def test_gitlab_groups_are_those_that_are_inherited_too_unless_others_are_named() -> None:
    said = {"sub": "42", "nickname": "ada", "groups_direct": ["corp/tools"]}
    userinfo = {"sub": "42", "groups": ["corp", "corp/tools"], "email": "ada@corp.example", "email_verified": True}
    async with run_provider() as provider:
        settings = make_settings(type="gitlab", base_url=provider.url, allow_everybody=True)
        person = await sign_in_with_openid(provider, settings, **said, userinfo=userinfo)
        assert person.groups == ("corp", "corp/tools")
        assert (person.username, person.email, person.email_verified) == ("ada", "ada@corp.example", True)
        settings = make_settings(
            type="gitlab", base_url=provider.url, groups_claim="groups_direct", allow_everybody=True
        )
        person = await sign_in_with_openid(provider, settings, **said, userinfo=userinfo)
        assert person.groups == ("corp/tools",)


@pytest.mark.anyio
async def test_keycloak_groups_are_where_its_mapper_puts_them() -> None:
    said = {"sub": "f:1:ada", "groups": ["/staff"], "realm_access": {"roles": ["mcp", "offline_access"]}}
    async with run_provider() as provider:
        issuer = f"{provider.url}/realms/staff"
        userinfo = {"sub": "f:1:ada"}
        settings = make_settings(type="keycloak", issuer=issuer)
        assert (await sign_in_with_openid(provider, settings, **said, userinfo=userinfo)).groups == ("/staff",)
        settings = make_settings(
            type="keycloak", issuer=issuer, groups_claim="realm_access.roles", allowed_groups=("mcp",)
        )
        person = await sign_in_with_openid(provider, settings, **said, userinfo=userinfo)
        assert person.groups == ("mcp", "offline_access")
        assert find_sign_in_refusal(build_upstream(settings).policy, person) is None


def test_auth0_groups_are_in_a_claim_with_a_namespace() -> None:
    claim = "https://corp.example/groups"
    settings = make_settings(type="auth0", domain="corp.eu.auth0.com", groups_claim=claim, allowed_groups=("staff",))
    said = {"iss": "https://corp.eu.auth0.com/", "sub": "auth0|507f1f77", "nickname": "ada", claim: ["staff"]}
    assert find_refusal(settings, said) is None
    assert find_refusal(settings, {**said, claim: ["guests"], "groups": ["staff"]}) is not None


def test_auth0_is_told_the_audience() -> None:
    settings = make_settings(
        type="auth0",
        domain="corp.eu.auth0.com",
        audience="https://api.corp.example/",
        keeps_tokens=True,
        allow_everybody=True,
    )
    request = read_request(settings)
    assert request["audience"] == "https://api.corp.example/"
    assert request["scope"] == "openid profile email offline_access"


@pytest.mark.parametrize(
    ("given", "scope"),
    [
        ({"domain": "corp.okta.com"}, "openid profile email groups"),
        ({"issuer": "https://corp.okta.com/oauth2/default"}, "openid profile email"),
    ],
)
def test_okta_is_asked_for_groups_where_that_scope_exists(given: dict[str, str], scope: str) -> None:
    assert read_request(make_settings(type="okta", **given))["scope"] == scope


@pytest.mark.parametrize(("verified", "is_verified"), [(True, True), ("true", True), ("false", False), (False, False)])
def test_cognito_says_what_is_verified_as_a_text_and_has_its_own_name_for_groups(
    verified: object, is_verified: bool
) -> None:
    settings = make_settings(type="cognito", tenant="us-west-2_example", allowed_groups=("staff",))
    said = {
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "cognito:groups": ["staff"],
        "cognito:username": "ada",
        "email": "ada@corp.example",
        "email_verified": verified,
        "token_use": "id",
    }
    person = read_person(settings, said)
    assert (person.username, person.email_verified, person.groups) == ("ada", is_verified, ("staff",))
    assert find_refusal(settings, said) is None


def test_cognito_and_gitlab_are_never_asked_for_a_scope_that_they_do_not_have() -> None:
    for given in ({"type": "cognito", "tenant": "us-west-2_example"}, {"type": "gitlab"}):
        request = read_request(make_settings(**given, keeps_tokens=True, allow_everybody=True))
        assert request["scope"] == "openid profile email"
