"""What is remembered of somebody who signed in at an identity provider, so that later tokens can be judged by it.

It lies in the session and in every grant. It holds what the operator's rules ask for and no more: whether the person
may (still) sign in, which scopes the groups give, which claims go into tokens. So a rule that is added to the
configuration later finds nothing here for people who signed in before, and keeps them out until they do so again.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nameplate.errors import StoreError
from nameplate.protocol.fault import Fault, is_visible
from nameplate.protocol.person_claims import ClaimText, read_claim
from nameplate.protocol.sign_in_policy import Identity
from nameplate.protocol.strict_json import read_json_object

__all__ = ["MAX_RECORD_BYTES", "PersonRecord", "RecordNeeds", "build_person_record", "parse_person_record"]

MAX_RECORD_BYTES = 8 * 1024
"""No record is longer than this."""

_TEXT_CHARACTERS = 1000
_LIST_BYTES = 2048  # a longer list keeps the entries that a rule names
_NO_CLAIMS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNeeds:
    """What the operator's rules ask for.

    ``claims`` are the names or paths of claims, each with the values that a rule compares it with (none where it is
    only taken over into tokens). ``groups`` are the groups that a rule names.
    """

    claims: Mapping[str, Collection[ClaimText]] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """A person as the provider described him or her at the last sign-in.

    ``issuer`` is the provider's. ``claims`` has the claims under the names or paths that were asked for.
    ``authenticated_at`` is when the person proved to the provider who it is, in epoch seconds; None where nobody said.
    Of the claims in ``cut``, and of the groups where ``are_groups_cut``, only those entries are there that a rule
    named: they decide, but are not taken over into tokens, where half a list would be a lie.
    """

    issuer: str
    email: str | None = None
    email_verified: bool = False
    groups: tuple[str, ...] = ()
    claims: Mapping[str, object] = field(default_factory=lambda: _NO_CLAIMS)
    authenticated_at: int | None = None
    cut: frozenset[str] = frozenset()
    are_groups_cut: bool = False


def build_person_record(person: Identity, *, issuer: str, needs: RecordNeeds, authenticated_at: int | None) -> str:
    """The record as JSON, of at most ``MAX_RECORD_BYTES``.

    What is too long for it is left out, the longest claim first: the person then lacks it, and is allowed less.
    """
    groups: list[ClaimText] = [group for group in person.groups if _is_plain(group)]
    are_groups_cut = len(groups) < len(person.groups) or _is_long(groups)
    claims, cut = _read_claims(person.claims, needs)
    if are_groups_cut:
        groups = [group for group in groups if group in needs.groups]
    members: dict[str, object] = {
        "issuer": issuer,
        "email": person.email,
        "email_verified": person.email_verified,
        "groups": groups,
        "are_groups_cut": are_groups_cut,
        "authenticated_at": authenticated_at,
    }
    while len(text := _write(members, claims, cut)) > MAX_RECORD_BYTES and (claims or members["groups"]):
        if claims:
            del claims[max(claims, key=lambda path: len(json.dumps(claims[path])))]
        else:
            members["groups"] = []
    return text


def _read_claims(given: Mapping[str, object], needs: RecordNeeds) -> tuple[dict[str, object], set[str]]:
    """The claims to keep, and which of them are less than the provider said."""
    claims, cut = dict[str, object](), set[str]()
    for path, named in needs.claims.items():
        value, is_cut = _read_value(read_claim(given, path), named)
        if value is not None:
            claims[path] = value
        if is_cut:
            cut.add(path)
    names = given.get("_claim_names")
    # The two ways in which a provider says that there are groups which it does not list; the rules know this one.
    if given.get("hasgroups") is True or (isinstance(names, Mapping) and "groups" in names):
        claims["hasgroups"] = True
    return claims, cut


def _write(members: Mapping[str, object], claims: Mapping[str, object], cut: Collection[str]) -> str:
    whole = {**members, "claims": claims, "cut": [path for path in claims if path in cut]}
    return json.dumps(whole, separators=(",", ":"))


def parse_person_record(text: str) -> PersonRecord:
    """What ``build_person_record`` wrote. Raises ``StoreError`` for anything else."""
    members = read_json_object(text.encode(errors="surrogatepass"))
    match members:
        case {
            "issuer": str(issuer),
            "email": str() | None as email,
            "email_verified": bool(email_verified),
            "groups": list(groups),
            "are_groups_cut": bool(are_groups_cut),
            "claims": dict(claims),
            "authenticated_at": int() | None as authenticated_at,
            "cut": list(cut),
        } if not isinstance(members, Fault) and all(isinstance(entry, str) for entry in (*groups, *cut)):
            return PersonRecord(
                issuer=issuer,
                email=email,
                email_verified=email_verified,
                groups=tuple(groups),
                claims=MappingProxyType(claims),
                authenticated_at=authenticated_at,
                cut=frozenset(cut),
                are_groups_cut=are_groups_cut,
            )
    raise StoreError("what is remembered of a person is damaged")


def _read_value(value: object, named: Collection[ClaimText]) -> tuple[object, bool]:
    """What is kept of a claim, None for nothing; and whether it is less than the provider said."""
    if isinstance(value, list):
        entries = [entry for entry in value if _is_plain(entry)]
        if not _is_long(entries):
            return entries, len(entries) < len(value)
        # To Python 1 is True, to a rule it is not.
        kept = [entry for entry in entries if any(type(entry) is type(one) and entry == one for one in named)]
        return kept, True
    return (value, False) if _is_plain(value) else (None, False)


def _is_plain(value: object) -> bool:
    match value:
        case str():  # a lone surrogate would not come back from the store
            return len(value) <= _TEXT_CHARACTERS and is_visible(value)
        case int():
            return abs(value) < 2**63
        case _:
            return False


def _is_long(entries: list[ClaimText]) -> bool:
    return len(json.dumps(entries)) > _LIST_BYTES
