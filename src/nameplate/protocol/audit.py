"""The names of what is written to the audit trail. They are stable: operators build alerts on them."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["AuditEvent", "AuditFilter", "AuditName"]

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
    "upstream_tokens.refreshed",
    "client.registered",
    "client.removed",
    "assertion.replayed",
    "signing_key.created",
    "signing_key.withdrawn",
    "signing_key.retired",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events to read. What is empty or None does not narrow. ``since`` and ``until`` are epoch seconds, both
    included.
    """

    names: tuple[str, ...] = ()
    client_id: str = ""
    subject: str = ""
    grant_id: str = ""
    since: int | None = None
    until: int | None = None
