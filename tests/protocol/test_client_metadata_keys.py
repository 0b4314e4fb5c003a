"""A client's keys: public ones, told apart by name, from the document or from a URL under the document's own rules."""

import json

import pytest

from nameplate.errors import ClientMetadataError
from nameplate.protocol.client_id import ClientIdPolicy
from nameplate.protocol.client_keys import holds_private_key, parse_key_document, parse_key_set
from nameplate.protocol.client_metadata import ClientMetadata, parse_client_metadata
from nameplate.protocol.private_hosts import PrivateHost

CLIENT_ID = "https://app.example.com/oauth/client.json"
MINIMAL: dict[str, object] = {
    "client_id": CLIENT_ID,
    "client_name": "App",
    "redirect_uris": ["https://app.example.com/cb"],
}
EC_KEY = {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "Ag", "kid": "a"}
RSA_KEY = {"kty": "RSA", "n": "AQ", "e": "AQAB", "kid": "b", "alg": "RS256", "use": "sig"}


def parse(**members: object) -> ClientMetadata:
    return parse_client_metadata(CLIENT_ID, json.dumps({**MINIMAL, **members}).encode())


def refuse(**members: object) -> tuple[str, str]:
    """The slug's last part, and the member, for which a document is refused."""
    with pytest.raises(ClientMetadataError) as caught:
        parse(**members)
    return caught.value.reason.removeprefix("document."), caught.value.member


@pytest.mark.proves("CIMD-71")
def test_jwks_and_jwks_uri_together_refuse_the_document() -> None:
    """CIMD-71"""
    assert refuse(jwks={"keys": [EC_KEY]}, jwks_uri="https://app.example.com/j") == ("jwks_twice", "jwks")


# CIMD-30, CI-09
@pytest.mark.proves("CIMD-30")
@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.com/j",
        "https://127.0.0.1/j",
        "https://[::1]/j",
        "https://localhost/j",
        "https://metadata.google.internal/j",
        "https://u@app.example.com/j",
        "https://app.example.com:22/j",
        "https://app.example.com/j#x",
        "file:///etc/passwd",
        "j",
    ],
)
def test_a_jwks_uri_obeys_the_rules_of_the_document_itself(uri: str) -> None:
    assert refuse(jwks_uri=uri) == ("jwks_uri", "jwks_uri")


def test_a_jwks_uri_may_name_a_declared_private_host() -> None:
    policy = ClientIdPolicy(private_hosts=(PrivateHost(host="app.internal", network="10.0.0.0/8", ports=(443,)),))
    document = json.dumps({**MINIMAL, "jwks_uri": "https://app.internal/j"}).encode()
    assert parse_client_metadata(CLIENT_ID, document, policy=policy).jwks_uri == "https://app.internal/j"


def test_public_keys_are_kept_in_one_form() -> None:
    keys = [
        {**EC_KEY, "x5c": ["…"], "key_ops": ["verify"]},
        RSA_KEY,
        {"kty": "AKP"},
        {**RSA_KEY, "use": "enc", "kid": "c"},
    ]
    jwks = parse(jwks={"keys": keys}).jwks
    assert jwks == parse_key_set({"keys": [EC_KEY, RSA_KEY]}) == parse_key_document(json.dumps({"keys": keys}).encode())
    assert json.loads(jwks) == {"keys": [EC_KEY, RSA_KEY]}


@pytest.mark.proves("CIMD-57")
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"])
def test_private_key_members_refuse_the_document(member: str) -> None:
    """CIMD-57, CI-08"""
    assert refuse(jwks={"keys": [RSA_KEY, {**EC_KEY, member: "AQ"}]}) == ("private_key", "jwks")


@pytest.mark.proves("CIMD-57")
@pytest.mark.parametrize(
    ("jwks", "reason"),
    [
        ({"keys": [{"kty": "oct"}]}, "private_key"),
        ({"keys": [{"kty": "x", "d": None}]}, "private_key"),
        (None, "wrong_type"),
        ([], "wrong_type"),
        ("{}", "wrong_type"),
        ({}, "wrong_type"),
        ({"keys": {}}, "wrong_type"),
        ({"keys": [1]}, "wrong_type"),
        ({"keys": [{**EC_KEY, "kid": 1}]}, "wrong_type"),
        ({"keys": [{**EC_KEY, "kid": ""}]}, "wrong_type"),
        ({"keys": [{**EC_KEY, "alg": "x" * 1000}]}, "wrong_type"),
        ({"keys": []}, "keys_count"),
        ({"keys": [{}]}, "keys_count"),
        ({"keys": [{"kty": ["EC"]}]}, "wrong_type"),
        ({"keys": [{"kty": "AKP"}]}, "keys_count"),
        ({"keys": [{**EC_KEY, "use": "enc"}]}, "keys_count"),
        ({"keys": [{**EC_KEY, "use": []}]}, "wrong_type"),
        ({"keys": [EC_KEY] * 33}, "keys_count"),
        ({"keys": [{"kty": "EC", "crv": "P-256", "x": "AQ"}]}, "keys_malformed"),
        ({"keys": [{**EC_KEY, "x": 1}]}, "keys_malformed"),
        ({"keys": [{**EC_KEY, "x": "a+b="}]}, "keys_malformed"),
        ({"keys": [EC_KEY, {name: RSA_KEY[name] for name in ("kty", "n", "e")}]}, "kid_missing"),
        ({"keys": [EC_KEY, {**RSA_KEY, "kid": "a"}]}, "kid_repeated"),
    ],
)
def test_a_key_set_that_is_none_refuses_the_document(jwks: object, reason: str) -> None:
    assert refuse(jwks=jwks) == (reason, "jwks")


def test_one_key_needs_no_name() -> None:
    assert parse(jwks={"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AQ"}]}).jwks is not None


def test_a_fetched_key_document_obeys_the_same_rules() -> None:
    with pytest.raises(ClientMetadataError) as caught:
        parse_key_document(b'{"keys": [], "keys": []}')
    assert caught.value.reason == "document.keys_duplicate_member"


@pytest.mark.parametrize("value", [None, [], {}, {"keys": None}, {"keys": [1, None, {}, EC_KEY]}])
def test_what_is_no_private_key_set_is_told(value: object) -> None:
    assert not holds_private_key(value)
