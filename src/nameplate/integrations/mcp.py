"""nameplate in front of the official MCP SDK's servers. Needs the extra ``nameplate[mcp]``.

``protect_mcp`` is the whole of it. ``NameplateTokenVerifier`` is for a server that keeps the SDK's own bearer check,
whose challenges name neither scopes nor the tools that need them.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken as SdkAccessToken
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.authentication import AuthCredentials
from starlette.types import ASGIApp, Receive, Scope, Send

from nameplate.errors import BearerError, FetchError
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.bearer import parse_authorization_header
from nameplate.resource import AccessTokenVerifier, Keys, ProtectedApp, ResourceOptions, protect
from nameplate.resource.context import ACCESS_TOKEN_KEY
from nameplate.resource.remote_keys import RemoteKeys

__all__ = ["NameplateTokenVerifier", "protect_mcp"]

_log = logging.getLogger("nameplate.resource")


class NameplateTokenVerifier:
    """The SDK's ``TokenVerifier``: verifies our access tokens offline.

    Give it to ``MCPServer(token_verifier=…, auth=AuthSettings(issuer_url=…, resource_server_url=…,
    validate_token_resource=False))``: the audience is checked here, byte for byte, while the SDK compares URLs that it
    rewrote.
    """

    def __init__(
        self, *, issuer: str, resource: str, keys: Keys | None = None, trusted_ca_file: str | None = None
    ) -> None:
        """``keys`` replaces the fetching of the issuer's keys; ``trusted_ca_file`` is trusted besides the system's."""
        keys = keys or RemoteKeys(issuer, trusted_ca_file=trusted_ca_file)
        self._verifier = AccessTokenVerifier(issuer=issuer, resource=resource, keys=keys)

    async def verify_token(self, token: str) -> SdkAccessToken | None:
        """The token in the SDK's form, None where it is not good, or where no key can be had to judge it by."""
        try:
            return _build_sdk_token(await self._verifier.verify(token), token)
        except (BearerError, FetchError) as error:
            _log.debug("refused: %s", error)
            return None  # the SDK knows no third answer

    async def aclose(self) -> None:
        """Stop what runs in the background."""
        await self._verifier.aclose()


def protect_mcp(
    server: MCPServer[Any] | ASGIApp,
    *,
    resource: str,
    issuer: str,
    scopes: Iterable[str],
    tool_scopes: Mapping[str, Sequence[str]] | None = None,
    options: ResourceOptions | None = None,
) -> ProtectedApp:
    """The server's Streamable HTTP application at the path of ``resource``, protected as by ``resource.protect``.

    It answers only requests that are addressed to the host of ``resource`` (DNS rebinding). For another transport, or
    settings of your own, give the application that ``server.streamable_http_app(…)`` makes.

    The SDK knows the token too: ``get_access_token()`` works, and a session belongs to the client and person that
    opened it.
    """
    app = _build_http_app(server, resource) if isinstance(server, MCPServer) else server
    principal = _SdkPrincipal(AuthContextMiddleware(app))
    return protect(principal, resource=resource, issuer=issuer, scopes=scopes, tool_scopes=tool_scopes, options=options)


def _build_http_app(server: MCPServer[Any], resource: str) -> ASGIApp:
    parts = urlsplit(resource)
    security = TransportSecuritySettings(
        allowed_hosts=[parts.netloc], allowed_origins=[f"{parts.scheme}://{parts.netloc}"]
    )
    return server.streamable_http_app(streamable_http_path=parts.path or "/", transport_security=security)


class _SdkPrincipal:
    """Tells the SDK whose request it is: it binds sessions to the principal (CVE-2026-52869)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        access_token: AccessToken | None = scope.get(ACCESS_TOKEN_KEY)
        if access_token is not None:
            token = parse_authorization_header([value for name, value in scope["headers"] if name == b"authorization"])
            scope["user"] = AuthenticatedUser(_build_sdk_token(access_token, token or ""))
            scope["auth"] = AuthCredentials(access_token.scope)
        await self._app(scope, receive, send)


def _build_sdk_token(access_token: AccessToken, token: str) -> SdkAccessToken:
    return SdkAccessToken(
        token=token,
        client_id=access_token.client_id,
        scopes=list(access_token.scope),
        expires_at=access_token.expires_at,
        resource=access_token.resource,
        subject=access_token.subject,
        claims=dict(access_token.claims),
    )
