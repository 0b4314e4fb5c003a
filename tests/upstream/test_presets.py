"""Presets: what the fields of a provider's console become, and which combinations are refused at the start."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest
from preset_kit import build_options, make_settings

from nameplate.errors import ConfigurationError
from nameplate.jose import SigningKey
from nameplate.protocol.sign_in_policy import SignInPolicy
from nameplate.upstream.presets import UpstreamSettings, build_upstream, find_presets

TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
POOL = "eu-central-1_AbCdEfGhI"
OPENID = ("openid", "profile", "email")
EVERYBODY: Mapping[str, object] = {"allow_everybody": True}
PROVIDER_PAGES = Path(__file__).parents[2] / "docs" / "providers"

ENTRA = {"type": "entra", "tenant": TENANT}
GOOGLE = {"type": "google", "domain": "corp.example"}
GITHUB = {"type": "github", **EVERYBODY}
GITLAB = {"type": "gitlab", **EVERYBODY}
OKTA = {"type": "okta", "domain": "corp.okta.com"}
AUTH0 = {"type": "auth0", "domain": "corp.eu.auth0.com", **EVERYBODY}
KEYCLOAK = {"type": "keycloak", "issuer": "https://kc.corp.example/realms/staff"}
COGNITO = {"type": "cognito", "tenant": POOL, **EVERYBODY}
OIDC = {"type": "oidc", "issuer": "https://id.corp.example", **EVERYBODY}
OAUTH2 = {
    "type": "oauth2",
    "issuer": "https://id.corp.example",
    "authorization_endpoint": "https://id.corp.example/authorize",
    "token_endpoint": "https://id.corp.example/token",
    "userinfo_endpoint": "https://api.corp.example/me",
    "subject_claim": "id",
    **EVERYBODY,
}
ALL = {
    str(each["type"]): each for each in (ENTRA, GOOGLE, GITHUB, GITLAB, OKTA, AUTH0, KEYCLOAK, COGNITO, OIDC, OAUTH2)
}


def make(given: Mapping[str, object]) -> UpstreamSettings:
    return make_settings(**given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            ENTRA,
            {
                "kind": "oidc",
                "title": "Microsoft",
                "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
                "issuer_template": None,
                "scopes": OPENID,
                "subject_claim": "oid",
                "email_verified_claim": "xms_edov",
                "groups_claim": "groups",
                "asks_userinfo": False,
                "has_auth_time": False,
                "passes_resource": False,
                "auth_method": "client_secret_post",
            },
        ),
        (
            {**ENTRA, "keeps_tokens": True, "scopes": ("api://11-22/Tools.Call",), "groups_claim": "roles"},
            {"scopes": (*OPENID, "offline_access", "api://11-22/Tools.Call"), "groups_claim": "roles"},
        ),
        (
            {**ENTRA, "tenant": "organizations", **EVERYBODY},
            {
                "issuer": "https://login.microsoftonline.com/organizations/v2.0",
                "issuer_template": "https://login.microsoftonline.com/{tenantid}/v2.0",
                "tenant_claim": "tid",
            },
        ),
        (
            {**ENTRA, "tenant": "consumers", **EVERYBODY},
            {"issuer": f"https://login.microsoftonline.com/{CONSUMERS}/v2.0", "issuer_template": None},
        ),
        (
            {**ENTRA, "tenant": "common", "base_url": "https://login.microsoftonline.us", **EVERYBODY},
            {
                "issuer": "https://login.microsoftonline.us/common/v2.0",
                "issuer_template": "https://login.microsoftonline.us/{tenantid}/v2.0",
            },
        ),
        (
            GOOGLE,
            {
                "kind": "oidc",
                "title": "Google",
                "issuer": "https://accounts.google.com",
                "scopes": OPENID,
                "authorize_parameters": {"hd": "corp.example"},
                "groups_claim": None,
                "asks_userinfo": False,
            },
        ),
        (
            {**GOOGLE, "domain": None, "keeps_tokens": True, **EVERYBODY},
            {"authorize_parameters": {"access_type": "offline", "prompt": "consent"}, "scopes": OPENID},
        ),
        (
            {**GOOGLE, "keeps_tokens": True, "extra_authorize_parameters": {"prompt": "select_account"}},
            {"authorize_parameters": {"access_type": "offline", "prompt": "select_account", "hd": "corp.example"}},
        ),
        (
            GITHUB,
            {
                "kind": "oauth2",
                "title": "GitHub",
                "issuer": "https://github.com/login/oauth",
                "authorization_endpoint": "https://github.com/login/oauth/authorize",
                "token_endpoint": "https://github.com/login/oauth/access_token",
                "userinfo_endpoint": "https://api.github.com/user",
                "scopes": ("read:user", "user:email"),
                "subject_claim": "id",
                "groups_claim": None,
                "auth_method": "client_secret_post",
                "needs_metadata": False,
            },
        ),
        ({**GITHUB, "keeps_tokens": True}, {"scopes": ("read:user", "user:email", "offline_access")}),
        (
            {**GITHUB, "base_url": "https://corp.ghe.com"},
            {"userinfo_endpoint": "https://api.corp.ghe.com/user", "issuer": "https://corp.ghe.com/login/oauth"},
        ),
        (
            {**GITHUB, "base_url": "https://git.corp.example"},
            {
                "userinfo_endpoint": "https://git.corp.example/api/v3/user",
                "token_endpoint": "https://git.corp.example/login/oauth/access_token",
            },
        ),
        (
            {"type": "github", "scopes": ("read:org",), "allowed_groups": ("corp",)},
            {"groups_claim": "groups", "scopes": ("read:user", "user:email", "read:org")},
        ),
        (
            {**GITLAB, "keeps_tokens": True},
            {"kind": "oidc", "title": "GitLab", "issuer": "https://gitlab.com", "scopes": OPENID},
        ),
        (
            {**GITLAB, "base_url": "https://git.corp.example", "groups_claim": "groups_direct"},
            {"issuer": "https://git.corp.example", "groups_claim": "groups_direct", "asks_userinfo": True},
        ),
        (
            {**OKTA, "keeps_tokens": True},
            {
                "title": "Okta",
                "issuer": "https://corp.okta.com",
                "scopes": (*OPENID, "groups", "offline_access"),
                "assertion_audience": "token_endpoint",
                "auth_method": "client_secret_basic",
            },
        ),
        (
            {"type": "okta", "issuer": "https://corp.okta.com/oauth2/default"},
            {"issuer": "https://corp.okta.com/oauth2/default", "scopes": OPENID},
        ),
        (
            {**AUTH0, "audience": "https://api.corp.example", "keeps_tokens": True},
            {
                "title": "Auth0",
                "issuer": "https://corp.eu.auth0.com/",
                "authorize_parameters": {"audience": "https://api.corp.example"},
                "scopes": (*OPENID, "offline_access"),
                "groups_claim": None,
            },
        ),
        ({**AUTH0, "groups_claim": "https://corp.example/groups"}, {"groups_claim": "https://corp.example/groups"}),
        (
            {**KEYCLOAK, "groups_claim": "realm_access.roles", "title": "Staff"},
            {"title": "Staff", "issuer": KEYCLOAK["issuer"], "groups_claim": "realm_access.roles", "scopes": OPENID},
        ),
        ({**KEYCLOAK, "keeps_tokens": True}, {"scopes": (*OPENID, "offline_access")}),
        (
            COGNITO,
            {
                "title": "Amazon Cognito",
                "issuer": f"https://cognito-idp.eu-central-1.amazonaws.com/{POOL}",
                "groups_claim": "cognito:groups",
                "scopes": OPENID,
                "needs_metadata": True,
            },
        ),
        (
            {**COGNITO, "domain": "login.corp.example", "keeps_tokens": True},
            {
                "authorization_endpoint": "https://login.corp.example/oauth2/authorize",
                "token_endpoint": "https://login.corp.example/oauth2/token",
                "revocation_endpoint": "https://login.corp.example/oauth2/revoke",
                "jwks_uri": f"https://cognito-idp.eu-central-1.amazonaws.com/{POOL}/.well-known/jwks.json",
                "scopes": OPENID,
                "needs_metadata": False,
            },
        ),
        (
            {**OIDC, "extra_token_parameters": {"audience": "x"}, "passes_resource": True, "keeps_tokens": True},
            {
                "title": "Single sign-on",
                "scopes": (*OPENID, "offline_access"),
                "token_parameters": {"audience": "x"},
                "passes_resource": True,
                "keeps_tokens": True,
                "needs_metadata": True,
            },
        ),
        (
            {**OIDC, "scopes": ("email",), "username_claim": "upn", "email_claim": "mail", "deadline_seconds": 3},
            {"scopes": ("openid", "email"), "username_claims": ("upn",), "email_claim": "mail", "deadline_seconds": 3},
        ),
        (
            {**OAUTH2, "client_secret": None, "auth_method": "none", "email_verified_claim": "confirmed"},
            {
                "kind": "oauth2",
                "scopes": (),
                "subject_claim": "id",
                "email_verified_claim": "confirmed",
                "groups_claim": None,
                "auth_method": "none",
                "needs_metadata": False,
            },
        ),
        (OAUTH2, {"email_verified_claim": None}),
    ],
)
def test_settings_become_options(given: Mapping[str, object], expected: Mapping[str, object]) -> None:
    options = build_options(make(given))
    assert {name: getattr(options, name) for name in expected} == expected
    assert (options.name, options.client_id) == ("work", "a-client")


@pytest.mark.parametrize(
    ("given", "member"),
    [
        ({**ENTRA, "type": "okta2"}, "type"),
        ({**ENTRA, "type": "preset"}, "type"),  # a module of the package that is none
        ({**ENTRA, "type": "../oidc"}, "type"),
        ({**ENTRA, "tenant": None}, "tenant"),
        ({**ENTRA, "tenant": "contoso.onmicrosoft.com"}, "tenant"),
        ({**ENTRA, "tenant": TENANT.upper()}, "tenant"),
        ({**ENTRA, "extra_authorize_parameters": {"resource": "x"}}, "extra_authorize_parameters"),
        ({**ENTRA, "extra_token_parameters": {"resource": "x"}}, "extra_token_parameters"),
        ({**ENTRA, "passes_resource": True}, "passes_resource"),
        ({**ENTRA, "issuer": "https://login.microsoftonline.com/x/v2.0"}, "issuer"),
        ({**ENTRA, "auth_method": "private_key_jwt", "client_secret": None}, "auth_method"),
        ({**ENTRA, "base_url": "https://login.microsoftonline.us/"}, "base_url"),
        ({**ENTRA, "base_url": "http://login.microsoftonline.us"}, "base_url"),
        ({**GOOGLE, "domain": "Corp.example"}, "domain"),
        ({**GOOGLE, "domain": "https://corp.example"}, "domain"),
        ({**GOOGLE, "allowed_groups": ("staff",)}, "allowed_groups"),
        ({**GOOGLE, "extra_authorize_parameters": {"hd": "other.example"}}, "extra_authorize_parameters"),
        ({**GOOGLE, "client_secret": None}, "client_secret"),
        ({"type": "github", "allowed_groups": ("corp",)}, "allowed_groups"),
        ({**GITHUB, "scopes": ("read org",)}, "scopes"),
        ({**GITHUB, "auth_method": "client_secret_basic"}, "auth_method"),
        ({**GITHUB, "subject_claim": "login"}, "subject_claim"),
        ({**GITHUB, "scopes": ("offline_access",)}, "scopes"),
        ({**OKTA, "issuer": "https://corp.okta.com/oauth2/default"}, "domain"),
        ({**OKTA, "domain": None}, "domain"),
        ({"type": "okta", "issuer": "https://corp.okta.com"}, "issuer"),
        ({**AUTH0, "domain": "https://corp.eu.auth0.com/"}, "domain"),
        ({**AUTH0, "domain": None}, "domain"),
        ({**AUTH0, "groups_claim": "groups"}, "groups_claim"),
        ({**AUTH0, "allow_everybody": False, "allowed_groups": ("staff",)}, "groups_claim"),
        ({**KEYCLOAK, "issuer": "https://kc.corp.example/realms/staff/"}, "issuer"),
        ({**KEYCLOAK, "issuer": "https://kc.corp.example"}, "issuer"),
        ({**KEYCLOAK, "issuer": None}, "issuer"),
        ({**COGNITO, "tenant": "eu-central-1"}, "tenant"),
        ({**COGNITO, "tenant": "cn-north-1_AbCdEfGhI"}, "tenant"),
        ({**COGNITO, "tenant": f"{POOL}/../x"}, "tenant"),
        ({**OIDC, "issuer": None}, "issuer"),
        ({**OIDC, "issuer": "http://id.corp.example"}, "issuer"),
        ({**OIDC, "issuer": "https://id.corp.example?x=1"}, "issuer"),
        ({**OIDC, "tenant": TENANT}, "tenant"),
        ({**OIDC, "subject_claim": "email"}, "subject_claim"),
        ({**OIDC, "token_endpoint": "http://id.corp.example/token"}, "token_endpoint"),
        ({**OIDC, "auth_method": "client_secret_jwt"}, "auth_method"),
        ({**OIDC, "auth_method": "none"}, "client_secret"),
        ({**OIDC, "client_secret": None}, "client_secret"),
        ({**OIDC, "auth_method": "private_key_jwt", "client_secret": None}, "private_key_file"),
        ({**OIDC, "private_key_file": Path("/nowhere/key.json"), "client_secret": None}, "private_key_file"),
        ({**OIDC, "private_key_file": Path("/nowhere/key.json")}, "private_key_file"),
        ({**OIDC, "extra_authorize_parameters": {"state": "mine"}}, "extra_authorize_parameters"),
        ({**OIDC, "extra_token_parameters": {"code": "mine"}}, "extra_token_parameters"),
        ({**OIDC, "claims": {"sub": "email"}}, "claims"),
        ({**OIDC, "groups_claim": ""}, "groups_claim"),
        ({**OIDC, "deadline_seconds": 0}, "deadline_seconds"),
        ({**OIDC, "client_id": ""}, "client_id"),
        ({**OIDC, "allow_everybody": False, "allowed_email_domains": ("@corp.example",)}, "allowed_email_domains"),
        ({**OAUTH2, "subject_claim": None}, "subject_claim"),
        ({**OAUTH2, "subject_claim": "email"}, "subject_claim"),
        ({**OAUTH2, "userinfo_endpoint": None}, "userinfo_endpoint"),
        ({**OAUTH2, "jwks_uri": "https://id.corp.example/jwks"}, "jwks_uri"),
    ],
)
def test_what_cannot_work_is_refused_and_names_the_setting(given: Mapping[str, object], member: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_upstream(make(given))
    assert caught.value.setting == f"upstreams.work.{member}"


@pytest.mark.parametrize("name", ["", "Work", "work place", "work/", "-work", "a" * 65])
def test_a_name_is_fit_for_a_path(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_upstream(make({**OIDC, "name": name}))
    assert caught.value.setting == "upstreams.name"


@pytest.mark.parametrize(
    ("given", "is_open"),
    [
        (ENTRA, True),
        ({**ENTRA, "tenant": "organizations"}, False),
        ({**ENTRA, "tenant": "common"}, False),
        ({**ENTRA, "tenant": "consumers"}, False),
        ({**ENTRA, "tenant": CONSUMERS}, False),
        (GOOGLE, True),
        ({**GOOGLE, "domain": None}, False),
        ({**GITHUB}, False),
        ({**GITHUB, "base_url": "https://git.corp.example"}, False),
        ({**GITHUB, "base_url": "https://corp.ghe.com"}, True),
        ({**GITLAB}, False),
        ({**GITLAB, "base_url": "https://git.corp.example"}, False),
        (OKTA, True),
        (AUTH0, False),
        (KEYCLOAK, True),
        (COGNITO, False),
        (OIDC, False),
        (OAUTH2, False),
    ],
)
def test_a_door_through_which_strangers_could_come_is_opened_on_purpose_only(
    given: Mapping[str, object], is_open: bool
) -> None:
    settings = make({**given, "allow_everybody": False})
    if is_open:
        assert build_upstream(settings).policy == SignInPolicy()
    else:
        with pytest.raises(ConfigurationError) as caught:
            build_upstream(settings)
        assert caught.value.setting == "upstreams.work.allow_everybody"
        assert build_upstream(make({**given, "allow_everybody": True})).policy == SignInPolicy()


def test_who_may_sign_in_and_what_is_taken_over_come_along() -> None:
    upstream = build_upstream(make({**KEYCLOAK, "allowed_groups": ("/staff",), "claims": {"department": "department"}}))
    assert upstream.policy.groups == {"/staff"}
    assert upstream.claims == {"department": "department"}


def test_a_key_in_a_file_signs_assertions(tmp_path: Path) -> None:
    file, key = tmp_path / "key.json", SigningKey.generate()
    file.write_text(key.private_jwk())
    options = build_options(make({**KEYCLOAK, "private_key_file": file, "client_secret": None}))
    assert options.auth_method == "private_key_jwt"
    assert options.signing_key is not None
    assert options.signing_key.public_jwk() == key.public_jwk()
    file.write_text('{"kty": "oct"}')
    with pytest.raises(ConfigurationError) as caught:
        build_options(make({**KEYCLOAK, "private_key_file": file, "client_secret": None}))
    assert caught.value.setting == "upstreams.work.private_key_file"


def test_every_preset_is_found_by_the_name_of_its_module() -> None:
    assert list(find_presets()) == sorted(ALL)


def test_every_setting_is_of_use_to_a_preset() -> None:
    used = frozenset[str]().union(*(preset.members for preset in find_presets().values()))
    known = {member.name for member in fields(UpstreamSettings)}
    assert used <= known
    for member in known - used:  # those that every preset takes
        for given in ALL.values():
            build_upstream(make({**given, member: getattr(make(given), member)}))


def test_every_preset_has_a_page_and_the_index_leads_to_it() -> None:
    index = (PROVIDER_PAGES / "README.md").read_text()
    assert {page.stem for page in PROVIDER_PAGES.glob("*.md")} - {"README"} == set(find_presets())
    for name, preset in find_presets().items():
        assert f"({name}.md)" in index
        page = (PROVIDER_PAGES / f"{name}.md").read_text()
        assert f'type = "{name}"' in page
        assert [member for member in sorted(preset.members) if not re.search(rf"\b{member}\b", page)] == []


@pytest.mark.parametrize("page", sorted(PROVIDER_PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_the_example_of_a_page_works(page: Path) -> None:
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
        (given,) = tomllib.loads(block)["upstreams"]
        assert given.pop("client_secret_file") == "work.secret"
        assert given["type"] == page.stem
        upstream = build_upstream(make(given))
        assert upstream.options.name == "work"
