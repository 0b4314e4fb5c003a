"""What every request to the token endpoint has in common (RFC 6749 §3.2, OAuth 2.1 §3.2)."""

from typing import Literal

from nameplate.errors import TokenError
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.resource import ProtectedResource, find_resource

__all__ = ["AUTH_METHODS", "GRANT_TYPES", "GrantType", "check_resource", "parse_grant_type", "parse_public_client_id"]

AUTH_METHODS = ("none",)
"""The client authentication methods that the token endpoint performs, in the order in which they are advertised."""

GrantType = Literal["authorization_code", "refresh_token"]
GRANT_TYPES: tuple[GrantType, ...] = ("authorization_code", "refresh_token")


def parse_grant_type(parameters: Parameters) -> GrantType:
    """Which grant the request presents. Raises ``TokenError`` ``invalid_request`` or ``unsupported_grant_type``."""
    grant_type = parameters.get("grant_type")
    if grant_type is None:
        raise TokenError("invalid_request", "The request has no grant_type.", reason="token.grant_type_missing")
    for known in GRANT_TYPES:
        if grant_type == known:
            return known
    raise TokenError(
        "unsupported_grant_type", "This grant_type is not supported here.", reason="token.grant_type_unsupported"
    )


def parse_public_client_id(parameters: Parameters, authorization: str | None) -> str:
    """The ``client_id`` of a public client (RFC 6749 §3.2.1), which must not pretend to authenticate.

    ``authorization`` is the value of the Authorization header, if any. Raises ``TokenError`` ``invalid_client``, with
    status 401 where the header was used (RFC 6749 §5.2).
    """
    if authorization is not None:
        raise TokenError(
            "invalid_client",
            "The client has no secret: send client_id in the body and no Authorization header.",
            reason="client.authorization_header",
            status=401,
        )
    if any(map(parameters.get, ("client_secret", "client_assertion", "client_assertion_type"))):
        raise TokenError(
            "invalid_client",
            "The only client authentication method here is none.",
            reason="client.auth_method_unsupported",
        )
    client_id = parameters.get("client_id")
    if client_id is None:
        raise TokenError(
            "invalid_request", "The request names no client (client_id).", reason="token.client_id_missing"
        )
    return client_id


def check_resource(parameters: Parameters, granted: str, resources: tuple[ProtectedResource, ...]) -> None:
    """RFC 8707 §2.2: a token request may repeat the granted resource, nothing else. Raises ``TokenError``
    ``invalid_target``, also where the operator no longer declares the granted resource among ``resources``.
    """
    if all(granted != resource.identifier for resource in resources):
        raise TokenError(
            "invalid_target", "The authorized resource is no longer served here.", reason="resource.withdrawn"
        )
    for requested in parameters.resources:
        found = find_resource(requested, resources)
        if found is None or found.identifier != granted:
            raise TokenError(
                "invalid_target", "The resource is not the one that was authorized.", reason="resource.not_granted"
            )
