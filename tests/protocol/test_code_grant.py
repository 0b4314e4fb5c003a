"""Redeeming a code: whom it is bound to, and how long."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import TokenError
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.code_grant import (
    CODE_SECONDS,
    REPLAY_REVOKES_AFTER_SECONDS,
    CodeRequest,
    build_code_refusal,
    check_code,
    check_code_binding,
    derive_code,
    is_code_burned,
    parse_code_request,
)
from nameplate.protocol.grant import AuthorizationCode, Grant
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.pkce import build_code_challenge

NOW = 1_800_000_000
CLIENT_ID = "https://app.example.com/client.json"
REDIRECT_URI = "http://127.0.0.1:51763/cb"
VERIFIER = "v" * 43
GRANT = Grant(
    id="npg_1",
    client_id=CLIENT_ID,
    subject="sub-1",
    resource="https://mcp.example.com/mcp",
    scope=("notes:read",),
    client_metadata="{}",
    created_at=NOW,
    expires_at=NOW + 86400,
)
CODE = AuthorizationCode(
    code_hash=b"h" * 32,
    grant_id=GRANT.id,
    client_id=CLIENT_ID,
    redirect_uri=REDIRECT_URI,
    code_challenge=build_code_challenge(VERIFIER),
    issues_refresh_token=True,
    issued_at=NOW,
    expires_at=NOW + CODE_SECONDS,
)
REQUEST = CodeRequest(code="npc_1", client_id=CLIENT_ID, code_verifier=VERIFIER, redirect_uri=REDIRECT_URI)


def test_the_figures_are_those_that_the_architecture_decided() -> None:
    assert (CODE_SECONDS, REPLAY_REVOKES_AFTER_SECONDS) == (60, 10)


@given(
    st.text(max_size=40), st.binary(min_size=32, max_size=32), st.text(max_size=40), st.binary(min_size=32, max_size=32)
)
def test_a_code_is_the_same_for_one_request_in_one_browser_and_for_no_other(
    request_id: str, browser_hash: bytes, other_id: str, other_browser_hash: bytes
) -> None:
    code = derive_code(request_id, browser_hash)
    assert code == derive_code(request_id, browser_hash)
    assert re.fullmatch(r"npc_[A-Za-z0-9_-]{43}", code)
    assert (derive_code(other_id, browser_hash) == code) is (other_id == request_id)
    assert (derive_code(request_id, other_browser_hash) == code) is (other_browser_hash == browser_hash)


def test_a_request_is_read() -> None:
    values = {"code": "npc_1", "code_verifier": VERIFIER, "redirect_uri": REDIRECT_URI}
    assert parse_code_request(Parameters(values), CLIENT_ID) == REQUEST
    del values["redirect_uri"]
    assert parse_code_request(Parameters(values), CLIENT_ID) == replace(REQUEST, redirect_uri=None)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "token.code_missing"),
        ({"code_verifier": VERIFIER}, "token.code_missing"),
        ({"code": "", "code_verifier": VERIFIER}, "token.code_missing"),
        ({"code": "npc_1"}, "token.verifier_missing"),
        ({"code": "npc_1", "code_verifier": ""}, "token.verifier_missing"),
    ],
)
def test_code_and_verifier_are_both_required(values: dict[str, str], reason: str) -> None:
    with pytest.raises(TokenError) as refused:
        parse_code_request(Parameters(values), CLIENT_ID)
    assert (refused.value.code, refused.value.reason) == ("invalid_request", reason)


def test_neither_code_nor_verifier_are_printed_with_the_request() -> None:
    assert "npc_1" not in repr(REQUEST)
    assert VERIFIER not in repr(REQUEST)


@pytest.mark.parametrize(
    ("request_changes", "now"),
    [({}, NOW), ({"redirect_uri": None}, NOW), ({}, NOW + CODE_SECONDS - 1)],
)
def test_the_client_redeems_its_code_within_a_minute(request_changes: dict[str, Any], now: int) -> None:
    check_code(replace(REQUEST, **request_changes), CODE, GRANT, now)
    check_code_binding(replace(REQUEST, **request_changes), CODE)


def test_a_spent_code_goes_on_to_the_store_however_old_it_is() -> None:
    check_code(REQUEST, replace(CODE, spent_at=NOW + 1), GRANT, NOW + 3600)


@pytest.mark.proves("CIMD-9", "O21-2", "O21-4", "O21-5")
@pytest.mark.parametrize(
    ("request_changes", "code_changes", "grant_changes", "seconds", "reason"),
    [
        ({"client_id": "https://app.example.com/other.json"}, {}, {}, 0, "code.other_client"),
        ({"client_id": CLIENT_ID.upper()}, {}, {}, 0, "code.other_client"),
        ({"client_id": "https://app.example.com:443/client.json"}, {}, {}, 0, "code.other_client"),
        ({}, {}, {}, CODE_SECONDS, "code.expired"),
        ({}, {}, {}, 86399, "code.expired"),
        ({}, {}, {"revoked_at": NOW}, 1, "code.grant_revoked"),
        ({}, {}, {"expires_at": NOW + 30}, 30, "code.grant_expired"),
        ({}, {"spent_at": NOW}, {"revoked_at": NOW}, 20, "code.grant_revoked"),
    ],
)
def test_whoever_else_comes_or_comes_too_late_gets_the_same_words(
    request_changes: dict[str, Any],
    code_changes: dict[str, Any],
    grant_changes: dict[str, Any],
    seconds: int,
    reason: str,
) -> None:
    code, grant = replace(CODE, **code_changes), replace(GRANT, **grant_changes)
    with pytest.raises(TokenError) as refused:
        check_code(replace(REQUEST, **request_changes), code, grant, NOW + seconds)
    assert refused.value.reason == reason
    same = build_code_refusal("code.unknown")
    assert (refused.value.code, refused.value.description) == (same.code, same.description)
    assert (refused.value.code, refused.value.status) == ("invalid_grant", 400)


@pytest.mark.proves("O21-2", "O21-5")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"redirect_uri": "http://127.0.0.1:1/cb"}, "code.other_redirect_uri"),
        ({"redirect_uri": ""}, "code.other_redirect_uri"),
        ({"code_verifier": "w" * 43}, "code.wrong_verifier"),
        ({"code_verifier": VERIFIER[:-1]}, "code.wrong_verifier"),
        ({"code_verifier": CODE.code_challenge}, "code.wrong_verifier"),
        ({"code_verifier": "ü" * 43}, "code.wrong_verifier"),
    ],
)
def test_a_client_that_is_in_another_flow_gets_the_same_words(changes: dict[str, Any], reason: str) -> None:
    for code in (CODE, replace(CODE, spent_at=NOW)):
        with pytest.raises(TokenError) as refused:
            check_code_binding(replace(REQUEST, **changes), code)
        same = build_code_refusal("code.unknown")
        assert (refused.value.code, refused.value.description) == (same.code, same.description)
        assert refused.value.reason == reason


def test_a_code_is_burned_by_whoever_could_have_been_its_client() -> None:
    public = ClientMetadata(client_id=CLIENT_ID, redirect_uris=(REDIRECT_URI,))
    either = replace(public, auth_methods=("private_key_jwt", "none"))
    confidential = replace(public, auth_methods=("private_key_jwt",))
    for client in (public, either, confidential):
        assert is_code_burned("code.wrong_verifier", client)
        assert is_code_burned("code.other_redirect_uri", client)
        assert is_code_burned("code.other_client", client) == (client is not confidential)
        for reason in ("code.expired", "code.grant_revoked", "client.auth_method_unsupported", "assertion.signature"):
            assert not is_code_burned(reason, client)


@given(st.text(st.characters()), st.text(st.characters()), st.none() | st.text(st.characters()))
def test_nothing_but_the_client_with_its_verifier_passes(
    client_id: str, verifier: str, redirect_uri: str | None
) -> None:
    request = CodeRequest(code="x", client_id=client_id, code_verifier=verifier, redirect_uri=redirect_uri)
    with pytest.raises(TokenError):
        check_code(request, CODE, GRANT, NOW)
    with pytest.raises(TokenError):
        check_code_binding(replace(request, client_id=CLIENT_ID, redirect_uri=None), CODE)
