"""Metadata, keys and stylesheet: at every location that clients try, the same bytes, for scripts of any origin."""

from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from flow_world import World, build_settings, run_world
from nameplate.server.app import AuthorizationServer
from nameplate.testing.document_host import run_document_host
from nameplate.testing.serving import open_listener, serve_app

pytestmark = pytest.mark.anyio

NAMES = ("oauth-authorization-server", "openid-configuration")


@pytest.mark.proves("CIMD-110", "CIMD-111", "MCP-5", "MCP-7", "BCP-3", "ASM-2", "ASM-4", "ISS-1")
async def test_metadata_is_complete_and_true(world: World) -> None:
    response = await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    metadata = response.json()
    assert metadata["issuer"] == world.issuer
    assert metadata["client_id_metadata_document_supported"] is True
    assert metadata["token_endpoint_auth_methods_supported"][0] == "none"
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert metadata["scopes_supported"] == ["notes:read", "notes:write", "offline_access"]
    assert [] not in metadata.values()
    for endpoint in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert (await world.http.get(metadata[endpoint])).status_code != 404


@pytest.mark.proves("CIMD-110", "MCP-4", "MCP-5")
async def test_both_names_serve_the_same_bytes_at_the_root(world: World) -> None:
    answers = [await world.http.get(f"{world.issuer}/.well-known/{name}") for name in NAMES]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.proves("MCP-4", "ASM-1")
async def test_an_issuer_with_a_path_is_found_inserted_and_appended(tmp_path: Path) -> None:
    async with run_world(tmp_path, issuer_path="/tenant/auth") as world:
        host = world.issuer.removesuffix("/tenant/auth")
        urls = [f"{host}/.well-known/{name}/tenant/auth" for name in NAMES]
        urls += [f"{host}/tenant/auth/.well-known/{name}" for name in NAMES]
        answers = [await world.http.get(url) for url in urls]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["issuer"] for answer in answers} == {world.issuer}
        # Nothing is served for an issuer that does not exist.
        assert (await world.http.get(f"{host}/.well-known/oauth-authorization-server")).status_code == 404


async def test_an_old_protocol_version_header_does_not_matter(world: World) -> None:
    response = await world.http.get(
        f"{world.issuer}/.well-known/oauth-authorization-server", headers={"MCP-Protocol-Version": "2024-11-05"}
    )
    assert response.status_code == 200


async def test_keys_are_public_halves_only(world: World) -> None:
    keys = (await world.http.get(f"{world.issuer}/jwks")).json()["keys"]
    assert len(keys) == 1
    assert keys[0]["kty"] == "EC"
    assert keys[0]["alg"] == "ES256"
    assert keys[0]["kid"]
    assert not {"d", "k", "p", "q"} & keys[0].keys()


@pytest.mark.parametrize(
    "path", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/jwks", "/token"]
)
async def test_scripts_of_any_origin_may_ask_without_credentials(world: World, path: str) -> None:
    preflight = await world.http.options(
        f"{world.issuer}{path}",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST" if path == "/token" else "GET",
            "Access-Control-Request-Headers": "mcp-protocol-version",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in preflight.headers
    assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"].lower()
    method = "POST" if path == "/token" else "GET"
    answer = await world.http.request(method, f"{world.issuer}{path}", headers={"Origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.proves("O21-11")
@pytest.mark.parametrize("path", ["/authorize", "/consent", "/sign-in", "/style.css"])
async def test_pages_answer_no_script_of_another_origin(world: World, path: str) -> None:
    answer = await world.http.options(f"{world.issuer}{path}", headers={"Origin": "https://app.example"})
    assert "access-control-allow-origin" not in answer.headers
    answer = await world.http.get(f"{world.issuer}{path}", headers={"Origin": "https://app.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/../../x",
        "//evil.example/authorize",
        "/authorize/",
        "/%61uthorize/x",
        "/.well-known/",
        "/static/../server/app.py",
        "/\\evil.example",
        "/jwks/",
    ],
)
async def test_strange_paths_lead_nowhere(world: World, path: str) -> None:
    response = await world.http.get(f"{world.issuer}{path}")
    assert response.status_code == 404
    assert "location" not in response.headers


async def test_the_stylesheet_is_cached_by_its_content(world: World) -> None:
    first = await world.http.get(f"{world.issuer}/style.css")
    assert first.headers["content-type"].startswith("text/css")
    again = await world.http.get(f"{world.issuer}/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


async def test_the_server_mounts_under_a_path_of_another_application(tmp_path: Path) -> None:
    listener, port = open_listener()
    issuer = f"http://127.0.0.1:{port}/auth"
    async with run_document_host(tmp_path) as host, httpx2.AsyncClient(trust_env=False) as http:
        settings = build_settings(issuer, f"http://127.0.0.1:{port}/mcp", tmp_path, host, {})
        server = AuthorizationServer(settings)

        async def hello(_request: object) -> PlainTextResponse:
            return PlainTextResponse("my own application")

        app = Starlette(
            routes=[Route("/", hello), *server.well_known_routes(), Mount(server.base_path, server.app)],
            lifespan=server.lifespan,
        )
        async with serve_app(app, listener):
            assert (await http.get(f"http://127.0.0.1:{port}/")).text == "my own application"
            metadata = (await http.get(f"http://127.0.0.1:{port}/.well-known/oauth-authorization-server/auth")).json()
            assert metadata["token_endpoint"] == f"{issuer}/token"
            assert (await http.get(metadata["jwks_uri"])).status_code == 200
            page = await http.get(f"{issuer}/authorize", params={"client_id": "x"})
            assert page.status_code == 400
            assert 'href="/auth/style.css"' in page.text
