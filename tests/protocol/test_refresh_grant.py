"""Refreshing: whom a token is bound to, how long, and for what scope."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import TokenError
from nameplate.protocol.grant import Grant, RefreshToken
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.refresh_grant import (
    REPEAT_LIMIT,
    REPEAT_SECONDS,
    RefreshRequest,
    build_refresh_refusal,
    check_refresh,
    narrow_scope,
    parse_refresh_request,
)

NOW = 1_800_000_000
CLIENT_ID = "https://app.example.com/client.json"
GRANTED = ("notes:read", "notes:write")
GRANT = Grant(
    id="npg_1",
    client_id=CLIENT_ID,
    subject="sub-1",
    resource="https://mcp.example.com/mcp",
    scope=GRANTED,
    client_metadata="{}",
    created_at=NOW,
    expires_at=NOW + 86400,
)
TOKEN = RefreshToken(token_hash=b"h" * 32, grant_id=GRANT.id, issued_at=NOW, expires_at=NOW + 3600)
REQUEST = RefreshRequest(refresh_token="npr_1", client_id=CLIENT_ID, scope=None)


def test_the_figures_are_those_that_the_architecture_decided() -> None:
    assert (REPEAT_SECONDS, REPEAT_LIMIT) == (120, 100)


@pytest.mark.parametrize(
    ("scope", "parsed"),
    [(None, None), ("", None), ("  ", None), ("notes:read", ("notes:read",)), (" b  a b", ("b", "a"))],
)
def test_a_request_is_read(scope: str | None, parsed: tuple[str, ...] | None) -> None:
    values = {"refresh_token": "npr_1"} | ({} if scope is None else {"scope": scope})
    assert parse_refresh_request(Parameters(values), CLIENT_ID) == replace(REQUEST, scope=parsed)


@pytest.mark.parametrize(
    ("values", "code", "reason"),
    [
        ({}, "invalid_request", "token.refresh_token_missing"),
        ({"refresh_token": ""}, "invalid_request", "token.refresh_token_missing"),
        ({"refresh_token": "npr_1", "scope": 'a "'}, "invalid_scope", "scope.malformed"),
        ({"refresh_token": "npr_1", "scope": "ü"}, "invalid_scope", "scope.malformed"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(values: dict[str, str], code: str, reason: str) -> None:
    with pytest.raises(TokenError) as refused:
        parse_refresh_request(Parameters(values), CLIENT_ID)
    assert (refused.value.code, refused.value.reason) == (code, reason)


def test_the_token_is_not_printed_with_the_request() -> None:
    assert "npr_1" not in repr(REQUEST)


@pytest.mark.parametrize(
    ("requested", "scope"),
    [
        (None, GRANTED),
        (GRANTED, GRANTED),
        (("notes:write", "notes:read"), GRANTED),
        (("notes:write",), ("notes:write",)),
        (("notes:write", "offline_access"), ("notes:write",)),
        (("offline_access",), GRANTED),
    ],
)
def test_the_scope_may_shrink(requested: tuple[str, ...] | None, scope: tuple[str, ...]) -> None:
    assert narrow_scope(replace(REQUEST, scope=requested), GRANT) == scope


def test_offline_access_stays_where_it_was_granted() -> None:
    grant = replace(GRANT, scope=(*GRANTED, "offline_access"))
    assert narrow_scope(REQUEST, grant) == (*GRANTED, "offline_access")
    request = replace(REQUEST, scope=("notes:read", "offline_access"))
    assert narrow_scope(request, grant) == ("notes:read", "offline_access")


@pytest.mark.proves("O21-16")
@pytest.mark.parametrize(
    "requested", [("admin",), ("notes:read", "admin"), ("NOTES:READ",), ("admin", "offline_access")]
)
def test_the_scope_never_grows(requested: tuple[str, ...]) -> None:
    with pytest.raises(TokenError) as refused:
        narrow_scope(replace(REQUEST, scope=requested), GRANT)
    assert (refused.value.code, refused.value.reason) == ("invalid_scope", "scope.not_granted")


@pytest.mark.proves("CIMD-102", "O21-16")
@pytest.mark.parametrize(
    ("request_changes", "token_changes", "grant_changes", "seconds", "reason"),
    [
        ({"client_id": "https://app.example.com/other.json"}, {}, {}, 0, "refresh_token.other_client"),
        ({"client_id": f"{CLIENT_ID}?"}, {}, {}, 0, "refresh_token.other_client"),
        ({}, {}, {}, 3600, "refresh_token.expired"),
        ({}, {}, {"revoked_at": NOW}, 0, "refresh_token.grant_revoked"),
        ({}, {"expires_at": NOW + 99999}, {}, 86400, "refresh_token.grant_expired"),
        ({"client_id": "x", "scope": ("admin",)}, {}, {}, 0, "refresh_token.other_client"),
        ({"scope": ("admin",)}, {}, {"revoked_at": NOW}, 0, "refresh_token.grant_revoked"),
    ],
)
def test_whoever_else_comes_or_comes_too_late_gets_the_same_words(
    request_changes: dict[str, Any],
    token_changes: dict[str, Any],
    grant_changes: dict[str, Any],
    seconds: int,
    reason: str,
) -> None:
    request = replace(REQUEST, **request_changes)
    with pytest.raises(TokenError) as refused:
        check_refresh(request, replace(TOKEN, **token_changes), replace(GRANT, **grant_changes), NOW + seconds)
    assert refused.value.reason == reason
    same = build_refresh_refusal("refresh_token.unknown")
    assert (refused.value.code, refused.value.description) == (same.code, same.description)
    assert (refused.value.code, refused.value.status) == ("invalid_grant", 400)


def test_a_token_lives_to_its_last_second() -> None:
    check_refresh(REQUEST, TOKEN, GRANT, NOW + 3599)
    check_refresh(REQUEST, replace(TOKEN, rotated_at=NOW), GRANT, NOW)


tokens = st.sampled_from([*GRANTED, "offline_access", "admin", "\ud800"])


@given(st.none() | st.lists(tokens).map(tuple), st.lists(tokens, unique=True).map(tuple))
def test_no_scope_comes_from_nowhere(requested: tuple[str, ...] | None, granted: tuple[str, ...]) -> None:
    try:
        scope = narrow_scope(replace(REQUEST, scope=requested or None), replace(GRANT, scope=granted))
    except TokenError:
        assert set(requested or ()) - {"offline_access"} - set(granted)
    else:
        assert set(scope) <= set(granted)
