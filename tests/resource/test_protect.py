"""What a protected application does besides HTTP, and which settings it refuses to start with."""

import asyncio
from typing import Any

import pytest
from resource_kit import ISSUER, RESOURCE, Clock, build_claims, publish_keys
from starlette.types import ASGIApp, Receive, Scope, Send

from nameplate.errors import ConfigurationError
from nameplate.jose import KeySet, SigningKey
from nameplate.resource import ProtectedApp, ResourceOptions, StaticKeys, current_access_token, protect

NOW = 1_800_000_000
KEY = SigningKey.generate()
KEYS = StaticKeys(publish_keys([KEY]))


class Inner:
    """An application that notes which connections reach it."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.subjects: list[str | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = current_access_token()
        self.reached.append(scope["type"])
        self.subjects.append(token.subject if token else None)
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})


def build_app(inner: ASGIApp, **settings: Any) -> ProtectedApp:
    options = settings.pop("options", None) or ResourceOptions(keys=KEYS, clock=Clock(NOW))
    given = {"resource": RESOURCE, "issuer": ISSUER, "scopes": ["read", "write"], **settings}
    return protect(inner, **given, options=options)


def run(app: ASGIApp, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What the application sends to a connection on which these messages come."""
    coming, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def serve() -> None:
        await app(scope, receive, send)

    asyncio.run(serve())
    return sent


def build_websocket(token: str | None, **members: Any) -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    return {"type": "websocket", "path": "/mcp", "headers": headers, **members}


def sign(**changes: Any) -> str:
    return KEY.sign(build_claims(now=NOW, **changes), typ="at+jwt")


CONNECT = {"type": "websocket.connect"}


def test_a_websocket_with_a_good_token_is_let_through() -> None:
    inner = Inner()
    assert run(build_app(inner), build_websocket(sign()), CONNECT) == []
    assert (inner.reached, inner.subjects) == (["websocket"], ["person"])
    assert current_access_token() is None


@pytest.mark.parametrize("token", [None, "junk", sign(aud="https://other.example"), sign(exp=1)])
def test_a_websocket_without_a_good_token_is_closed_before_it_opens(token: str | None) -> None:
    inner = Inner()
    sent = run(build_app(inner), build_websocket(token), CONNECT)
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert inner.reached == []


def test_a_websocket_is_refused_with_the_challenge_where_the_server_can_send_one() -> None:
    scope = build_websocket(None, extensions={"websocket.http.response": {}})
    start, body = run(build_app(Inner()), scope, CONNECT)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert dict(start["headers"])[b"www-authenticate"].startswith(b"Bearer resource_metadata=")
    assert body["type"] == "websocket.http.response.body"


def test_a_websocket_needs_what_any_tool_needs_as_its_messages_are_not_read() -> None:
    settings: dict[str, Any] = {"tool_scopes": {"edit": ["write"]}}
    inner = Inner()
    scope = build_websocket(sign(scope="read"), extensions={"websocket.http.response": {}})
    start, _ = run(build_app(inner, **settings), scope, CONNECT)
    assert start["status"] == 403
    assert b'scope="write"' in dict(start["headers"])[b"www-authenticate"]
    run(build_app(inner, **settings), build_websocket(sign(scope="write")), CONNECT)
    assert inner.reached == ["websocket"]


class ClosableKeys:
    """Keys that note when they are closed."""

    def __init__(self) -> None:
        self.is_closed = False

    async def load(self) -> KeySet:
        return await KEYS.load()

    async def reload(self) -> KeySet:
        return await KEYS.reload()

    async def aclose(self) -> None:
        self.is_closed = True


def test_the_lifespan_is_the_applications_own_and_its_end_closes_the_keys() -> None:
    inner, keys = Inner(), ClosableKeys()
    app = build_app(inner, options=ResourceOptions(keys=keys))
    sent = run(app, {"type": "lifespan"}, {"type": "lifespan.startup"})
    assert sent == [{"type": "lifespan.startup.complete"}]
    assert (inner.reached, inner.subjects) == (["lifespan"], [None])
    assert keys.is_closed


def test_a_kind_of_connection_that_is_not_known_is_not_let_through() -> None:
    inner = Inner()
    with pytest.raises(RuntimeError, match="telnet"):
        run(build_app(inner), {"type": "telnet", "path": "/", "headers": []})
    assert inner.reached == []


def test_requests_at_the_same_time_see_their_own_tokens() -> None:
    seen: list[tuple[str, str]] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        token = current_access_token()
        assert token is not None
        seen.append((scope["path"], token.subject))

    app = build_app(inner)

    async def request(name: str) -> None:
        headers = [(b"authorization", f"Bearer {sign(sub=name)}".encode())]

        async def unused(*_: object) -> Any:
            raise AssertionError("nothing is read or sent")

        await app({"type": "http", "method": "GET", "path": f"/{name}", "headers": headers}, unused, unused)

    async def run_all() -> None:
        await request("alone")
        assert current_access_token() is None
        await asyncio.gather(*(request(f"person{index}") for index in range(10)))

    asyncio.run(run_all())
    assert len(seen) == 11
    assert all(path == f"/{subject}" for path, subject in seen)


def test_a_path_below_the_servers_own_root_finds_the_metadata() -> None:
    for path, root_path in [
        ("/.well-known/oauth-protected-resource/mcp", ""),
        ("/api/.well-known/oauth-protected-resource/mcp", "/api"),
        ("/.well-known/oauth-protected-resource", "/api"),
    ]:
        scope = {"type": "http", "method": "GET", "path": path, "root_path": root_path, "headers": []}
        assert run(build_app(Inner()), scope)[0]["status"] == 200


def challenge_scope(**settings: Any) -> bytes:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    start, _ = run(build_app(Inner(), **settings), scope)
    challenge: bytes = dict(start["headers"])[b"www-authenticate"]
    return challenge.partition(b"scope=")[2]


@pytest.mark.proves("MCP-32")
def test_the_challenge_names_what_every_request_needs_or_else_all_there_is() -> None:
    """MCP-32."""
    required = ResourceOptions(keys=KEYS, required_scope=["read"])
    assert challenge_scope(options=required) == b'"read"'
    assert challenge_scope() == b'"read write"'
    assert challenge_scope(scopes={"read": "See notes", "write": "Change notes"}) == b'"read write"'
    assert challenge_scope(scopes=[]) == b""


@pytest.mark.proves("MCP-40")
@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("resource", {"resource": "mcp.example.com"}),
        ("resource", {"resource": "https://mcp.example.com/mcp#a"}),
        ("resource", {"resource": "http://mcp.example.com/mcp"}),
        ("issuer", {"issuer": "https://LOGIN.example.com"}),
        ("issuer", {"issuer": ""}),
        ("scopes", {"scopes": "read write"}),
        ("scopes", {"scopes": ["read write"]}),
        ("scopes", {"scopes": ['a"b']}),
        ("scopes", {"scopes": ["read", "offline_access"]}),
        ("scopes", {"tool_scopes": {"edit": ["delete"]}}),
        ("scopes", {"options": ResourceOptions(keys=KEYS, required_scope=["delete"])}),
        ("scopes", {"options": ResourceOptions(keys=KEYS, scope_implies={"admin": ["read"]})}),
        ("scopes", {"options": ResourceOptions(keys=KEYS, scope_implies={"write": ["delete"]})}),
        ("tool_scopes['edit']", {"tool_scopes": {"edit": "write"}}),
        ("required_scope", {"options": ResourceOptions(keys=KEYS, required_scope="read")}),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(setting: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_app(Inner(), **settings)
    assert caught.value.setting == setting
