"""What every request to the token endpoint has in common (RFC 6749 §3.2, OAuth 2.1 §3.2)."""

from collections.abc import Sequence
from typing import Literal

from nameplate.errors import TokenError
from nameplate.protocol.client_id import is_client_id_url
from nameplate.protocol.parameters import Parameters
from nameplate.protocol.resource import ProtectedResource, find_resource
from nameplate.protocol.scope import OFFLINE_ACCESS

__all__ = [
    "GRANT_TYPES",
    "GrantType",
    "check_client_admitted",
    "choose_granted_resource",
    "narrow_to_offer",
    "parse_grant_type",
]

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


def check_client_admitted(client_id: str, *, documents_enabled: bool) -> None:
    """Whether this kind of client may use the server at all, whatever it holds.

    Raises ``TokenError`` ``invalid_client``.
    """
    if not documents_enabled and is_client_id_url(client_id):
        raise TokenError(
            "invalid_client", "This server does not accept clients by metadata document.", reason="client.cimd_disabled"
        )


def narrow_to_offer(scope: Sequence[str], resource: ProtectedResource) -> tuple[str, ...]:
    """The scope without what the operator took out of the resource's offer since the person allowed it."""
    return tuple(name for name in scope if name == OFFLINE_ACCESS or name in resource.scope_names)


def choose_granted_resource(
    parameters: Parameters, granted: str, resources: Sequence[ProtectedResource]
) -> ProtectedResource:
    """The resource of a grant. A token request may repeat it and name nothing else (RFC 8707 §2.2).

    Raises ``TokenError`` ``invalid_target``, also where the operator no longer declares it among ``resources``.
    """
    resource = next((found for found in resources if found.identifier == granted), None)
    if resource is None:
        raise TokenError(
            "invalid_target", "The authorized resource is no longer served here.", reason="resource.withdrawn"
        )
    if any(find_resource(requested, resources) != resource for requested in parameters.resources):
        raise TokenError(
            "invalid_target", "The resource is not the one that was authorized.", reason="resource.not_granted"
        )
    return resource
