"""What a client may end (RFC 7009), and the list by which resource servers learn of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import BearerError, FetchError, TokenError
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.grant import Grant
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.revocation import (
    CLOCK_SECONDS,
    RevokedGrants,
    build_revoked_grants,
    check_grant_listed,
    choose_loaded_since,
    choose_promised_since,
    digest_grant_id,
    is_revocable_by,
    parse_presented_token,
    parse_revoked_grants,
    read_grant_id,
)

ISSUER = "https://login.example.com"
RESOURCE = "https://mcp.example.com/mcp"
OTHER = "https://mcp.example.com/other"
CLIENT_ID = "https://client.example/client.json"
NOW = 1_800_000_000
LIFETIME = 600
GRANT = Grant(
    id="g1",
    client_id=CLIENT_ID,
    subject="person",
    resource=RESOURCE,
    scope=("read",),
    client_metadata="{}",
    created_at=NOW,
    expires_at=NOW + 10_000,
)


def build_token(*, grant_id: str = "g1", issued_at: object = NOW) -> AccessToken:
    return AccessToken(
        subject="person",
        client_id=CLIENT_ID,
        scope=(),
        resource=RESOURCE,
        issuer=ISSUER,
        expires_at=NOW + LIFETIME,
        jti="id",
        claims={"iat": issued_at},
        grant_id=grant_id,
    )


def build_feed(*grant_ids: str, now: int = NOW) -> dict[str, object]:
    since = choose_promised_since(now, LIFETIME)
    return build_revoked_grants(grant_ids, issuer=ISSUER, resources={RESOURCE, OTHER}, now=now, since=since)


def parse(document: dict[str, Any], *, now: float = NOW) -> RevokedGrants:
    return parse_revoked_grants(document, issuer=ISSUER, resource=RESOURCE, now=now, stale_seconds=60)


def find_reason(token: AccessToken, revoked: RevokedGrants) -> str:
    with pytest.raises(BearerError) as caught:
        check_grant_listed(token, revoked)
    assert (caught.value.code, caught.value.status) == ("invalid_token", 401)
    return caught.value.reason


# The request


@pytest.mark.parametrize("parameters", [{}, {"token": ""}, {"token_type_hint": "access_token"}])
def test_a_request_without_a_token_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(TokenError) as caught:
        parse_presented_token(Parameters(parameters))
    assert (caught.value.code, caught.value.reason) == ("invalid_request", "token.token_missing")


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "id_token", "junk", ""])
def test_a_hint_changes_nothing(hint: str) -> None:
    assert parse_presented_token(Parameters({"token": "abc", "token_type_hint": hint})) == "abc"


@pytest.mark.proves("REV-1")
def test_a_client_ends_tokens_of_its_own_only() -> None:
    assert is_revocable_by(GRANT, CLIENT_ID, NOW)
    for other in ("", CLIENT_ID + "/", CLIENT_ID.upper(), "https://other.example/client.json"):
        assert not is_revocable_by(GRANT, other, NOW)


def test_what_has_ended_is_not_ended_again() -> None:
    assert not is_revocable_by(replace(GRANT, revoked_at=NOW), CLIENT_ID, NOW)
    assert not is_revocable_by(GRANT, CLIENT_ID, GRANT.expires_at)


def test_an_access_token_names_its_grant_expired_or_not() -> None:
    assert read_grant_id({"iss": ISSUER, "grant_id": "g1", "exp": 1}, ISSUER) == "g1"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"iss": ISSUER},
        {"grant_id": "g1"},
        {"iss": ISSUER + "/", "grant_id": "g1"},
        {"iss": [ISSUER], "grant_id": "g1"},
        {"iss": ISSUER, "grant_id": None},
        {"iss": ISSUER, "grant_id": ["g1"]},
        {"iss": ISSUER, "grant_id": 1},
    ],
)
def test_what_is_no_token_of_a_grant_names_none(claims: dict[str, object]) -> None:
    assert read_grant_id(claims, ISSUER) is None


# The feed


def test_the_feed_says_what_is_revoked_and_from_when_on_it_knows() -> None:
    assert build_feed("b", "a") == {
        "issuer": ISSUER,
        "resources": [RESOURCE, OTHER],
        "at": NOW,
        "since": NOW - LIFETIME - CLOCK_SECONDS,
        "revoked": ["PiPoFgA5WUo", "ypeBEsobvco"],
    }
    assert parse(build_feed("b", "a")) == RevokedGrants(
        at=NOW, since=NOW - LIFETIME - CLOCK_SECONDS, digests=frozenset(map(digest_grant_id, ["a", "b"]))
    )


def test_a_grant_is_named_by_the_first_eight_bytes_of_a_digest() -> None:
    """openssl dgst -sha256 -binary | head -c 8 | basenc --base64url"""
    assert digest_grant_id("a") == "ypeBEsobvco"
    assert digest_grant_id("grant_7s2JkqUqWbY1YJpJm3n6Rg") != digest_grant_id("grant_7s2JkqUqWbY1YJpJm3n6Rh")
    assert len(digest_grant_id("grant_7s2JkqUqWbY1YJpJm3n6Rg")) == 11


@pytest.mark.parametrize("resources", [[], [OTHER], [RESOURCE + "/"], RESOURCE, [[RESOURCE]], None, {RESOURCE: 1}])
def test_a_list_about_other_resources_says_nothing(resources: object) -> None:
    """It would be empty for this one, and let every revoked token in."""
    with pytest.raises(FetchError, match=RESOURCE):
        parse({**build_feed(), "resources": resources})


@given(
    revoked_before_now=st.integers(0, 3 * LIFETIME),
    age=st.integers(0, 3 * LIFETIME),
    skew=st.integers(-CLOCK_SECONDS, CLOCK_SECONDS),
)
def test_no_token_of_a_revoked_grant_passes_whatever_the_clocks_of_the_replicas(
    revoked_before_now: int, age: int, skew: int
) -> None:
    """A grant gives no tokens after its revocation; but the two may be written down by different clocks."""
    revoked_at = NOW - revoked_before_now
    issued_at = min(NOW - age, revoked_at) + skew
    is_loaded = revoked_at >= choose_loaded_since(choose_promised_since(NOW, LIFETIME))
    feed = build_feed(*(["g1"] if is_loaded else []))
    assert find_reason(build_token(issued_at=issued_at), parse(feed)) in {"token.revoked", "token.too_old"}


@given(age=st.integers(0, LIFETIME), feed_age=st.integers(0, 60), skew=st.integers(-10, 10))
def test_every_token_that_lives_by_its_lifetime_can_be_judged(age: int, feed_age: int, skew: int) -> None:
    feed = build_feed("g2", now=NOW - feed_age)
    check_grant_listed(build_token(issued_at=NOW - age + skew), parse(feed))


def test_what_is_promised_is_known_however_long_tokens_live() -> None:
    day = 24 * 3600
    assert choose_promised_since(NOW, day) == NOW - day + CLOCK_SECONDS
    assert choose_loaded_since(choose_promised_since(NOW, day)) == NOW - day
    assert choose_promised_since(NOW, LIFETIME) == NOW - LIFETIME - CLOCK_SECONDS


def test_a_token_that_the_list_cannot_know_of_is_refused() -> None:
    revoked = parse(build_feed())
    assert find_reason(build_token(issued_at=revoked.since - 1), revoked) == "token.too_old"
    assert find_reason(build_token(issued_at=None), revoked) == "token.too_old"
    assert find_reason(build_token(grant_id=""), revoked) == "token.grant_missing"
    check_grant_listed(build_token(issued_at=revoked.since), revoked)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": None},
        {"at": None},
        {"at": True},
        {"at": "1800000000"},
        {"at": NOW + 0.5},
        {"since": None},
        {"since": False},
        {"revoked": None},
        {"revoked": "g1"},
        {"revoked": {"g1": 1}},
        {"revoked": ["g1", 1]},
        {"revoked": [["g1"]]},
    ],
)
def test_a_list_that_is_malformed_or_anothers_is_not_used(changes: dict[str, object]) -> None:
    with pytest.raises(FetchError):
        parse({**build_feed("g1"), **changes})


def test_a_list_that_somebody_kept_is_not_used() -> None:
    """A cache between the servers would make every revocation invisible for as long as it lasts."""
    parse(build_feed(), now=NOW + 60 + CLOCK_SECONDS)
    with pytest.raises(FetchError, match="cached"):
        parse(build_feed(), now=NOW + 60 + CLOCK_SECONDS + 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(ISSUER),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["issuer", "resources", "at", "since", "revoked", "more"]), JSON))
def test_whatever_comes_is_a_list_or_a_failed_fetch(changes: dict[str, Any]) -> None:
    try:
        revoked = parse({**build_feed("g1"), **changes})
    except FetchError:
        return
    assert all(isinstance(each, str) for each in revoked.digests)
