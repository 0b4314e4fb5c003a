"""The guard in front of an ASGI application: no request passes without a token that is good for it."""

import logging
from typing import assert_never
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Receive, Scope, Send

from nameplate.errors import BearerError, Busy, FetchError
from nameplate.protocol.access_token import AccessToken
from nameplate.protocol.bearer import build_challenge, check_scope, is_scope_sufficient, parse_authorization_header
from nameplate.resource.answers import Headers, build_json, send_answer, send_websocket_refusal
from nameplate.resource.body import Body, Disconnected, NotRead, TooLarge, build_replay, read_body
from nameplate.resource.context import ACCESS_TOKEN_KEY, access_token_variable
from nameplate.resource.metadata_app import MetadataApp
from nameplate.resource.revocation import UNCHECKED_REASON, TokenVerifier
from nameplate.resource.rules import Rules
from nameplate.resource.tool_calls import find_called_tools

__all__ = ["ProtectedApp"]

_log = logging.getLogger("nameplate.resource")

_NO_STORE = (b"cache-control", b"no-store")
_TOO_LARGE = build_json(
    {"error": "invalid_request", "error_description": "The body is too large.", "reason": "body.too_large"}
)
# Not 401: the token may be good, and a client that is told otherwise throws it away.
_NO_KEYS = build_json(
    {
        "error": "temporarily_unavailable",
        "error_description": "The authorization server's keys cannot be had now.",
        "reason": "keys.unreachable",
    }
)
_UNCHECKED = build_json(
    {
        "error": "temporarily_unavailable",
        "error_description": "Whether the access token was revoked cannot be found out now.",
        "reason": UNCHECKED_REASON,
    }
)


class ProtectedApp:
    """An ASGI application that admits bearers of good tokens only. ``protect`` builds one.

    Where it is mounted below a path, route ``metadata_app`` at ``metadata_paths`` in the outer application: they are
    paths from the root of the host.
    """

    def __init__(self, app: ASGIApp, rules: Rules, verifier: TokenVerifier) -> None:
        self.metadata_app = MetadataApp(rules.metadata)
        self.metadata_paths = rules.metadata_paths
        self._app = app
        self._rules = rules
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the metadata; let through what may pass; refuse the rest."""
        match scope["type"]:
            case "http" if _strip_root_path(scope) in self.metadata_paths:
                await self.metadata_app(scope, receive, send)
            case "http":
                await self._guard_http(scope, receive, send)
            case "websocket":
                await self._guard_websocket(scope, receive, send)
            case "lifespan":
                try:
                    await self._app(scope, receive, send)
                finally:
                    await self._verifier.aclose()
            case unknown:
                raise RuntimeError(f"cannot guard an ASGI connection of type {unknown!r}")

    async def _guard_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            access_token = await self._check_token(scope)
            body = await self._read_body(scope, receive, access_token)
            if isinstance(body, Body):
                self._check_body(body, access_token, is_form=_is_form(scope))
        except (BearerError, FetchError) as error:
            await send_answer(send, *self._build_refusal(error))
            return
        match body:
            case Body():
                await self._pass_on(scope, build_replay(body, receive), send, access_token)
            case NotRead():
                await self._pass_on(scope, receive, send, access_token)
            case TooLarge():
                await send_answer(send, 413, _TOO_LARGE, [_NO_STORE])
            case Disconnected():
                return
            case _:
                assert_never(body)

    async def _guard_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Messages on a WebSocket are not read, so whoever opens one needs what any tool needs."""
        rules = self._rules
        try:
            access_token = await self._check_token(scope)
            check_scope(access_token.scope, rules.every_tool_scope, rules.scope_implies)
        except (BearerError, FetchError) as error:
            status, body, headers = self._build_refusal(error)
            await send_websocket_refusal(scope, receive, send, status=status, body=body, headers=headers)
            return
        await self._pass_on(scope, receive, send, access_token)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, access_token: AccessToken) -> None:
        scope[ACCESS_TOKEN_KEY] = access_token
        reset = access_token_variable.set(access_token)
        try:
            await self._app(scope, receive, send)
        finally:
            access_token_variable.reset(reset)

    async def _check_token(self, scope: Scope) -> AccessToken:
        """The token of this very request: what an earlier one proved does not count (MCP authorization)."""
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        token = parse_authorization_header(values)
        if token is None:
            raise BearerError("", "An access token is needed.", reason="token.missing")
        access_token = await self._verifier.verify(token)
        check_scope(access_token.scope, self._rules.required_scope, self._rules.scope_implies)
        return access_token

    async def _read_body(
        self, scope: Scope, receive: Receive, access_token: AccessToken
    ) -> Body | NotRead | TooLarge | Disconnected:
        """The body, where something in it could be refused."""
        rules, is_form = self._rules, _is_form(scope)
        if not is_form and is_scope_sufficient(access_token.scope, rules.every_tool_scope, rules.scope_implies):
            return NotRead()
        if _is_encoded(scope):
            raise BearerError("invalid_request", "The body must not be compressed.", reason="body.encoded")
        return await read_body(receive, limit_bytes=rules.max_body_bytes, reads_all=is_form)

    def _check_body(self, body: Body, access_token: AccessToken, *, is_form: bool) -> None:
        """Raises ``BearerError``: a second token (400), tools that the token's scope does not cover (403)."""
        if is_form and _has_token_parameter(body.data):
            # RFC 6750 §2, §3.1: one way to send the token per request; the form is no way at all (OAuth 2.1 §5.1)
            raise BearerError("invalid_request", "The access token was sent twice.", reason="token.repeated")
        tools = find_called_tools(body.data)
        if tools is None:
            description = "The body cannot be read without doubt, so the tools it calls cannot be told."
            raise BearerError("invalid_request", description, reason="body.ambiguous")
        check_scope(access_token.scope, self._rules.build_needed_scope(tools), self._rules.scope_implies)

    def _build_refusal(self, error: BearerError | FetchError) -> tuple[int, bytes, Headers]:
        """Status, body and headers. The body says what the challenge says, and the reason's slug."""
        _log.debug("refused: %s", error)
        if isinstance(error, FetchError):
            wait = error.retry_after_seconds if isinstance(error, Busy) else 10
            body = _UNCHECKED if error.reason == UNCHECKED_REASON else _NO_KEYS
            return 503, body, [_NO_STORE, (b"retry-after", str(wait).encode())]
        rules = self._rules
        challenge = build_challenge(
            error, resource_metadata_url=rules.metadata_url, scope=error.scope or rules.challenge_scope
        )
        answer = {"error": error.code, "error_description": error.description, "reason": error.reason}
        body = build_json({name: value for name, value in answer.items() if value})
        return error.status, body, [_NO_STORE, (b"www-authenticate", challenge.encode("ascii"))]


def _strip_root_path(scope: Scope) -> str:
    """The path from the root of the host, whether or not the server counts its own root path into it."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _read_header(scope: Scope, name: bytes) -> bytes:
    """All values of a header in lower case, as one list (RFC 9110 §5.3)."""
    return b",".join([value for key, value in scope["headers"] if key == name]).strip().lower()


def _is_form(scope: Scope) -> bool:
    return _read_header(scope, b"content-type").startswith(b"application/x-www-form-urlencoded")


def _is_encoded(scope: Scope) -> bool:
    return _read_header(scope, b"content-encoding") not in (b"", b"identity")


def _has_token_parameter(form: bytes) -> bool:
    names = (pair.split(b"=", 1)[0].decode("latin-1") for pair in form.split(b"&"))
    return any(unquote_plus(name) == "access_token" for name in names)
