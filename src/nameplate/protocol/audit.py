"""The names of what is written to the audit trail. They are stable: operators build alerts on them."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["AuditEvent", "AuditName"]

AuditName = Literal[
    "authorization.approved",
    "authorization.denied",
    "code.redeemed",
    "code.replayed",
    "code.burned",
    "refresh_token.rotated",
    "refresh_token.repeated",
    "refresh_token.reused",
    "grant.revoked",
    "session.started",
    "session.ended",
    "signing_key.created",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One thing that happened. ``at`` is epoch seconds; what does not apply is empty. Bearer values never appear."""

    name: AuditName
    at: int
    client_id: str = ""
    subject: str = ""
    grant_id: str = ""
    detail: str = ""
