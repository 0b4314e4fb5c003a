"""Readers of single members of a client's metadata: right type or refused, unusable entries dropped with a warning."""

import re
from collections.abc import Mapping
from typing import NoReturn

from nameplate.errors import ClientIdError, ClientMetadataError
from nameplate.protocol.client_id import ClientIdPolicy, parse_client_id
from nameplate.protocol.client_keys import parse_key_set
from nameplate.protocol.fault import build_quotation, is_blank, is_visible
from nameplate.protocol.limits import (
    CLIENT_NAME_CHARACTERS,
    DOCUMENT_WARNINGS,
    LIST_ENTRIES,
    SCOPE_CHARACTERS,
    TEXT_CHARACTERS,
    URL_CHARACTERS,
)
from nameplate.protocol.urls import find_https_url_fault

__all__ = [
    "Members",
    "Warnings",
    "read_application_type",
    "read_claim",
    "read_client_name",
    "read_contacts",
    "read_keys",
    "read_scope",
    "read_served_values",
    "read_shown_url",
    "read_signing_alg",
    "read_text",
    "read_text_list",
    "refuse",
]

_APPLICATION_TYPES = frozenset({"native", "web"})
_SYMMETRIC_ALGORITHMS = frozenset({"HS256", "HS384", "HS512", "none"})
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

Members = Mapping[str, object]
_ABSENT = object()


class Warnings:
    """Sentences about what was dropped, for the client's developer; bounded, each begins with its member."""

    __slots__ = ("_sentences",)

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def add(self, member: str, sentence: str) -> None:
        """Note that something of this member was dropped, and why."""
        if len(self._sentences) < DOCUMENT_WARNINGS:
            self._sentences.append(f"{member}: {sentence}")

    def build_tuple(self) -> tuple[str, ...]:
        """All sentences, in the order in which they came."""
        return tuple(self._sentences)


def refuse(reason: str, member: str, rule: str) -> NoReturn:
    """Refuse the document: raises ``ClientMetadataError`` with the slug ``document.<reason>``."""
    raise ClientMetadataError(f"document.{reason}", member, rule)


def _read_string(members: Members, name: str) -> str | None:
    value = members.get(name, _ABSENT)
    if value is _ABSENT:
        return None
    if not isinstance(value, str):
        refuse("wrong_type", name, "must be a string" if value is not None else "is null; leave the member out instead")
    return value


def read_text(members: Members, name: str, *, limit: int = TEXT_CHARACTERS) -> str | None:
    """A text of at most ``limit`` characters that is not blank; None where the member is absent."""
    value = _read_string(members, name)
    if value is None:
        return None
    if not value or value.isspace():
        refuse("empty", name, "is empty")
    if len(value) > limit:
        refuse("too_long", name, f"is longer than {limit} characters")
    return value


def read_text_list(members: Members, name: str) -> tuple[str, ...] | None:
    """A list of texts, each once, in their order; None where the member is absent."""
    value = members.get(name, _ABSENT)
    if value is _ABSENT:
        return None
    if not isinstance(value, list) or not set(map(type, value)) <= {str}:
        refuse("wrong_type", name, "must be an array of strings")
    if not value or "" in value:
        refuse("empty", name, "is empty, or has an empty entry")
    if len(value) > LIST_ENTRIES:
        refuse("too_long", name, f"has more than {LIST_ENTRIES} entries")
    return tuple(dict.fromkeys(value))


def read_claim(members: Members, name: str, warnings: Warnings) -> str | None:
    """A text that nothing is decided by: dropped where it is blank or too long, None where it is absent."""
    value = _read_string(members, name)
    if value is None:
        return None
    if value.strip() and len(value) <= TEXT_CHARACTERS:
        return value
    warnings.add(name, "dropped, because it is empty or too long")
    return None


def read_shown_url(members: Members, name: str, warnings: Warnings) -> str | None:
    """A URL that people are shown: an ``https`` one, or dropped. Never fetched. CIMD draft §9.6, only known schemes."""
    value = _read_string(members, name)
    fault = None if value is None else find_https_url_fault(value)
    if value is None or fault is None:
        return value
    warnings.add(name, f"{build_quotation(value)} dropped: {fault.problem}")
    return None


def read_client_name(members: Members, *, required: bool) -> str | None:
    """The client's name, of which at least one character shows; None where it is absent and not required."""
    name = read_text(members, "client_name", limit=CLIENT_NAME_CHARACTERS)
    if name is None and required:
        refuse("client_name_missing", "client_name", "is missing; MCP requires it")
    if name is not None and not is_visible(name) and is_blank(name):
        refuse("empty", "client_name", "shows nothing at all")
    return name


def read_served_values(members: Members, name: str, served: tuple[str, ...]) -> tuple[str, ...]:
    """The values of a list that are among ``served``, whose first one must be there; empty where the member is absent.

    RFC 7591 §2: values that a server does not support are no reason to refuse, unless nothing useful is left.
    """
    listed = read_text_list(members, name)
    if listed is not None and served[0] not in listed:
        refuse(f"{name}_unsupported", name, f"does not list {served[0]}, and nothing else is served here")
    return tuple(value for value in listed or () if value in served)


def read_scope(members: Members, warnings: Warnings) -> tuple[str, ...] | None:
    """The scope tokens, each once; None where the member is absent. RFC 6749 §3.3.

    Claude sends it with a leading space. What is dropped from it never widens what is left.
    """
    if members.get("scope") == "":
        warnings.add("scope", "dropped, because it is empty")
        return None
    scope = read_text(members, "scope", limit=SCOPE_CHARACTERS)
    if scope is None:
        return None
    tokens = tuple(dict.fromkeys(token for token in scope.split(" ") if token))
    usable = tuple(token for token in tokens if _SCOPE_TOKEN.fullmatch(token))
    if len(usable) != len(tokens):
        warnings.add("scope", "dropped values with characters that RFC 6749 §3.3 does not allow")
    return usable


def read_signing_alg(members: Members) -> str | None:
    """The algorithm that the client says it signs its assertions with. Never a symmetric one."""
    algorithm = read_text(members, "token_endpoint_auth_signing_alg")
    if algorithm in _SYMMETRIC_ALGORITHMS:  # RFC 8725 §3.1
        refuse("signing_alg", "token_endpoint_auth_signing_alg", "must be an algorithm with a public key")
    return algorithm


def read_keys(members: Members, policy: ClientIdPolicy) -> tuple[str | None, str | None]:
    """The client's keys as canonical JSON, or the URL where they lie: either, neither, never both. RFC 7591 §2.

    The URL obeys the rules for a ``client_id``: it is fetched like a document. Nothing is fetched here.
    """
    uri = read_text(members, "jwks_uri", limit=URL_CHARACTERS)
    if "jwks" not in members:
        return None, uri and _check_jwks_uri(uri, policy)
    if uri is not None:
        refuse("jwks_twice", "jwks", "must not appear together with jwks_uri")
    return parse_key_set(members["jwks"]), None


def _check_jwks_uri(uri: str, policy: ClientIdPolicy) -> str:
    try:
        return parse_client_id(uri, policy).text
    except ClientIdError as error:
        raise ClientMetadataError("document.jwks_uri", "jwks_uri", error.problem) from error


def read_contacts(members: Members, warnings: Warnings) -> tuple[str, ...]:
    """How to reach whoever is responsible for the client; empty where the member is absent."""
    if members.get("contacts") == []:
        warnings.add("contacts", "dropped, because it is empty")
        return ()
    return read_text_list(members, "contacts") or ()


def read_application_type(members: Members, warnings: Warnings) -> str | None:
    """``native`` or ``web``; None where it is absent, or anything else. OpenID Connect Registration §2."""
    value = read_claim(members, "application_type", warnings)
    if value is None or value in _APPLICATION_TYPES:
        return value
    warnings.add("application_type", f"{build_quotation(value)} dropped: neither web nor native")
    return None
