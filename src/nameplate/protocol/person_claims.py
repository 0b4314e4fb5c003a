"""What an identity provider says of a person: one claim of it, and what of it becomes part of our access tokens.

A claim is named plainly (``email``, ``https://example.com/roles``). Where there is none of that name, its dots lead
into objects: ``realm_access.roles`` is the member ``roles`` of the claim ``realm_access``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nameplate.errors import ConfigurationError
from nameplate.protocol.fault import is_visible

__all__ = [
    "RESERVED_CLAIMS",
    "ClaimList",
    "ClaimText",
    "PersonClaims",
    "build_person_claims",
    "check_claim_mapping",
    "check_claim_path",
    "read_claim",
]

ClaimText = str | int | bool
ClaimList = list[ClaimText]

RESERVED_CLAIMS = frozenset(
    {
        *("iss", "sub", "aud", "exp", "iat", "nbf", "jti"),  # RFC 7519 §4.1
        *("scope", "client_id"),  # RFC 9068 §2.2; scp is what some resource servers read instead
        *("scp", "authorization_details"),  # RFC 9396 §9.1
        *("cnf", "act", "may_act", "azp"),  # RFC 7800 §3.1, RFC 8693 §4.1 and §4.4, OpenID Connect Core §2
        "grant_id",  # ours
    }
)
"""Claims that say what a token is and may do. A provider's word must never get there."""

_MAPPED_CLAIMS = 20
_LIST_ENTRIES = 50
_TEXT_CHARACTERS = 200
# Of JSON for all claims together. In base64 and with the rest of a token it stays below 8 KiB, which is what nginx and
# others take for one header line.
_TOTAL_BYTES = 4096
_LARGEST_INTEGER = 2**53 - 1  # RFC 7493 §2.2: beyond it readers disagree about the number

_CLAIM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._:/~-]{0,99}")
_PATH_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonClaims:
    """What a token says of the person. ``left_out`` names what the provider said but was unfit or too much."""

    claims: Mapping[str, ClaimText | ClaimList]
    left_out: tuple[str, ...] = ()


def read_claim(claims: Mapping[str, object], path: str) -> object:
    """The value of the claim; None where there is none (or a JSON null). A name in full comes before a path.

    Entries of arrays are not reached by their number: which entry comes first says nothing.
    """
    if path in claims or "." not in path:
        return claims.get(path)
    value: object = claims
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def check_claim_path(path: str, *, setting: str) -> None:
    """Whether the text can name a claim. Raises ``ConfigurationError``."""
    if not 0 < len(path) <= _PATH_CHARACTERS or not is_visible(path) or path != path.strip():
        raise ConfigurationError(setting, f"{path!r} is not the name of a claim.")


def check_claim_mapping(mapping: Mapping[str, str], *, setting: str) -> None:
    """Whether a mapping of our claims to the provider's can be used. Raises ``ConfigurationError``."""
    if len(mapping) > _MAPPED_CLAIMS:
        raise ConfigurationError(setting, f"{len(mapping)} claims are more than {_MAPPED_CLAIMS}.")
    for name, path in mapping.items():
        if name in RESERVED_CLAIMS:
            raise ConfigurationError(setting, f"{name} says what a token is, and cannot come from a provider.")
        if not _CLAIM_NAME.fullmatch(name):
            raise ConfigurationError(setting, f"{name!r} cannot be the name of a claim: letters, digits and ._:/~- .")
        check_claim_path(path, setting=setting)


def build_person_claims(
    mapping: Mapping[str, str], claims: Mapping[str, object], *, groups: Sequence[str] | None = None
) -> PersonClaims:
    """The claims for a token, by a mapping of our names to the provider's.

    Texts, integers, truth values and lists of these are taken over as they are. ``groups`` becomes the claim ``groups``
    (RFC 9068 §2.2.3.1), unless the mapping has one of that name. What is too long or of another type is left out whole,
    never cut: half a list of groups would be a lie.
    """
    wanted: dict[str, object] = {name: read_claim(claims, path) for name, path in mapping.items()}
    if groups:
        wanted.setdefault("groups", list(groups))
    taken: dict[str, ClaimText | ClaimList] = {}
    left_out, room = [], _TOTAL_BYTES
    for name, value in wanted.items():
        if value is None:
            continue
        fit = _read_value(value)
        size = 0 if fit is None else len(json.dumps({name: fit}))
        if fit is None or size > room:
            left_out.append(name)
        else:
            taken[name] = fit
            room -= size
    return PersonClaims(claims=taken, left_out=tuple(left_out))


def _read_value(value: object) -> ClaimText | ClaimList | None:
    """The value, if it can stand in a token."""
    if not isinstance(value, list):
        return _read_text(value)
    if len(value) > _LIST_ENTRIES:
        return None
    entries = [_read_text(entry) for entry in value]
    fit = [entry for entry in entries if entry is not None]
    return fit if len(fit) == len(entries) else None


def _read_text(value: object) -> ClaimText | None:
    match value:
        case str() if len(value) <= _TEXT_CHARACTERS and is_visible(value):  # no lone surrogates, no control characters
            return value
        case bool():
            return value
        case int() if abs(value) <= _LARGEST_INTEGER:
            return value
        case _:
            return None
