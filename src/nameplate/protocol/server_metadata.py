"""The authorization server's metadata (RFC 8414 §2, OpenID Connect Discovery 1.0 §3, RFC 9207 §3, CIMD draft §7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from nameplate.protocol.pkce import CODE_CHALLENGE_METHODS
from nameplate.protocol.scope import OFFLINE_ACCESS
from nameplate.protocol.token_request import GRANT_TYPES

__all__ = ["Endpoints", "build_endpoints", "build_metadata_paths", "build_server_metadata", "get_issuer_path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The server's URLs, each the issuer with a suffix: never rebuilt from a request's Host."""

    authorization: str
    token: str
    jwks: str


def build_endpoints(issuer: str) -> Endpoints:
    """The endpoints of an issuer, which never ends in a slash."""
    return Endpoints(authorization=f"{issuer}/authorize", token=f"{issuer}/token", jwks=f"{issuer}/jwks")


def get_issuer_path(issuer: str) -> str:
    """The issuer's path: empty, or starting with a slash and not ending in one."""
    return urlsplit(issuer).path


def build_metadata_paths(issuer: str) -> tuple[str, ...]:
    """Every path, from the root of the issuer's host, at which clients look for its metadata.

    RFC 8414 §3.1 inserts the suffix before the issuer's path, OpenID Connect Discovery §4 appends it; clients of the
    MCP try both names both ways.
    """
    names = ("oauth-authorization-server", "openid-configuration")
    path = get_issuer_path(issuer)
    inserted = [f"/.well-known/{name}{path}" for name in names]
    appended = [f"{path}/.well-known/{name}" for name in names]
    return tuple(dict.fromkeys([*inserted, *appended]))


def build_server_metadata(
    issuer: str, *, scopes: Sequence[str], documents_enabled: bool, auth_methods: Sequence[str]
) -> dict[str, object]:
    """The one document that every metadata location serves.

    ``auth_methods`` must begin with ``none``: clients skip their metadata document without it, and one takes the first
    entry. The two OpenID members are there because clients that read ``openid-configuration`` refuse it without them.
    """
    endpoints = build_endpoints(issuer)
    metadata: dict[str, object] = {
        "issuer": issuer,
        "authorization_endpoint": endpoints.authorization,
        "token_endpoint": endpoints.token,
        "jwks_uri": endpoints.jwks,
        "scopes_supported": list(dict.fromkeys([*scopes, OFFLINE_ACCESS])),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "token_endpoint_auth_methods_supported": list(auth_methods),
        "code_challenge_methods_supported": list(CODE_CHALLENGE_METHODS),
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    if documents_enabled:
        metadata["client_id_metadata_document_supported"] = True
    return metadata
