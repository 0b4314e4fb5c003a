"""Whether what the driver was told and what the servers wrote down fit together. Pure: two records in, findings out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from nameplate.protocol.audit import AuditEvent
from soak.ledger import Ledger

__all__ = ["find_contradictions"]


def find_contradictions(ledger: Ledger, events: Sequence[AuditEvent]) -> list[str]:
    """Everything that was won twice, or acknowledged and lost. Empty where all is well."""
    return [
        *ledger.complaints,
        *_find_double_wins(ledger),
        *_find_double_events(events),
        *_find_gaps(events),
        *_find_lost(ledger, events),
    ]


def _find_double_wins(ledger: Ledger) -> Iterable[str]:
    for request, codes in ledger.codes_by_request.items():
        if len(codes) > 1:
            yield f"request {request} brought {len(codes)} codes"
        if request in ledger.denied_requests:
            yield f"request {request} was both allowed and denied"
    for code, grants in ledger.grants_by_code.items():
        if len(grants) > 1:
            yield f"code {code[:12]} was redeemed {len(grants)} times"
    for token, successors in ledger.successors.items():
        if len(successors) > 1:
            yield f"refresh token {token[:12]} has {len(successors)} successors"
    for jti, wins in ledger.wins_by_assertion.items():
        if wins > 1:
            yield f"assertion {jti} was accepted {wins} times"


def _find_double_events(events: Sequence[AuditEvent]) -> Iterable[str]:
    """Each of these may stand in the trail once for its key."""
    answers = [event.detail for event in events if event.name in ("authorization.approved", "authorization.denied")]
    redeemed = [event.grant_id for event in events if event.name == "code.redeemed"]
    rotated = [(event.grant_id, event.detail) for event in events if event.name == "refresh_token.rotated"]
    revoked = [event.grant_id for event in events if event.name == "grant.revoked"]
    named: tuple[tuple[str, list[object]], ...] = (
        ("answer to a request", list(answers)),
        ("redemption", list(redeemed)),
        ("rotation", list(rotated)),
        ("revocation", list(revoked)),
    )
    for what, keys in named:
        for key, count in Counter(keys).items():
            if count > 1:
                yield f"{count} times in the trail: {what} of {key}"


def _find_gaps(events: Sequence[AuditEvent]) -> Iterable[str]:
    """The rotations of a grant are numbered without a gap, and nothing is rotated that was never redeemed."""
    redeemed = {event.grant_id for event in events if event.name == "code.redeemed"}
    numbers: dict[str, set[int]] = defaultdict(set)
    for event in events:
        if event.name == "refresh_token.rotated":
            numbers[event.grant_id].add(int(event.detail))
    for grant_id, found in numbers.items():
        if found != set(range(len(found))):
            yield f"grant {grant_id}: its rotations are {sorted(found)}"
        if grant_id not in redeemed:
            yield f"grant {grant_id} was refreshed, and its code never redeemed"


def _find_lost(ledger: Ledger, events: Sequence[AuditEvent]) -> Iterable[str]:
    """What was acknowledged stands in the trail."""
    of = {
        name: Counter(event.grant_id for event in events if event.name == name)
        for name in ("code.redeemed", "refresh_token.rotated", "grant.revoked")
    }
    approved = sum(event.name == "authorization.approved" for event in events)
    if approved < len(ledger.codes_by_request):
        yield f"{len(ledger.codes_by_request)} requests were allowed, {approved} stand in the trail"
    for grants in ledger.grants_by_code.values():
        for grant_id in grants:
            if not of["code.redeemed"][grant_id]:
                yield f"grant {grant_id} was acknowledged, and its redemption is lost"
    for grant in ledger.grants.values():
        if of["refresh_token.rotated"][grant.grant_id] < grant.rotations:
            yield f"grant {grant.grant_id}: {grant.rotations} refreshes were acknowledged, some are lost"
        if grant.ended and not of["grant.revoked"][grant.grant_id]:
            yield f"grant {grant.grant_id}: its end ({grant.ended}) was acknowledged, and is lost"
        if not grant.ended and not grant.doubtful and of["grant.revoked"][grant.grant_id]:
            yield f"grant {grant.grant_id} ended, and nobody had a reason"
