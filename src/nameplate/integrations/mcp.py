"""nameplate in front of the official MCP SDK's servers. Needs the extra ``nameplate[mcp]``.

``protect_mcp`` is the whole of it. ``NameplateTokenVerifier`` is for a server that keeps the SDK's own bearer check,
whose challenges name neither scopes nor the tools that need them.
"""

import difflib
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken as SdkAccessToken
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.authentication import AuthCredentials
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nameplate.errors import BearerError, ConfigurationError, FetchError
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.bearer import parse_authorization_header
from nameplate.protocol.resource_metadata import check_identifier_url
from nameplate.resource import Keys, ProtectedApp, ResourceOptions, protect
from nameplate.resource.context import ACCESS_TOKEN_KEY
from nameplate.resource.protect import build_verifier
from nameplate.resource.revocation import Revocation

__all__ = ["McpOptions", "NameplateTokenVerifier", "protect_mcp"]

_log = logging.getLogger("nameplate.resource")

# What a browser can send as Origin (RFC 6454 §6.2), but for "null", which any sandboxed page can.
_ORIGIN = re.compile(r"[a-z][a-z0-9+\-.]*://[a-z0-9\-._~:\[\]]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class McpOptions(ResourceOptions):
    """``ResourceOptions``, and what only an ``MCPServer`` of the official SDK has a use for.

    ``allowed_origins`` are the origins, besides the resource's own, whose pages may call the server
    (``https://app.example.com``: scheme, host and port as browsers send them, compared byte for byte).
    """

    allowed_origins: Sequence[str] = ()


class NameplateTokenVerifier:
    """The SDK's ``TokenVerifier``: verifies our access tokens, offline unless ``revocation`` asks for more.

    Give it to ``MCPServer(token_verifier=…, auth=AuthSettings(issuer_url=…, resource_server_url=…,
    validate_token_resource=False))``: the audience is checked here, byte for byte, while the SDK compares URLs that it
    rewrote.
    """

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        keys: Keys | None = None,
        trusted_ca_file: str | None = None,
        revocation: Revocation | None = None,
    ) -> None:
        """The arguments are members of ``ResourceOptions``, and mean what they mean there."""
        options = ResourceOptions(keys=keys, trusted_ca_file=trusted_ca_file, revocation=revocation)
        self._verifier = build_verifier(issuer=issuer, resource=resource, options=options)

    async def verify_token(self, token: str) -> SdkAccessToken | None:
        """The token in the SDK's form, None where it is not good, or where that cannot be told now."""
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

    It answers only requests that are addressed to the host of ``resource`` (DNS rebinding), and pages of its own
    origin or of one in ``McpOptions.allowed_origins``. For another transport, or settings of your own, give the
    application that ``server.streamable_http_app(…)`` makes.

    The SDK knows the token too: ``get_access_token()`` works, and a session belongs to the client and person that
    opened it.

    Raises ``ConfigurationError`` as ``protect`` does, and when an ``MCPServer`` starts (the ASGI lifespan) without a
    tool that ``tool_scopes`` names: a misspelt name would leave the real tool unprotected. The tools of any other
    application cannot be known, so nothing is compared there.
    """
    check_identifier_url("resource", resource)  # before its path becomes a route
    origins = options.allowed_origins if isinstance(options, McpOptions) else ()
    if isinstance(server, MCPServer):
        app: ASGIApp = _ToolNameCheck(_build_http_app(server, resource, origins), server, tool_scopes or {})
    elif origins:
        raise ConfigurationError("allowed_origins", "is for an MCPServer; this application checks origins by itself")
    else:
        app = server
    principal = _SdkPrincipal(AuthContextMiddleware(app))
    return protect(principal, resource=resource, issuer=issuer, scopes=scopes, tool_scopes=tool_scopes, options=options)


def _build_http_app(server: MCPServer[Any], resource: str, origins: Sequence[str]) -> ASGIApp:
    if isinstance(origins, str):
        raise ConfigurationError("allowed_origins", "must be a list of origins, not one text")
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            problem = f"{origin!r} is no origin: it is a scheme, a lower-case host and perhaps a port, without a slash"
            raise ConfigurationError("allowed_origins", problem)
    parts = urlsplit(resource)
    security = TransportSecuritySettings(
        allowed_hosts=[parts.netloc], allowed_origins=[f"{parts.scheme}://{parts.netloc}", *origins]
    )
    return server.streamable_http_app(streamable_http_path=parts.path or "/", transport_security=security)


class _ToolNameCheck:
    """Keeps a server from starting without a tool that ``tool_scopes`` names.

    It looks once the server's own lifespan has begun, as tools may be added until then.
    """

    def __init__(self, app: ASGIApp, server: MCPServer[Any], names: Collection[str]) -> None:
        self._app = app
        self._server = server
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        problems: list[ConfigurationError] = []

        async def send_checked(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                problems.extend(await self._find_problems())
                if problems:
                    raise problems[0]  # Starlette ends the server's lifespan and says that the start failed
            elif message["type"] == "lifespan.startup.failed" and problems:
                message = {**message, "message": str(problems[0])}
            await send(message)

        try:
            await self._app(scope, receive, send_checked)
        except ExceptionGroup:  # what the SDK's task group makes of it
            if problems:
                raise problems[0] from None
            raise

    async def _find_problems(self) -> list[ConfigurationError]:
        tools = [tool.name for tool in await self._server.list_tools()]
        return [
            ConfigurationError("tool_scopes", f"the server has no tool {name!r}{_build_hint(name, tools)}")
            for name in self._names
            if name not in tools
        ]


def _build_hint(name: str, tools: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, tools, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


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
