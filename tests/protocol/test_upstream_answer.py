"""What providers answer, as values: codes, errors, tokens (RFC 6749 §4.1.2, §5, RFC 9207)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import UpstreamError
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.upstream_answer import (
    ExpectedAnswer,
    TokenResponse,
    parse_authorization_answer,
    parse_token_answer,
)

ISSUER = "https://id.example.com"
EXPECTED = ExpectedAnswer(state="s", issuer=ISSUER)
GOOD: dict[str, Any] = {"access_token": "a", "token_type": "Bearer"}


def find_refusal(parameters: dict[str, str], expected: ExpectedAnswer = EXPECTED) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        parse_authorization_answer(Parameters(parameters), expected)
    return caught.value


def build_response(members: dict[str, Any] | None, *, status: int = 200, is_refresh: bool = False) -> TokenResponse:
    return TokenResponse(status=status, media_type="application/json", members=members, is_refresh=is_refresh)


def find_token_refusal(response: TokenResponse) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        parse_token_answer(response)
    return caught.value


# What the browser brings


def test_a_code_is_taken_with_its_issuer() -> None:
    answer = parse_authorization_answer(Parameters({"code": "c", "state": "s", "iss": ISSUER}), EXPECTED)
    assert (answer.code.reveal(), answer.issuer) == ("c", ISSUER)
    assert parse_authorization_answer(Parameters({"code": "c", "state": "s"}), EXPECTED).issuer is None
    promised = replace(EXPECTED, sends_issuer=True)
    parameters = Parameters({"code": "c", "state": "s", "iss": ISSUER})
    assert parse_authorization_answer(parameters, promised).issuer == ISSUER


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "state_mismatch"),
        ({"code": "c"}, "state_mismatch"),
        ({"code": "c", "state": "t"}, "state_mismatch"),
        ({"state": "s"}, "code_missing"),
        ({"code": "", "state": "s"}, "code_missing"),
        ({"code": "c d", "state": "s"}, "code_missing"),
        ({"code": "c\n", "state": "s"}, "code_missing"),
        ({"code": "é", "state": "s"}, "code_missing"),
        ({"code": "c", "state": "s", "iss": f"{ISSUER}/"}, "wrong_issuer"),
        ({"code": "c", "state": "s", "iss": "https://ID.example.com"}, "wrong_issuer"),
        ({"error": "access_denied", "state": "s", "iss": "https://evil.example"}, "wrong_issuer"),
        ({"error": "access_denied", "state": "t"}, "state_mismatch"),
    ],
)
def test_who_speaks_is_checked_before_anything_is_believed(parameters: dict[str, str], reason: str) -> None:
    refusal = find_refusal(parameters)
    assert (refusal.code, refusal.reason) == ("server_error", f"upstream.{reason}")


@pytest.mark.parametrize("parameters", [{"code": "c"}, {"error": "access_denied"}])
def test_a_promised_issuer_must_be_there(parameters: dict[str, str]) -> None:
    expected = replace(EXPECTED, sends_issuer=True)
    assert find_refusal({"state": "s", **parameters}, expected).reason == "upstream.issuer_missing"
    assert find_refusal({"state": "s", "iss": "", **parameters}, expected).reason == "upstream.issuer_missing"


@pytest.mark.parametrize(
    ("issuer", "is_good"),
    [
        ("https://id.example.com/tenant-1/v2.0", True),
        ("https://id.example.com/{tenantid}/v2.0", False),
        ("https://id.example.com/a/b/v2.0", False),
        ("https://id.example.com//v2.0", False),
        ("https://id.example.com/a/v2.0/", False),
        ("https://id.example.com/a/v2x0", False),
        ("https://idxexample.com/a/v2.0", False),
        ("https://evil.example/https://id.example.com/a/v2.0", False),
        ("https://id.example.com/a/v2.0\n", False),
    ],
)
def test_of_many_tenants_one_must_be_named(issuer: str, *, is_good: bool) -> None:
    expected = replace(EXPECTED, issuer_template="https://id.example.com/{tenantid}/v2.0")
    parameters = {"code": "c", "state": "s", "iss": issuer}
    if is_good:
        assert parse_authorization_answer(Parameters(parameters), expected).issuer == issuer
    else:
        assert find_refusal(parameters, expected).reason == "upstream.wrong_issuer"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "access_denied"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("server_error", "server_error"),
        ("invalid_request", "server_error"),
        ("unauthorized_client", "server_error"),
        ("ACCESS_DENIED", "server_error"),
        ("x" * 9000, "server_error"),
    ],
)
def test_errors_are_mapped_to_what_a_client_can_do_something_with(error: str, code: str) -> None:
    refusal = find_refusal({"error": error, "state": "s", "code": "c"})
    assert refusal.code == code
    assert refusal.ends_grant is False
    assert (refusal.retry_after_seconds is not None) is (code == "temporarily_unavailable")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("The user\r\nX-Forged: 1", r"The user\r\nX-Forged: 1"),
        ("code SplxlOBeZQQYbYS6WxSbIA is spent", "code *** is spent"),
        ("code VjBumBQcHQnfS-cWYGrGumHojSwZDJll is spent", "code *** is spent"),  # no digit in it
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "***"),
        (
            "AADSTS50105: trace id 9188040d-6c67-4c5b-b112-36a304b66dad.",
            "AADSTS50105: trace id 9188040d-6c67-4c5b-b112-36a304b66dad.",
        ),
        ("interaction_required, temporarily_unavailable", "interaction_required, temporarily_unavailable"),
        ("at 20301127231500123456", "at 20301127231500123456"),
    ],
)
def test_a_providers_text_is_quoted_for_the_log_without_what_may_be_a_token(said: str, shown: str) -> None:
    refusal = find_refusal({"error": "other", "error_description": said, "state": "s"})
    assert shown in refusal.detail
    assert refusal.detail.isprintable()
    assert refusal.description == "The identity provider refused the sign-in."


# What the token endpoint sends


def test_tokens_are_read_and_hidden() -> None:
    answer = parse_token_answer(
        build_response({**GOOD, "expires_in": 60, "refresh_token": "r", "id_token": "i", "scope": "a b"})
    )
    assert (answer.access_token.reveal(), answer.token_type, answer.expires_in) == ("a", "Bearer", 60)
    assert answer.refresh_token is not None
    assert answer.id_token is not None
    assert (answer.refresh_token.reveal(), answer.id_token.reveal(), answer.scope) == ("r", "i", "a b")
    assert "'a'" not in repr(answer)
    bare = parse_token_answer(build_response(GOOD))
    assert (bare.expires_in, bare.refresh_token, bare.id_token, bare.scope) == (None, None, None, None)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 408, 425, 429])
@pytest.mark.parametrize("members", [None, {}, GOOD, {"error": "invalid_grant"}])
@pytest.mark.parametrize("is_refresh", [True, False])
def test_a_provider_that_is_not_well_is_not_believed(
    status: int, members: dict[str, Any] | None, *, is_refresh: bool
) -> None:
    refusal = find_token_refusal(build_response(members, status=status, is_refresh=is_refresh))
    assert (refusal.code, refusal.ends_grant) == ("temporarily_unavailable", False)
    assert refusal.retry_after_seconds == 10


@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_a_dead_refresh_token_ends_the_grant_and_a_dead_code_does_not(status: int) -> None:
    members = {"error": "invalid_grant", "error_description": "expired"}
    refresh = find_token_refusal(build_response(members, status=status, is_refresh=True))
    assert (refresh.code, refresh.reason, refresh.ends_grant) == ("access_denied", "upstream.grant_ended", True)
    code = find_token_refusal(build_response(members, status=status))
    assert (code.code, code.reason, code.ends_grant) == ("server_error", "upstream.code_refused", False)


@pytest.mark.parametrize(
    "error", ["invalid_client", "invalid_scope", "INVALID_GRANT", "invalid_grant ", 7, ["x"], True]
)
def test_no_other_error_ends_a_grant(error: object) -> None:
    refusal = find_token_refusal(build_response({"error": error}, status=400, is_refresh=True))
    assert refusal.ends_grant is False


@pytest.mark.parametrize(("error", "has_tokens"), [(None, True), ("", True), (False, False), (0, False), ("x", False)])
def test_an_error_that_is_none_is_none(error: object, *, has_tokens: bool) -> None:
    response = build_response({**GOOD, "error": error})
    if has_tokens:
        assert parse_token_answer(response).access_token.reveal() == "a"
    else:
        assert find_token_refusal(response).reason == "upstream.token_refused"


@pytest.mark.parametrize("name", ["access_token", "refresh_token", "id_token"])
@pytest.mark.parametrize("value", ["a b", "a\n", "é", "x" * 16385, 7, ["a"], {}, True])
def test_a_token_that_could_not_be_sent_again_is_refused_without_being_quoted(name: str, value: Any) -> None:
    refusal = find_token_refusal(build_response({**GOOD, name: value}))
    assert refusal.reason == "upstream.token_malformed"
    assert name in refusal.detail
    assert str(value) not in str(refusal) or value is True


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token_type": None}, "token_type"),
        ({"token_type": 7}, "token_type"),
        ({"token_type": ""}, "token_type"),
        ({"token_type": "mac"}, "token_type"),
        ({"token_type": "DPoP"}, "token_type"),
        ({"access_token": None}, "token_missing"),
        ({"access_token": ""}, "token_missing"),
    ],
)
def test_only_a_bearer_token_is_a_token(changes: dict[str, Any], reason: str) -> None:
    assert find_token_refusal(build_response({**GOOD, **changes})).reason == f"upstream.{reason}"


@pytest.mark.parametrize("spelling", ["bearer", "Bearer", "BEARER"])
def test_the_case_of_a_token_type_does_not_count(spelling: str) -> None:
    assert parse_token_answer(build_response({**GOOD, "token_type": spelling})).token_type == "Bearer"


@pytest.mark.parametrize(("members", "status"), [(None, 200), (None, 403), (GOOD, 201), (GOOD, 302), (GOOD, 404)])
def test_tokens_come_as_a_json_object_with_status_200(members: dict[str, Any] | None, status: int) -> None:
    refusal = find_token_refusal(build_response(members, status=status))
    assert (refusal.code, refusal.reason) == ("server_error", "upstream.token_answer")
    assert f"answered {status} with 'application/json'" in refusal.detail


def test_an_answer_without_a_media_type_is_described_too() -> None:
    response = replace(build_response(None), media_type="")
    assert "answered 200 with no media type" in find_token_refusal(response).detail


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        ("temporarily_unavailable", "temporarily_unavailable", "unavailable"),
        ("slow_down", "temporarily_unavailable", "unavailable"),
        ("server_error", "temporarily_unavailable", "unavailable"),
        ("access_denied", "access_denied", "denied"),
        ("invalid_client", "server_error", "client_refused"),
        ("unauthorized_client", "server_error", "client_refused"),
        ("invalid_request", "server_error", "token_refused"),
        (["invalid_client"], "server_error", "token_refused"),
        ({"code": 7}, "server_error", "token_refused"),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_errors_at_the_token_endpoint_are_mapped_too(error: object, code: str, reason: str, status: int) -> None:
    refusal = find_token_refusal(build_response({"error": error, "error_description": "said so"}, status=status))
    assert (refusal.code, refusal.reason) == (code, f"upstream.{reason}")
    assert "said so" in refusal.detail
    assert (refusal.retry_after_seconds is not None) is (code == "temporarily_unavailable")
    without = find_token_refusal(build_response({"error": error}, status=status))
    assert without.detail.endswith("error_description missing")


@pytest.mark.parametrize("members", [None, {"error": "slow_down"}])
def test_when_to_come_back_is_the_providers_word_or_ours(members: dict[str, Any] | None) -> None:
    response = build_response(members, status=503 if members is None else 400)
    assert find_token_refusal(replace(response, retry_after_seconds=77)).retry_after_seconds == 77
    assert find_token_refusal(response).retry_after_seconds == 10
    assert "the token endpoint answered" in find_token_refusal(response).detail


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (3599.9, 3599),
        ("3599.5", 3599),
        (0, 0),
        ("0", 0),
        (None, None),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("1e5", None),
        ("9" * 13, None),
        (-1, None),
        (-0.5, None),
        (True, None),
        ([3600], None),
        (10**400, 10 * 366 * 24 * 3600),
        (float("inf"), 10 * 366 * 24 * 3600),
    ],
)
def test_a_lifetime_is_read_however_it_is_written(expires_in: object, seconds: int | None) -> None:
    assert parse_token_answer(build_response({**GOOD, "expires_in": expires_in})).expires_in == seconds


@pytest.mark.parametrize(
    ("scope", "read"),
    [
        ("a b", "a b"),
        ("", ""),
        (["a", "b"], "a b"),
        ([], ""),
        (["a", 7], None),
        (7, None),
        (None, None),
        ("a\nb", None),
        ("x" * 8192, "x" * 8192),
        ("x" * 8193, None),
    ],
)
def test_a_scope_is_a_text_or_a_list(scope: object, read: str | None) -> None:
    assert parse_token_answer(build_response({**GOOD, "scope": scope})).scope == read


@pytest.mark.parametrize("name", ["refresh_token", "id_token"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_token_that_is_empty_is_none(name: str, value: object) -> None:
    assert getattr(parse_token_answer(build_response({**GOOD, name: value})), name) is None


def test_the_expected_issuer_is_told_beside_the_one_that_came() -> None:
    parameters = {"code": "c", "state": "s", "iss": "https://evil.example"}
    assert f"'https://evil.example', and must be '{ISSUER}'" in find_refusal(parameters).detail
    template = "https://id.example.com/{tenantid}/v2.0"
    assert template in find_refusal(parameters, replace(EXPECTED, issuer_template=template)).detail


MEMBERS = st.dictionaries(
    st.sampled_from(["access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope", "error"]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=10)
    | st.lists(st.text(max_size=3), max_size=3)
    | st.sampled_from(["bearer", "token", "invalid_grant", "3600"]),
)


@given(
    st.none() | MEMBERS | MEMBERS.map(lambda members: {**members, **GOOD}),
    st.just(200) | st.integers(100, 599),
    st.booleans(),
)
def test_whatever_comes_is_tokens_or_refused(members: dict[str, Any] | None, status: int, is_refresh: bool) -> None:
    response = build_response(members, status=status, is_refresh=is_refresh)
    try:
        answer = parse_token_answer(response)
    except UpstreamError as error:
        is_end = is_refresh and status < 500 and (members or {}).get("error") == "invalid_grant"
        assert error.ends_grant is (is_end and status not in {408, 425, 429})  # noqa: PT017
        return
    assert status == 200
    assert answer.access_token.reveal()
    assert answer.expires_in is None or answer.expires_in >= 0
