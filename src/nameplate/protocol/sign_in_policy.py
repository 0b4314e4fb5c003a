"""Who may sign in of those whom an identity provider vouches for, and which scopes their groups may be given.

There are three kinds of rules: by e-mail (addresses and domains), by group, and by claim. Within a kind one match will
do; of several kinds each must be met, and of several claims each. So ``allowed_email_domains`` with ``allowed_groups``
means people of that domain who are in one of those groups, as operators know it from oauth2-proxy.

An address counts only where the provider says that it is verified, and what the provider did not tell is never taken
for a match.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nameplate.errors import ConfigurationError
from nameplate.protocol.email_address import EmailAddress, read_email_address, read_email_domain
from nameplate.protocol.fault import is_visible
from nameplate.protocol.person_claims import ClaimText, check_claim_path, read_claim
from nameplate.protocol.scope import OFFLINE_ACCESS

__all__ = [
    "EVERYBODY",
    "AllowedPeople",
    "ClaimRule",
    "Identity",
    "SignInPolicy",
    "SignInRefusal",
    "build_sign_in_policy",
    "check_scopes_by_group",
    "find_sign_in_refusal",
    "narrow_scope",
]

EVERYBODY = "*"
"""In ``scopes_by_group``: people of whatever group, or of none."""

_RULES = 1000  # entries of one list
_TEXT_CHARACTERS = 200


class Identity(Protocol):
    """What a provider said of a person, as far as it decides who may sign in.

    ``email_verified`` is whether the provider vouches for the address. ``claims`` are all claims as they came.
    """

    @property
    def email(self) -> str | None: ...
    @property
    def email_verified(self) -> bool: ...
    @property
    def groups(self) -> Sequence[str]: ...
    @property
    def claims(self) -> Mapping[str, object]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPeople:
    """Who may sign in, as the operator wrote it down. What is None is not set."""

    emails: Sequence[str] | None = None
    email_domains: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    claims: Mapping[str, Sequence[ClaimText]] | None = None
    everybody: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRule:
    """A claim, and the values of which it must be, or contain, one."""

    claim: str
    values: tuple[ClaimText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInPolicy:
    """Who may sign in. An empty kind asks for nothing; that all of them are empty was said on purpose."""

    emails: frozenset[EmailAddress] = frozenset()
    email_domains: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    claims: tuple[ClaimRule, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRefusal:
    """Why a person may not sign in: a slug, and a sentence for that person. On the wire it is ``access_denied``."""

    reason: str
    description: str


def build_sign_in_policy(allowed: AllowedPeople, *, is_organization: bool, table: str = "upstreams") -> SignInPolicy:
    """The policy. ``ConfigurationError`` names a setting in ``table``.

    ``is_organization`` is whether the provider's accounts are all given out by the operator's own organization. There,
    nothing set means everybody. Elsewhere that is for the operator to say, with ``allow_everybody``.
    """
    lists = {
        "allowed_emails": allowed.emails,
        "allowed_email_domains": allowed.email_domains,
        "allowed_groups": allowed.groups,
        "allowed_claims": allowed.claims,
    }
    for name, entries in lists.items():
        if entries is not None and not 0 < len(entries) <= _RULES:
            # An empty list comes out of a template whose variable was not set; it must not open the door.
            raise ConfigurationError(
                f"{table}.{name}", f"has {len(entries)} entries; give 1 to {_RULES}, or leave it out to ask for none."
            )
    narrowed_by = [name for name, entries in lists.items() if entries]
    if allowed.everybody and narrowed_by:
        raise ConfigurationError(
            f"{table}.allow_everybody", f"is on, and {' and '.join(narrowed_by)} says who. Keep one of the two."
        )
    if not (allowed.everybody or narrowed_by or is_organization):
        raise ConfigurationError(
            f"{table}.allow_everybody",
            "strangers can have accounts at this provider. Say who may sign in, with allowed_emails, "
            "allowed_email_domains, allowed_groups or allowed_claims; or, if it is meant for all of them, "
            "allow_everybody = true.",
        )
    return SignInPolicy(
        emails=frozenset(_read_email(text, f"{table}.allowed_emails") for text in allowed.emails or ()),
        email_domains=frozenset(
            _read_domain(text, f"{table}.allowed_email_domains") for text in allowed.email_domains or ()
        ),
        groups=frozenset(_check_text(group, f"{table}.allowed_groups") for group in allowed.groups or ()),
        claims=tuple(
            _read_rule(claim, values, f"{table}.allowed_claims") for claim, values in (allowed.claims or {}).items()
        ),
    )


def _read_email(text: str, setting: str) -> EmailAddress:
    address = read_email_address(text)
    if address is None:
        raise ConfigurationError(setting, f"{text!r} is not an e-mail address.")
    return address


def _read_domain(text: str, setting: str) -> str:
    domain = read_email_domain(text)
    if domain is None or "." not in domain:
        raise ConfigurationError(
            setting,
            f"{text!r} is not a domain. Write what follows the @, without it and without wildcards: example.com.",
        )
    return domain


def _read_rule(claim: str, values: Sequence[ClaimText], setting: str) -> ClaimRule:
    check_claim_path(claim, setting=setting)
    if isinstance(values, str) or not values:
        raise ConfigurationError(setting, f"{claim} needs a list of the values that are allowed.")
    for value in values:
        if isinstance(value, str):
            _check_text(value, setting)
    return ClaimRule(claim=claim, values=tuple(values))


def _check_text(text: str, setting: str) -> str:
    if not 0 < len(text) <= _TEXT_CHARACTERS or not is_visible(text) or text != text.strip():
        raise ConfigurationError(
            setting, f"{text!r} is empty, longer than {_TEXT_CHARACTERS} characters, or has blanks at its ends."
        )
    return text


def find_sign_in_refusal(policy: SignInPolicy, person: Identity) -> SignInRefusal | None:
    """Why the person may not sign in; None for those who may."""
    return (
        _find_email_refusal(policy, person)
        or _find_group_refusal(policy, person)
        or _find_claim_refusal(policy, person)
    )


def _find_email_refusal(policy: SignInPolicy, person: Identity) -> SignInRefusal | None:
    if not (policy.emails or policy.email_domains):
        return None
    # PX-10: anybody can write anybody's address into a profile.
    if not person.email or person.email_verified is not True:
        return SignInRefusal(
            reason="sign_in.email_unverified",
            description="The identity provider does not say that the e-mail address of this account is verified.",
        )
    address = read_email_address(person.email)
    if address and (address in policy.emails or address.domain in policy.email_domains):
        return None
    return _build_refusal()


def _find_group_refusal(policy: SignInPolicy, person: Identity) -> SignInRefusal | None:
    if not policy.groups:
        return None
    if policy.groups.intersection(person.groups):
        return None
    if _are_groups_elsewhere(person.claims):
        return SignInRefusal(
            reason="sign_in.groups_unknown",
            description="The identity provider did not list all groups of this account.",
        )
    return _build_refusal()


def _are_groups_elsewhere(claims: Mapping[str, object]) -> bool:
    """Whether there are groups that the claims only hint at: a distributed claim (OpenID Connect Core §5.6.2), or
    Entra's ``hasgroups`` (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
    """
    names = claims.get("_claim_names")
    return claims.get("hasgroups") is True or (isinstance(names, Mapping) and "groups" in names)


def _find_claim_refusal(policy: SignInPolicy, person: Identity) -> SignInRefusal | None:
    return None if all(_is_met(rule, person.claims) for rule in policy.claims) else _build_refusal()


def _is_met(rule: ClaimRule, claims: Mapping[str, object]) -> bool:
    found = read_claim(claims, rule.claim)
    # To Python 1 is True; to a provider 1 is not true.
    return any(
        type(value) is type(allowed) and value == allowed
        for value in (found if isinstance(found, list) else [found])
        for allowed in rule.values
    )


def _build_refusal() -> SignInRefusal:
    """The same for all lists: which of them it was is in the log, and tells a stranger nothing."""
    return SignInRefusal(
        reason="sign_in.not_allowed", description="This account is not among those that may sign in here."
    )


def check_scopes_by_group(
    scopes_by_group: Mapping[str, Collection[str]], *, offered: Collection[str], setting: str
) -> None:
    """Whether every group has scopes, and each is offered. Raises ``ConfigurationError``."""
    if not scopes_by_group:
        raise ConfigurationError(setting, "an empty table gives nobody a scope; leave it out to give all to everybody.")
    for group, scopes in scopes_by_group.items():
        _check_text(group, setting)
        for scope in scopes:
            if scope not in offered:
                raise ConfigurationError(setting, f"{group!r} may be given {scope!r}, which no resource offers.")


def narrow_scope(
    scope: Sequence[str], *, groups: Collection[str], scopes_by_group: Mapping[str, Collection[str]] | None
) -> tuple[str, ...]:
    """What of the scope a person in these groups may be given, in the same order.

    Without a table it is all. With one it is what the table lists for the person's groups together, and under ``*`` for
    everybody; a scope that it lists nowhere is given to nobody. ``offline_access`` is no permission of a resource and
    stays.
    """
    if scopes_by_group is None:
        return tuple(scope)
    names = {EVERYBODY, *groups}
    possible = {OFFLINE_ACCESS}.union(*(scopes for group, scopes in scopes_by_group.items() if group in names))
    return tuple(each for each in scope if each in possible)
