"""Client metadata documents: what refuses one, what is dropped from it, and what it comes to."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ClientMetadataError
from nameplate.protocol.client_metadata import (
    MEMBER_FATES,
    ClientMetadata,
    build_snapshot,
    parse_client_metadata,
    parse_snapshot,
)
from nameplate.protocol.limits import DOCUMENT_WARNINGS

CLIENT_ID = "https://app.example.com/oauth/client.json"
MINIMAL: dict[str, object] = {
    "client_id": CLIENT_ID,
    "client_name": "App",
    "redirect_uris": ["https://app.example.com/cb"],
}
EC_KEY = {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "Ag", "kid": "a"}
ABSENT = object()


def parse(**members: object) -> ClientMetadata:
    document = {name: value for name, value in {**MINIMAL, **members}.items() if value is not ABSENT}
    return parse_client_metadata(CLIENT_ID, json.dumps(document).encode())


def refuse(**members: object) -> tuple[str, str]:
    """The slug's last part, and the member, for which a document is refused."""
    with pytest.raises(ClientMetadataError) as caught:
        parse(**members)
    assert caught.value.rule.isprintable()
    return caught.value.reason.removeprefix("document."), caught.value.member


def test_a_minimal_document_gets_the_defaults_of_a_public_client() -> None:
    assert parse() == ClientMetadata(
        client_id=CLIENT_ID,
        client_name="App",
        redirect_uris=("https://app.example.com/cb",),
        grant_types=("authorization_code",),
        grant_types_listed=False,
        response_types=("code",),
        auth_methods=("none",),
    )
    assert parse().warnings == ()


@pytest.mark.proves("CIMD-52")
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b'{"client_id":', b"[" * 5000])
def test_what_is_no_json_object_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(ClientMetadataError) as caught:
        parse_client_metadata(CLIENT_ID, body)
    assert caught.value.member == ""


# CIMD-50, CIMD-51, CI-03
@pytest.mark.proves("CIMD-9", "CIMD-50")
@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (ABSENT, "client_id_missing"),
        (None, "client_id_missing"),
        (1, "wrong_type"),
        ([CLIENT_ID], "wrong_type"),
        ("", "client_id_mismatch"),
        (CLIENT_ID + "/", "client_id_mismatch"),
        (CLIENT_ID + " ", "client_id_mismatch"),
        (" " + CLIENT_ID, "client_id_mismatch"),
        ("https://App.example.com/oauth/client.json", "client_id_mismatch"),
        ("HTTPS://app.example.com/oauth/client.json", "client_id_mismatch"),
        ("https://app.example.com:443/oauth/client.json", "client_id_mismatch"),
        ("https://app.example.com/x/../oauth/client.json", "client_id_mismatch"),
        ("https://app.example.com/oauth/client%2ejson", "client_id_mismatch"),
        ("https://claude.ai/oauth/mcp-oauth-client-metadata", "client_id_mismatch"),
    ],
)
def test_the_client_id_must_be_the_url_to_the_byte(stated: object, reason: str) -> None:
    assert refuse(client_id=stated) == (reason, "client_id")


# CIMD-54, CI-06
@pytest.mark.proves("CIMD-54")
@pytest.mark.parametrize("value", ["s3cret", "", None, 0, False, {}])
@pytest.mark.parametrize("member", ["client_secret", "client_secret_expires_at", "registration_access_token"])
def test_a_secret_refuses_the_document_whatever_its_value(member: str, value: object) -> None:
    assert refuse(**{member: value}) == ("secret", member)


# CIMD-55, CIMD-56
@pytest.mark.proves("CIMD-55", "CIMD-56")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt", "x_secret"])
def test_a_shared_secret_method_refuses_the_document(method: str) -> None:
    assert refuse(token_endpoint_auth_method=method) == ("secret_auth_method", "token_endpoint_auth_method")
    plural = "token_endpoint_auth_methods_supported"
    assert refuse(**{plural: ["none", method]}) == ("secret_auth_method", plural)


@pytest.mark.proves("CIMD-62", "CIMD-63", "CIMD-64", "CIMD-66")
@pytest.mark.parametrize(
    ("singular", "plural", "methods"),
    [
        (ABSENT, ABSENT, ("none",)),  # CIMD-62
        ("none", ABSENT, ("none",)),
        ("private_key_jwt", ABSENT, ("private_key_jwt",)),
        (ABSENT, ["private_key_jwt"], ("private_key_jwt",)),  # CIMD-63
        (ABSENT, ["none", "private_key_jwt"], ("none", "private_key_jwt")),
        ("private_key_jwt", ["none", "private_key_jwt"], ("private_key_jwt", "none")),  # CIMD-66
        ("none", ["none", "none"], ("none",)),
        (ABSENT, ["tls_client_auth"], ("tls_client_auth",)),  # CIMD-67 is told at authorization
    ],
)
def test_auth_methods_are_all_that_the_client_can_use(
    singular: object, plural: object, methods: tuple[str, ...]
) -> None:
    client = parse(
        token_endpoint_auth_method=singular,
        token_endpoint_auth_methods_supported=plural,
        jwks_uri="https://app.example.com/jwks.json",
    )
    assert client.auth_methods == methods


@pytest.mark.proves("CIMD-65")
def test_a_method_outside_its_own_list_refuses_the_document() -> None:
    """CIMD-65"""
    reason, _ = refuse(token_endpoint_auth_method="none", token_endpoint_auth_methods_supported=["private_key_jwt"])
    assert reason == "auth_methods_contradict"


@pytest.mark.proves("CIMD-70")
def test_private_key_jwt_needs_keys() -> None:
    """CIMD-70"""
    assert refuse(token_endpoint_auth_method="private_key_jwt") == ("keys_missing", "jwks_uri")
    assert refuse(token_endpoint_auth_methods_supported=["private_key_jwt"]) == ("keys_missing", "jwks_uri")
    client = parse(token_endpoint_auth_methods_supported=["private_key_jwt", "none"])
    assert client.auth_methods == ("none",)
    assert "private_key_jwt" in client.warnings[0]


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512"])
def test_an_algorithm_without_a_public_key_refuses_the_document(algorithm: str) -> None:
    assert refuse(token_endpoint_auth_signing_alg=algorithm) == ("signing_alg", "token_endpoint_auth_signing_alg")


# CI-11
@pytest.mark.proves("CIMD-84")
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        "java\tscript:x",
        "data:text/html,x",
        "file:///x",
        "blob:x",
        "vbscript:x",
        "about:x",
    ],
)
def test_a_script_like_redirect_uri_refuses_the_document(uri: str) -> None:
    assert refuse(redirect_uris=["https://app.example.com/cb", uri]) == ("redirect_uri_script", "redirect_uris")


@pytest.mark.proves("CIMD-84")
@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.com/cb",
        "https://*.example.com/cb",
        "/cb",
        "https://u@a.test/cb",
        "https://a.test/cb#x",
        "myapp:/cb",
        "https://a.test/c\nb",
        "x" * 5000,
    ],
)
def test_a_redirect_uri_that_breaks_a_rule_is_dropped_alone(uri: str) -> None:
    client = parse(redirect_uris=[uri, "https://app.example.com/cb"])
    assert client.redirect_uris == ("https://app.example.com/cb",)
    assert len(client.warnings) == 1
    assert len(client.warnings[0]) < 300
    assert refuse(redirect_uris=[uri]) == ("redirect_uris_unusable", "redirect_uris")


def test_the_refusal_says_why_no_entry_can_be_used() -> None:
    with pytest.raises(ClientMetadataError, match="http is only for"):
        parse(redirect_uris=["http://app.example.com/cb"])


@pytest.mark.proves("MCP-11")
def test_redirect_uris_must_be_there() -> None:
    assert refuse(redirect_uris=ABSENT) == ("redirect_uris_missing", "redirect_uris")


@pytest.mark.proves("CIMD-73")
def test_grants_that_are_not_served_are_skipped() -> None:
    """CIMD-73, CIMD-74"""
    client = parse(grant_types=["urn:ietf:params:oauth:grant-type:device_code", "refresh_token", "authorization_code"])
    assert client.grant_types == ("refresh_token", "authorization_code")
    assert client.grant_types_listed
    assert parse(response_types=["code", "token", "code id_token"]).response_types == ("code",)


@pytest.mark.proves("CIMD-73")
def test_a_document_without_a_served_grant_is_refused() -> None:
    assert refuse(grant_types=["urn:ietf:params:oauth:grant-type:device_code"]) == (
        "grant_types_unsupported",
        "grant_types",
    )
    assert refuse(response_types=["token"]) == ("response_types_unsupported", "response_types")


@pytest.mark.parametrize(
    ("scope", "tokens"),
    [
        (ABSENT, None),
        ("a b", ("a", "b")),
        (" offline_access ", ("offline_access",)),
        ("a  b a", ("a", "b")),
        ('a b"c d\\e f\tg é', ("a",)),
        ("", None),
        ('"', ()),
    ],
)
def test_a_scope_is_read_with_its_spaces_tolerated(scope: object, tokens: tuple[str, ...] | None) -> None:
    assert parse(scope=scope).scope == tokens


# CIMD-36, CIMD-75
@pytest.mark.proves("CIMD-36", "CIMD-75")
@pytest.mark.parametrize("member", ["client_uri", "logo_uri", "policy_uri", "tos_uri"])
@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:x", "file:///x", "http://a.test", "/logo.png", "", "https://u@a.test"]
)
def test_a_url_that_must_not_be_shown_is_dropped(member: str, uri: str) -> None:
    client = parse(**{member: uri})
    assert getattr(client, member) is None
    assert client.warnings[0].startswith(member)


@pytest.mark.parametrize("member", ["client_uri", "logo_uri", "policy_uri", "tos_uri"])
@pytest.mark.parametrize("uri", ["https://a.test", "https://a.test/x?y#z", "https://a.test:8443/"])
def test_an_https_url_is_kept_as_it_stands(member: str, uri: str) -> None:
    assert getattr(parse(**{member: uri}), member) == uri


@pytest.mark.proves("CIMD-76", "MCP-11")
def test_mcp_requires_a_name_and_the_draft_alone_does_not() -> None:
    """MCP-11, CIMD-76"""
    assert refuse(client_name=ABSENT) == ("client_name_missing", "client_name")
    nameless = json.dumps({name: value for name, value in MINIMAL.items() if name != "client_name"}).encode()
    assert parse_client_metadata(CLIENT_ID, nameless, require_client_name=False).client_name is None


@pytest.mark.parametrize("name", ["", " ", "\n", "\u200b\u200d", "\u202e \u2800"])
def test_a_name_that_shows_nothing_refuses_the_document(name: str) -> None:
    assert refuse(client_name=name) == ("empty", "client_name")


def test_a_name_is_kept_as_it_stands_for_the_pages_to_defuse() -> None:
    assert parse(client_name="<b>\u202eevil</b>").client_name == "<b>\u202eevil</b>"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("client_name", "x" * 4000),
        ("redirect_uris", [f"https://a.test/{number}" for number in range(101)]),
        ("grant_types", [str(number) for number in range(101)]),
        ("jwks_uri", "https://a.test/" + "x" * 2048),
        ("token_endpoint_auth_method", "x" * 4000),
        ("scope", "x" * 4001),
    ],
)
def test_absurd_values_are_refused(member: str, value: object) -> None:
    assert refuse(**{member: value}) == ("too_long", member)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("redirect_uris", []),
        ("redirect_uris", [""]),
        ("grant_types", []),
        ("response_types", []),
        ("token_endpoint_auth_method", ""),
        ("token_endpoint_auth_methods_supported", []),
        ("token_endpoint_auth_signing_alg", " "),
        ("jwks_uri", ""),
        ("scope", "  "),
    ],
)
def test_empty_values_that_decide_something_are_refused(member: str, value: object) -> None:
    assert refuse(**{member: value}) == ("empty", member)


TEXT_MEMBERS = ["client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri", "scope", "jwks_uri", "software_id"]
TEXT_MEMBERS += ["software_version", "application_type", "software_statement", "token_endpoint_auth_method"]
TEXT_MEMBERS += ["token_endpoint_auth_signing_alg"]
LIST_MEMBERS = ["redirect_uris", "grant_types", "response_types", "contacts", "token_endpoint_auth_methods_supported"]


@pytest.mark.parametrize("value", [None, 0, 1.5, True, [], {}, ["a"]])
@pytest.mark.parametrize("member", TEXT_MEMBERS)
def test_a_text_of_another_type_is_refused(member: str, value: object) -> None:
    assert refuse(**{member: value}) == ("wrong_type", member)


@pytest.mark.parametrize("value", [None, 0, True, "a", {}, [1], ["a", None], [["a"]]])
@pytest.mark.parametrize("member", LIST_MEMBERS)
def test_a_list_of_another_type_is_refused(member: str, value: object) -> None:
    assert refuse(**{member: value}) == ("wrong_type", member)


def test_claims_are_kept_and_useless_ones_dropped() -> None:
    client = parse(software_id="s", software_version="1", application_type="native", contacts=["a@b.test"])
    assert (client.software_id, client.software_version, client.application_type) == ("s", "1", "native")
    assert client.contacts == ("a@b.test",)
    dropped = parse(software_id="", software_version="x" * 501, application_type="service", contacts=[])
    assert (dropped.software_id, dropped.software_version, dropped.application_type) == (None, None, None)
    assert len(dropped.warnings) == 4


def build_statement(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{payload}.x"


@pytest.mark.proves("CIMD-58")
@pytest.mark.parametrize(
    "statement",
    [
        "x",
        "a.b.c",
        "..",
        build_statement({"client_name": "Bank"}),
        build_statement({"jwks": {"keys": [1, {}]}}),
        build_statement([]),
    ],
)
def test_a_software_statement_says_nothing(statement: str) -> None:
    """CIMD-58"""
    client = parse(software_statement=statement)
    assert client == parse()
    assert client.warnings[0].startswith("software_statement")


@pytest.mark.proves("CIMD-58")
@pytest.mark.parametrize(
    "claims",
    [
        {"client_secret": "x"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"jwks": {"keys": [1, {"kty": "oct", "k": "AQ"}]}},
    ],
)
def test_a_software_statement_must_not_carry_secrets_either(claims: dict[str, object]) -> None:
    assert refuse(software_statement=build_statement(claims))[0] in {"secret", "secret_auth_method", "private_key"}


def test_warnings_are_bounded() -> None:
    listed = [f"http://a{number}.test/" for number in range(99)] + ["https://app.example.com/cb"]
    assert len(parse(redirect_uris=listed).warnings) == DOCUMENT_WARNINGS


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["none", "https://a.test/", "oct"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["keys", "kty", "kid", "n"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(MEMBER_FATES)), JSON, max_size=6))
def test_any_members_give_a_client_or_our_error(members: dict[str, object]) -> None:
    body = json.dumps({**MINIMAL, **members}).encode()
    try:
        client = parse_client_metadata(CLIENT_ID, body)
    except ClientMetadataError:
        return
    assert client.client_id == CLIENT_ID
    assert client.redirect_uris
    assert parse_snapshot(build_snapshot(client)) == client


@given(st.data())
def test_any_damage_to_a_document_gives_a_client_or_our_error(data: st.DataObject) -> None:
    body = bytearray(json.dumps({**MINIMAL, "jwks": {"keys": [EC_KEY]}, "scope": "a b", "contacts": ["x"]}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        client = parse_client_metadata(CLIENT_ID, bytes(body))
    except ClientMetadataError:
        return
    assert client.client_id == CLIENT_ID
