"""What ends a grant when its client's document changes or is lost, and what the client is told."""

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
from nameplate.protocol.client_change import build_lost_client_refusal, check_auth_method, is_end_of_client
from nameplate.protocol.client_metadata import ClientMetadata

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


@pytest.mark.parametrize("methods", [("none",), ("private_key_jwt", "none")])
def test_a_client_that_still_offers_its_method_goes_on(methods: tuple[str, ...]) -> None:
    check_auth_method(replace(CLIENT, auth_methods=methods), "none")


@pytest.mark.parametrize("methods", [("private_key_jwt",), ("tls_client_auth", "\u202enone"), ("None",)])
def test_a_client_that_took_its_method_back_is_refused(methods: tuple[str, ...]) -> None:
    with pytest.raises(TokenError) as refused:
        check_auth_method(replace(CLIENT, auth_methods=methods), "none")
    assert (refused.value.code, refused.value.reason) == ("invalid_client", "client.auth_method_withdrawn")
    assert DESCRIPTION.fullmatch(refused.value.description)
    assert refused.value.detail.isascii()
