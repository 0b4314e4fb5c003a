"""The table of fates says what the parser does."""

import json

import pytest

from nameplate.errors import ClientMetadataError
from nameplate.protocol.client_metadata import MEMBER_FATES, ClientMetadata, parse_client_metadata

CLIENT_ID = "https://app.example.com/client.json"
MINIMAL: dict[str, object] = {"client_id": CLIENT_ID, "client_name": "App", "redirect_uris": ["https://a.test/cb"]}
READ = sorted(name for name, row in MEMBER_FATES.items() if row.fate in {"verified", "used", "shown"})
IGNORED = sorted(name for name, row in MEMBER_FATES.items() if row.fate == "ignored" and name != "software_statement")
REFUSED = sorted(name for name, row in MEMBER_FATES.items() if row.fate == "refused")

# RFC 7591 §2, §2.3 and §3.2.1
RFC_7591 = [
    *("redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types", "client_name", "client_uri"),
    *("logo_uri", "scope", "contacts", "tos_uri", "policy_uri", "jwks_uri", "jwks", "software_id", "software_version"),
    *("software_statement", "client_id", "client_secret", "client_id_issued_at", "client_secret_expires_at"),
]


def parse(**members: object) -> ClientMetadata:
    return parse_client_metadata(CLIENT_ID, json.dumps({**MINIMAL, **members}).encode())


def test_every_member_of_rfc_7591_has_a_fate() -> None:
    assert [name for name in RFC_7591 if name not in MEMBER_FATES] == []


@pytest.mark.parametrize("name", sorted(MEMBER_FATES))
def test_every_fate_is_told_in_a_sentence(name: str) -> None:
    sentence = MEMBER_FATES[name].sentence
    assert sentence.endswith(".")
    assert sentence[0].isupper() or sentence.startswith(("authorization_code", "code", "web"))


@pytest.mark.proves("CIMD-53", "CIMD-78")
@pytest.mark.parametrize("name", IGNORED)
@pytest.mark.parametrize("value", ["https://127.0.0.1/", None, 1, ["x"], {"a": []}])
def test_an_ignored_member_may_say_anything(name: str, value: object) -> None:
    assert parse(**{name: value}) == parse()


@pytest.mark.parametrize("name", READ)
def test_a_member_that_is_read_has_a_type(name: str) -> None:
    with pytest.raises(ClientMetadataError):
        parse(**{name: {"a": 1}})


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_member_refuses_the_document(name: str) -> None:
    with pytest.raises(ClientMetadataError):
        parse(**{name: None})


@pytest.mark.proves("CIMD-53")
@pytest.mark.parametrize("name", ["x", "", "client_name#ja", "__proto__", "constructor", "\u0000"])
def test_an_unknown_member_is_ignored(name: str) -> None:
    assert name not in MEMBER_FATES
    assert parse(**{name: {"a": [1, None]}}) == parse()
