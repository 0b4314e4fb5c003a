"""Clients that register themselves: what a registration may say, what becomes of it, and the answer (RFC 7591).

A registration is read like a client's document, so its refusals have the reasons of documents. It differs where nobody
vouches for it and nobody else can read it: its id and its secret are made here, placeholders (null, empty texts and
lists) count as absent, and values that are not served are replaced. Nothing is ever fetched for it.
"""

import json
import re
from collections.abc import Sequence
from typing import Final

from nameplate.errors import ClientMetadataError, RegistrationError
from nameplate.protocol.authorization import AuthorizationPolicy
from nameplate.protocol.client_metadata import ClientMetadata, KnownBy, build_snapshot
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
from nameplate.protocol.own_urls import is_own_url
from nameplate.protocol.redirect_uri import RedirectUri, match_redirect_uri, read_redirect_uri
from nameplate.protocol.scope import OFFLINE_ACCESS, build_scope
from nameplate.protocol.strict_json import read_json_object

__all__ = [
    "MAX_REGISTRATION_BYTES",
    "build_registration_answer",
    "build_too_long_refusal",
    "is_registration_media_type",
    "needs_secret",
    "parse_registration",
]

MAX_REGISTRATION_BYTES: Final = 16 * 1024
"""What is longer is not read: real registrations stay below 2 KiB, keys included."""

_MAX_SNAPSHOT_CHARACTERS = 6 * 1024  # it is copied into each request that waits for an answer (DO-05)
_GRANT_TYPES = ("authorization_code", "refresh_token")
_RESPONSE_TYPES = ("code",)
_DEFAULT_AUTH_METHOD = "client_secret_basic"  # RFC 7591 §2
_SECRET_METHODS = ("client_secret_basic", "client_secret_post")
# Ours to choose, or believed of nobody: RFC 7591 §2.3, §3.2.1
_IGNORED = ("client_id", "client_secret", "client_secret_expires_at", "client_id_issued_at", "software_statement")
_PORT = re.compile(r":([0-9]+)(?=[/?]|$)")
_LOOPBACK_PORT = re.compile(r"(http://[^/?]+?)(?::(?:[0-9]+|\*))?([/?].*)?")


def parse_registration(
    body: bytes, client_id: str, policy: AuthorizationPolicy, *, known_by: KnownBy = "itself"
) -> ClientMetadata:
    """The client that the registration describes, under the id that was made for it.

    Entries of ``redirect_uris`` that break a rule, or that the operator does not allow, are dropped; the ``warnings``
    say which. Raises ``RegistrationError``: ``invalid_redirect_uri`` or ``invalid_client_metadata`` (400), or
    ``invalid_request`` for an oversized one (413). RFC 7591 §2, §3.2.2, OpenID Connect Registration §2.
    """
    if len(body) > MAX_REGISTRATION_BYTES:
        raise build_too_long_refusal()
    members = read_json_object(body)
    if isinstance(members, Fault):
        raise RegistrationError(
            "invalid_client_metadata", _build_description(members.problem), reason=f"document.{members.reason}"
        )
    present = {name: value for name, value in members.items() if value not in (None, "", [])}
    try:
        client = _read_client(present, client_id, policy, known_by)
    except ClientMetadataError as error:
        raise _build_refusal(error) from error
    if len(build_snapshot(client)) > _MAX_SNAPSHOT_CHARACTERS:
        raise RegistrationError(
            "invalid_client_metadata",
            f"What would be kept of it has more than {_MAX_SNAPSHOT_CHARACTERS} characters; inline keys can move to "
            "jwks_uri.",
            reason="registration.too_much",
        )
    return client


def is_registration_media_type(content_type: str) -> bool:
    """Whether a Content-Type names ``application/json``, whatever its parameters (RFC 7591 §3.1)."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def build_too_long_refusal() -> RegistrationError:
    """A registration beyond ``MAX_REGISTRATION_BYTES``."""
    return RegistrationError(
        "invalid_request",
        f"A registration has at most {MAX_REGISTRATION_BYTES} bytes.",
        reason="registration.too_long",
        status=413,
    )


def _build_refusal(error: ClientMetadataError) -> RegistrationError:
    rule = _build_description(f"{error.member}: {error.rule}")
    if error.member == "redirect_uris":
        return RegistrationError("invalid_redirect_uri", rule, reason=error.reason)
    return RegistrationError("invalid_client_metadata", rule, reason=error.reason)


def _build_description(rule: str) -> str:
    """RFC 7591 §3.2.2: ASCII."""
    return rule.replace("§", "section ").encode("ascii", "backslashreplace").decode()


def _read_client(members: Members, client_id: str, policy: AuthorizationPolicy, known_by: KnownBy) -> ClientMetadata:
    warnings = Warnings()
    for name in _IGNORED:
        if name in members:
            warnings.add(name, "ignored; ids and secrets are made here, and no software statement is trusted")
    stated_type = read_application_type(members, warnings)
    uris = _read_redirect_uris(members, stated_type, policy, warnings)
    jwks, jwks_uri = read_keys(members, policy.client_id)
    return ClientMetadata(
        client_id=client_id,
        redirect_uris=tuple(uri.text for uri in uris),
        client_name=read_client_name(members, required=False),
        client_uri=read_shown_url(members, "client_uri", warnings),
        logo_uri=read_shown_url(members, "logo_uri", warnings),
        tos_uri=read_shown_url(members, "tos_uri", warnings),
        policy_uri=read_shown_url(members, "policy_uri", warnings),
        # Without a list it gets refresh tokens like a document without one (decision 10), and the answer says so.
        grant_types=read_served_values(members, "grant_types", _GRANT_TYPES) or _GRANT_TYPES,
        grant_types_listed=True,
        response_types=read_served_values(members, "response_types", _RESPONSE_TYPES) or _RESPONSE_TYPES,
        scope=_read_scope(members, policy, known_by, warnings),
        auth_methods=_choose_auth_methods(members, policy, has_keys=(jwks or jwks_uri) is not None),
        auth_signing_alg=read_signing_alg(members),
        jwks=jwks,
        jwks_uri=jwks_uri,
        contacts=read_contacts(members, warnings),
        software_id=read_claim(members, "software_id", warnings),
        software_version=read_claim(members, "software_version", warnings),
        application_type=stated_type or _infer_application_type(uris),
        known_by=known_by,
        warnings=warnings.build_tuple(),
    )


def _read_redirect_uris(
    members: Members, application_type: str | None, policy: AuthorizationPolicy, warnings: Warnings
) -> tuple[RedirectUri, ...]:
    """Each entry is judged on its own: Cursor registers three, and one that is not allowed must not sink the others."""
    listed = read_text_list(members, "redirect_uris")
    if listed is None:
        refuse("redirect_uris_missing", "redirect_uris", "is missing")
    usable, problems = [], []
    for entry in listed:
        uri = read_redirect_uri(entry)
        if isinstance(uri, Fault) and uri.reason == "script_scheme":
            refuse("redirect_uri_script", "redirect_uris", f"{build_quotation(entry)}: {uri.problem}")
        problem = uri.problem if isinstance(uri, Fault) else _find_problem(uri, application_type, policy)
        if isinstance(uri, RedirectUri) and problem is None:
            usable.append(uri)
        else:
            problems.append(f"{build_quotation(entry)} dropped: {problem}")
            warnings.add("redirect_uris", problems[-1])
    if not usable:
        refuse("redirect_uris_unusable", "redirect_uris", f"no entry can be used ({'; '.join(problems[-3:])})")
    return tuple(usable)


def _find_problem(uri: RedirectUri, application_type: str | None, policy: AuthorizationPolicy) -> str | None:
    """OpenID Connect Registration §2 for ``application_type``, whose missing value is no ``web`` here (SEP-837)."""
    if application_type == "web" and uri.kind != "https":
        return "a client whose application_type is web has https URIs only"
    if is_own_url(uri.text, policy.issuer):
        return "it is a URL of the authorization server itself"
    if not _is_allowed(uri, policy.allowed_client_redirect_uris):
        return "the operator of this server does not allow it"
    return None


def _is_allowed(uri: RedirectUri, allowed: Sequence[str] | None) -> bool:
    """Whether some request that the entry stands for passes the operator's list, which is asked again at each request.

    A loopback entry stands for every port, so it is tried at the ports that the list names.
    """
    if uri.kind != "loopback":
        return match_redirect_uri(uri.text, (uri.text,), allowed) is not None
    ports = {"1"}.union(*(_PORT.findall(pattern) for pattern in allowed or ()))
    before, after = _split_port(uri.text)
    return any(match_redirect_uri(f"{before}:{port}{after}", (uri.text,), allowed) for port in ports)


def _split_port(loopback_uri: str) -> tuple[str, str]:
    """What stands before and behind the port of a loopback URI, or the place where it would stand."""
    match = _LOOPBACK_PORT.fullmatch(loopback_uri)
    return (match[1], match[2] or "") if match else (loopback_uri, "")


def _infer_application_type(uris: Sequence[RedirectUri]) -> str | None:
    """Where nothing leads off the device it is a native program, whatever OpenID's default says (NAT-5, SEP-837)."""
    return "native" if all(uri.kind != "https" for uri in uris) else None


def _read_scope(
    members: Members, policy: AuthorizationPolicy, known_by: KnownBy, warnings: Warnings
) -> tuple[str, ...] | None:
    """What nothing here offers is dropped from a client's own wish; an operator's list is a limit, and stays whole."""
    scope = read_scope(members, warnings)
    if scope is None or known_by == "operator":
        return scope
    offered = {OFFLINE_ACCESS}.union(*(resource.scope_names for resource in policy.resources))
    kept = tuple(token for token in scope if token in offered)
    if kept != scope:
        warnings.add("scope", "dropped values that nothing here offers")
    return kept or None


def _choose_auth_methods(members: Members, policy: AuthorizationPolicy, *, has_keys: bool) -> tuple[str, ...]:
    """The method to register, first. A secret may come both ways: clients mix them up, and neither is the weaker."""
    stated = read_text(members, "token_endpoint_auth_method")
    listed = read_text_list(members, "token_endpoint_auth_methods_supported") or (_DEFAULT_AUTH_METHOD,)
    wanted = listed if stated is None else (stated,)
    method = next((each for each in wanted if each in policy.auth_methods), None)
    if method is None:
        offered = ", ".join(policy.auth_methods)
        refuse("auth_method_unsupported", "token_endpoint_auth_method", f"is none of those performed here: {offered}")
    if method == "private_key_jwt" and not has_keys:
        refuse("keys_missing", "jwks_uri", "private_key_jwt needs jwks or jwks_uri")
    if method not in _SECRET_METHODS:
        return (method,)
    return (method, *(each for each in _SECRET_METHODS if each != method))


def needs_secret(client: ClientMetadata) -> bool:
    """Whether the client authenticates by a secret, so that one has to be made for it."""
    return any(method in _SECRET_METHODS for method in client.auth_methods)


def build_registration_answer(client: ClientMetadata, *, secret: str | None, issued_at: int) -> dict[str, object]:
    """The client information response: id, secret, and everything that was registered. RFC 7591 §3.2.1.

    What is absent is left out: a null or an empty text breaks clients. ``secret`` is None where none was made; one that
    was made never expires by itself.
    """
    members: dict[str, object] = {
        "client_id": client.client_id,
        "client_id_issued_at": issued_at,
        "client_secret": secret,
        "client_secret_expires_at": None if secret is None else 0,
        "client_name": client.client_name,
        "client_uri": client.client_uri,
        "logo_uri": client.logo_uri,
        "tos_uri": client.tos_uri,
        "policy_uri": client.policy_uri,
        "redirect_uris": list(client.redirect_uris),
        "application_type": client.application_type,
        "grant_types": list(client.grant_types),
        "response_types": list(client.response_types),
        "scope": build_scope(client.scope) if client.scope else None,
        "token_endpoint_auth_method": client.auth_methods[0],
        "token_endpoint_auth_signing_alg": client.auth_signing_alg,
        "jwks": None if client.jwks is None else json.loads(client.jwks),
        "jwks_uri": client.jwks_uri,
        "contacts": list(client.contacts) or None,
        "software_id": client.software_id,
        "software_version": client.software_version,
    }
    return {name: value for name, value in members.items() if value is not None}
