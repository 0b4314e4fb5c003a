"""The authorization request, check by check (RFC 6749 §4.1.1, OAuth 2.1 §4.1.1, RFC 7636, RFC 8707, RFC 9207, CIMD
draft).

The order matters: until client and redirect URI are proven (1 to 3), a failure ends on our own page (RFC 6749
§4.1.2.1); after that the client may learn of it (4 to 9).

1. ``parse_client``: a client identifier URL that policy admits, or an id that a registration can have.
2. The document is fetched and read, or the registration loaded (``server.clients``, outside this module).
3. ``choose_redirect_uri``: in the document or registration, and in the operator's list.
4. – 9. ``check_authorization_request``.
"""

import re
from dataclasses import dataclass, field

from nameplate.errors import AuthorizationError, AuthorizationPageError, ClientIdError
from nameplate.protocol.client_assertion import choose_algorithms
from nameplate.protocol.client_authentication import AUTH_METHODS
from nameplate.protocol.client_id import ClientIdPolicy, ClientIdUrl, is_client_id_url, parse_client_id
from nameplate.protocol.client_metadata import ClientMetadata
from nameplate.protocol.own_urls import is_own_url
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.pkce import is_code_challenge
from nameplate.protocol.redirect_uri import RedirectTarget, build_redirect, match_redirect_uri
from nameplate.protocol.resource import ProtectedResource, choose_resource
from nameplate.protocol.scope import OFFLINE_ACCESS, choose_scope, parse_scope

__all__ = [
    "AuthorizationPolicy",
    "AuthorizationRequest",
    "RegisteredClientId",
    "build_error_redirect",
    "build_success_redirect",
    "build_unknown_client_refusal",
    "check_authorization_request",
    "choose_redirect_uri",
    "is_refresh_allowed",
    "parse_client",
]

# What may be repeated in an error_description, whose characters are limited (RFC 6749 §4.1.2.1).
_METHOD_NAME = re.compile(r"[a-z0-9_]{1,40}")
# What ids made here consist of (CIMD draft §8.1: none begins like a URL), so that nothing else is looked up.
_REGISTERED_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

MAX_STATE_CHARACTERS = 4096
MAX_LOGIN_HINT_CHARACTERS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationPolicy:
    """What the operator decided about authorization requests.

    ``auth_methods`` are the client authentication methods that the token endpoint performs.
    """

    issuer: str
    resources: tuple[ProtectedResource, ...]
    documents_enabled: bool = True
    client_id: ClientIdPolicy = field(default_factory=ClientIdPolicy)
    allowed_client_redirect_uris: tuple[str, ...] | None = None
    auth_methods: tuple[str, ...] = AUTH_METHODS


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClientId:
    """An id under which a client may be registered here."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A request that passed every check. ``scope`` is what the person will be asked for.

    ``max_age_seconds`` is how old the person's sign-in may be at the most (0 for ``prompt=login``), None where any will
    do.
    """

    client: ClientMetadata
    target: RedirectTarget
    resource: ProtectedResource
    scope: tuple[str, ...]
    state: str | None
    code_challenge: str
    login_hint: str | None = None
    max_age_seconds: int | None = None


def parse_client(parameters: Parameters, policy: AuthorizationPolicy) -> ClientIdUrl | RegisteredClientId:
    """1. The client that the request names.

    Raises ``AuthorizationPageError``: ``invalid_request`` without a client, ``invalid_client`` for one that cannot be.
    """
    text = parameters.get("client_id")
    if text is None:
        raise AuthorizationPageError(
            "invalid_request", "The request names no client (client_id).", reason="authorization.client_id_missing"
        )
    if not is_client_id_url(text):
        if _REGISTERED_ID.fullmatch(text) is None:
            raise build_unknown_client_refusal()
        return RegisteredClientId(text=text)
    if not policy.documents_enabled:
        raise AuthorizationPageError(
            "invalid_client", "This server does not accept clients by metadata document.", reason="client.cimd_disabled"
        )
    if is_own_url(text, policy.issuer):
        # RFC 9700 §4.15: nobody may pass for this server.
        raise AuthorizationPageError(
            "invalid_client", "This client_id is a URL of the authorization server itself.", reason="client.own_url"
        )
    try:
        return parse_client_id(text, policy.client_id)
    except ClientIdError as error:
        raise AuthorizationPageError("invalid_client", error.problem, reason=error.reason) from error


def build_unknown_client_refusal() -> AuthorizationPageError:
    """No client is registered under this id, or no longer."""
    return AuthorizationPageError(
        "invalid_client", "No client is registered under this client_id.", reason="client.unknown"
    )


def choose_redirect_uri(parameters: Parameters, client: ClientMetadata, policy: AuthorizationPolicy) -> RedirectTarget:
    """3. Where the answer goes (RFC 6749 §3.1.2, OAuth 2.1 §2.3.2, CIMD draft §4.2).

    Raises ``AuthorizationPageError`` ``invalid_request``.
    """
    requested = parameters.get("redirect_uri") or _find_only_redirect_uri(client)
    if requested is None:
        raise AuthorizationPageError(
            "invalid_request",
            f"The request names no redirect_uri, and the client's {_get_source(client)} lists more than one, or one "
            "for any port.",
            reason="redirect_uri.missing",
        )
    if is_own_url(requested, policy.issuer):
        # RU-12: a code that comes back here could start another flow, in the person's name.
        raise AuthorizationPageError(
            "invalid_request",
            "The redirect_uri is a URL of the authorization server itself.",
            reason="redirect_uri.own_url",
        )
    target = match_redirect_uri(requested, client.redirect_uris, policy.allowed_client_redirect_uris)
    if target is not None:
        return target
    if match_redirect_uri(requested, client.redirect_uris) is not None:
        raise AuthorizationPageError(
            "invalid_request",
            "This server's operator does not allow the redirect_uri.",
            reason="redirect_uri.not_allowed",
        )
    raise AuthorizationPageError(
        "invalid_request",
        f"The redirect_uri is not one of those in the client's {_get_source(client)}.",
        reason="redirect_uri.not_registered",
    )


def _get_source(client: ClientMetadata) -> str:
    return "document" if client.known_by == "document" else "registration"


def _find_only_redirect_uri(client: ClientMetadata) -> str | None:
    """OAuth 2.1 §2.3.2: it may be left out only where there is exactly one. A loopback entry stands for every port."""
    if len(client.redirect_uris) != 1:
        return None
    target = match_redirect_uri(client.redirect_uris[0], client.redirect_uris)
    return None if target is None or target.kind == "loopback" else target.uri


def check_authorization_request(
    parameters: Parameters, client: ClientMetadata, target: RedirectTarget, policy: AuthorizationPolicy
) -> AuthorizationRequest:
    """4. to 9. Everything else.

    Raises ``AuthorizationError`` with the code that RFC 6749 §4.1.2.1, RFC 8707 §2 or OpenID Connect Core §3.1.2.6
    assigns.
    """
    state = _parse_state(parameters)
    _check_request_objects(parameters)
    _check_response_type(parameters, client)
    _check_auth_methods(client, policy)
    code_challenge = _parse_code_challenge(parameters)
    resource = choose_resource(parameters.resources, policy.resources)
    if resource is None:
        raise AuthorizationError(
            "invalid_target",
            "The request's resource is missing or is not served here.",
            reason="resource.unknown" if parameters.resources else "resource.missing",
        )
    return AuthorizationRequest(
        client=client,
        target=target,
        resource=resource,
        scope=_choose_scope(parameters, client, resource),
        state=state,
        code_challenge=code_challenge,
        login_hint=(parameters.get("login_hint") or "")[:MAX_LOGIN_HINT_CHARACTERS] or None,
        max_age_seconds=_parse_max_age(parameters),
    )


def _parse_state(parameters: Parameters) -> str | None:
    """4. ``state`` comes back as it was; only its length is limited."""
    state = parameters.get("state")
    if state is not None and len(state) > MAX_STATE_CHARACTERS:
        raise AuthorizationError("invalid_request", "The state is too long.", reason="authorization.state_too_long")
    return state


def _check_request_objects(parameters: Parameters) -> None:
    """5. RFC 9101 is not offered (§6.3: say so instead of ignoring it)."""
    if parameters.get("request"):
        raise AuthorizationError(
            "request_not_supported", "Request objects are not supported.", reason="authorization.request_object"
        )
    if parameters.get("request_uri"):
        raise AuthorizationError(
            "request_uri_not_supported", "Request objects are not supported.", reason="authorization.request_object"
        )


def _check_response_type(parameters: Parameters, client: ClientMetadata) -> None:
    """6. Only the code flow, only in the query (OAuth 2.1 §4.1.1): no token ever passes through the browser."""
    response_type = parameters.get("response_type")
    if response_type is None:
        raise AuthorizationError(
            "invalid_request", "The request has no response_type.", reason="authorization.response_type_missing"
        )
    if response_type != "code":
        raise AuthorizationError(
            "unsupported_response_type",
            "The only supported response_type is code.",
            reason="authorization.response_type",
        )
    if parameters.get("response_mode") not in (None, "query"):
        raise AuthorizationError(
            "invalid_request", "The only supported response_mode is query.", reason="authorization.response_mode"
        )
    if "code" not in client.response_types or "authorization_code" not in client.grant_types:
        raise AuthorizationError(
            "unauthorized_client",
            f"The client's {_get_source(client)} does not list the authorization code flow.",
            reason="document.code_flow_missing",
        )


def _check_auth_methods(client: ClientMetadata, policy: AuthorizationPolicy) -> None:
    """7. A method in common, said before the person is asked for anything (CIMD draft §6; decision 6)."""
    common = set(client.auth_methods) & set(policy.auth_methods)
    if not common:
        required = list(filter(_METHOD_NAME.fullmatch, client.auth_methods))[:3] or ["an unknown method"]
        raise AuthorizationError(
            "unauthorized_client",
            f"The client's {_get_source(client)} requires {' or '.join(required)}; "
            f"this server performs {', '.join(policy.auth_methods)}.",
            reason="document.auth_method_unsupported",
        )
    if common == {"private_key_jwt"} and not choose_algorithms(client):
        raise AuthorizationError(
            "unauthorized_client",
            f"The client's {_get_source(client)} names a token_endpoint_auth_signing_alg that is not supported here.",
            reason="document.signing_alg_unsupported",
        )


def _parse_code_challenge(parameters: Parameters) -> str:
    """8. PKCE is required, S256 is the only method, and an absent method would mean ``plain`` (RFC 7636 §4.3)."""
    challenge = parameters.get("code_challenge")
    if challenge is None:
        raise AuthorizationError(
            "invalid_request", "A code_challenge is required (PKCE).", reason="authorization.challenge_missing"
        )
    if parameters.get("code_challenge_method") != "S256":
        raise AuthorizationError(
            "invalid_request",
            "The code_challenge_method must be S256.",
            reason="authorization.challenge_method",
        )
    if not is_code_challenge(challenge):
        raise AuthorizationError(
            "invalid_request",
            "The code_challenge is not the base64url form of a SHA-256 digest.",
            reason="authorization.challenge_malformed",
        )
    return challenge


def _choose_scope(parameters: Parameters, client: ClientMetadata, resource: ProtectedResource) -> tuple[str, ...]:
    requested = parameters.get("scope")
    tokens = parse_scope(requested) if requested is not None else None
    if requested is not None and tokens is None:
        raise AuthorizationError("invalid_scope", "The scope is malformed.", reason="scope.malformed")
    limit = client.scope
    if client.known_by == "itself":
        # What it wrote down itself limits nobody: SDKs register with the scope of the moment and step up later. It is
        # what a request without a scope asks for (RFC 6749 §3.3).
        tokens, limit = tokens or _find_default_scope(client, resource), None
    if tokens and not is_refresh_allowed(client):
        tokens = tuple(token for token in tokens if token != OFFLINE_ACCESS)
    chosen = choose_scope(tokens, offered=resource.scope_names, document_scope=limit)
    if chosen is None:
        raise AuthorizationError(
            "invalid_scope",
            "None of the requested scopes can be granted to this client at this resource.",
            reason="scope.nothing_left",
        )
    return chosen


def _find_default_scope(client: ClientMetadata, resource: ProtectedResource) -> tuple[str, ...] | None:
    """The registered scope, without what belongs to other resources; None where nothing is left of it."""
    known = {*resource.scope_names, OFFLINE_ACCESS}
    return tuple(token for token in client.scope or () if token in known) or None


def _parse_max_age(parameters: Parameters) -> int | None:
    """9. How fresh the sign-in must be (OpenID Connect Core §3.1.2.1)."""
    prompts = (parameters.get("prompt") or "").split()
    if "none" in prompts:
        # Every authorization is shown to the person, so there is no answer without one.
        raise AuthorizationError(
            "interaction_required",
            "This server always asks the person; prompt=none cannot succeed.",
            reason="authorization.prompt_none",
        )
    if "login" in prompts:
        return 0
    max_age = parameters.get("max_age")
    if max_age is None:
        return None
    if not (max_age.isascii() and max_age.isdigit() and len(max_age) <= 9):
        raise AuthorizationError(
            "invalid_request", "The max_age is not a number of seconds.", reason="authorization.max_age"
        )
    return int(max_age)


def is_refresh_allowed(client: ClientMetadata) -> bool:
    """Whether the client gets a refresh token: its document lists the grant type, or none at all (decision 10)."""
    return not client.grant_types_listed or "refresh_token" in client.grant_types


def build_success_redirect(redirect_uri: str, *, code: str, state: str | None, issuer: str) -> str:
    """The authorization response (RFC 6749 §4.1.2) with ``iss`` (RFC 9207 §2)."""
    return build_redirect(redirect_uri, _present({"code": code, "state": state, "iss": issuer}))


def build_error_redirect(redirect_uri: str, error: AuthorizationError, *, state: str | None, issuer: str) -> str:
    """The error response (RFC 6749 §4.1.2.1) with ``iss`` (RFC 9207 §2)."""
    parameters = {"error": error.code, "error_description": error.description, "state": state, "iss": issuer}
    return build_redirect(redirect_uri, _present(parameters))


def _present(parameters: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}
