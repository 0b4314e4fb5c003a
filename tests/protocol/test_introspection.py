"""What a resource server is told of a token, and what it makes of the answer (RFC 7662)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import FetchError
from nameplate.protocol.access_token import AccessToken, build_access_token_claims, check_access_token_claims
from nameplate.protocol.grant import Grant
from nameplate.protocol.introspection import (
    build_active_response,
    build_inactive_refusal,
    build_inactive_response,
    choose_audience,
    is_active,
    is_response_active,
)

ISSUER = "https://login.example.com"
RESOURCE = "https://mcp.example.com/mcp"
OTHER = "https://other.example.com/mcp"
NOW = 1_800_000_000
GRANT = Grant(
    id="g1",
    client_id="https://client.example/client.json",
    subject="person",
    resource=RESOURCE,
    scope=("read", "write"),
    client_metadata="{}",
    created_at=NOW,
    expires_at=NOW + 10_000,
)


def build_token(grant: Grant = GRANT, **changes: object) -> AccessToken:
    claims = build_access_token_claims(
        grant, scope=("read", "write"), issuer=ISSUER, now=NOW, lifetime_seconds=300, jti="id"
    )
    return check_access_token_claims(
        {**claims, **changes}, issuer=ISSUER, resource=RESOURCE, now=NOW, leeway_seconds=10
    )


TOKEN = build_token()


@pytest.mark.proves("INT-3")
def test_of_an_active_token_the_caller_learns_what_it_needs_and_no_more() -> None:
    assert build_active_response(build_token(groups=["staff"])) == {
        "active": True,
        "token_type": "Bearer",
        "iss": ISSUER,
        "aud": RESOURCE,
        "client_id": GRANT.client_id,
        "sub": "person",
        "scope": "read write",
        "exp": NOW + 300,
        "iat": NOW,
        "jti": "id",
        "grant_id": "g1",
    }


def test_a_token_without_scope_has_none_in_the_answer() -> None:
    assert "scope" not in build_active_response(build_token(scope=""))


@pytest.mark.proves("INT-2")
def test_of_any_other_token_it_learns_nothing() -> None:
    assert build_inactive_response() == {"active": False}


@pytest.mark.proves("INT-2")
def test_a_token_is_active_while_it_and_its_grant_live() -> None:
    assert is_active(TOKEN, GRANT, NOW)
    assert is_active(TOKEN, GRANT, NOW + 299)
    assert not is_active(TOKEN, GRANT, NOW + 300)
    assert not is_active(TOKEN, replace(GRANT, expires_at=NOW), NOW)
    assert not is_active(TOKEN, replace(GRANT, revoked_at=NOW + 5), NOW)  # by another replica, whose clock is ahead


@pytest.mark.parametrize("changes", [{"client_id": "x"}, {"subject": "x"}, {"resource": OTHER}])
def test_a_token_must_be_of_the_grant_that_it_names(changes: dict[str, Any]) -> None:
    assert not is_active(TOKEN, replace(GRANT, **changes), NOW)


@pytest.mark.proves("INT-2")
@pytest.mark.parametrize("audience", [None, "", OTHER, [RESOURCE], [RESOURCE, OTHER], {"a": 1}, 1, RESOURCE + "/"])
def test_a_token_for_somebody_else_is_not_the_callers_business(audience: object) -> None:
    assert choose_audience({"aud": audience}, frozenset({RESOURCE})) is None


def test_a_caller_may_serve_several_resources() -> None:
    resources = frozenset({RESOURCE, OTHER})
    assert choose_audience({"aud": OTHER}, resources) == OTHER
    assert choose_audience({}, resources) is None


@pytest.mark.parametrize(
    "response",
    [
        {"active": True},
        build_active_response(TOKEN),
        {"active": True, "aud": [RESOURCE], "sub": "person", "username": "ada", "more": [1]},
    ],
)
def test_an_answer_about_this_token_counts(response: dict[str, object]) -> None:
    assert is_response_active(response, TOKEN)


@pytest.mark.proves("INT-4")
@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"iss": ISSUER + "/"},
        {"aud": OTHER},
        {"aud": [RESOURCE, OTHER]},
        {"aud": None},
        {"client_id": "x"},
        {"sub": "x"},
        {"sub": None},
        {"jti": "x"},
        {"cnf": {"jkt": "x"}},
        {"cnf": None},
    ],
)
def test_an_answer_about_another_token_does_not_count(changes: dict[str, object]) -> None:
    assert not is_response_active({**build_active_response(TOKEN), **changes}, TOKEN)


@pytest.mark.parametrize("active", [None, 1, 0, "true", "false", [], {}])
def test_what_says_neither_yes_nor_no_is_no_answer(active: object) -> None:
    with pytest.raises(FetchError):
        is_response_active({**build_active_response(TOKEN), "active": active}, TOKEN)
    with pytest.raises(FetchError):
        is_response_active({}, TOKEN)


def test_a_token_that_is_not_active_is_a_bad_token() -> None:
    refusal = build_inactive_refusal()
    assert (refusal.code, refusal.status, refusal.reason) == ("invalid_token", 401, "token.revoked")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(RESOURCE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["active", "iss", "aud", "client_id", "sub", "jti", "cnf", "more"]), JSON))
def test_whatever_comes_is_judged_or_a_failed_fetch(response: dict[str, object]) -> None:
    try:
        active = is_response_active(response, TOKEN)
    except FetchError:
        return
    assert active is (active and response["active"])
