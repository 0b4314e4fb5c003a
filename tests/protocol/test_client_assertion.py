"""What an assertion must claim: whose it is, for whom, for how long, and that it was never seen before."""

import math
import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import TokenError
from nameplate.jose import SIGNATURE_ALGORITHMS, RefusedReason
from nameplate.protocol.client_assertion import (
    ASSERTION_ALGORITHMS,
    ASSERTION_SECONDS,
    ASSERTION_TYPES,
    CLOCK_SKEW_SECONDS,
    REPLICA_SKEW_SECONDS,
    build_replay_refusal,
    build_signature_refusal,
    check_assertion_claims,
    choose_algorithms,
    choose_audiences,
    is_client_pattern,
    matches_client_pattern,
)
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.client_proof import AssertionUse

NOW = 1_800_000_000
CLIENT_ID = "https://app.example.com/client.json"
ISSUER = "https://auth.example.com/tenant"
TOKEN_ENDPOINT = f"{ISSUER}/token"
CLAIMS = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "one"}
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §5.2
ABSENT = object()


def check(changes: dict[str, Any], *, audiences: tuple[str, ...] = (ISSUER,), now: float = NOW) -> AssertionUse:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ABSENT}
    return check_assertion_claims(claims, client_id=CLIENT_ID, audiences=audiences, now=now)


def refuse(changes: dict[str, Any], *, audiences: tuple[str, ...] = (ISSUER,), now: float = NOW) -> str:
    with pytest.raises(TokenError) as refused:
        check(changes, audiences=audiences, now=now)
    assert (refused.value.code, refused.value.status) == ("invalid_client", 400)
    assert DESCRIPTION.fullmatch(refused.value.description)
    return refused.value.reason


def test_the_figures_are_those_that_were_decided() -> None:
    assert (ASSERTION_SECONDS, CLOCK_SKEW_SECONDS) == (300, 60)


@pytest.mark.proves("CIMD-69", "JWT-9")
def test_every_algorithm_that_is_advertised_is_verified_and_none_is_symmetric() -> None:
    assert set(ASSERTION_ALGORITHMS) == SIGNATURE_ALGORITHMS
    assert len(set(ASSERTION_ALGORITHMS)) == len(ASSERTION_ALGORITHMS)
    assert not any(name.startswith("HS") or name.lower() == "none" for name in ASSERTION_ALGORITHMS)


@pytest.mark.proves("JWT-5")
def test_no_other_token_has_the_type_of_an_assertion() -> None:
    assert {"", "JWT", "client-authentication+jwt", "oauth-client-auth+jwt"} <= ASSERTION_TYPES
    for other in ("at+jwt", "dpop+jwt", "oauth-id-jag+jwt", "logout+jwt", "secevent+jwt", "JWE", "jwt "):
        assert other not in ASSERTION_TYPES
        assert f"application/{other}" not in ASSERTION_TYPES


def build_client(algorithm: str | None) -> ClientMetadata:
    return ClientMetadata(
        client_id=CLIENT_ID, redirect_uris=("https://app.example.com/cb",), auth_signing_alg=algorithm
    )


def test_a_client_that_names_an_algorithm_signs_by_no_other() -> None:
    assert choose_algorithms(build_client(None)) == set(ASSERTION_ALGORITHMS)
    assert choose_algorithms(build_client("RS256")) == {"RS256"}
    for unknown in ("HS256", "none", "rs256", "ML-DSA-44", "RS256 "):
        assert choose_algorithms(build_client(unknown)) == frozenset()


# Claims


@pytest.mark.proves("JWT-1")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"iat": ABSENT},
        {"nbf": NOW},
        {"nbf": NOW + CLOCK_SKEW_SECONDS},
        {"iat": NOW + CLOCK_SKEW_SECONDS, "exp": NOW + ASSERTION_SECONDS},
        {"exp": NOW - CLOCK_SKEW_SECONDS + 1},
        {"exp": NOW + ASSERTION_SECONDS + CLOCK_SKEW_SECONDS},
        {"exp": NOW + 60.5, "iat": NOW - 0.25},
        {"jti": "x" * 256},
        {"jti": "ü\0\N{GRINNING FACE}"},
        {"act": {"sub": "x"}, "scope": "admin", "client_id": "another"},
    ],
)
def test_a_good_assertion_has_one_use(changes: dict[str, Any]) -> None:
    use = check(changes)
    assert use.client_id == CLIENT_ID
    assert len(use.use_hash) == 32
    ends_at = math.ceil({**CLAIMS, **changes}["exp"]) + CLOCK_SKEW_SECONDS
    assert use.kept_until == ends_at + REPLICA_SKEW_SECONDS


# JA-08
@pytest.mark.proves("JWT-1", "JWT-8")
@pytest.mark.parametrize("name", ["iss", "sub"])
@pytest.mark.parametrize(
    "value",
    [
        ABSENT,
        None,
        "",
        1,
        [CLIENT_ID],
        "https://app.example.com:443/client.json",
        "https://APP.example.com/client.json",
        f"{CLIENT_ID}/",
        f"{CLIENT_ID} ",
        "https://other.example/client.json",
        ISSUER,
    ],
)
def test_iss_and_sub_are_the_client_to_the_byte(name: str, value: object) -> None:
    assert refuse({name: value}) == "assertion.other_client"


# JA-07
@pytest.mark.proves("JWT-1", "JWT-2", "O21-23")
@pytest.mark.parametrize(
    "audience",
    [
        ABSENT,
        None,
        "",
        1,
        {},
        TOKEN_ENDPOINT,
        f"{ISSUER}/par",
        f"{ISSUER}/",
        ISSUER.upper(),
        ISSUER.removesuffix("/tenant"),
        "https://other.example",
        [ISSUER],
        [ISSUER, TOKEN_ENDPOINT],
        [ISSUER, "https://other.example"],
        [TOKEN_ENDPOINT],
        [],
    ],
)
def test_the_audience_is_the_issuer_alone_as_one_text(audience: object) -> None:
    assert refuse({"aud": audience}) == "assertion.audience"


@pytest.mark.proves("JWT-10")
def test_the_token_endpoint_is_an_audience_where_the_operator_admits_it_and_alone() -> None:
    both = (ISSUER, TOKEN_ENDPOINT)
    assert check({"aud": TOKEN_ENDPOINT}, audiences=both) == check({}, audiences=both)
    for wrong in ([TOKEN_ENDPOINT], [ISSUER, TOKEN_ENDPOINT], f"{TOKEN_ENDPOINT}/", f"{ISSUER}//token"):
        assert refuse({"aud": wrong}, audiences=both) == "assertion.audience"


# JA-09
@pytest.mark.proves("JWT-1", "JWT-6")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": ABSENT}, "assertion.claim"),
        ({"exp": None}, "assertion.claim"),
        ({"exp": True}, "assertion.claim"),
        ({"exp": str(NOW + 60)}, "assertion.claim"),
        ({"exp": [NOW + 60]}, "assertion.claim"),
        ({"exp": -1}, "assertion.claim"),
        ({"exp": 2**63}, "assertion.claim"),
        ({"exp": 2**63 - 1}, "assertion.claim"),
        ({"exp": 10**400}, "assertion.claim"),
        ({"exp": math.inf}, "assertion.claim"),
        ({"exp": math.nan}, "assertion.claim"),
        ({"exp": 1e300}, "assertion.claim"),
        ({"iat": str(NOW)}, "assertion.claim"),
        ({"iat": None}, "assertion.claim"),
        ({"iat": False}, "assertion.claim"),
        ({"iat": -1}, "assertion.claim"),
        ({"nbf": "soon"}, "assertion.claim"),
        ({"nbf": 2**63}, "assertion.claim"),
        ({"exp": NOW - CLOCK_SKEW_SECONDS}, "assertion.expired"),
        ({"exp": 0}, "assertion.expired"),
        ({"nbf": NOW + CLOCK_SKEW_SECONDS + 1}, "assertion.not_yet_valid"),
        ({"iat": NOW + CLOCK_SKEW_SECONDS + 1}, "assertion.not_yet_valid"),
        ({"exp": NOW + ASSERTION_SECONDS + CLOCK_SKEW_SECONDS + 1}, "assertion.too_long_lived"),
        ({"exp": NOW + 86400}, "assertion.too_long_lived"),
        ({"exp": NOW + 86400, "iat": ABSENT}, "assertion.too_long_lived"),
        ({"exp": NOW + 10, "iat": NOW - 3600}, "assertion.too_long_lived"),
    ],
)
def test_an_assertion_is_good_for_minutes_and_says_so_in_numbers(changes: dict[str, Any], reason: str) -> None:
    assert refuse(changes) == reason


@pytest.mark.proves("JWT-6")
@pytest.mark.parametrize("jti", [ABSENT, None, "", 1, True, ["one"], "x" * 257])
def test_an_assertion_without_a_name_of_its_own_is_refused(jti: object) -> None:
    assert refuse({"jti": jti}) == "assertion.claim"


# JA-10
@pytest.mark.proves("JWT-6")
def test_a_use_is_one_clients_and_one_assertions() -> None:
    def use_of(client_id: str, jti: str) -> bytes:
        claims = {**CLAIMS, "iss": client_id, "sub": client_id, "jti": jti}
        return check_assertion_claims(claims, client_id=client_id, audiences=(ISSUER,), now=NOW).use_hash

    assert use_of("a", "one") == use_of("a", "one")
    assert (
        len({use_of("a", "one"), use_of("b", "one"), use_of("a", "two"), use_of("ao", "ne"), use_of("", "aone")}) == 5
    )


@given(st.floats(0, 1000), st.floats(-1000, 1000))
def test_a_use_is_remembered_for_as_long_as_it_could_come_again(lifetime: float, later: float) -> None:
    claims = {"exp": NOW + lifetime, "iat": ABSENT}
    now = NOW + later
    try:
        use = check(claims, now=now)
    except TokenError:
        assert now >= NOW + lifetime + CLOCK_SKEW_SECONDS or NOW + lifetime > now + ASSERTION_SECONDS
    else:
        ends_at = use.kept_until - REPLICA_SKEW_SECONDS
        assert now < ends_at <= now + ASSERTION_SECONDS + 2 * CLOCK_SKEW_SECONDS + 1
        # Whichever replica forgets the use: none whose clock is a minute behind accepts the assertion any more.
        assert refuse(claims, now=ends_at) == "assertion.expired"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(CLAIMS)), JSON)
def test_no_claim_breaks_anything(name: str, value: object) -> None:
    try:
        check({name: value, "nbf": value if name == "iat" else NOW})
    except TokenError:
        return
    assert name in {"exp", "iat", "jti"} or value == CLAIMS[name]


# Who may name the token endpoint

CHATGPT = ("https://chatgpt.com/oauth/client.json", "https://chatgpt.com/oauth/*/client.json")


@pytest.mark.proves("JWT-10")
@pytest.mark.parametrize(
    ("client_id", "token_endpoint", "audiences"),
    [
        ("https://chatgpt.com/oauth/client.json", TOKEN_ENDPOINT, (ISSUER, TOKEN_ENDPOINT)),
        ("https://chatgpt.com/oauth/kDmjx77UnKOM/client.json", TOKEN_ENDPOINT, (ISSUER, TOKEN_ENDPOINT)),
        ("https://chatgpt.com/oauth/client.json", None, (ISSUER,)),
        ("https://chatgpt.com/oauth/a/b/client.json", TOKEN_ENDPOINT, (ISSUER,)),
        (CLIENT_ID, TOKEN_ENDPOINT, (ISSUER,)),
    ],
)
def test_listed_clients_may_name_the_token_endpoint_there(
    client_id: str, token_endpoint: str | None, audiences: tuple[str, ...]
) -> None:
    assert choose_audiences(client_id, issuer=ISSUER, token_endpoint=token_endpoint, patterns=CHATGPT) == audiences
    assert choose_audiences(client_id, issuer=ISSUER, token_endpoint=token_endpoint, patterns=()) == (ISSUER,)


@pytest.mark.parametrize(
    ("client_id", "pattern"),
    [
        ("https://a.example/x/client.json", "https://a.example/*/client.json"),
        ("https://a.example/client.json", "https://a.example/*"),
        ("https://a.example/x/y", "https://a.example/*/*"),
        ("npk_1", "npk_1"),
    ],
)
def test_an_asterisk_stands_for_one_segment(client_id: str, pattern: str) -> None:
    assert is_client_pattern(pattern)
    assert matches_client_pattern(client_id, pattern)


@pytest.mark.parametrize(
    ("client_id", "pattern"),
    [
        ("https://a.example/client.json", "https://a.example/*/client.json"),
        ("https://a.example//client.json", "https://a.example/*/client.json"),
        ("https://a.example/x/y/client.json", "https://a.example/*/client.json"),
        ("https://a.example/client.json?x=1", "https://a.example/*"),
        ("https://a.example/client.json?x=1", "https://a.example/client.json"),
        ("https://b.example/x", "https://a.example/*"),
        ("https://a.example:443/x", "https://a.example/*"),
        ("https://a.example/xy", "https://a.example/x*"),
        ("https://a.example/x", "https://*/x"),
        ("npk_1", "*"),
        ("https://a.example/*", "https://a.example/x"),
    ],
)
def test_an_asterisk_stands_for_nothing_else(client_id: str, pattern: str) -> None:
    assert not matches_client_pattern(client_id, pattern)


@pytest.mark.parametrize("pattern", ["*", "https://*/x", "*://a.example/x", "https://a.example/x*", "https://*"])
def test_a_pattern_whose_asterisk_is_no_segment_is_none(pattern: str) -> None:
    assert not is_client_pattern(pattern)


# Words


@pytest.mark.parametrize("outcome", [*get_args(RefusedReason), "unknown_key"])
def test_every_outcome_of_a_verification_has_its_words(outcome: str) -> None:
    refusal = build_signature_refusal(outcome, "detail")
    assert (refusal.code, refusal.status, refusal.detail) == ("invalid_client", 400, "detail")
    assert refusal.reason.startswith("assertion.")
    assert DESCRIPTION.fullmatch(refusal.description)


def test_a_replay_is_invalid_client() -> None:
    refusal = build_replay_refusal()
    assert (refusal.code, refusal.reason, refusal.status) == ("invalid_client", "assertion.replayed", 400)
