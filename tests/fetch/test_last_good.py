"""Decision 5, row by row: what a failed fetch means for a client that was known before."""

from dataclasses import dataclass

import pytest
from test_document_cache import NOW, make_copy

from nameplate.errors import (
    AddressRefused,
    BadMediaType,
    BadStatus,
    Busy,
    ClientMetadataError,
    RedirectRefused,
    TimedOut,
    TlsFailed,
    TooLarge,
    Unreachable,
)
from nameplate.fetch.copies import Copy
from nameplate.fetch.last_good import Failure, choose_error, may_stand_in

TRANSIENT = [
    Unreachable("reset"),
    TimedOut("5 s"),
    BadStatus(500),
    BadStatus(503),
    BadStatus(429),
    BadStatus(403),
    BadStatus(304),
    RedirectRefused("status 302"),
    BadMediaType("text/html"),
    TooLarge("6000"),
    Busy("budget", retry_after_seconds=1),
]
UNTRUSTED = [TlsFailed("expired"), AddressRefused("127.0.0.1")]
FINAL = [BadStatus(404), BadStatus(410), ClientMetadataError("document.client_id_mismatch", "client_id", "is another")]
DAY = 24 * 3600


def name(failure: Failure) -> str:
    return f"{type(failure).__name__}{getattr(failure, 'status', '')}"


@dataclass(frozen=True)
class Ask:
    copy: Copy | None
    failure: Failure
    now: float = NOW + 1000
    live_grant: bool = False
    is_confirmed: bool = False

    @property
    def stands_in(self) -> bool:
        return may_stand_in(
            self.copy,
            self.failure,
            now=self.now,
            last_good_seconds=DAY,
            live_grant=self.live_grant,
            is_confirmed=self.is_confirmed,
        )


FRESH_UNTIL = NOW + 600
COPY = make_copy(100, ("cache-control", "max-age=600"))


@pytest.mark.proves("CIMD-45")
@pytest.mark.parametrize("live_grant", [False, True])
@pytest.mark.parametrize("failure", TRANSIENT, ids=name)
def test_what_may_pass_is_bridged_for_a_day_past_freshness(failure: Failure, live_grant: bool) -> None:
    assert Ask(COPY, failure, now=FRESH_UNTIL + DAY - 1, live_grant=live_grant).stands_in
    assert not Ask(COPY, failure, now=FRESH_UNTIL + DAY, live_grant=live_grant).stands_in
    assert choose_error(failure, live_grant=live_grant, is_confirmed=False) is failure


@pytest.mark.proves("CIMD-45")
@pytest.mark.parametrize("live_grant", [False, True])
@pytest.mark.parametrize("failure", UNTRUSTED, ids=name)
def test_what_may_be_an_attack_is_never_bridged(failure: Failure, live_grant: bool) -> None:
    assert not Ask(COPY, failure, live_grant=live_grant).stands_in
    assert choose_error(failure, live_grant=live_grant, is_confirmed=False) is failure


@pytest.mark.parametrize("failure", FINAL, ids=name)
def test_what_is_final_refuses_new_authorizations_at_once(failure: Failure) -> None:
    assert not Ask(COPY, failure).stands_in
    assert choose_error(failure, live_grant=False, is_confirmed=False) is failure


@pytest.mark.parametrize("failure", FINAL, ids=name)
def test_what_is_final_ends_a_live_grant_only_when_confirmed(failure: Failure) -> None:
    assert Ask(COPY, failure, live_grant=True).stands_in
    assert not Ask(COPY, failure, live_grant=True, is_confirmed=True).stands_in
    assert isinstance(choose_error(failure, live_grant=True, is_confirmed=False), Unreachable)
    assert choose_error(failure, live_grant=True, is_confirmed=True) is failure


@pytest.mark.parametrize("failure", [*TRANSIENT, *UNTRUSTED, *FINAL], ids=name)
def test_without_a_copy_nothing_is_bridged(failure: Failure) -> None:
    assert not Ask(None, failure, live_grant=True).stands_in


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "no-cache"])
def test_a_host_may_forbid_stale_copies(directive: str) -> None:
    copy = make_copy(100, ("cache-control", f"max-age=600, {directive}"))
    assert not Ask(copy, Unreachable("reset")).stands_in
