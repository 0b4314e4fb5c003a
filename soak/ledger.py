"""What the driver was told: every answer that a server acknowledged, to be held against the audit trail afterwards."""

from collections import defaultdict
from dataclasses import dataclass, field

__all__ = ["Ledger", "LiveGrant"]


@dataclass(slots=True)
class LiveGrant:
    """A grant as its client knows it. ``refresh_token`` is the last that was acknowledged.

    ``ended`` says by what it must have ended (a revocation or a reuse that was acknowledged), ``doubtful`` that an
    answer to such an act never came, so that both are right.
    """

    grant_id: str
    client: str
    refresh_token: str
    access_token: str
    rotations: int = 0
    ended: str = ""
    doubtful: bool = False


@dataclass(slots=True)
class Ledger:
    """Each mapping leads from a thing that can be won once to the different answers that its winners got."""

    codes_by_request: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    denied_requests: set[str] = field(default_factory=set)
    grants_by_code: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    successors: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    wins_by_assertion: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    grants: dict[str, LiveGrant] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def complain(self, sentence: str) -> None:
        """Something that must never happen did."""
        self.complaints.append(sentence)
