"""Client metadata documents: what the JSON behind a client identifier URL may say, and what becomes of it.

A document is read leniently where that is safe, because real ones list values that no server has: unknown members and
unsupported values are skipped. What could make a client more than it is refuses it: secrets, private keys, wrong types,
duplicate members, another client's identifier (CIMD draft §4, decision 8). ``MEMBER_FATES`` tells each member's fate.
"""

import base64
import binascii
import json
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Literal

from nameplate.protocol.client_id import ClientIdPolicy
from nameplate.protocol.client_keys import holds_private_key
from nameplate.protocol.document_members import (
    Members,
    Warnings,
    read_application_type,
    read_claim,
    read_client_name,
    read_contacts,
    read_keys,
    read_scope,
    read_served_values,
    read_shown_url,
    read_signing_alg,
    read_text,
    read_text_list,
    refuse,
)
from nameplate.protocol.fault import Fault, build_quotation
from nameplate.protocol.member_fates import MEMBER_FATES, MemberFate
from nameplate.protocol.redirect_uri import read_redirect_uri
from nameplate.protocol.strict_json import read_json_object

__all__ = [
    "MEMBER_FATES",
    "ClientMetadata",
    "KnownBy",
    "MemberFate",
    "build_snapshot",
    "parse_client_metadata",
    "parse_snapshot",
]

_GRANT_TYPES = ("authorization_code", "refresh_token")
_RESPONSE_TYPES = ("code",)
_DEFAULT_POLICY = ClientIdPolicy()

KnownBy = Literal["document", "operator", "itself"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMetadata:
    """A client, as the document behind its identifier describes it. Every text is as the document has it.

    ``redirect_uris`` are the entries that may be used. ``grant_types`` and ``response_types`` are those listed that are
    served, RFC 7591's defaults where the member is absent; ``grant_types_listed`` tells which. ``scope`` is None where
    the document does not narrow it. ``auth_methods`` are all that the client can use, the singular member's first (CIMD
    draft §6). ``jwks`` is canonical JSON of public keys. URLs to show are ``https`` or None; nothing here is ever
    fetched but ``jwks_uri``. ``known_by`` says what stands for the client: its document, the operator, or nobody but
    itself. ``warnings`` are sentences about what was dropped, and no part of the client's identity.
    """

    client_id: str
    redirect_uris: tuple[str, ...]
    client_name: str | None = None
    client_uri: str | None = None
    logo_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None
    grant_types: tuple[str, ...] = ("authorization_code",)
    grant_types_listed: bool = False
    response_types: tuple[str, ...] = ("code",)
    scope: tuple[str, ...] | None = None
    auth_methods: tuple[str, ...] = ("none",)
    auth_signing_alg: str | None = None
    jwks: str | None = None
    jwks_uri: str | None = None
    contacts: tuple[str, ...] = ()
    software_id: str | None = None
    software_version: str | None = None
    application_type: str | None = None
    known_by: KnownBy = "document"
    warnings: tuple[str, ...] = field(default=(), compare=False)


def parse_client_metadata(
    client_id: str, body: bytes, *, require_client_name: bool = True, policy: ClientIdPolicy = _DEFAULT_POLICY
) -> ClientMetadata:
    """The client that the document fetched from ``client_id`` describes.

    ``require_client_name`` is MCP's profile; the CIMD draft alone does not ask for a name. ``policy`` says which hosts
    ``jwks_uri`` may name. Raises ``ClientMetadataError`` with slug (``document.client_id_mismatch``), member and rule.
    CIMD draft §4, RFC 7591 §2, MCP 2026-07-28 authorization.
    """
    members = read_json_object(body)
    if isinstance(members, Fault):
        refuse(members.reason, "", members.problem)
    _check_identity(members, client_id)
    _check_secrets(members)
    warnings = Warnings()
    _read_software_statement(members, warnings)
    keys = read_keys(members, policy)
    return ClientMetadata(
        client_id=client_id,
        client_name=read_client_name(members, required=require_client_name),
        client_uri=read_shown_url(members, "client_uri", warnings),
        logo_uri=read_shown_url(members, "logo_uri", warnings),
        tos_uri=read_shown_url(members, "tos_uri", warnings),
        policy_uri=read_shown_url(members, "policy_uri", warnings),
        redirect_uris=_read_redirect_uris(members, warnings),
        grant_types=read_served_values(members, "grant_types", _GRANT_TYPES) or ("authorization_code",),
        grant_types_listed="grant_types" in members,
        response_types=read_served_values(members, "response_types", _RESPONSE_TYPES) or ("code",),
        scope=read_scope(members, warnings),
        auth_methods=_read_auth_methods(members, has_keys=keys != (None, None), warnings=warnings),
        auth_signing_alg=read_signing_alg(members),
        jwks=keys[0],
        jwks_uri=keys[1],
        contacts=read_contacts(members, warnings),
        software_id=read_claim(members, "software_id", warnings),
        software_version=read_claim(members, "software_version", warnings),
        application_type=read_application_type(members, warnings),
        warnings=warnings.build_tuple(),
    )


def _check_identity(members: Members, client_id: str) -> None:
    """CIMD draft §4: the simple string comparison of RFC 3986 §6.2.1, no URL is parsed for it."""
    stated = members.get("client_id")
    if stated is None:
        refuse("client_id_missing", "client_id", f"is missing; it must be {build_quotation(client_id)}")
    if not isinstance(stated, str):
        refuse("wrong_type", "client_id", "must be a string")
    if stated != client_id:
        refuse(
            "client_id_mismatch",
            "client_id",
            f"is {build_quotation(stated)}, but the document was fetched from {build_quotation(client_id)}; "
            "they must be equal to the byte",
        )


def _check_secrets(members: Members) -> None:
    """CIMD draft §4.1. The document is public, so whatever secret it holds or relies on is known to everybody."""
    for name in ("client_secret", "client_secret_expires_at", "registration_access_token"):
        if name in members:
            refuse("secret", name, "must not appear in a document that everybody can read; treat the secret as lost")
    singular, plural = members.get("token_endpoint_auth_method"), members.get("token_endpoint_auth_methods_supported")
    for name, methods in (
        ("token_endpoint_auth_method", [singular]),
        ("token_endpoint_auth_methods_supported", plural if isinstance(plural, list) else []),
    ):
        for method in methods:
            if isinstance(method, str) and "secret" in method:
                refuse(
                    "secret_auth_method",
                    name,
                    f"{build_quotation(method)} needs a shared secret; use none or private_key_jwt",
                )


def _read_software_statement(members: Members, warnings: Warnings) -> None:
    """CIMD draft §4.3: no issuer is trusted here, so it says nothing; but it must not carry what §4.1 forbids."""
    statement = read_text(members, "software_statement", limit=1_000_000)
    if statement is None:
        return
    payload = statement.split(".")[1:2]
    try:
        claims = read_json_object(base64.urlsafe_b64decode(payload[0] + "==")) if payload else None
    except (binascii.Error, ValueError):
        claims = None
    if isinstance(claims, dict):
        _check_secrets(claims)
        if holds_private_key(claims.get("jwks")):
            refuse("private_key", "software_statement", "holds a private or symmetric key; replace that key")
    warnings.add("software_statement", "ignored; no issuer of software statements is trusted here")


def _read_redirect_uris(members: Members, warnings: Warnings) -> tuple[str, ...]:
    """CIMD draft §4.2, decision 9: each entry is judged on its own, and only a script-like scheme condemns the rest."""
    listed = read_text_list(members, "redirect_uris")
    if listed is None:
        refuse("redirect_uris_missing", "redirect_uris", "is missing")
    usable = []
    for entry in listed:
        uri = read_redirect_uri(entry)
        if not isinstance(uri, Fault):
            usable.append(entry)
        elif uri.reason == "script_scheme":
            refuse("redirect_uri_script", "redirect_uris", f"{build_quotation(entry)}: {uri.problem}")
        else:
            warnings.add("redirect_uris", f"{build_quotation(entry)} dropped: {uri.problem}")
    if not usable:
        rules = "; ".join(warnings.build_tuple()[-3:])
        refuse("redirect_uris_unusable", "redirect_uris", f"no entry can be used ({rules})")
    return tuple(usable)


def _read_auth_methods(members: Members, *, has_keys: bool, warnings: Warnings) -> tuple[str, ...]:
    """CIMD draft §6, OpenID RP Metadata Choices §2. Which of them the server performs is told at authorization."""
    singular = read_text(members, "token_endpoint_auth_method")
    plural = read_text_list(members, "token_endpoint_auth_methods_supported")
    if singular is not None and plural is not None and singular not in plural:
        refuse(
            "auth_methods_contradict",
            "token_endpoint_auth_method",
            "is not among token_endpoint_auth_methods_supported",
        )
    first = () if singular is None else (singular,)
    # RFC 7591's default, client_secret_basic, is void: a document cannot hold a secret
    methods = tuple(dict.fromkeys((*first, *(plural or ())))) or ("none",)
    if "private_key_jwt" not in methods or has_keys:
        return methods
    if methods == ("private_key_jwt",):
        refuse("keys_missing", "jwks_uri", "private_key_jwt needs jwks or jwks_uri")
    warnings.add("token_endpoint_auth_methods_supported", "private_key_jwt skipped, because there are no keys")
    return tuple(method for method in methods if method != "private_key_jwt")


_LIST_FIELDS = frozenset({"auth_methods", "contacts", "grant_types", "redirect_uris", "response_types", "scope"})
_SNAPSHOT_DEFAULTS = {one.name: one.default for one in fields(ClientMetadata) if one.compare}


# Every sign-in with a client builds its snapshot and reads it back for the pages: the same few, over and over.
_REMEMBERED_SNAPSHOTS = 256


@lru_cache(_REMEMBERED_SNAPSHOTS)
def build_snapshot(metadata: ClientMetadata) -> str:
    """The client as canonical JSON, without warnings: equal clients give equal texts."""
    members = {name: getattr(metadata, name) for name in _SNAPSHOT_DEFAULTS}
    changed = {name: value for name, value in members.items() if value != _SNAPSHOT_DEFAULTS[name]}
    return json.dumps(changed, sort_keys=True, separators=(",", ":"))


@lru_cache(_REMEMBERED_SNAPSHOTS)
def parse_snapshot(text: str) -> ClientMetadata:
    """The client that ``build_snapshot`` made the text of. Raises ``ClientMetadataError`` for any other text."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict) or not {"client_id", "redirect_uris"} <= members.keys():
        refuse("snapshot", "", "is no snapshot of a client")
    for name, value in members.items():
        if not _is_snapshot_member(name, value):
            refuse("snapshot", build_quotation(name), "is no member of a snapshot, or has a wrong type")
    values: dict[str, Any] = {name: tuple(value) if name in _LIST_FIELDS else value for name, value in members.items()}
    return ClientMetadata(**values)


def _is_snapshot_member(name: str, value: object) -> bool:
    if name in _LIST_FIELDS:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return name in _SNAPSHOT_DEFAULTS and isinstance(value, bool if name == "grant_types_listed" else str)
