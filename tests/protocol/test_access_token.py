"""An access token is good at one place, from one issuer, for a time (RFC 9068)."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import BearerError
from nameplate.protocol.access_token import AccessToken, build_access_token_claims, check_access_token_claims
from nameplate.protocol.grant import Grant

ISSUER = "https://login.example.com"
RESOURCE = "https://mcp.example.com/mcp"
NOW = 1_800_000_000
GRANT = Grant(
    id="grant",
    client_id="https://client.example/client.json",
    subject="person",
    resource=RESOURCE,
    scope=("read", "write"),
    client_metadata="{}",
    created_at=NOW - 100,
    expires_at=NOW + 10_000,
)
CLAIMS: dict[str, Any] = dict(
    build_access_token_claims(GRANT, scope=("read",), issuer=ISSUER, now=NOW, lifetime_seconds=300, jti="id")
)


def check(claims: dict[str, Any], *, now: float = NOW, leeway_seconds: int = 10) -> AccessToken:
    return check_access_token_claims(claims, issuer=ISSUER, resource=RESOURCE, now=now, leeway_seconds=leeway_seconds)


def find_reason(claims: dict[str, Any], *, now: float = NOW) -> str:
    with pytest.raises(BearerError) as caught:
        check(claims, now=now)
    assert (caught.value.code, caught.value.status) == ("invalid_token", 401)
    return caught.value.reason


@pytest.mark.proves("AT-1")
def test_a_token_says_what_the_profile_wants_and_nothing_else() -> None:
    assert CLAIMS == {
        "iss": ISSUER,
        "sub": "person",
        "aud": RESOURCE,
        "client_id": "https://client.example/client.json",
        "exp": NOW + 300,
        "iat": NOW,
        "jti": "id",
        "grant_id": "grant",
        "scope": "read",
    }


def test_a_token_without_scope_leaves_the_claim_out() -> None:
    claims = build_access_token_claims(GRANT, scope=(), issuer=ISSUER, now=NOW, lifetime_seconds=300, jti="id")
    assert "scope" not in claims
    assert check(dict(claims)).scope == ()


def test_no_token_outlives_its_grant() -> None:
    claims = build_access_token_claims(GRANT, scope=(), issuer=ISSUER, now=NOW, lifetime_seconds=10**6, jti="id")
    assert claims["exp"] == GRANT.expires_at


def test_a_good_token_is_read() -> None:
    token = check({**CLAIMS, "act": {"sub": "agent"}, "exp": NOW + 300.9})
    assert token == AccessToken(
        subject="person",
        client_id="https://client.example/client.json",
        scope=("read",),
        resource=RESOURCE,
        issuer=ISSUER,
        expires_at=NOW + 300,
        jti="id",
        claims={**CLAIMS, "act": {"sub": "agent"}, "exp": NOW + 300.9},
        grant_id="grant",
    )
    with pytest.raises(TypeError):
        token.claims["sub"] = "other"  # type: ignore[index]  # the claims are for reading


@pytest.mark.proves("MCP-37", "AT-2")
@pytest.mark.parametrize(
    "issuer",
    [None, "", ISSUER + "/", ISSUER.upper(), "https://login.example.com:443", "https://other.example", [ISSUER], 1],
)
def test_the_issuer_is_compared_byte_for_byte(issuer: object) -> None:
    assert find_reason({**CLAIMS, "iss": issuer}) == "token.wrong_issuer"


@pytest.mark.proves("MCP-37", "AT-2")
@pytest.mark.parametrize(
    "audience",
    [
        None,
        "",
        [],
        "https://mcp.example.com",
        "https://mcp.example.com/",
        RESOURCE + "/",
        RESOURCE + "/admin",
        "https://mcp.example.com:443/mcp",
        "https://MCP.example.com/mcp",
        "https://mcp.example.com/MCP",
        "https://other.example.com/mcp",
        [RESOURCE, "https://other.example.com/mcp"],
        [RESOURCE, RESOURCE],
        [[RESOURCE]],
        {"a": RESOURCE},
        1,
    ],
)
def test_a_token_for_another_place_or_for_several_is_refused(audience: object) -> None:
    assert find_reason({**CLAIMS, "aud": audience}) == "token.wrong_audience"


def test_the_audience_may_be_an_array_of_us_alone() -> None:
    assert check({**CLAIMS, "aud": [RESOURCE]}).resource == RESOURCE


@pytest.mark.proves("MCP-37", "AT-2")
@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "client_id", "exp", "iat", "jti"])
def test_every_claim_of_the_profile_is_needed(claim: str) -> None:
    reason = find_reason({name: value for name, value in CLAIMS.items() if name != claim})
    assert reason == {"iss": "token.wrong_issuer", "aud": "token.wrong_audience"}.get(claim, "token.claim_invalid")


def test_a_token_of_an_issuer_that_tells_of_no_grant_is_read_too() -> None:
    assert check({name: value for name, value in CLAIMS.items() if name != "grant_id"}).grant_id == ""


@pytest.mark.parametrize("claim", ["sub", "client_id", "jti", "grant_id"])
@pytest.mark.parametrize("value", [None, "", 1, True, ["a"], {"a": 1}])
def test_a_name_is_text(claim: str, value: object) -> None:
    assert find_reason({**CLAIMS, claim: value}) == "token.claim_invalid"


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", [None, "1800000100", True, -1, 2**63, math.inf, math.nan, [NOW + 100], 1e300])
def test_an_instant_is_a_number_within_the_calendar(claim: str, value: object) -> None:
    assert find_reason({**CLAIMS, claim: value}) == "token.claim_invalid"


@pytest.mark.parametrize("value", [1, ["read"], 'read"write', "read\\write", "read\nwrite", "lesen für alle"])
def test_a_malformed_scope_is_refused(value: object) -> None:
    assert find_reason({**CLAIMS, "scope": value}) == "token.claim_invalid"


@pytest.mark.proves("MCP-37")
def test_a_token_expires_after_the_leeway() -> None:
    assert check(CLAIMS, now=NOW + 309).expires_at == NOW + 300
    assert find_reason(CLAIMS, now=NOW + 310) == "token.expired"
    with pytest.raises(BearerError):
        check(CLAIMS, now=NOW + 300, leeway_seconds=0)


@pytest.mark.proves("MCP-37")
@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_from_the_future_is_refused_beyond_the_leeway(claim: str) -> None:
    assert check({**CLAIMS, claim: NOW + 10}).jti == "id"
    assert find_reason({**CLAIMS, claim: NOW + 11}) == "token.not_yet_valid"


def test_a_token_that_is_bound_to_a_key_is_no_bearer_token() -> None:
    assert find_reason({**CLAIMS, "cnf": {"jkt": "thumbprint"}}) == "token.sender_constrained"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(RESOURCE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "cnf"]), JSON))
def test_whatever_was_signed_is_judged_or_refused(changes: dict[str, Any]) -> None:
    try:
        token = check({**CLAIMS, **changes})
    except BearerError:
        return
    assert (token.issuer, token.resource) == (ISSUER, RESOURCE)
    assert token.expires_at > NOW - 10
