"""The authorization server's metadata (RFC 8414 §2, OpenID Connect Discovery 1.0 §3, RFC 9207 §3, CIMD draft §7).

It is complete, because most defaults of RFC 8414 are not ours, and true: what is switched off is not in it.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from nameplate.protocol.client_assertion import ASSERTION_ALGORITHMS
from nameplate.protocol.client_authentication import AUTH_METHODS
from nameplate.protocol.pkce import CODE_CHALLENGE_METHODS
from nameplate.protocol.scope import OFFLINE_ACCESS
from nameplate.protocol.token_exchange import TOKEN_EXCHANGE
from nameplate.protocol.token_request import GRANT_TYPES

__all__ = [
    "Endpoints",
    "ServerOffer",
    "build_endpoints",
    "build_metadata_paths",
    "build_server_metadata",
    "get_issuer_path",
]

_INTROSPECTION_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The server's URLs, each the issuer with a suffix: never rebuilt from a request's Host."""

    authorization: str
    token: str
    jwks: str
    registration: str
    revocation: str
    introspection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOffer:
    """What the operator decided about what the server offers.

    ``scopes`` are those of all resources. The others say whether clients are known by their documents, whether they may
    register themselves, and whether there is a resource server that may look into tokens, or exchange them.
    """

    scopes: tuple[str, ...] = ()
    has_documents: bool = True
    has_registration: bool = True
    has_introspection: bool = False
    has_exchange: bool = False


def build_endpoints(issuer: str) -> Endpoints:
    """The endpoints of an issuer, which never ends in a slash."""
    return Endpoints(
        authorization=f"{issuer}/authorize",
        token=f"{issuer}/token",
        jwks=f"{issuer}/jwks",
        registration=f"{issuer}/register",
        revocation=f"{issuer}/revoke",
        introspection=f"{issuer}/introspect",
    )


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


def build_server_metadata(issuer: str, offer: ServerOffer) -> dict[str, object]:
    """The one document that every metadata location serves.

    The two OpenID members are there because clients that read ``openid-configuration`` refuse it without them.
    """
    endpoints = build_endpoints(issuer)
    metadata: dict[str, object] = {
        "issuer": issuer,
        "authorization_endpoint": endpoints.authorization,
        "token_endpoint": endpoints.token,
        "jwks_uri": endpoints.jwks,
        "scopes_supported": list(dict.fromkeys([*offer.scopes, OFFLINE_ACCESS])),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [*GRANT_TYPES, *([TOKEN_EXCHANGE] if offer.has_exchange else [])],
        **_build_client_authentication("token"),
        "revocation_endpoint": endpoints.revocation,
        **_build_client_authentication("revocation"),
        "code_challenge_methods_supported": list(CODE_CHALLENGE_METHODS),
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    if offer.has_introspection:
        metadata["introspection_endpoint"] = endpoints.introspection
        metadata["introspection_endpoint_auth_methods_supported"] = list(_INTROSPECTION_AUTH_METHODS)
    if offer.has_registration:
        metadata["registration_endpoint"] = endpoints.registration
    if offer.has_documents:
        metadata["client_id_metadata_document_supported"] = True
    return metadata


def _build_client_authentication(endpoint: str) -> dict[str, object]:
    """How clients authenticate at this endpoint. Methods with a secret are there without a registration endpoint too:
    operators register clients as well.
    """
    return {
        f"{endpoint}_endpoint_auth_methods_supported": list(AUTH_METHODS),
        f"{endpoint}_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
    }
