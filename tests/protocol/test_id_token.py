"""ID tokens, claim by claim (OpenID Connect Core §3.1.3.7)."""

from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256, sha384, sha512
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import UpstreamError
from nameplate.protocol.id_token import (
    CLOCK_SKEW_SECONDS,
    ExpectedIdToken,
    IdToken,
    check_id_token_claims,
    compute_token_hash,
)

NOW = 1_800_000_000
TEMPLATE = "https://id.example.com/{tenantid}/v2.0"
EXPECTED = ExpectedIdToken(issuer="https://id.example.com", client_id="nameplate", nonce="n" * 43, begun_at=NOW - 30)
GOOD: dict[str, Any] = {
    "iss": "https://id.example.com",
    "sub": "248289761001",
    "aud": "nameplate",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "n" * 43,
}
MISSING = object()


def check(changes: dict[str, Any], expected: ExpectedIdToken = EXPECTED, **options: Any) -> IdToken:
    """The check of a good token's claims with changes; ``MISSING`` leaves one out."""
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not MISSING}
    return check_id_token_claims(
        claims, expected, **{"algorithm": "RS256", "access_token": "access", "now": NOW, **options}
    )


def find_reason(changes: dict[str, Any], expected: ExpectedIdToken = EXPECTED, **options: Any) -> str:
    with pytest.raises(UpstreamError) as caught:
        check(changes, expected, **options)
    assert caught.value.code == "server_error"
    assert caught.value.detail
    return caught.value.reason


def test_a_good_token_says_who_signed_in() -> None:
    token = check({"name": "Jane"})
    assert (token.issuer, token.subject, token.claims["name"]) == ("https://id.example.com", "248289761001", "Jane")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(
            ({"iss": iss}, "issuer")
            for iss in (MISSING, None, 7, "", "https://id.example.com/", "HTTPS://id.example.com")
        ),
        *(({"iss": iss}, "issuer") for iss in (["https://id.example.com"], "https://id.example.com:443")),
        *(({"aud": aud}, "audience") for aud in (MISSING, None, "", "Nameplate", [], ["a"], [["nameplate"]], {})),
        ({"aud": ["nameplate", "a"]}, "audience"),
        ({"aud": ["nameplate", "a"], "azp": "a"}, "audience"),
        ({"aud": ["nameplate"] * 17, "azp": "nameplate"}, "audience"),
        *(({"azp": azp}, "audience") for azp in ("a", "", 7, ["nameplate"])),
        *(({"nonce": nonce}, "nonce") for nonce in (MISSING, None, "", "n" * 42, 7, ["n" * 43], "ä", "\ud800")),
        *(({"exp": exp}, "claim") for exp in (MISSING, None, "1800000300", True, -1, 2**40, 10**400, float("inf"), [])),
        *(({"iat": iat}, "claim") for iat in (MISSING, None, "1800000000", False, -1, 2**40)),
        *(({"nbf": nbf}, "claim") for nbf in (None, "1800000000", True)),
        ({"exp": NOW - CLOCK_SKEW_SECONDS}, "expired"),
        ({"exp": 0}, "expired"),
        ({"iat": NOW + CLOCK_SKEW_SECONDS + 1}, "not_yet_valid"),
        ({"nbf": NOW + CLOCK_SKEW_SECONDS + 1}, "not_yet_valid"),
        *(
            ({"sub": sub}, "claim")
            for sub in (MISSING, None, "", " ", "x" * 256, 7, ["a"], "a\nb", "a\u202eb", "\u200b")
        ),
        *(({"at_hash": value}, "at_hash") for value in (None, "", "AAAA", 7, ["x"])),
    ],
)
def test_every_claim_that_is_wrong_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert find_reason(changes) == f"upstream.id_token_{reason}"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["nameplate"]},
        {"aud": ["a", "nameplate"], "azp": "nameplate"},
        {"azp": "nameplate"},
        {"exp": NOW - CLOCK_SKEW_SECONDS + 1},
        {"exp": NOW + 0.5},
        {"iat": NOW + CLOCK_SKEW_SECONDS},
        {"iat": NOW - 3600},
        {"nbf": NOW + CLOCK_SKEW_SECONDS},
        {"sub": "x" * 255},
        {"auth_time": "never"},
        {"other": {"deep": [1]}},
    ],
)
def test_what_is_within_the_rules_is_taken(changes: dict[str, Any]) -> None:
    assert check(changes).claims["nonce"] == EXPECTED.nonce


# Many tenants


@pytest.mark.parametrize("tenant", ["9188040d-6c67-4c5b-b112-36a304b66dad", "t", "T" * 64])
def test_a_tenants_issuer_is_the_template_with_the_tenant(tenant: str) -> None:
    expected = replace(EXPECTED, issuer_template=TEMPLATE)
    issuer = f"https://id.example.com/{tenant}/v2.0"
    assert check({"iss": issuer, "tid": tenant}, expected).issuer == issuer


@pytest.mark.parametrize(
    ("issuer", "tenant"),
    [
        ("https://id.example.com/a/v2.0", "b"),
        ("https://id.example.com/a/v2.0", MISSING),
        ("https://id.example.com", "a"),
        ("https://id.example.com//v2.0", ""),
        ("https://id.example.com/a/b/v2.0", "a/b"),
        ("https://id.example.com/../v2.0", ".."),
        ("https://id.example.com/é/v2.0", "é"),
        (f"https://id.example.com/{'a' * 65}/v2.0", "a" * 65),
        (TEMPLATE, "{tenantid}"),
        ("https://id.example.com/7/v2.0", 7),
        ("https://id.example.com/None/v2.0", None),
    ],
)
def test_a_tenants_issuer_is_nothing_else(issuer: str, tenant: object) -> None:
    expected = replace(EXPECTED, issuer_template=TEMPLATE)
    assert find_reason({"iss": issuer, "tid": tenant}, expected) == "upstream.id_token_issuer"


# How long ago the person signed in


@pytest.mark.parametrize(
    ("max_age", "auth_time", "is_good"),
    [
        (None, 0, True),
        (0, NOW - 30, True),
        (0, NOW - 30 - CLOCK_SKEW_SECONDS, True),
        (0, NOW - 31 - CLOCK_SKEW_SECONDS, False),
        (600, NOW - 630 - CLOCK_SKEW_SECONDS, True),
        (600, NOW - 631 - CLOCK_SKEW_SECONDS, False),
    ],
)
def test_the_age_of_a_sign_in_is_counted_from_the_request(
    max_age: int | None, auth_time: int, *, is_good: bool
) -> None:
    expected = replace(EXPECTED, max_age_seconds=max_age)
    if is_good:
        assert check({"auth_time": auth_time}, expected).subject
    else:
        assert find_reason({"auth_time": auth_time}, expected) == "upstream.sign_in_too_old"


@pytest.mark.parametrize("auth_time", [MISSING, None, "1800000000", True])
def test_an_age_that_was_asked_for_must_be_said(auth_time: object) -> None:
    expected = replace(EXPECTED, max_age_seconds=0)
    assert find_reason({"auth_time": auth_time}, expected) == "upstream.id_token_claim"
    lenient = replace(expected, has_auth_time=False)
    if auth_time is MISSING:
        assert check({}, lenient).subject
    else:
        assert find_reason({"auth_time": auth_time}, lenient) == "upstream.id_token_claim"


# at_hash


@pytest.mark.parametrize(
    ("algorithm", "function"),
    [
        ("RS256", sha256),
        ("ES384", sha384),
        ("PS512", sha512),
        ("EdDSA", sha512),
        ("Ed25519", sha512),
    ],
)
def test_the_hash_of_the_access_token_is_the_left_half_by_the_algorithms_function(
    algorithm: str, function: Any
) -> None:
    digest = function(b"access").digest()
    wanted = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    assert compute_token_hash("access", algorithm) == wanted
    assert check({"at_hash": wanted}, algorithm=algorithm).subject
    assert find_reason({"at_hash": wanted}, algorithm=algorithm, access_token="b") == "upstream.id_token_at_hash"


def test_an_example_of_the_specification_is_right() -> None:
    """OpenID Connect Core, appendix A.3."""
    token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    assert compute_token_hash(token, "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"


def test_an_unknown_algorithm_has_no_hash() -> None:
    assert compute_token_hash("access", "XX1") is None
    assert find_reason({"at_hash": "AAAA"}, algorithm="XX1") == "upstream.id_token_at_hash"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "azp", "nbf", "at_hash", "auth_time", "tid"]), JSON))
def test_whatever_is_signed_is_believed_or_refused(changes: dict[str, Any]) -> None:
    for expected in (EXPECTED, replace(EXPECTED, issuer_template=TEMPLATE, max_age_seconds=0)):
        try:
            token = check(changes, expected)
        except UpstreamError:
            continue
        assert token.claims["nonce"] == expected.nonce
        assert token.subject
