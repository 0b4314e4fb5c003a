"""The authorization server as an ASGI application: its routes, and the life of its parts.

This is the one place where the server is composed.
"""

import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from nameplate.errors import ProtocolError, StoreError, TokenError
from nameplate.protocol.cors import build_preflight_headers
from nameplate.protocol.server_metadata import (
    ServerOffer,
    build_metadata_paths,
    build_server_metadata,
    get_issuer_path,
)
from nameplate.server.answers import NO_STORE, build_json_error, build_page
from nameplate.server.authorize import authorize
from nameplate.server.consent import answer_consent, show_consent
from nameplate.server.context import Clock, ServerContext
from nameplate.server.introspect import introspect
from nameplate.server.pages.render import render_notice
from nameplate.server.pages.views import NoticeView
from nameplate.server.parts import open_context
from nameplate.server.public_documents import build_json_document, show_stylesheet
from nameplate.server.readiness import Readiness
from nameplate.server.refusals import refuse_on_page, server_failed, store_failed
from nameplate.server.register import register
from nameplate.server.resource_servers import refuse_resource_server
from nameplate.server.revocation_feed import show_revocations
from nameplate.server.revoke import revoke
from nameplate.server.settings import Settings
from nameplate.server.sign_in import sign_in, sign_out
from nameplate.server.token import token
from nameplate.server.upstream_sign_in import come_back, leave_for_provider

__all__ = ["AuthorizationServer"]

Endpoint = Callable[[Request, ServerContext], Awaitable[Response]]

METADATA_SECONDS = 300

_RESOURCE_SERVER_PATHS = frozenset({"/introspect", "/revocations"})
_JSON_PATHS = frozenset({"/register", "/revoke", "/token"}) | _RESOURCE_SERVER_PATHS


class AuthorizationServer:
    """An authorization server.

    Standing alone, ``standalone_app()`` is all there is to it. In another Starlette application, mount ``app`` at the
    issuer's path, add ``well_known_routes()`` to the application's own routes, and run ``lifespan`` (or enter
    ``running()``)::

        server = AuthorizationServer(settings)
        app = Starlette(
            routes=[*server.well_known_routes(), Mount(server.base_path, server.app)], lifespan=server.lifespan
        )
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._context: ServerContext | None = None
        self._readiness = Readiness(time.monotonic)
        self.base_path = get_issuer_path(settings.issuer)
        """The issuer's path: empty, or where ``app`` has to be mounted."""
        self.app = self._build_app(self._routes(""))
        """Everything below the issuer's path."""
        self._metadata = build_json_document(
            build_server_metadata(settings.issuer, _build_offer(settings)),
            max_age_seconds=METADATA_SECONDS,
        )

    @property
    def context(self) -> ServerContext:
        """The running parts. Raises ``RuntimeError`` before ``running()`` was entered."""
        if self._context is None:
            raise RuntimeError(
                "the authorization server is not running: enter running(), or pass lifespan to the application"
            )
        return self._context

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ServerContext]:
        """Open the store, the keys and the fetcher; close them at the end."""
        async with open_context(self._settings, clock=self._clock) as context:
            self._context = context
            try:
                yield context
            finally:
                self._context = None

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:  # noqa: ARG002  (Starlette passes the application)
        """``running()`` in the form that Starlette takes."""
        async with self.running():
            yield

    def standalone_app(self) -> Starlette:
        """The server alone, at the root of its host, with ``/healthz`` and ``/readyz``."""
        health: list[BaseRoute] = [
            Route("/healthz", self._show_health, methods=["GET"]),
            Route("/readyz", self._show_readiness, methods=["GET"]),
        ]
        # Not mounted but flat: a second application inside the first would cost each request a tenth of its time.
        routes = [*self.well_known_routes(), *self._routes(self.base_path), *health]
        return self._build_app(routes, lifespan=self.lifespan)

    def well_known_routes(self) -> list[BaseRoute]:
        """The metadata at every path that clients try, from the root of the host (RFC 8414 §3.1)."""
        return [
            Route(path, self._show_metadata, methods=["GET", "OPTIONS"])
            for path in build_metadata_paths(self._settings.issuer)
        ]

    def _routes(self, prefix: str) -> list[BaseRoute]:
        for_resource_servers = [
            Route(f"{prefix}/introspect", self._introspect, methods=["POST"]),
            _without_head(Route(f"{prefix}/revocations", self._show_revocations, methods=["GET"])),
        ]
        for_providers = [
            Route(f"{prefix}/sign-in/{{name}}", self._page(leave_for_provider), methods=["POST"]),
            _without_head(Route(f"{prefix}/callback/{{name}}", self._page(come_back), methods=["GET"])),
        ]
        registration = Route(f"{prefix}/register", self._register, methods=["POST", "OPTIONS"])
        return [
            *([registration] if self._settings.registration.enabled else []),
            *(for_resource_servers if self._settings.resource_servers else []),
            *(for_providers if self._settings.upstreams else []),
            Route(f"{prefix}/token", self._token, methods=["POST", "OPTIONS"]),
            Route(f"{prefix}/revoke", self._revoke, methods=["POST", "OPTIONS"]),
            _without_head(Route(f"{prefix}/authorize", self._page(authorize), methods=["GET"])),
            Route(prefix or "/", self._show_front_page, methods=["GET"]),
            *([Route(f"{prefix}/sign-in", self._page(sign_in), methods=["POST"])] if self._settings.accounts else []),
            # Where a browser is left after a wrong password: Enter in the address bar must not be a bare error.
            Route(f"{prefix}/sign-in", self._page(show_consent), methods=["GET"]),
            Route(f"{prefix}/sign-out", self._page(sign_out), methods=["POST"]),
            _without_head(Route(f"{prefix}/consent", self._page(show_consent), methods=["GET"])),
            Route(f"{prefix}/consent", self._page(answer_consent), methods=["POST"]),
            Route(f"{prefix}/jwks", self._show_jwks, methods=["GET", "OPTIONS"]),
            Route(f"{prefix}/style.css", show_stylesheet, methods=["GET"]),
        ]

    def _build_app(self, routes: list[BaseRoute], **options: Any) -> Starlette:
        handlers = {Exception: self._show_mistake, HTTPException: self._show_no_such_thing}
        app = Starlette(routes=routes, exception_handlers=handlers, **options)
        # Starlette would redirect /authorize/ to a URL built from the request's Host header, which anybody can forge.
        app.router.redirect_slashes = False
        return app

    def _page(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint with its context; what it refuses becomes a page, and so does a mistake of ours."""

        @functools.wraps(endpoint)
        async def answer(request: Request) -> Response:
            context = self.context
            try:
                return await endpoint(request, context)
            except ProtocolError as error:
                return refuse_on_page(error, stylesheet=context.stylesheet)
            except StoreError as error:
                return refuse_on_page(store_failed(str(error)), stylesheet=context.stylesheet, cause=error)

        return answer

    async def _token(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return _answer_preflight("POST")
        return await token(request, self.context)

    async def _revoke(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return _answer_preflight("POST")
        return await revoke(request, self.context)

    async def _introspect(self, request: Request) -> Response:
        return await introspect(request, self.context)

    async def _show_revocations(self, request: Request) -> Response:
        return await show_revocations(request, self.context)

    async def _register(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return _answer_preflight("POST")
        return await register(request, self.context)

    async def _show_metadata(self, request: Request) -> Response:
        return _answer_preflight("GET") if request.method == "OPTIONS" else self._metadata

    async def _show_jwks(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return _answer_preflight("GET")
        return self.context.signing_keys.jwks

    async def _show_mistake(self, request: Request, error: Exception) -> Response:
        """Nothing that went wrong here is the peer's fault."""
        mistake = server_failed()
        if self._answers_json(request):
            return build_json_error(mistake, cause=error)
        return refuse_on_page(mistake, stylesheet=f"{self.base_path}/style.css", cause=error)

    async def _show_no_such_thing(self, request: Request, error: Exception) -> Response:
        """A path or a method that does not exist."""
        if not isinstance(error, HTTPException):
            raise error
        headers = {**(error.headers or {}), "X-Content-Type-Options": "nosniff"}
        if self._answers_json(request) and error.status_code == 405:
            method = TokenError("invalid_request", "This method is not served.", reason="token.method", status=405)
            is_for_servers = request.url.path.removeprefix(self.base_path) in _RESOURCE_SERVER_PATHS
            response = refuse_resource_server(method) if is_for_servers else build_json_error(method)
            response.headers.update(headers)
            return response
        return PlainTextResponse(error.detail, error.status_code, headers)

    def _answers_json(self, request: Request) -> bool:
        """Whether the path is an endpoint for programs, whose refusals are JSON too."""
        return request.url.path.removeprefix(self.base_path) in _JSON_PATHS

    async def _show_front_page(self, _request: Request) -> Response:
        """Whoever opens the issuer's URL in a browser learns what this is."""
        view = NoticeView(
            title="An authorization server",
            sentence="Applications send you here to ask whether they may use a server in your name.",
            advice="There is nothing to do on this page. Start in the application that you want to use.",
        )
        return build_page(render_notice(view, stylesheet=f"{self.base_path}/style.css"), form_action="'none'")

    async def _show_health(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def _show_readiness(self, _request: Request) -> Response:
        """The store can be read and written, every key that others publish can be opened, and the clock is right."""
        problem = await self._readiness.check(self.context)
        return JSONResponse({"status": problem or "ok"}, 503 if problem else 200, NO_STORE)


def _build_offer(settings: Settings) -> ServerOffer:
    return ServerOffer(
        scopes=tuple(scope.name for resource in settings.resources for scope in resource.scopes),
        has_documents=settings.cimd.enabled,
        has_registration=settings.registration.enabled,
        has_introspection=bool(settings.resource_servers),
        has_exchange=any(server.may_exchange for server in settings.resource_servers),
    )


def _without_head(route: Route) -> Route:
    """Starlette adds HEAD to every GET; for a page that keeps a request, that would be work for nobody (HT-03)."""
    if route.methods is not None:
        route.methods.discard("HEAD")
    return route


def _answer_preflight(method: str) -> Response:
    return Response(status_code=204, headers=build_preflight_headers([method, "OPTIONS"]))
