"""The authorization request, check by check: who is refused, where, with which code and reason."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import AuthorizationError, AuthorizationPageError, ProtocolError
from nameplate.protocol.authorization import (
    AuthorizationPolicy,
    AuthorizationRequest,
    RegisteredClientId,
    build_error_redirect,
    build_success_redirect,
    check_authorization_request,
    choose_redirect_uri,
    is_refresh_allowed,
    parse_client,
)
from nameplate.protocol.client_id import ClientIdUrl
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.redirect_uri import RedirectTarget
from nameplate.protocol.resource import ProtectedResource, ScopeOffer

ISSUER = "https://auth.example.com"
CLIENT_ID = "https://app.example.com/client.json"
REDIRECT_URI = "https://app.example.com/cb"
RESOURCE = ProtectedResource(
    identifier="https://mcp.example.com/mcp",
    name="Notes",
    scopes=(ScopeOffer(name="notes:read", description="Read"), ScopeOffer(name="notes:write", description="Write")),
)
OTHER_RESOURCE = ProtectedResource(identifier="https://mcp.example.com/other", name="Other")
POLICY = AuthorizationPolicy(issuer=ISSUER, resources=(RESOURCE,))
TARGET = RedirectTarget(uri=REDIRECT_URI, registered=REDIRECT_URI, kind="https", host="app.example.com")
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
GOOD = {
    "response_type": "code",
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT_URI,
    "state": "st-1",
    "scope": "notes:read",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}

# RFC 6749 §4.1.2.1 and §5.2: what an error_description may hold
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
SLUG = re.compile(r"[a-z_]+\.[a-z_]+")


def build_client(**changes: Any) -> ClientMetadata:
    members: dict[str, Any] = {"client_id": CLIENT_ID, "redirect_uris": (REDIRECT_URI,), **changes}
    return ClientMetadata(**members)


def build_parameters(resources: tuple[str, ...] = (), **changes: str | None) -> Parameters:
    """A good request with changes; None takes a parameter away."""
    values = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return Parameters(values, resources)


def check(
    parameters: Parameters, client: ClientMetadata | None = None, policy: AuthorizationPolicy = POLICY
) -> AuthorizationRequest:
    return check_authorization_request(parameters, client or build_client(), TARGET, policy)


def test_a_good_request_passes_every_check() -> None:
    assert parse_client(build_parameters(), POLICY).text == CLIENT_ID
    assert choose_redirect_uri(build_parameters(), build_client(), POLICY) == TARGET
    assert check(build_parameters((RESOURCE.identifier,))) == AuthorizationRequest(
        client=build_client(),
        target=TARGET,
        resource=RESOURCE,
        scope=("notes:read",),
        state="st-1",
        code_challenge=CHALLENGE,
    )


@pytest.mark.proves("CIMD-15", "CIMD-113")
@pytest.mark.parametrize(
    ("client_id", "code", "reason"),
    [
        (None, "invalid_request", "authorization.client_id_missing"),
        ("", "invalid_request", "authorization.client_id_missing"),
        ("my app", "invalid_client", "client.unknown"),
        ("x" * 129, "invalid_client", "client.unknown"),
        ("npd_\u0430", "invalid_client", "client.unknown"),
        ("npd_a\n", "invalid_client", "client.unknown"),
        ("javascript:alert(1)", "invalid_client", "client.unknown"),
        (" https://app.example.com/client.json", "invalid_client", "client.unknown"),
        (ISSUER, "invalid_client", "client.own_url"),
        (f"{ISSUER}/", "invalid_client", "client.own_url"),
        (f"{ISSUER}/authorize", "invalid_client", "client.own_url"),
        (f"{ISSUER}/authorize?client_id={ISSUER}/authorize", "invalid_client", "client.own_url"),
        ("http://app.example.com/client.json", "invalid_client", "client_id.scheme"),
        ("HTTPS://app.example.com/client.json", "invalid_client", "client_id.scheme"),
        ("https://app.example.com/client.json#x", "invalid_client", "client_id.fragment"),
        ("https://app.example.com/", "invalid_client", "client_id.root_path"),
        ("https://app.example.com/a/../client.json", "invalid_client", "client_id.dot_segment"),
        ("https://user@app.example.com/client.json", "invalid_client", "client_id.userinfo"),
        ("https://127.0.0.1/client.json", "invalid_client", "client_id.ip_literal"),
    ],
)
def test_an_id_that_cannot_be_a_client_ends_on_our_own_page(client_id: str | None, code: str, reason: str) -> None:
    with pytest.raises(AuthorizationPageError) as refused:
        parse_client(build_parameters(client_id=client_id), POLICY)
    assert (refused.value.code, refused.value.reason, refused.value.status) == (code, reason, 400)


@pytest.mark.parametrize("policy", [POLICY, replace(POLICY, documents_enabled=False)])
def test_any_other_plain_word_may_be_the_id_of_a_registered_client(policy: AuthorizationPolicy) -> None:
    assert parse_client(build_parameters(client_id="npd_aA0-_"), policy) == RegisteredClientId(text="npd_aA0-_")


@pytest.mark.proves("CIMD-13")
@pytest.mark.parametrize("client_id", [CLIENT_ID, "https:x", "HTTPS://x", "http:npd_a", "https:"])
def test_no_url_in_any_spelling_is_looked_up_as_a_registered_client(client_id: str) -> None:
    try:
        assert isinstance(parse_client(build_parameters(client_id=client_id), POLICY), ClientIdUrl)
    except AuthorizationPageError as refused:
        assert refused.reason.startswith("client_id.")  # noqa: PT017  (some are refused, others are URLs)


@pytest.mark.proves("CIMD-110")
def test_where_documents_are_switched_off_no_url_is_a_client() -> None:
    policy = AuthorizationPolicy(issuer=ISSUER, resources=(RESOURCE,), documents_enabled=False)
    with pytest.raises(AuthorizationPageError) as refused:
        parse_client(build_parameters(), policy)
    assert (refused.value.code, refused.value.reason) == ("invalid_client", "client.cimd_disabled")


@pytest.mark.proves("CIMD-80", "CIMD-88")
@pytest.mark.parametrize(
    ("requested", "registered", "allowed", "reason"),
    [
        ("https://evil.example/cb", (REDIRECT_URI,), None, "redirect_uri.not_registered"),
        (f"{REDIRECT_URI}/", (REDIRECT_URI,), None, "redirect_uri.not_registered"),
        (f"{REDIRECT_URI}?x=1", (REDIRECT_URI,), None, "redirect_uri.not_registered"),
        (f"{REDIRECT_URI}#x", (REDIRECT_URI,), None, "redirect_uri.not_registered"),
        ("https://APP.example.com/cb", (REDIRECT_URI,), None, "redirect_uri.not_registered"),
        ("http://localhost:1/cb", ("http://127.0.0.1/cb",), None, "redirect_uri.not_registered"),
        (REDIRECT_URI, (REDIRECT_URI,), (), "redirect_uri.not_allowed"),
        (REDIRECT_URI, (REDIRECT_URI,), ("https://app.example.com/other",), "redirect_uri.not_allowed"),
        ("https://evil.example/cb", (REDIRECT_URI,), ("https://evil.example/cb",), "redirect_uri.not_registered"),
        (None, (REDIRECT_URI, "https://app.example.com/cb2"), None, "redirect_uri.missing"),
        (None, ("http://127.0.0.1/cb",), None, "redirect_uri.missing"),
        (None, ("http://127.0.0.1:*/cb",), None, "redirect_uri.missing"),
        (None, (REDIRECT_URI,), ("https://app.example.com/other",), "redirect_uri.not_allowed"),
    ],
)
def test_an_answer_never_goes_where_document_and_operator_do_not_both_allow(
    requested: str | None, registered: tuple[str, ...], allowed: tuple[str, ...] | None, reason: str
) -> None:
    policy = replace(POLICY, allowed_client_redirect_uris=allowed)
    with pytest.raises(AuthorizationPageError) as refused:
        choose_redirect_uri(build_parameters(redirect_uri=requested), build_client(redirect_uris=registered), policy)
    assert (refused.value.code, refused.value.reason) == ("invalid_request", reason)


@pytest.mark.parametrize("own", [f"{ISSUER}/authorize", f"{ISSUER}/authorize?client_id=x"])
def test_no_answer_goes_to_a_page_of_this_server(own: str) -> None:
    with pytest.raises(AuthorizationPageError) as refused:
        choose_redirect_uri(build_parameters(redirect_uri=own), build_client(redirect_uris=(own,)), POLICY)
    assert refused.value.reason == "redirect_uri.own_url"


@pytest.mark.parametrize(
    ("requested", "registered", "allowed"),
    [
        (REDIRECT_URI, (REDIRECT_URI,), (REDIRECT_URI,)),
        (None, (REDIRECT_URI,), None),
        ("http://127.0.0.1:51763/cb", ("http://127.0.0.1/cb",), None),
        ("http://localhost:51763/cb", ("http://127.0.0.1/cb", "http://localhost/cb"), ("http://localhost:*/cb",)),
    ],
)
def test_a_registered_uri_that_the_operator_allows_is_where_the_answer_goes(
    requested: str | None, registered: tuple[str, ...], allowed: tuple[str, ...] | None
) -> None:
    policy = replace(POLICY, allowed_client_redirect_uris=allowed)
    target = choose_redirect_uri(
        build_parameters(redirect_uri=requested), build_client(redirect_uris=registered), policy
    )
    assert target.uri == (requested or REDIRECT_URI)
    assert target.registered in registered


@pytest.mark.proves("O21-1", "O21-3", "O21-9")
@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"state": "s" * 4097}, "invalid_request", "authorization.state_too_long"),
        ({"request": "e30.e30."}, "request_not_supported", "authorization.request_object"),
        ({"request_uri": "urn:x"}, "request_uri_not_supported", "authorization.request_object"),
        ({"response_type": None}, "invalid_request", "authorization.response_type_missing"),
        ({"response_type": "token"}, "unsupported_response_type", "authorization.response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type", "authorization.response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type", "authorization.response_type"),
        ({"response_mode": "fragment"}, "invalid_request", "authorization.response_mode"),
        ({"response_mode": "form_post"}, "invalid_request", "authorization.response_mode"),
        ({"code_challenge": None}, "invalid_request", "authorization.challenge_missing"),
        ({"code_challenge": ""}, "invalid_request", "authorization.challenge_missing"),
        ({"code_challenge_method": None}, "invalid_request", "authorization.challenge_method"),
        ({"code_challenge_method": "plain"}, "invalid_request", "authorization.challenge_method"),
        ({"code_challenge_method": "s256"}, "invalid_request", "authorization.challenge_method"),
        ({"code_challenge": CHALLENGE[:-1]}, "invalid_request", "authorization.challenge_malformed"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request", "authorization.challenge_malformed"),
        ({"code_challenge": CHALLENGE[:-1] + "N"}, "invalid_request", "authorization.challenge_malformed"),
        ({"scope": 'notes:read "'}, "invalid_scope", "scope.malformed"),
        ({"scope": "notes:read\n"}, "invalid_scope", "scope.malformed"),
        ({"scope": "admin"}, "invalid_scope", "scope.nothing_left"),
        ({"prompt": "none"}, "interaction_required", "authorization.prompt_none"),
        ({"prompt": "none login"}, "interaction_required", "authorization.prompt_none"),
        ({"max_age": "-1"}, "invalid_request", "authorization.max_age"),
        ({"max_age": "1.5"}, "invalid_request", "authorization.max_age"),
        ({"max_age": "٣"}, "invalid_request", "authorization.max_age"),
        ({"max_age": "9" * 5000}, "invalid_request", "authorization.max_age"),
    ],
)
def test_a_bad_parameter_gets_the_code_that_the_specification_assigns(
    changes: dict[str, Any], code: str, reason: str
) -> None:
    with pytest.raises(AuthorizationError) as refused:
        check(build_parameters(**changes))
    assert (refused.value.code, refused.value.reason) == (code, reason)


@pytest.mark.proves("MCP-17", "AT-3", "RES-2", "RES-4")
@pytest.mark.parametrize(
    ("resources", "declared", "reason"),
    [
        (("https://evil.example/mcp",), (RESOURCE,), "resource.unknown"),
        ((f"{RESOURCE.identifier}#x",), (RESOURCE,), "resource.unknown"),
        ((RESOURCE.identifier, "https://evil.example/mcp"), (RESOURCE,), "resource.unknown"),
        ((RESOURCE.identifier, OTHER_RESOURCE.identifier), (RESOURCE, OTHER_RESOURCE), "resource.unknown"),
        ((), (RESOURCE, OTHER_RESOURCE), "resource.missing"),
    ],
)
def test_a_request_for_no_declared_resource_is_invalid_target(
    resources: tuple[str, ...], declared: tuple[ProtectedResource, ...], reason: str
) -> None:
    policy = AuthorizationPolicy(issuer=ISSUER, resources=declared)
    with pytest.raises(AuthorizationError) as refused:
        check(build_parameters(resources), policy=policy)
    assert (refused.value.code, refused.value.reason) == ("invalid_target", reason)


@pytest.mark.proves("CIMD-63", "CIMD-67")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"response_types": ()}, "document.code_flow_missing"),
        ({"grant_types": ("refresh_token",), "grant_types_listed": True}, "document.code_flow_missing"),
        ({"auth_methods": ("tls_client_auth",)}, "document.auth_method_unsupported"),
        ({"auth_methods": ("private_key_jwt",), "auth_signing_alg": "ES1"}, "document.signing_alg_unsupported"),
    ],
)
def test_a_document_that_does_not_list_the_code_flow_or_our_method_makes_an_unauthorized_client(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AuthorizationError) as refused:
        check(build_parameters(), build_client(**changes))
    assert (refused.value.code, refused.value.reason) == ("unauthorized_client", reason)


def test_the_method_that_a_document_requires_is_named_for_its_developer() -> None:
    with pytest.raises(
        AuthorizationError,
        match="requires tls_client_auth or client_secret_jwt; this server performs none, private_key",
    ):
        check(build_parameters(), build_client(auth_methods=("tls_client_auth", "client_secret_jwt")))
    with pytest.raises(AuthorizationError, match="requires an unknown method"):
        check(build_parameters(), build_client(auth_methods=('"><script>',)))


@pytest.mark.proves("CIMD-66")
def test_one_method_in_common_is_enough() -> None:
    client = build_client(auth_methods=("tls_client_auth", "none"))
    assert check(build_parameters(), client).client == client


@pytest.mark.parametrize(
    ("requested", "changes", "scope"),
    [
        (None, {}, ("notes:read", "notes:write")),
        (" offline_access", {}, ("notes:read", "notes:write", "offline_access")),
        ("notes:write notes:read", {}, ("notes:read", "notes:write")),
        ("notes:write admin", {}, ("notes:write",)),
        ("notes:read notes:write", {"scope": ("notes:read",)}, ("notes:read",)),
        ("notes:read offline_access", {"scope": ("notes:read",)}, ("notes:read",)),
        (
            "notes:read offline_access",
            {"grant_types": ("authorization_code",), "grant_types_listed": True},
            ("notes:read",),
        ),
    ],
)
def test_the_person_is_asked_for_no_more_than_server_and_document_allow(
    requested: str | None, changes: dict[str, Any], scope: tuple[str, ...]
) -> None:
    assert check(build_parameters(scope=requested), build_client(**changes)).scope == scope


@pytest.mark.parametrize(
    ("requested", "registered", "scope"),
    [
        ("notes:write", ("notes:read",), ("notes:write",)),
        ("notes:read notes:write", ("notes:read",), ("notes:read", "notes:write")),
        (None, ("notes:read",), ("notes:read",)),
        ("", ("notes:read",), ("notes:read",)),
        (None, ("other:read", "notes:write", "offline_access"), ("notes:write", "offline_access")),
        (None, ("other:read",), ("notes:read", "notes:write")),
        (None, None, ("notes:read", "notes:write")),
        ("offline_access", ("notes:read",), ("notes:read", "notes:write", "offline_access")),
    ],
)
def test_the_scope_that_a_client_registered_itself_is_a_default_and_no_limit(
    requested: str | None, registered: tuple[str, ...] | None, scope: tuple[str, ...]
) -> None:
    client = build_client(known_by="itself", scope=registered)
    assert check(build_parameters(scope=requested), client).scope == scope


def test_the_scope_that_the_operator_registered_is_a_limit() -> None:
    client = build_client(known_by="operator", scope=("notes:read",))
    assert check(build_parameters(scope="notes:read notes:write"), client).scope == ("notes:read",)


def test_a_refusal_speaks_of_the_document_only_where_there_is_one() -> None:
    registered = build_client(known_by="itself", auth_methods=("tls_client_auth",))
    with pytest.raises(AuthorizationError, match="The client's registration requires tls_client_auth"):
        check(build_parameters(), registered)
    with pytest.raises(AuthorizationPageError, match="not one of those in the client's registration"):
        choose_redirect_uri(build_parameters(redirect_uri="https://evil.example/cb"), registered, POLICY)


@pytest.mark.parametrize(
    ("changes", "max_age_seconds"),
    [
        ({}, None),
        ({"prompt": "consent"}, None),
        ({"prompt": "select_account consent"}, None),
        ({"prompt": "login"}, 0),
        ({"prompt": "consent login", "max_age": "60"}, 0),
        ({"max_age": "0"}, 0),
        ({"max_age": "3600"}, 3600),
        ({"max_age": ""}, None),
    ],
)
def test_how_fresh_the_sign_in_must_be(changes: dict[str, Any], max_age_seconds: int | None) -> None:
    assert check(build_parameters(**changes)).max_age_seconds == max_age_seconds


@pytest.mark.parametrize("state", [None, "", "x" * 4096, '"><script>', "a\r\nb", "ü\u202e\0"])
def test_state_is_kept_as_it_came(state: str | None) -> None:
    assert check(build_parameters(state=state)).state == (state or None)


def test_a_login_hint_is_cut_to_a_bounded_length() -> None:
    assert check(build_parameters(login_hint="a" * 10_000)).login_hint == "a" * 256
    assert check(build_parameters(login_hint=None)).login_hint is None


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"grant_types_listed": True}, False),
        ({"grant_types": ("authorization_code", "refresh_token"), "grant_types_listed": True}, True),
    ],
)
def test_a_refresh_token_is_for_documents_that_list_the_grant_or_no_grant_at_all(
    changes: dict[str, Any], *, allowed: bool
) -> None:
    assert is_refresh_allowed(build_client(**changes)) is allowed


def read_query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)


@pytest.mark.proves("MCP-6", "MCP-7", "O21-20", "ISS-1")
@pytest.mark.parametrize("state", [None, "st-1", "a b&iss=evil", "\r\nSet-Cookie: a=b", "ü\u202e"])
def test_a_success_brings_code_state_and_issuer_once_each(state: str | None) -> None:
    url = build_success_redirect(f"{REDIRECT_URI}?a=1&iss=evil&code=x", code="npc_1", state=state, issuer=ISSUER)
    assert url.startswith(f"{REDIRECT_URI}?a=1&")
    assert url.isascii()
    assert url.isprintable()
    expected = {"a": ["1"], "code": ["npc_1"], "iss": [ISSUER]} | ({"state": [state]} if state else {})
    assert read_query(url) == expected


@pytest.mark.proves("MCP-6", "O21-8", "ISS-1")
def test_an_error_brings_code_description_state_and_issuer() -> None:
    error = AuthorizationError("access_denied", "The person declined.", reason="authorization.denied_by_person")
    url = build_error_redirect(REDIRECT_URI, error, state="st 1", issuer=ISSUER)
    assert read_query(url) == {
        "error": ["access_denied"],
        "error_description": ["The person declined."],
        "state": ["st 1"],
        "iss": [ISSUER],
    }


def test_a_loopback_redirect_keeps_the_port_of_the_request() -> None:
    url = build_success_redirect("http://127.0.0.1:51763/cb", code="c", state=None, issuer=ISSUER)
    assert url == f"http://127.0.0.1:51763/cb?{urlencode({'code': 'c', 'iss': ISSUER})}"


def find_refusal(call: Callable[[], object]) -> ProtocolError | None:
    try:
        call()
    except ProtocolError as error:
        return error
    return None


def assert_sendable(refusal: ProtocolError) -> None:
    assert SLUG.fullmatch(refusal.reason)
    assert DESCRIPTION.fullmatch(refusal.description)
    assert len(refusal.description) < 300


hostile = st.text(st.characters(), max_size=40)
hostile_values = hostile | st.sampled_from(
    [*GOOD.values(), "plain", "none", "token", "0", " offline_access", CHALLENGE]
)
names = st.sampled_from([*GOOD, "request", "request_uri", "response_mode", "prompt", "max_age", "login_hint"])


@given(
    st.dictionaries(names, hostile_values, max_size=10),
    st.lists(hostile | st.just(RESOURCE.identifier), max_size=2),
    st.lists(hostile | st.sampled_from(["none", "private_key_jwt"]), min_size=1, max_size=4),
    st.none() | st.lists(hostile | st.just("notes:read"), max_size=3),
)
def test_whatever_request_and_document_hold_a_refusal_can_be_sent(
    changes: dict[str, str], resources: list[str], auth_methods: list[str], scope: list[str] | None
) -> None:
    client = build_client(auth_methods=tuple(auth_methods), scope=None if scope is None else tuple(scope))
    refusal = find_refusal(lambda: check(build_parameters(tuple(resources), **changes), client))
    if refusal is not None:
        assert_sendable(refusal)
        assert isinstance(refusal, AuthorizationError)
        url = build_error_redirect(REDIRECT_URI, refusal, state=changes.get("state"), issuer=ISSUER)
        assert url.isascii()
        assert url.isprintable()
        assert read_query(url)["error_description"] == [refusal.description]


@given(hostile_values, hostile_values)
def test_whatever_names_client_and_redirect_uri_they_are_proven_or_refused(client_id: str, redirect_uri: str) -> None:
    parameters = build_parameters(client_id=client_id, redirect_uri=redirect_uri)
    for prove in (
        lambda: parse_client(parameters, POLICY),
        lambda: choose_redirect_uri(parameters, build_client(), POLICY),
    ):
        refusal = find_refusal(prove)
        if refusal is not None:
            assert_sendable(refusal)
