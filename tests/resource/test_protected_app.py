"""No request reaches a protected application without a good token, and a refusal says what would be good enough."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from resource_kit import IssuerHost, call, run_issuers, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from nameplate.jose import SigningKey
from nameplate.resource import AccessToken, ProtectedApp, ResourceOptions, current_access_token, protect

SCOPES = ("read", "write", "delete", "admin")
TOOL_SCOPES = {"edit": ["write"], "erase": ["write", "delete"], 'name with "quotes" and é\r\n': ["delete"]}
OPTIONS = ResourceOptions(
    required_scope=["read"],
    scope_implies={"admin": ["delete", "write"], "write": ["read"]},
    name="Notes",
    max_body_bytes=10_000,
)


async def echo(request: Request) -> Response:
    """What the application sees of a request."""
    token = request.scope["nameplate.access_token"]
    assert isinstance(token, AccessToken)
    assert token is current_access_token()
    body = await request.body()
    return JSONResponse({"subject": token.subject, "scope": token.scope, "size": len(body), "path": request.url.path})


def build_echo_app() -> ASGIApp:
    return Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])])


class Resource:
    """A protected application on a socket, and the authorization server that it trusts."""

    def __init__(self, origin: str, issuer: IssuerHost, **settings: Any) -> None:
        self.url = origin + "/mcp"
        self.issuer = issuer
        self.app = protect(
            build_echo_app(),
            resource=self.url,
            issuer=issuer.issuer,
            **{"scopes": SCOPES, "tool_scopes": TOOL_SCOPES, "options": OPTIONS, **settings},
        )

    def sign(self, **changes: Any) -> str:
        """A token for this resource."""
        return self.issuer.sign(**{"aud": self.url, **changes})

    def call(self, token: str | None = None, **options: Any) -> httpx2.Response:
        """One request to it."""
        return call(self.url, token, **options)

    def call_tool(self, token: str, *tools: str, **options: Any) -> httpx2.Response:
        """A call of one tool, or a batch of calls."""
        calls = [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}} for tool in tools]
        return self.call(token, json=calls[0] if len(calls) == 1 else calls, **options)


@pytest.fixture(scope="module")
def resource() -> Iterator[Resource]:
    built: list[Resource] = []

    def build(origin: str) -> ASGIApp:
        built.append(Resource(origin, house.host))
        return built[0].app

    with run_issuers() as house, serve(build):
        yield built[0]


def read_challenge(response: httpx2.Response) -> dict[str, str]:
    """The parameters of the one challenge of an answer."""
    (challenge,) = response.headers.get_list("www-authenticate")
    scheme, _, rest = challenge.partition(" ")
    assert scheme == "Bearer"
    return {name: value.strip('"') for name, _, value in (part.partition("=") for part in rest.split(", "))}


def check_refusal(response: httpx2.Response, status: int, error: str, reason: str) -> None:
    assert (response.status_code, response.json().get("error", ""), response.json()["reason"]) == (
        status,
        error,
        reason,
    )
    assert response.headers["cache-control"] == "no-store"
    assert read_challenge(response).get("error", "") == error


# Access


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_a_good_token_is_let_through_with_every_method(resource: Resource, method: str) -> None:
    response = resource.call(resource.sign(), method=method, content=b"12345")
    assert response.status_code == 200
    assert response.json() == {"subject": "person", "scope": ["read"], "size": 5, "path": "/mcp"}


@pytest.mark.proves("MCP-31", "MCP-33", "MCP-41", "MCP-42")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    "path", ["", "/", "/../mcp", "/.well-known/oauth-protected-resource", "//mcp", "?a=b", "/%2e%2e/"]
)
def test_without_a_token_nothing_is_reached(resource: Resource, method: str, path: str) -> None:
    response = call(resource.url + path, method=method)
    assert response.status_code == 401
    assert read_challenge(response) == {
        "resource_metadata": resource.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"),
        "scope": "read",
    }
    if method != "HEAD":
        assert response.json() == {"error_description": "An access token is needed.", "reason": "token.missing"}


@pytest.mark.proves("MCP-39")
@pytest.mark.parametrize(
    "options",
    [
        {"params": {"access_token": "TOKEN"}},
        {"cookies": {"access_token": "TOKEN", "Authorization": "Bearer TOKEN"}},
        {"data": {"access_token": "TOKEN"}},
        {"json": {"access_token": "TOKEN"}},
        {"headers": {"X-Authorization": "Bearer TOKEN"}},
        {"headers": {"Proxy-Authorization": "Bearer TOKEN"}},
        {"headers": {"Authorization": "Basic TOKEN"}},
    ],
)
def test_a_token_in_another_place_is_no_token(resource: Resource, options: dict[str, Any]) -> None:
    """RS-04, MCP-39."""
    filled = json.loads(json.dumps(options).replace("TOKEN", resource.sign()))
    with httpx2.Client(trust_env=False, cookies=filled.pop("cookies", None)) as client:
        check_refusal(client.post(resource.url, **filled), 401, "", "token.missing")


@pytest.mark.proves("MCP-39")
def test_a_token_that_is_sent_twice_is_a_bad_request(resource: Resource) -> None:
    token = resource.sign()
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    with httpx2.Client(trust_env=False, headers=twice) as client:
        check_refusal(client.post(resource.url), 400, "invalid_request", "token.repeated")
    for form in ({"access_token": token}, {"a": "1", "access_token": ""}):
        for sent in (token, resource.sign(scope="admin")):
            check_refusal(resource.call(sent, data=form), 400, "invalid_request", "token.repeated")
    hidden = resource.call(
        token, content=b"a=1&acc%65ss_token=x", headers={"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=x"}
    )
    check_refusal(hidden, 400, "invalid_request", "token.repeated")
    assert resource.call(token, data={"my_access_token": "1"}).json()["size"] == len("my_access_token=1")


@pytest.mark.proves("MCP-33")
@pytest.mark.parametrize("value", ["Bearer", "Bearer a b", "Bearer a,b", "", "Bearer tökén"])
def test_a_malformed_header_is_a_bad_request(resource: Resource, value: str) -> None:
    response = resource.call(headers={"Authorization": value.encode("latin-1")})
    check_refusal(response, 400, "invalid_request", "token.malformed_header")


STRANGER = SigningKey.generate()


@pytest.mark.proves("MCP-33", "MCP-37", "AT-2")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": STRANGER}, "token.unknown_key"),
        ({"typ": "JWT"}, "token.wrong_type"),
        ({"typ": "client-authentication+jwt"}, "token.wrong_type"),
        ({"typ": "consent+jwt"}, "token.wrong_type"),
        ({"iss": "https://login.example.com"}, "token.wrong_issuer"),
        ({"aud": None}, "token.wrong_audience"),
        ({"aud": "http://127.0.0.1/mcp"}, "token.wrong_audience"),
        ({"aud": []}, "token.wrong_audience"),
        ({"exp": 1_000_000_000}, "token.expired"),
        ({"nbf": 4_000_000_000}, "token.not_yet_valid"),
        ({"iat": 4_000_000_000}, "token.not_yet_valid"),
        ({"exp": True}, "token.claim_invalid"),
        ({"sub": None}, "token.claim_invalid"),
    ],
)
def test_a_forged_foreign_or_old_token_is_refused(resource: Resource, changes: dict[str, Any], reason: str) -> None:
    """RS-01, RS-02, RS-03, RS-05, RS-10."""
    check_refusal(resource.call(resource.sign(**changes)), 401, "invalid_token", reason)


@pytest.mark.proves("MCP-37")
@pytest.mark.parametrize("suffix", ["/", "/admin", ""])
def test_the_audience_is_the_exact_identifier(resource: Resource, suffix: str) -> None:
    audience = resource.url + suffix if suffix else resource.url.removesuffix("/mcp")
    check_refusal(resource.call(resource.sign(aud=audience)), 401, "invalid_token", "token.wrong_audience")
    shared = [resource.url, audience]
    check_refusal(resource.call(resource.sign(aud=shared)), 401, "invalid_token", "token.wrong_audience")


@pytest.mark.proves("MCP-37")
@pytest.mark.parametrize(
    "token", ["opaque-refresh-token", "a.b.c", "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.", "x" * 20_000]
)
def test_what_is_no_token_of_ours_is_refused(resource: Resource, token: str) -> None:
    response = resource.call(token)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")


# Scope


@pytest.mark.proves("MCP-33", "MCP-34")
def test_a_token_without_the_required_scope_is_told_which(resource: Resource) -> None:
    """RS-06, MCP-34."""
    for scope in (None, "other"):
        response = resource.call(resource.sign(scope=scope))
        check_refusal(response, 403, "insufficient_scope", "token.insufficient_scope")
        challenge = read_challenge(response)
        assert challenge["scope"] == "read"
        assert challenge["resource_metadata"].endswith("/.well-known/oauth-protected-resource/mcp")


@pytest.mark.proves("MCP-35", "MCP-36")
@pytest.mark.parametrize(
    ("scope", "tools", "needed"),
    [
        ("read", ["list"], None),
        ("read", ["edit"], "read write"),
        ("read", ["erase"], "read write delete"),
        ("write", ["edit"], None),
        ("write", ["erase"], "read write delete"),
        ("write", ["edit", "erase"], "read write delete"),
        ("write", ["list", "edit", "list"], None),
        ("read", ["list", "edit"], "read write"),
        ("admin", ["edit", "erase", "list"], None),
        ("read", ["Edit"], None),
        ("read", ['name with "quotes" and é\r\n'], "read delete"),
    ],
)
def test_a_tool_needs_its_scopes_all_named_in_one_challenge(
    resource: Resource, scope: str, tools: list[str], needed: str | None
) -> None:
    """RS-06, RS-09, MCP-35, MCP-36."""
    response = resource.call_tool(resource.sign(scope=scope), *tools)
    if needed is None:
        assert response.status_code == 200
    else:
        check_refusal(response, 403, "insufficient_scope", "token.insufficient_scope")
        assert read_challenge(response)["scope"] == needed


CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"erase"}}'


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_a_tool_is_not_called_by_another_method_either(resource: Resource, method: str) -> None:
    assert resource.call(resource.sign(), method=method, content=CALL).status_code == 403


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_a_tool_is_not_called_under_another_content_type_either(resource: Resource, content_type: str) -> None:
    response = resource.call(resource.sign(), content=CALL, headers={"Content-Type": content_type})
    assert response.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        CALL.decode().encode("utf-16"),
        CALL[:-1] + b',"method":"ping"}',
        CALL[:-1],
        b'{"Method":"tools/call","method":"ping"}',
        b"[" + CALL + b",[" + CALL + b"]]",
    ],
)
def test_a_body_that_cannot_be_judged_is_refused(resource: Resource, body: bytes) -> None:
    check_refusal(resource.call(resource.sign(), content=body), 400, "invalid_request", "body.ambiguous")


def test_a_compressed_body_is_refused(resource: Resource) -> None:
    response = resource.call(resource.sign(), content=CALL, headers={"Content-Encoding": "gzip"})
    check_refusal(response, 400, "invalid_request", "body.encoded")


def test_what_cannot_hold_a_call_is_the_applications_business(resource: Resource) -> None:
    for body in (b"", b"{broken", b"\x00\x01\x02 tools/call", b"--boundary" + b"x" * 100_000):
        assert resource.call(resource.sign(), content=body).json()["size"] == len(body)


def test_a_message_that_is_too_large_is_refused_unless_nothing_in_it_could_be(resource: Resource) -> None:
    body = b'{"padding":"' + b"x" * 20_000 + b'"}'
    response = resource.call(resource.sign(), content=body)
    assert (response.status_code, response.json()["reason"]) == (413, "body.too_large")
    assert resource.call(resource.sign(scope="admin"), content=body).json()["size"] == len(body)


def test_a_client_that_goes_away_in_the_middle_of_a_message_harms_nobody(resource: Resource) -> None:
    host, port = resource.url.removeprefix("http://").removesuffix("/mcp").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {resource.sign()}\r\nContent-Length: 100\r\n\r\n"
        )
        connection.sendall(head.encode() + b'{"a":')
    assert resource.call(resource.sign()).status_code == 200


# Metadata


@pytest.mark.proves("MCP-30", "MCP-31", "PRM-1", "PRM-5")
@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"])
def test_the_metadata_is_served_to_everybody_at_both_places(resource: Resource, path: str) -> None:
    """MCP-30, MCP-31, MD-04."""
    response = call(resource.url.replace("/mcp", path), method="GET", headers={"Origin": "https://browser.example"})
    assert response.status_code == 200
    assert response.json() == {
        "resource": resource.url,
        "authorization_servers": [resource.issuer.issuer],
        "bearer_methods_supported": ["header"],
        "scopes_supported": list(SCOPES),
        "resource_name": "Notes",
    }
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers


def test_the_metadata_answers_a_browsers_preflight(resource: Resource) -> None:
    response = call(
        resource.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"),
        method="OPTIONS",
        headers={"Origin": "https://browser.example", "Access-Control-Request-Headers": "mcp-protocol-version"},
    )
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "GET" in response.headers["access-control-allow-methods"]
    assert "mcp-protocol-version" in response.headers["access-control-allow-headers"].lower()
    assert response.content == b""


def test_the_metadata_has_no_other_methods(resource: Resource) -> None:
    url = resource.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    assert call(url, method="HEAD").status_code == 200
    for method in ("POST", "PUT", "DELETE"):
        response = call(url, method=method)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_the_metadata_does_not_depend_on_the_host_that_was_asked(resource: Resource) -> None:
    url = resource.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    response = call(url, method="GET", headers={"Host": "attacker.example", "X-Forwarded-Host": "attacker.example"})
    assert response.json()["resource"] == resource.url


def test_an_application_that_mounts_a_protected_one_routes_its_metadata() -> None:
    with run_issuers() as house:
        resources: list[Resource] = []

        def build(origin: str) -> ASGIApp:
            resources.append(Resource(origin, house.host))
            app: ProtectedApp = resources[0].app
            metadata = [Route(path, app.metadata_app) for path in sorted(app.metadata_paths)]
            return Starlette(routes=[*metadata, Mount("/mcp", app)])

        with serve(build):
            resource = resources[0]
            response = call(resource.url + "/", resource.sign(), method="GET")
            assert (response.status_code, response.json()["path"]) == (200, "/mcp/")
            url = read_challenge(call(resource.url + "/", method="GET"))["resource_metadata"]
            assert call(url, method="GET").json()["resource"] == resource.url
            assert call(url, method="OPTIONS").status_code == 204


# Keys


def test_without_keys_nobody_is_told_that_the_token_is_bad() -> None:
    with run_issuers() as house:
        resources: list[Resource] = []

        def build(origin: str) -> ASGIApp:
            resources.append(Resource(origin, house.host))
            return resources[0].app

        house.host.statuses["/jwks"] = 500
        with serve(build):
            resource = resources[0]
            for _ in range(3):
                response = resource.call(resource.sign())
                assert response.status_code == 503
                assert (response.json()["error"], response.json()["reason"]) == (
                    "temporarily_unavailable",
                    "keys.unreachable",
                )
                assert int(response.headers["retry-after"]) > 0
                assert "www-authenticate" not in response.headers
            assert house.host.key_fetches == 1
            assert resource.call().status_code == 401
            assert call(resource.url.replace("/mcp", "/.well-known/oauth-protected-resource")).status_code == 405


def test_keys_are_fetched_once_for_many_requests(resource: Resource) -> None:
    for index in range(20):
        assert resource.call(resource.sign(jti=str(index))).status_code == 200
    assert resource.issuer.key_fetches <= 2  # one more where another test used an unknown kid
