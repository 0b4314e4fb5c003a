"""What every token request must say, and what it must not."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import TokenError
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.resource import ProtectedResource
from nameplate.protocol.token_request import (
    GRANT_TYPES,
    check_client_admitted,
    choose_granted_resource,
    parse_grant_type,
)

CLIENT_ID = "https://app.example.com/client.json"
NOTES = ProtectedResource(identifier="https://mcp.example.com/notes", name="Notes")
MAIL = ProtectedResource(identifier="https://mcp.example.com/mail", name="Mail")
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §5.2


def test_only_what_is_served_is_a_grant_type() -> None:
    assert GRANT_TYPES == ("authorization_code", "refresh_token")
    assert [parse_grant_type(Parameters({"grant_type": name})) for name in GRANT_TYPES] == list(GRANT_TYPES)


@pytest.mark.parametrize(
    ("grant_type", "code", "reason"),
    [
        (None, "invalid_request", "token.grant_type_missing"),
        ("", "invalid_request", "token.grant_type_missing"),
        ("password", "unsupported_grant_type", "token.grant_type_unsupported"),
        ("client_credentials", "unsupported_grant_type", "token.grant_type_unsupported"),
        ("implicit", "unsupported_grant_type", "token.grant_type_unsupported"),
        ("Authorization_Code", "unsupported_grant_type", "token.grant_type_unsupported"),
        ("authorization_code ", "unsupported_grant_type", "token.grant_type_unsupported"),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", "unsupported_grant_type", "token.grant_type_unsupported"),
        ("urn:ietf:params:oauth:grant-type:device_code", "unsupported_grant_type", "token.grant_type_unsupported"),
        ("urn:ietf:params:oauth:grant-type:token-exchange", "unsupported_grant_type", "token.grant_type_unsupported"),
    ],
)
def test_any_other_grant_type_is_refused(grant_type: str | None, code: str, reason: str) -> None:
    with pytest.raises(TokenError) as refused:
        parse_grant_type(Parameters({} if grant_type is None else {"grant_type": grant_type}))
    assert (refused.value.code, refused.value.reason, refused.value.status) == (code, reason, 400)


def test_documents_may_be_switched_off() -> None:
    check_client_admitted(CLIENT_ID, documents_enabled=True)
    check_client_admitted("npk_1", documents_enabled=False)
    with pytest.raises(TokenError) as refused:
        check_client_admitted(CLIENT_ID, documents_enabled=False)
    assert (refused.value.code, refused.value.reason) == ("invalid_client", "client.cimd_disabled")


@pytest.mark.parametrize(
    "resources",
    [(), (NOTES.identifier,), ("https://MCP.example.com:443/notes/",), (NOTES.identifier, f"{NOTES.identifier}/")],
)
def test_the_granted_resource_may_be_repeated_or_left_out(resources: tuple[str, ...]) -> None:
    choose_granted_resource(Parameters({}, resources), NOTES.identifier, (NOTES, MAIL))


@pytest.mark.parametrize(
    ("resources", "declared", "reason"),
    [
        ((MAIL.identifier,), (NOTES, MAIL), "resource.not_granted"),
        (("https://evil.example/notes",), (NOTES, MAIL), "resource.not_granted"),
        ((NOTES.identifier, MAIL.identifier), (NOTES, MAIL), "resource.not_granted"),
        ((f"{NOTES.identifier}#x",), (NOTES, MAIL), "resource.not_granted"),
        (("\ud800",), (NOTES, MAIL), "resource.not_granted"),
        ((), (MAIL,), "resource.withdrawn"),
        ((NOTES.identifier,), (MAIL,), "resource.withdrawn"),
        ((), (), "resource.withdrawn"),
    ],
)
def test_a_token_is_for_the_granted_resource_while_it_is_served(
    resources: tuple[str, ...], declared: tuple[ProtectedResource, ...], reason: str
) -> None:
    with pytest.raises(TokenError) as refused:
        choose_granted_resource(Parameters({}, resources), NOTES.identifier, declared)
    assert (refused.value.code, refused.value.reason) == ("invalid_target", reason)


def find_refusal(read: Callable[[], object]) -> TokenError | None:
    try:
        read()
    except TokenError as error:
        return error
    return None


hostile = st.text(st.characters(), max_size=30)


@given(st.dictionaries(st.sampled_from(["grant_type", "client_id"]), hostile), st.lists(hostile, max_size=2))
def test_whatever_is_sent_it_is_read_or_refused_in_words_that_can_be_sent(
    values: dict[str, str], resources: list[str]
) -> None:
    parameters = Parameters(values, tuple(resources))
    for read in (
        lambda: choose_granted_resource(parameters, NOTES.identifier, (NOTES,)),
        lambda: parse_grant_type(parameters),
    ):
        refusal = find_refusal(read)
        assert refusal is None or DESCRIPTION.fullmatch(refusal.description)
