"""Registrations: what a client may say of itself, what becomes of it, and what it is answered (RFC 7591)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import RegistrationError
from nameplate.protocol.authorization import AuthorizationPolicy
from nameplate.protocol.client_metadata import ClientMetadata, build_snapshot, parse_snapshot
from nameplate.protocol.fault import Fault
from nameplate.protocol.redirect_uri import match_redirect_uri, read_redirect_uri
from nameplate.protocol.registration import (
    MAX_REGISTRATION_BYTES,
    build_registration_answer,
    is_registration_media_type,
    needs_secret,
    parse_registration,
)
from nameplate.protocol.resource import ProtectedResource, ScopeOffer

ISSUER = "https://auth.example.com"
CLIENT_ID = "npd_Zk3hQ0mVQb7n1sJ2xYp4dA"
POLICY = AuthorizationPolicy(
    issuer=ISSUER,
    resources=(
        ProtectedResource(
            identifier="https://mcp.example.com/mcp",
            name="Notes",
            scopes=(
                ScopeOffer(name="notes:read", description="Read"),
                ScopeOffer(name="notes:write", description="Write"),
            ),
        ),
    ),
)
LOOPBACK = "http://127.0.0.1:33418/cb"
HTTPS = "https://app.example.com/cb"
PUBLIC_KEY = {"kty": "EC", "crv": "P-256", "x": "a" * 43, "y": "b" * 43, "kid": "1"}


def parse(policy: AuthorizationPolicy = POLICY, /, **members: Any) -> ClientMetadata:
    return parse_registration(json.dumps({"redirect_uris": [LOOPBACK], **members}).encode(), CLIENT_ID, policy)


def refuse(policy: AuthorizationPolicy = POLICY, /, **members: Any) -> RegistrationError:
    with pytest.raises(RegistrationError) as refused:
        parse(policy, **members)
    return refused.value


def answer(client: ClientMetadata, secret: str | None = None) -> dict[str, Any]:
    return build_registration_answer(client, secret=secret, issued_at=1_700_000_000)


# Real clients, as section 2 of the survey has them: K32, K33


@pytest.mark.proves("DCR-2", "DCR-7")
def test_vs_code_is_registered_with_every_uri_that_it_names() -> None:
    uris = [
        "https://insiders.vscode.dev/redirect",
        "https://vscode.dev/redirect",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418/",
    ]
    client = parse(
        client_name="Visual Studio Code",
        client_uri="https://code.visualstudio.com",
        grant_types=["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        response_types=["code"],
        redirect_uris=uris,
        token_endpoint_auth_method="none",
        application_type="native",
    )
    assert client == ClientMetadata(
        client_id=CLIENT_ID,
        client_name="Visual Studio Code",
        client_uri="https://code.visualstudio.com",
        redirect_uris=tuple(uris),
        grant_types=("authorization_code", "refresh_token"),
        grant_types_listed=True,
        auth_methods=("none",),
        application_type="native",
        known_by="itself",
    )
    assert not needs_secret(client)


@pytest.mark.proves("DCR-2")
def test_one_uri_that_is_not_admitted_does_not_sink_the_others() -> None:
    mine = ["http://localhost:8787/callback", "https://www.cursor.com/agents/mcp/oauth/callback"]
    client = parse(redirect_uris=[mine[0], "cursor://anysphere.cursor-mcp/oauth/callback", mine[1]])
    assert list(client.redirect_uris) == mine
    assert [warning for warning in client.warnings if "cursor:" in warning]


def test_a_client_that_says_next_to_nothing_gets_the_defaults_spelled_out() -> None:
    client = parse(client_name="LM Studio")
    assert answer(client, "npe_1") == {
        "client_id": CLIENT_ID,
        "client_id_issued_at": 1_700_000_000,
        "client_secret": "npe_1",
        "client_secret_expires_at": 0,
        "client_name": "LM Studio",
        "redirect_uris": [LOOPBACK],
        "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
    }


@pytest.mark.proves("DCR-1")
def test_all_that_was_registered_is_answered() -> None:
    said = {
        "client_name": "Notebook",
        "client_uri": "https://app.example.com/",
        "logo_uri": "https://app.example.com/logo.png",
        "tos_uri": "https://app.example.com/tos",
        "policy_uri": "https://app.example.com/privacy",
        "redirect_uris": [HTTPS],
        "application_type": "web",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "scope": "notes:read offline_access",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [PUBLIC_KEY]},
        "contacts": ["dev@app.example.com"],
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "software_version": "2.1",
    }
    got = answer(parse(**said))
    assert got == {**said, "client_id": CLIENT_ID, "client_id_issued_at": 1_700_000_000}
    assert "jwks_uri" in answer(
        parse(token_endpoint_auth_method="private_key_jwt", jwks_uri="https://app.example.com/jwks.json")
    )


@pytest.mark.proves("DCR-1", "DCR-2")
@pytest.mark.parametrize("placeholder", [None, "", []])
def test_a_placeholder_counts_as_absent_and_never_comes_back(placeholder: object) -> None:
    names = ("client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri", "scope", "contacts")
    more = ("grant_types", "response_types", "software_id", "application_type", "token_endpoint_auth_method", "jwks")
    client = parse(**dict.fromkeys((*names, *more), placeholder))
    assert client == parse()
    assert not {None, ""}.intersection(value for value in answer(client).values() if not isinstance(value, list))
    assert [] not in answer(client).values()


@pytest.mark.proves("DCR-2")
def test_unknown_members_are_ignored() -> None:
    assert parse(frontchannel_logout_uri="x", nested={"a": [1]}, code_challenge_methods_used=["S256"]) == parse()


@pytest.mark.proves("BCP-6")
def test_what_is_not_the_clients_to_choose_is_ignored_and_says_so() -> None:
    chosen = {
        "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
        "client_secret": "mine",
        "client_id_issued_at": 1,
        "client_secret_expires_at": 1,
        "software_statement": "eyJhbGciOiJub25lIiwiamt1IjoiaHR0cDovLzE2OS4yNTQuMTY5LjI1NC8ifQ.e30.",
    }
    client = parse(**chosen)
    assert client == parse()
    assert {warning.partition(":")[0] for warning in client.warnings} == chosen.keys()
    assert "mine" not in str(client.warnings)
    assert "software_statement" not in answer(client)


# Redirect URIs: DC-02, DC-06


@pytest.mark.proves("DCR-3", "DCR-4")
@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        (None, "document.redirect_uris_missing"),
        ([], "document.redirect_uris_missing"),
        ("https://app.example.com/cb", "document.wrong_type"),
        ([1], "document.wrong_type"),
        ([""], "document.empty"),
        ([f"https://app.example.com/{n}" for n in range(101)], "document.too_long"),
        (["http://app.example.com/cb"], "document.redirect_uris_unusable"),
        (["http://127.0.0.1.evil.example/cb"], "document.redirect_uris_unusable"),
        (["https://app.example.com/cb#x"], "document.redirect_uris_unusable"),
        (["https://*.example.com/cb"], "document.redirect_uris_unusable"),
        (["cursor://anysphere.cursor-mcp/oauth/callback"], "document.redirect_uris_unusable"),
        ([f"{ISSUER}/authorize"], "document.redirect_uris_unusable"),
        ([f"{ISSUER}/register"], "document.redirect_uris_unusable"),
        (["urn:ietf:wg:oauth:2.0:oob"], "document.redirect_uris_unusable"),
        (["javascript:alert(1)"], "document.redirect_uri_script"),
        ([HTTPS, "data:text/html,x"], "document.redirect_uri_script"),
        ([HTTPS, "java\nscript:alert(1)"], "document.redirect_uri_script"),
    ],
)
def test_redirect_uris_that_cannot_be_used_are_refused_by_their_own_code(uris: object, reason: str) -> None:
    error = refuse(redirect_uris=uris)
    assert (error.code, error.reason, error.status) == ("invalid_redirect_uri", reason, 400)
    assert error.description.startswith("redirect_uris: ")


@pytest.mark.proves("DCR-7", "NAT-5")
@pytest.mark.parametrize(
    ("stated", "uris", "kept", "recorded"),
    [
        (None, [LOOPBACK, "http://localhost/cb", "com.example.app:/cb"], 3, "native"),
        (None, [HTTPS], 1, None),
        (None, [HTTPS, LOOPBACK], 2, None),
        ("native", [HTTPS, LOOPBACK], 2, "native"),
        ("native", ["http://app.example.com/cb", LOOPBACK], 1, "native"),
        ("web", [HTTPS, LOOPBACK, "com.example.app:/cb"], 1, "web"),
        ("desktop", [LOOPBACK], 1, "native"),
    ],
)
def test_the_type_of_an_application_is_recorded_and_decides_where_it_may_be(
    stated: str | None, uris: list[str], kept: int, recorded: str | None
) -> None:
    client = parse(application_type=stated, redirect_uris=uris)
    assert (len(client.redirect_uris), client.application_type) == (kept, recorded)
    assert answer(client).get("application_type") == recorded


@pytest.mark.parametrize("uri", [LOOPBACK, "http://[::1]/cb", "http://localhost:*/cb", "com.example.app:/cb"])
def test_a_web_client_has_no_uri_on_the_persons_device(uri: str) -> None:
    assert refuse(application_type="web", redirect_uris=[uri]).reason == "document.redirect_uris_unusable"


@pytest.mark.parametrize(
    ("uri", "allowed", "kept"),
    [
        (HTTPS, (HTTPS,), True),
        (HTTPS, ("https://app.example.com/*",), True),
        (HTTPS, ("https://other.example/cb",), False),
        ("http://127.0.0.1/cb", ("http://127.0.0.1/cb",), True),
        ("http://127.0.0.1/cb", ("http://127.0.0.1:33418/cb",), True),
        ("http://127.0.0.1:1234/cb", ("http://127.0.0.1:33418/cb",), True),
        ("http://localhost:*/cb", ("http://localhost:*/cb",), True),
        ("http://[::1]/cb?a=1", ("http://[::1]:8080/cb?a=1",), True),
        ("http://127.0.0.1/other", ("http://127.0.0.1/cb",), False),
        ("http://localhost/cb", ("http://127.0.0.1/cb",), False),
        (LOOPBACK, (HTTPS,), False),
        ("com.example.app:/cb", (HTTPS,), False),
        ("com.example.app:/cb", ("com.example.app:/cb",), True),
    ],
)
def test_the_operators_list_narrows_what_can_be_registered(uri: str, allowed: tuple[str, ...], *, kept: bool) -> None:
    policy = replace(POLICY, allowed_client_redirect_uris=allowed)
    other = "https://beside.example/cb"
    client = parse(replace(policy, allowed_client_redirect_uris=(*allowed, other)), redirect_uris=[other, uri])
    assert (uri in client.redirect_uris) is kept
    if not kept:
        assert refuse(policy, redirect_uris=[uri]).code == "invalid_redirect_uri"


# Client authentication


@pytest.mark.proves("NAT-5")
@pytest.mark.parametrize(
    ("members", "methods"),
    [
        ({}, ("client_secret_basic", "client_secret_post")),
        ({"token_endpoint_auth_method": "client_secret_basic"}, ("client_secret_basic", "client_secret_post")),
        ({"token_endpoint_auth_method": "client_secret_post"}, ("client_secret_post", "client_secret_basic")),
        ({"token_endpoint_auth_method": "none"}, ("none",)),
        ({"token_endpoint_auth_methods_supported": ["tls_client_auth", "none"]}, ("none",)),
        (
            {"token_endpoint_auth_method": "none", "token_endpoint_auth_methods_supported": ["private_key_jwt"]},
            ("none",),
        ),
        ({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [PUBLIC_KEY]}}, ("private_key_jwt",)),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example.com/jwks.json"},
            ("private_key_jwt",),
        ),
    ],
)
def test_a_client_is_registered_with_the_method_that_it_asks_for(
    members: dict[str, Any], methods: tuple[str, ...]
) -> None:
    client = parse(**members)
    assert client.auth_methods == methods
    assert needs_secret(client) is ("client_secret_basic" in methods)
    assert answer(client)["token_endpoint_auth_method"] == methods[0]


@pytest.mark.proves("DCR-3", "DCR-5")
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "document.auth_method_unsupported"),
        ({"token_endpoint_auth_method": ["none"]}, "document.wrong_type"),
        ({"token_endpoint_auth_methods_supported": ["tls_client_auth"]}, "document.auth_method_unsupported"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "document.keys_missing"),
        (
            {"jwks": {"keys": [PUBLIC_KEY]}, "jwks_uri": "https://app.example.com/jwks.json"},
            "document.jwks_twice",
        ),
        ({"jwks": {"keys": [{**PUBLIC_KEY, "d": "x"}]}}, "document.private_key"),
        ({"jwks_uri": "https://169.254.169.254/latest"}, "document.jwks_uri"),
        ({"jwks_uri": "http://app.example.com/jwks.json"}, "document.jwks_uri"),
        ({"token_endpoint_auth_signing_alg": "HS256"}, "document.signing_alg"),
        ({"grant_types": ["client_credentials"]}, "document.grant_types_unsupported"),
        ({"grant_types": ["implicit"], "response_types": ["token"]}, "document.grant_types_unsupported"),
        ({"grant_types": ["refresh_token"], "response_types": ["code"]}, "document.grant_types_unsupported"),
        ({"response_types": ["token"]}, "document.response_types_unsupported"),
        ({"client_name": 1}, "document.wrong_type"),
        ({"client_name": "\u200b\u2060"}, "document.empty"),
        ({"client_name": "x" * 201}, "document.too_long"),
        ({"contacts": "dev@app.example.com"}, "document.wrong_type"),
        ({"scope": ["notes:read"]}, "document.wrong_type"),
    ],
)
def test_metadata_that_breaks_a_rule_is_refused_with_member_and_rule(members: dict[str, Any], reason: str) -> None:
    error = refuse(**members)
    assert (error.code, error.reason, error.status) == ("invalid_client_metadata", reason, 400)
    assert error.description.isascii()
    assert ": " in error.description


@pytest.mark.proves("DCR-4")
def test_grants_and_response_types_that_are_not_served_are_dropped_beside_those_that_are() -> None:
    client = parse(
        grant_types=["implicit", "authorization_code", "client_credentials"], response_types=["token", "code"]
    )
    assert (client.grant_types, client.response_types) == (("authorization_code",), ("code",))


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        (" notes:read  notes:read", "notes:read"),
        ("notes:read claudeai offline_access", "notes:read offline_access"),
        ("claudeai", None),
        ('notes:write "', "notes:write"),
    ],
)
def test_a_scope_that_nothing_here_offers_is_dropped(stated: str, kept: str | None) -> None:
    assert answer(parse(scope=stated)).get("scope") == kept


def test_the_scope_that_an_operator_registers_is_kept_whole() -> None:
    body = json.dumps({"redirect_uris": [HTTPS], "scope": "not:offered"}).encode()
    client = parse_registration(body, CLIENT_ID, POLICY, known_by="operator")
    assert (client.scope, client.known_by) == (("not:offered",), "operator")


# The body


@pytest.mark.proves("DCR-3")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "document.not_json"),
        (b"[]", "document.not_object"),
        (b'{"redirect_uris":["https://a.example/cb"],"redirect_uris":[]}', "document.duplicate_member"),
        (b"\xef\xbb\xbf{}", "document.not_json"),
        (b'{"client_name":"\xff"}', "document.encoding"),
        (b'{"client_name":"\\ud800"}', "document.encoding"),
        (b'{"n":NaN}', "document.number"),
        (b"[" * 1000, "document.nesting"),
    ],
)
def test_what_is_no_single_json_object_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        parse_registration(body, CLIENT_ID, POLICY)
    assert (refused.value.code, refused.value.reason) == ("invalid_client_metadata", reason)
    assert refused.value.description.isascii()


def test_a_registration_that_is_too_long_is_not_read() -> None:
    with pytest.raises(RegistrationError) as refused:
        parse_registration(b"{" + b" " * MAX_REGISTRATION_BYTES, CLIENT_ID, POLICY)
    error = refused.value
    assert (error.code, error.reason, error.status) == ("invalid_request", "registration.too_long", 413)


@pytest.mark.parametrize(
    ("content_type", "good"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("application/jsonp", False),
        ("", False),
    ],
)
def test_only_json_is_a_registration(content_type: str, *, good: bool) -> None:
    assert is_registration_media_type(content_type) is good


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=30)
    | st.sampled_from([LOOPBACK, HTTPS, "none", "code"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
MEMBERS = (
    *("redirect_uris", "client_name", "client_uri", "scope", "jwks", "jwks_uri", "contacts", "grant_types"),
    *("response_types", "application_type", "token_endpoint_auth_method", "token_endpoint_auth_methods_supported"),
    *("software_id", "software_statement", "client_id", "client_secret", "token_endpoint_auth_signing_alg"),
)


@given(st.dictionaries(st.sampled_from(MEMBERS), HOSTILE, max_size=6), st.lists(st.text(max_size=20), max_size=3))
def test_whatever_is_registered_is_a_client_or_a_refusal(members: dict[str, Any], more: list[str]) -> None:
    members["redirect_uris"] = [LOOPBACK, *more] if more else members.get("redirect_uris")
    try:
        client = parse(**members)
    except RegistrationError as error:
        assert error.code in {"invalid_redirect_uri", "invalid_client_metadata"}  # noqa: PT017
        assert error.description.isascii()  # noqa: PT017
        assert error.description.isprintable()  # noqa: PT017
        return
    assert (client.client_id, client.known_by) == (CLIENT_ID, "itself")
    assert client.redirect_uris
    assert not any(isinstance(read_redirect_uri(uri), Fault) for uri in client.redirect_uris)
    assert parse_snapshot(build_snapshot(client)) == client
    # What is answered, registered again, is the same client.
    again = json.loads(json.dumps(answer(client)))
    assert answer(parse_registration(json.dumps(again).encode(), CLIENT_ID, POLICY)) == again


@given(
    st.sampled_from(["127.0.0.1", "localhost", "[::1]"]),
    st.none() | st.integers(1, 65535),
    st.integers(1, 65535),
    st.sampled_from(["", "/", "/cb", "/cb?a=1"]),
)
def test_a_loopback_uri_is_registered_where_a_request_for_it_would_pass(
    host: str, port: int | None, allowed_port: int, rest: str
) -> None:
    entry = f"http://{host}{'' if port is None else f':{port}'}{rest}"
    requested = f"http://{host}:{allowed_port}{rest}"
    assert match_redirect_uri(requested, (entry,), (requested,)) is not None
    policy = replace(POLICY, allowed_client_redirect_uris=(requested,))
    assert parse(policy, redirect_uris=[entry]).redirect_uris == (entry,)
