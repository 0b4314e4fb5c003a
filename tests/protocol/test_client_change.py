"""What ends a grant when its client's document changes or is lost, and what the client is told."""

import json
import re
from dataclasses import replace

import pytest

from nameplate.errors import (
    AddressRefused,
    BadMediaType,
    BadStatus,
    Busy,
    ClientIdError,
    ClientMetadataError,
    FetchError,
    RedirectRefused,
    TimedOut,
    TlsFailed,
    TokenError,
    TooLarge,
    Unreachable,
)
from nameplate.protocol.client_change import (
    ENDING_REASONS,
    are_keys_replaced,
    build_key_memory,
    build_lost_client_refusal,
    build_lost_keys_refusal,
    check_proof,
    is_doubtful,
    is_end_of_client,
    is_weaker,
)
from nameplate.protocol.client_keys import parse_key_set
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.client_proof import ClientProof
from nameplate.protocol.grant import Grant

CLIENT_ID = "https://client.example:8443/oauth/client.json"
CLIENT = ClientMetadata(client_id=CLIENT_ID, redirect_uris=("https://client.example/cb",))

ENDS = [
    (BadStatus(404), "fetch.not_found"),
    (BadStatus(410), "fetch.not_found"),
    (ClientMetadataError("document.secret", "client_secret", 'holds "quotes"'), "document.secret"),
    (ClientIdError("client_id.internal_name", 'says "no"'), "client_id.internal_name"),
]
PASSES = [
    (BadStatus(500), "fetch.status"),
    (BadStatus(403), "fetch.status"),
    (BadStatus(304), "fetch.status"),
    (RedirectRefused("status 302"), "fetch.redirect"),
    (BadMediaType('content type "x"'), "fetch.media_type"),
    (TooLarge("6000"), "fetch.too_large"),
    (TimedOut("5 s"), "fetch.unreachable"),
    (Unreachable("DNS"), "fetch.unreachable"),
    (TlsFailed("expired"), "fetch.unreachable"),
    (AddressRefused("10.0.0.1"), "fetch.unreachable"),
    (Busy("host budget", retry_after_seconds=7), "fetch.busy"),
]
# RFC 6749 §5.2
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")

Lost = ClientIdError | ClientMetadataError | FetchError


@pytest.mark.parametrize(("error", "reason"), ENDS)
def test_what_is_for_good_ends_the_grant(error: Lost, reason: str) -> None:
    assert is_end_of_client(error)
    refusal = build_lost_client_refusal(error, CLIENT_ID)
    assert (refusal.code, refusal.status, refusal.retry_after_seconds) == ("invalid_client", 400, None)
    assert (refusal.reason, refusal.detail) == (reason, str(error))
    assert DESCRIPTION.fullmatch(refusal.description)


@pytest.mark.parametrize(("error", "reason"), PASSES)
def test_what_may_pass_leaves_the_grant_and_says_when_to_come_back(error: Lost, reason: str) -> None:
    assert not is_end_of_client(error)
    refusal = build_lost_client_refusal(error, CLIENT_ID)
    assert (refusal.code, refusal.status) == ("temporarily_unavailable", 503)
    assert refusal.retry_after_seconds == (7 if isinstance(error, Busy) else 30)
    assert refusal.reason == reason
    assert "client.example:8443" in refusal.description
    assert DESCRIPTION.fullmatch(refusal.description)


def test_what_an_outsider_must_not_tell_apart_gets_the_same_words() -> None:
    errors = [TimedOut("5 s"), Unreachable("closed"), TlsFailed("expired"), AddressRefused("10.0.0.1")]
    assert len({build_lost_client_refusal(error, CLIENT_ID).description for error in errors}) == 1


# Keys that cannot be had

JWKS_URI = "https://keys.example:8443/jwks.json"


@pytest.mark.parametrize(
    ("error", "reason"), [*PASSES, (BadStatus(404), "fetch.status"), (BadStatus(410), "fetch.status")]
)
def test_keys_that_cannot_be_fetched_are_no_fault_of_the_clients(error: FetchError, reason: str) -> None:
    refusal = build_lost_keys_refusal(error, JWKS_URI)
    assert (refusal.code, refusal.status, refusal.reason) == ("temporarily_unavailable", 503, reason)
    assert refusal.retry_after_seconds
    assert "keys.example:8443" in refusal.description
    assert DESCRIPTION.fullmatch(refusal.description)


def test_a_key_set_that_breaks_a_rule_is_invalid_client() -> None:
    refusal = build_lost_keys_refusal(ClientMetadataError("document.private_key", "jwks", 'a "secret"'), JWKS_URI)
    assert (refusal.code, refusal.status, refusal.reason) == ("invalid_client", 400, "document.private_key")
    assert DESCRIPTION.fullmatch(refusal.description)


# Methods

METHODS = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]


def build_grant(auth_method: str = "", client_keys: str = "") -> Grant:
    return Grant(
        id="npg_1",
        client_id=CLIENT_ID,
        subject="sub-1",
        resource="https://mcp.example.com/mcp",
        scope=(),
        client_metadata="{}",
        created_at=0,
        expires_at=1,
        auth_method=auth_method,
        client_keys=client_keys,
    )


def refuse_proof(proof: ClientProof, grant: Grant, client: ClientMetadata) -> TokenError:
    with pytest.raises(TokenError) as refused:
        check_proof(proof, grant, client)
    assert DESCRIPTION.fullmatch(refused.value.description)
    assert refused.value.status == 400
    return refused.value


def test_a_key_proves_more_than_a_secret_and_a_secret_more_than_nothing() -> None:
    for method in METHODS:
        assert not is_weaker(method, "")
        assert not is_weaker(method, "none")
        assert is_weaker("none", method) == (method != "none")
        assert is_weaker(method, "private_key_jwt") == (method != "private_key_jwt")
        assert is_weaker(method, "a method of tomorrow") == (method != "private_key_jwt")
    assert not is_weaker("client_secret_basic", "client_secret_post")
    assert not is_weaker("client_secret_post", "client_secret_basic")


@pytest.mark.proves("CIMD-68")
def test_who_proved_itself_once_must_go_on_with_that() -> None:
    client = replace(CLIENT, auth_methods=("none", "private_key_jwt"))
    check_proof(ClientProof(auth_method="none"), build_grant("none"), client)
    check_proof(ClientProof(auth_method="private_key_jwt"), build_grant("none"), client)
    refusal = refuse_proof(ClientProof(auth_method="none"), build_grant("private_key_jwt"), client)
    assert (refusal.code, refusal.reason) == ("invalid_client", "client.auth_method_pinned")
    assert refusal.reason not in ENDING_REASONS


@pytest.mark.proves("CIMD-68", "CIMD-100")
def test_a_client_that_gave_up_its_method_has_to_be_authorized_again() -> None:
    refusal = refuse_proof(ClientProof(auth_method="none"), build_grant("private_key_jwt"), CLIENT)
    assert (refusal.code, refusal.reason) == ("invalid_grant", "client.auth_method_weakened")
    assert refusal.reason in ENDING_REASONS


# Keys


def build_keys(*names: str, **described: str) -> str:
    """A key set; the same name is the same key."""
    keys = [
        {"kty": "EC", "crv": "P-256", "x": name, "y": "y", "kid": f"{index}{name}", **described}
        for index, name in enumerate(names)
    ]
    return parse_key_set({"keys": keys})


def with_keys(*names: str) -> ClientMetadata:
    return replace(CLIENT, jwks=build_keys(*names))


def with_uri(uri: str) -> ClientMetadata:
    return replace(CLIENT, jwks_uri=uri)


OWN = "https://client.example/jwks.json"
OTHER = "https://keys.example/jwks.json"


def test_thumbprints_are_those_of_rfc_7638() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    key = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    client = replace(CLIENT, jwks=parse_key_set({"keys": [key]}))
    assert build_key_memory(client) == "jwks NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_memory_says_what_the_client_publishes_and_not_in_which_order() -> None:
    assert build_key_memory(CLIENT) == ""
    assert build_key_memory(with_uri(OWN)) == f"jwks_uri {OWN}"
    assert build_key_memory(with_keys("a", "b")) == build_key_memory(with_keys("b", "a"))
    assert build_key_memory(with_keys("a")) != build_key_memory(with_keys("b"))
    renamed = replace(CLIENT, jwks=build_keys("a", kid="new", alg="ES256", use="sig"))
    assert build_key_memory(renamed) == build_key_memory(with_keys("a"))
    assert len(json.loads(with_keys("a", "b").jwks or "")["keys"]) == 2


@pytest.mark.proves("CIMD-101")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (with_keys("a"), with_keys("a")),
        (with_keys("a"), with_keys("a", "b")),
        (with_keys("a", "b"), with_keys("b", "c")),
        (with_uri(OWN), with_uri("https://client.example/other.json")),
        (with_uri(OTHER), with_uri(f"{OTHER}?v=2")),
        (with_uri(OTHER), with_uri("https://keys.example:8443/jwks.json")),
        (with_keys("a"), with_uri(OWN)),
        (with_uri(OWN), with_keys("a")),
        (CLIENT, with_keys("a")),
        (CLIENT, with_uri(OTHER)),
        (CLIENT, CLIENT),
    ],
)
def test_rotation_is_no_replacement(before: ClientMetadata, after: ClientMetadata) -> None:
    memory = build_key_memory(before)
    assert not are_keys_replaced(memory, after)
    proof = ClientProof(auth_method="private_key_jwt", client_keys=build_key_memory(after))
    check_proof(proof, build_grant("private_key_jwt", memory), after)


@pytest.mark.proves("CIMD-100", "CIMD-101")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (with_keys("a"), with_keys("b")),
        (with_keys("a", "b"), with_keys("c", "d")),
        (with_uri(OWN), with_uri(OTHER)),
        (with_uri(OTHER), with_uri(OWN)),
        (with_uri(OTHER), with_uri("https://x.keys.example/jwks.json")),
        (with_keys("a"), with_uri(OTHER)),
        (with_uri(OTHER), with_keys("a")),
    ],
)
def test_other_keys_altogether_are_another_client_until_the_person_says_otherwise(
    before: ClientMetadata, after: ClientMetadata
) -> None:
    memory = build_key_memory(before)
    assert are_keys_replaced(memory, after)
    proof = ClientProof(auth_method="private_key_jwt", client_keys=build_key_memory(after))
    refusal = refuse_proof(proof, build_grant("private_key_jwt", memory), after)
    assert (refusal.code, refusal.reason) == ("invalid_grant", "client.keys_replaced")
    assert refusal.reason in ENDING_REASONS


def test_keys_that_are_gone_are_replaced_by_nothing() -> None:
    assert are_keys_replaced(build_key_memory(with_keys("a")), CLIENT)
    assert are_keys_replaced(build_key_memory(with_uri(OWN)), CLIENT)


def test_a_client_that_uses_no_key_may_change_all_of_them() -> None:
    check_proof(ClientProof(auth_method="none"), build_grant("none"), with_keys("b"))


@pytest.mark.parametrize(
    ("reason", "is_so"),
    [
        ("client.auth_method_unsupported", True),
        ("client.auth_method_withdrawn", True),
        ("assertion.unknown_key", True),
        ("assertion.signature", True),
        ("assertion.key", True),
        ("assertion.algorithm", True),
        ("assertion.expired", False),
        ("assertion.audience", False),
        ("fetch.status", False),
    ],
)
def test_a_refusal_is_doubtful_where_another_document_could_change_it(reason: str, is_so: bool) -> None:
    refusal = TokenError("invalid_client", "No.", reason=reason)
    assert is_doubtful(refusal, build_grant("private_key_jwt"), CLIENT) == is_so


def test_a_proof_is_doubtful_where_it_would_end_the_grant() -> None:
    grant = build_grant("private_key_jwt", build_key_memory(with_keys("a")))
    by_key = ClientProof(auth_method="private_key_jwt")
    weaker = ClientProof(auth_method="none")
    assert is_doubtful(by_key, grant, with_keys("b"))
    assert not is_doubtful(by_key, grant, with_keys("a", "b"))
    assert is_doubtful(weaker, grant, CLIENT)
    offering = replace(with_keys("a"), auth_methods=("none", "private_key_jwt"))
    assert not is_doubtful(weaker, grant, offering), "a younger copy that offers less would not let it in either"
