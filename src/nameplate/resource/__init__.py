"""What an MCP server mounts: the bearer check, its challenge, and protected resource metadata (RFC 6750, 9068, 9728).

    app = protect(app, resource="https://mcp.example.com/mcp", issuer="https://login.example.com", scopes=["read"])

``AccessTokenVerifier`` is the check alone, for servers that bring their own challenge. ``RevocationFeed`` and
``Introspection`` are two ways to refuse tokens that were revoked before they expired.
"""

from nameplate.protocol.access_token import AccessToken
from nameplate.resource.context import current_access_token
from nameplate.resource.keys import Keys, StaticKeys
from nameplate.resource.protect import protect
from nameplate.resource.protected_app import ProtectedApp
from nameplate.resource.revocation import Introspection, RevocationFeed
from nameplate.resource.rules import ResourceOptions
from nameplate.resource.verifier import AccessTokenVerifier

__all__ = [
    "AccessToken",
    "AccessTokenVerifier",
    "Introspection",
    "Keys",
    "ProtectedApp",
    "ResourceOptions",
    "RevocationFeed",
    "StaticKeys",
    "current_access_token",
    "protect",
]
