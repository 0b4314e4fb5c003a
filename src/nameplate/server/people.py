"""Whether somebody who signed in before may still be here, and what tokens say of that person.

Everything that a session or a grant is good for asks here first: whoever was taken out of the configuration, or is no
longer allowed by it, gets no more tokens.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nameplate.protocol.person_claims import build_person_claims
from nameplate.protocol.person_record import PersonRecord, parse_person_record
from nameplate.protocol.sign_in_policy import find_sign_in_refusal, narrow_scope
from nameplate.server.upstreams import UpstreamPlan, Upstreams
from nameplate.upstream.local_accounts import LocalAccounts

__all__ = ["KnownPerson", "LostPerson", "People", "SignedIn"]

logger = logging.getLogger("nameplate.server")


class SignedIn(Protocol):
    """What remembers a person: a ``Session`` or a ``Grant``."""

    @property
    def username(self) -> str: ...
    @property
    def upstream(self) -> str: ...
    @property
    def person(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPerson:
    """Somebody who may be here.

    ``claims`` are those for access tokens, beside ``sub``. ``credential_digest`` is that of the password of today,
    empty for people of an identity provider. ``authenticated_at`` is when the person proved to the provider who it is;
    None for local accounts (there the session knows) and where the provider did not say.
    """

    claims: Mapping[str, object]
    credential_digest: str = ""
    authenticated_at: int | None = None
    groups: tuple[str, ...] = ()
    scopes_by_group: Mapping[str, Collection[str]] | None = field(default=None, repr=False)

    def narrow(self, scope: Sequence[str]) -> tuple[str, ...]:
        """What of the scope this person may be given."""
        return narrow_scope(scope, groups=self.groups, scopes_by_group=self.scopes_by_group)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostPerson:
    """Somebody who may not, or not any more. ``reason`` is a slug."""

    reason: str


class People:
    """Local accounts and people of identity providers alike."""

    def __init__(self, accounts: LocalAccounts, upstreams: Upstreams) -> None:
        self._accounts = accounts
        self._upstreams = upstreams

    def find(self, signed_in: SignedIn) -> KnownPerson | LostPerson:
        """The person of a session or a grant, by the configuration of today.

        Raises ``StoreError`` where what is remembered is damaged.
        """
        if not signed_in.upstream:
            return self._find_account(signed_in.username)
        upstream = self._upstreams.find(signed_in.upstream)
        if upstream is None:
            return LostPerson(reason="grant.upstream_removed")
        return read_record(parse_person_record(signed_in.person), upstream.plan)

    def _find_account(self, username: str) -> KnownPerson | LostPerson:
        account = self._accounts.find(username)
        if account is None:
            return LostPerson(reason="grant.account_removed")
        # RFC 9068 §2.2.3.1
        claims = {"groups": list(account.groups)} if account.groups else {}
        return KnownPerson(claims=claims, credential_digest=account.credential_digest, groups=account.groups)


def read_record(record: PersonRecord, plan: UpstreamPlan) -> KnownPerson | LostPerson:
    """The person that a provider described, by what the configuration says of that provider."""
    if record.issuer != plan.options.issuer:
        # Another provider under the same name: its people are others.
        return LostPerson(reason="grant.upstream_removed")
    refusal = find_sign_in_refusal(plan.policy, record)
    if refusal is not None:
        return LostPerson(reason=refusal.reason)
    mapping = {name: path for name, path in plan.claims.items() if path not in record.cut}
    groups = None if record.are_groups_cut else record.groups
    built = build_person_claims(mapping, record.claims, groups=groups)
    if built.left_out:
        logger.warning("claims left out", extra={"upstream": plan.options.name, "claims": ", ".join(built.left_out)})
    return KnownPerson(
        claims=built.claims,
        authenticated_at=record.authenticated_at or 0,
        groups=record.groups,
        scopes_by_group=plan.scopes_by_group,
    )
