"""What is told to whom when a client's document cannot be used."""

import pytest

from nameplate.errors import (
    AddressRefused,
    BadMediaType,
    BadStatus,
    Busy,
    ClientMetadataError,
    FetchError,
    RedirectRefused,
    TimedOut,
    TlsFailed,
    TooLarge,
    Unreachable,
)
from nameplate.protocol.client_refusal import build_document_refusal, build_fetch_refusal

HOST = "app.example.com"
SECRET_DETAIL = "10.1.2.3:443 refused the connection"


def test_a_document_that_breaks_a_rule_is_invalid_client_with_member_and_rule() -> None:
    refusal = build_document_refusal(ClientMetadataError("document.wrong_type", "scope", "must be a string"))
    assert (refusal.code, refusal.reason, refusal.status) == ("invalid_client", "document.wrong_type", 400)
    assert refusal.description == "scope: must be a string"
    whole = build_document_refusal(ClientMetadataError("document.not_json", "", "is not JSON"))
    assert whole.description == "is not JSON"


@pytest.mark.parametrize("status", [404, 410])
def test_a_document_that_is_gone_is_invalid_client(status: int) -> None:
    refusal = build_fetch_refusal(BadStatus(status), HOST)
    assert (refusal.code, refusal.reason, refusal.status) == ("invalid_client", "fetch.not_found", 400)
    assert refusal.retry_after_seconds is None
    assert f"{HOST} answers {status}" in refusal.description


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (BadStatus(403), "fetch.status", "403"),
        (BadStatus(500), "fetch.status", "500"),
        (RedirectRefused("302"), "fetch.redirect", "redirect"),
        (BadMediaType("text/html"), "fetch.media_type", "application/json"),
        (TooLarge("5121 bytes"), "fetch.too_large", "larger"),
    ],
)
def test_what_anybody_can_see_from_outside_is_said(error: FetchError, reason: str, said: str) -> None:
    refusal = build_fetch_refusal(error, HOST)
    assert (refusal.code, refusal.reason, refusal.status) == ("temporarily_unavailable", reason, 503)
    assert said in refusal.description
    assert HOST in refusal.description
    assert refusal.retry_after_seconds == 30


@pytest.mark.parametrize("kind", [AddressRefused, TimedOut, TlsFailed, Unreachable])
def test_this_server_cannot_be_used_to_scan_ports(kind: type[FetchError]) -> None:
    refusal = build_fetch_refusal(kind(SECRET_DETAIL), HOST)
    same = build_fetch_refusal(Unreachable("no such name"), HOST)
    assert (refusal.code, refusal.description, refusal.reason, refusal.status, refusal.retry_after_seconds) == (
        same.code,
        same.description,
        same.reason,
        same.status,
        same.retry_after_seconds,
    )
    assert refusal.reason == "fetch.unreachable"
    assert refusal.detail == kind(SECRET_DETAIL).detail


@pytest.mark.proves("CIMD-44")
def test_a_spent_budget_says_when_to_try_again() -> None:
    refusal = build_fetch_refusal(Busy("circuit open", retry_after_seconds=7), HOST)
    assert (refusal.code, refusal.reason, refusal.status) == ("temporarily_unavailable", "fetch.busy", 503)
    assert refusal.retry_after_seconds == 7
