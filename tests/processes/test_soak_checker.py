"""The checker of the soak finds what it is there to find: each kind of double win and of loss."""

from collections.abc import Callable

import pytest

from nameplate.protocol.audit import AuditEvent
from soak.checker import find_contradictions
from soak.ledger import Ledger, LiveGrant

GOOD_EVENTS = (
    AuditEvent(name="authorization.approved", at=1, grant_id="g", detail="request"),
    AuditEvent(name="code.redeemed", at=2, grant_id="g"),
    AuditEvent(name="refresh_token.rotated", at=3, grant_id="g", detail="0"),
    AuditEvent(name="refresh_token.rotated", at=4, grant_id="g", detail="1"),
)
REVOKED = AuditEvent(name="grant.revoked", at=5, grant_id="g")


def build_ledger() -> Ledger:
    ledger = Ledger()
    ledger.codes_by_request["r"].add("code")
    ledger.grants_by_code["code"].append("g")
    ledger.successors["token 0"].add("token 1")
    ledger.successors["token 1"].add("token 2")
    ledger.wins_by_assertion["jti"] = 1
    ledger.grants["g"] = LiveGrant("g", "client", "token 2", "access", rotations=2)
    return ledger


def test_what_fits_together_is_no_contradiction() -> None:
    assert find_contradictions(build_ledger(), GOOD_EVENTS) == []


def test_a_grant_that_ended_for_a_reason_is_no_contradiction() -> None:
    ledger = build_ledger()
    ledger.grants["g"].ended = "revocation"
    assert find_contradictions(ledger, [*GOOD_EVENTS, REVOKED]) == []


def win_request_twice(ledger: Ledger) -> None:
    ledger.codes_by_request["r"].add("another code")


def allow_and_deny(ledger: Ledger) -> None:
    ledger.denied_requests.add("r")


def redeem_twice(ledger: Ledger) -> None:
    ledger.grants_by_code["code"].append("g")


def rotate_twice(ledger: Ledger) -> None:
    ledger.successors["token 0"].add("another token")


def use_assertion_twice(ledger: Ledger) -> None:
    ledger.wins_by_assertion["jti"] = 2


def lose_refresh(ledger: Ledger) -> None:
    ledger.grants["g"].rotations = 3


def lose_redemption(ledger: Ledger) -> None:
    ledger.grants_by_code["another code"].append("h")


def lose_approval(ledger: Ledger) -> None:
    ledger.codes_by_request["another"].add("code 2")


def lose_revocation(ledger: Ledger) -> None:
    ledger.grants["g"].ended = "revocation"


def hear_complaint(ledger: Ledger) -> None:
    ledger.complain("status 500")


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (win_request_twice, "brought 2 codes"),
        (allow_and_deny, "both allowed and denied"),
        (redeem_twice, "redeemed 2 times"),
        (rotate_twice, "2 successors"),
        (use_assertion_twice, "accepted 2 times"),
        (lose_refresh, "some are lost"),
        (lose_redemption, "its redemption is lost"),
        (lose_approval, "1 stand in the trail"),
        (lose_revocation, "is lost"),
        (hear_complaint, "status 500"),
    ],
)
def test_each_contradiction_in_what_was_told_is_found(spoil: Callable[[Ledger], None], finding: str) -> None:
    ledger = build_ledger()
    spoil(ledger)
    [contradiction] = find_contradictions(ledger, GOOD_EVENTS)
    assert finding in contradiction


@pytest.mark.parametrize(
    ("event", "finding"),
    [
        (GOOD_EVENTS[0], "answer to a request"),
        (GOOD_EVENTS[1], "redemption of g"),
        (GOOD_EVENTS[2], "rotation of"),
        (AuditEvent(name="refresh_token.rotated", at=9, grant_id="g", detail="3"), "its rotations are [0, 1, 3]"),
        (AuditEvent(name="refresh_token.rotated", at=9, grant_id="h", detail="0"), "its code never redeemed"),
        (REVOKED, "nobody had a reason"),
    ],
)
def test_each_contradiction_in_the_trail_is_found(event: AuditEvent, finding: str) -> None:
    [contradiction] = find_contradictions(build_ledger(), [*GOOD_EVENTS, event])
    assert finding in contradiction
