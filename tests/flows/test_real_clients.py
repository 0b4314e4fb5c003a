"""The documents that real clients publish, with the requests that they really send; each at a host of our own.

The documents and requests are in ``tests/vectors/clients``. A test named ``k…`` is that row of the compatibility
checklist, which names reports of what went wrong between these clients and other servers. Where an answer goes to is
only compared: nothing leaves this machine.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from starlette.applications import Starlette

from flow_world import Attempt, World, read_answer, run_world
from nameplate.resource import protect
from nameplate.testing.document_host import HostedDocument
from nameplate.testing.serving import open_listener, serve_app

pytestmark = pytest.mark.anyio

VECTORS = Path(__file__).parents[1] / "vectors" / "clients"
ENTRIES = {entry["file"].removesuffix(".json"): entry for entry in json.loads((VECTORS / "index.json").read_text())}

# Those that know private_key_jwt alone; with their keys they are in test_keyed_clients.py.
KEYED = ("bsky-flaskdemo", "chatgpt-connector-2026-05")
# All others are accepted.
REFUSED = {
    "goose-2026-04": "redirect_uri.not_registered",
    "mcpc-2026-04-no-client-id": "document.client_id_missing",
}


def load_document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return document


def publish(world: World, name: str, **changes: object) -> str:
    """Serve the document at the path that it has in reality, with ``client_id`` rewritten where it has one."""
    path = urlsplit(ENTRIES[name]["client_id"]).path
    client_id, document = world.host.url(path), load_document(name) | changes
    if "client_id" in document:
        document["client_id"] = client_id
    world.host.documents[path] = HostedDocument(json.dumps(document).encode())
    return client_id


def build_attempt(world: World, name: str) -> Attempt:
    """The request that the client sends, to the server that it was sent to."""
    request = ENTRIES[name]["typical_authorization_request"]
    return world.attempt(
        client_id=publish(world, name),
        **{parameter: request.get(parameter) for parameter in ("redirect_uri", "scope", "resource", "prompt")},
    )


@asynccontextmanager
async def run_world_of(name: str, directory: Path) -> AsyncIterator[World]:
    """A server with the resource and the scopes that the client asks for."""
    request = ENTRIES[name]["typical_authorization_request"]
    scopes = [scope for scope in request.get("scope", "").split() if scope != "offline_access"] or ["notes:read"]
    resource = {
        "identifier": request.get("resource", "https://mcp.example.com/mcp"),
        "name": "Notes",
        "scopes": [{"name": scope, "description": f"Use {scope}"} for scope in scopes],
    }
    async with run_world(directory, resources=[resource]) as world:
        yield world


async def expect_page(world: World, attempt: Attempt, reason: str, status: int = 400) -> str:
    """The request is refused on a page that gives the reason; nobody is sent anywhere."""
    response = await world.http.get(world.authorize_url(attempt))
    assert response.status_code == status, response.text
    assert "location" not in response.headers
    assert reason in response.text
    return response.text


async def fetch_metadata(world: World) -> dict[str, Any]:
    metadata: dict[str, Any] = (await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server")).json()
    return metadata


@asynccontextmanager
async def run_resource(world: World) -> AsyncIterator[str]:
    """The origin of an MCP server that trusts the world's server."""
    listener, port = open_listener()
    origin = f"http://127.0.0.1:{port}"
    app = protect(Starlette(), resource=f"{origin}/mcp", issuer=world.issuer, scopes=["notes:read"])
    async with serve_app(app, listener):
        yield origin


@pytest.mark.proves("CIMD-43", "MCP-2")
@pytest.mark.parametrize("name", sorted(ENTRIES.keys() - REFUSED.keys() - set(KEYED)))
async def test_a_real_client_gets_its_tokens(tmp_path: Path, name: str) -> None:
    async with run_world_of(name, tmp_path) as world:
        attempt = build_attempt(world, name)
        async with world.user() as user:
            came_back = await user.authorize(world.authorize_url(attempt))
        assert came_back.startswith(f"{attempt.parameters['redirect_uri']}?")
        client_id = attempt.parameters["client_id"]
        response = await world.redeem(
            attempt, read_answer(came_back)["code"], resource=attempt.parameters.get("resource")
        )
        assert response.status_code == 200, response.text
        tokens = response.json()
        # What is handed out is accepted back; a document that says nothing of grants gets the same on both legs.
        if "refresh_token" in load_document(name).get("grant_types", ["refresh_token"]):
            assert (await world.refresh(tokens["refresh_token"], client_id=client_id)).status_code == 200
        else:
            assert "refresh_token" not in tokens
        assert world.host.requests == [urlsplit(client_id).path]


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_a_real_client_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    async with run_world_of(name, tmp_path) as world:
        await expect_page(world, build_attempt(world, name), REFUSED[name])


@pytest.mark.parametrize("name", KEYED)
async def test_a_real_client_that_has_a_key_is_asked_for_it(tmp_path: Path, name: str) -> None:
    async with run_world_of(name, tmp_path) as world:
        attempt = build_attempt(world, name)
        response = await world.redeem(attempt, await world.obtain_code(attempt))
        assert (response.status_code, response.json()["error"]) == (400, "invalid_client")
        assert "none" in response.json()["error_description"]


@pytest.mark.proves("CIMD-111")
async def test_k01_claude_finds_the_flag_and_none(world: World) -> None:
    metadata = await fetch_metadata(world)
    assert metadata["client_id_metadata_document_supported"] is True
    assert "none" in metadata["token_endpoint_auth_methods_supported"]


async def test_k02_jwt_bearer_in_a_document_harms_nothing_and_gives_nothing(world: World) -> None:
    client_id = publish(world, "claude-ai")
    await world.obtain_tokens(client_id=client_id, redirect_uri="https://claude.ai/api/mcp/auth_callback")
    response = await world.post_token(
        grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion="a.b.c", client_id=client_id
    )
    assert response.status_code == 400
    assert response.json()["error"] == "unsupported_grant_type"


async def test_k03_a_leading_space_before_offline_access_is_no_mistake(world: World) -> None:
    attempt = world.attempt(
        client_id=publish(world, "claude-ai"),
        redirect_uri="https://claude.ai/api/mcp/auth_callback",
        scope=" offline_access",
        prompt="consent",
    )
    assert "scope=+offline_access&" in world.authorize_url(attempt)
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(attempt)))
        assert "Read your notes" in consent.text
        came_back = (await user.answer(consent)).left_to or ""
    tokens = (await world.redeem(attempt, read_answer(came_back)["code"])).json()
    assert tokens["refresh_token"]
    assert "offline_access" in tokens["scope"].split()


async def test_k05_two_sessions_refresh_with_one_token(world: World) -> None:
    changes = {"client_id": publish(world, "claude-code"), "redirect_uri": "http://localhost:3118/callback"}
    tokens = await world.obtain_tokens(**changes)
    first = await world.refresh(tokens["refresh_token"], client_id=changes["client_id"])
    world.clock.advance(76)
    second = await world.refresh(tokens["refresh_token"], client_id=changes["client_id"])
    assert first.json()["refresh_token"] == second.json()["refresh_token"]
    world.clock.advance(60)
    late = await world.refresh(tokens["refresh_token"], client_id=changes["client_id"])
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


async def test_k06_a_dead_refresh_token_is_invalid_grant(world: World) -> None:
    response = await world.refresh("npr_dead", client_id=publish(world, "claude-ai"))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


@pytest.mark.proves("CIMD-81", "NAT-1")
async def test_k07_claude_code_takes_any_port_of_its_own_two_hosts(world: World) -> None:
    client_id = publish(world, "claude-code")
    for good in (
        "http://localhost:3118/callback",
        "http://localhost:52163/callback",
        "http://127.0.0.1:52163/callback",
    ):
        assert await world.obtain_tokens(client_id=client_id, redirect_uri=good)
    for bad in ("http://[::1]:3118/callback", "http://localhost:3118/callback/"):
        attempt = world.attempt(client_id=client_id, redirect_uri=bad)
        await expect_page(world, attempt, "redirect_uri.not_registered")


@pytest.mark.proves("CIMD-66")
async def test_k08_chatgpt_works_as_the_public_client_that_it_also_is(world: World) -> None:
    redirect_uri = load_document("chatgpt")["redirect_uris"][0]
    assert await world.obtain_tokens(client_id=publish(world, "chatgpt"), redirect_uri=redirect_uri)


@pytest.mark.proves("CIMD-53")
async def test_k11_members_that_nobody_registered_are_ignored(world: World) -> None:
    client_id = publish(
        world,
        "claude-code",
        token_endpoint_auth_methods_supported=["none", "client_teleport"],
        code_challenge_methods_used=["S256"],
        code_challenge_methods_supported=["S256"],
        subject_type="public",
        software_id="lovable",
        dpop_bound_access_tokens=True,
        vendor_extension={"nested": [1, None]},
    )
    assert await world.obtain_tokens(client_id=client_id, redirect_uri="http://localhost:3118/callback")


@pytest.mark.proves("MCP-6", "MCP-7")
async def test_k12_every_answer_to_the_client_names_the_issuer(world: World) -> None:
    issuer = (await fetch_metadata(world))["issuer"]
    changes = {"client_id": publish(world, "codex"), "redirect_uri": "http://127.0.0.1:49152/callback"}
    async with world.user() as user:
        allowed = await user.authorize(world.authorize_url(world.attempt(**changes)))
        denied = await user.authorize(world.authorize_url(world.attempt(**changes)), answer="deny")
        page = await user.open(world.authorize_url(world.attempt(**changes, scope="admin")))
    way_back = next(link for link in page.links if link.startswith(changes["redirect_uri"]))
    answers = [read_answer(url) for url in (allowed, denied, way_back)]
    assert [answer.get("error") for answer in answers] == [None, "access_denied", "invalid_scope"]
    assert {answer["iss"] for answer in answers} == {issuer}


async def test_k13_the_stable_id_and_an_id_for_each_connector_are_two_clients(world: World) -> None:
    assert (await fetch_metadata(world))["authorization_response_iss_parameter_supported"] is True
    redirect_uri = "https://chatgpt.com/connector/oauth/kDmjx77UnKOM"
    document = load_document("chatgpt") | {"redirect_uris": [redirect_uri]}
    del document["client_id"]
    connector = world.host.publish("/oauth/kDmjx77UnKOM/client.json", document)
    assert await world.obtain_tokens(client_id=connector, redirect_uri=redirect_uri)
    attempt = world.attempt(client_id=publish(world, "chatgpt"), redirect_uri=redirect_uri)
    await expect_page(world, attempt, "redirect_uri.not_registered")


async def test_k14_codex_has_a_callback_path_for_each_server(world: World) -> None:
    document = load_document("codex") | {"redirect_uris": ["http://127.0.0.1/callback/6MFBM1In3Ey-"]}
    del document["client_id"]
    client_id = world.host.publish("/oauth/codex/6MFBM1In3Ey-/client.json", document)
    assert await world.obtain_tokens(client_id=client_id, redirect_uri="http://127.0.0.1:49152/callback/6MFBM1In3Ey-")
    other = world.attempt(client_id=client_id, redirect_uri="http://127.0.0.1:49152/callback/0therServer-")
    await expect_page(world, other, "redirect_uri.not_registered")


async def test_k15_vs_code_takes_another_port_where_its_own_is_busy(world: World) -> None:
    """Its path is the slash: without it, as some of its pages print the URI, it is another one."""
    client_id = publish(world, "vscode")
    for good in ("http://127.0.0.1:33418/", "http://127.0.0.1:59656/", "https://vscode.dev/redirect"):
        assert await world.obtain_tokens(client_id=client_id, redirect_uri=good)
    for bad in ("http://127.0.0.1:33418", "http://localhost:33418/"):
        attempt = world.attempt(client_id=client_id, redirect_uri=bad)
        await expect_page(world, attempt, "redirect_uri.not_registered")


async def test_k16_copilot_never_uses_the_port_that_it_declares(world: World) -> None:
    assert await world.obtain_tokens(client_id=publish(world, "copilot-cli"), redirect_uri="http://127.0.0.1:61876/")


async def test_k17_a_document_without_grant_types_gets_a_refresh_token_that_is_accepted_back(world: World) -> None:
    client_id = publish(world, "copilot-cli")
    tokens = await world.obtain_tokens(client_id=client_id, redirect_uri="http://127.0.0.1:61876/")
    assert (await world.refresh(tokens["refresh_token"], client_id=client_id)).status_code == 200


async def test_k18_opencode_sees_both_paths_where_they_differ(world: World) -> None:
    sent = "http://127.0.0.1:19876/mcp/oauth/callback"
    attempt = world.attempt(client_id=publish(world, "opencode"), redirect_uri=sent)
    text = await expect_page(world, attempt, "redirect_uri.not_registered")
    for uri in (sent, "http://127.0.0.1/callback", "http://localhost/callback"):
        assert uri in text


async def test_k19_zed_finds_s256_and_the_issuer_that_the_resource_names(world: World) -> None:
    metadata = await fetch_metadata(world)
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    async with run_resource(world) as origin:
        named = (await world.http.get(f"{origin}/.well-known/oauth-protected-resource/mcp")).json()
    assert named["authorization_servers"] == [metadata["issuer"]]


async def test_k20_none_comes_first_and_basic_with_an_empty_secret_is_refused(world: World) -> None:
    metadata = await fetch_metadata(world)
    assert metadata["token_endpoint_auth_methods_supported"][0] == "none"
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    response = await world.http.post(metadata["token_endpoint"], data=form, auth=(world.client_id, ""))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


async def test_k21_an_old_protocol_version_is_answered_like_any_other(world: World) -> None:
    headers = {"MCP-Protocol-Version": "2024-11-05"}
    async with run_resource(world) as origin:
        for url in (
            f"{world.issuer}/.well-known/oauth-authorization-server",
            f"{origin}/.well-known/oauth-protected-resource/mcp",
        ):
            assert (await world.http.get(url, headers=headers)).status_code == 200


@pytest.mark.proves("MCP-4", "MCP-31")
async def test_k22_both_servers_are_discovered_wherever_clients_look(world: World) -> None:
    async with run_resource(world) as origin:
        for urls in (
            [f"{world.issuer}/.well-known/{name}" for name in ("oauth-authorization-server", "openid-configuration")],
            [f"{origin}/.well-known/oauth-protected-resource{path}" for path in ("", "/mcp")],
        ):
            answers = [await world.http.get(url) for url in urls]
            assert {answer.status_code for answer in answers} == {200}
            assert answers[0].content == answers[1].content


async def test_k23_a_scheme_without_a_dot_is_left_out_and_the_rest_of_the_document_works(world: World) -> None:
    client_id = publish(world, "mcpjam")
    assert await world.obtain_tokens(client_id=client_id, redirect_uri="http://localhost:6274/oauth/callback")
    attempt = world.attempt(client_id=client_id, redirect_uri="mcpjam://oauth/callback")
    await expect_page(world, attempt, "redirect_uri.not_registered")


async def test_k24_a_trailing_slash_belongs_to_the_redirect_uri(world: World) -> None:
    redirect_uri = "https://grok.com/connectors-oauth-exchange-code/"
    client_id = world.host.publish("/grok.json", {"client_name": "Grok", "redirect_uris": [redirect_uri]})
    assert await world.obtain_tokens(client_id=client_id, redirect_uri=redirect_uri)
    attempt = world.attempt(client_id=client_id, redirect_uri=redirect_uri.removesuffix("/"))
    await expect_page(world, attempt, "redirect_uri.not_registered")


@pytest.mark.proves("CIMD-90", "MCP-12")
@pytest.mark.parametrize(
    "redirect_uri",
    ["https://oauth-redirect.googleusercontent.com/r/9f", "https://oauth2.slack.com/external/auth/callback"],
)
async def test_k25_an_answer_may_go_to_another_site_and_consent_shows_both(world: World, redirect_uri: str) -> None:
    client_id = world.host.publish("/app", {"client_name": "App", "redirect_uris": [redirect_uri]})
    attempt = world.attempt(client_id=client_id, redirect_uri=redirect_uri)
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(attempt)))
        for host in (f"localhost:{world.host.port}", urlsplit(redirect_uri).netloc):
            assert host in consent.text
        assert ((await user.answer(consent)).left_to or "").startswith(f"{redirect_uri}?code=")


async def test_k26_a_document_without_client_id_works_as_soon_as_it_is_mended(world: World) -> None:
    redirect_uri = "http://127.0.0.1:31613/callback"
    client_id = publish(world, "mcpc-2026-04-no-client-id")
    attempt = world.attempt(client_id=client_id, redirect_uri=redirect_uri)
    text = await expect_page(world, attempt, "document.client_id_missing")
    assert "invalid_client" in text
    assert publish(world, "mcpc-2026-06") == client_id
    assert await world.obtain_tokens(client_id=client_id, redirect_uri=redirect_uri)


async def test_k27_a_document_served_as_plain_text_is_refused_for_that(world: World) -> None:
    client_id = publish(world, "crush-proposal")
    world.host.documents[urlsplit(client_id).path].content_type = "text/plain; charset=utf-8"
    attempt = world.attempt(client_id=client_id, redirect_uri="http://localhost:40704/callback")
    assert "application/json" in await expect_page(world, attempt, "fetch.media_type", 503)


@pytest.mark.proves("CIMD-22", "CIMD-102")
async def test_k28_two_documents_of_one_vendor_are_two_clients_and_a_redirect_is_none(world: World) -> None:
    redirect_uri = "https://app.notion.com/workflows/mcp/oauth/callback"
    document = {"client_name": "Notion", "redirect_uris": [redirect_uri]}
    www, app = (world.host.publish(f"/{name}/metadata.json", document) for name in ("www", "app"))
    tokens = await world.obtain_tokens(client_id=www, redirect_uri=redirect_uri)
    assert await world.obtain_tokens(client_id=app, redirect_uri=redirect_uri)
    assert (await world.refresh(tokens["refresh_token"], client_id=app)).json()["error"] == "invalid_grant"
    assert (await world.refresh(tokens["refresh_token"], client_id=www)).status_code == 200
    world.host.documents["/metadata.json"] = HostedDocument(b"", status=301, headers={"Location": www})
    attempt = world.attempt(client_id=world.host.url("/metadata.json"), redirect_uri=redirect_uri)
    await expect_page(world, attempt, "fetch.redirect", 503)
    assert world.host.requests[-1] == "/metadata.json"


@pytest.mark.proves("CIMD-89")
async def test_k29_a_changed_document_applies_when_the_old_one_is_stale_and_ends_no_session(world: World) -> None:
    old, new = "http://localhost:40123/oauth_callback", "http://127.0.0.1:40123/oauth_callback"
    client_id = publish(world, "goose-2026-04", scope="notes:read", grant_types=["authorization_code", "refresh_token"])
    tokens = await world.obtain_tokens(client_id=client_id, redirect_uri=old)
    publish(world, "goose-2026-04", scope="notes:read", redirect_uris=["http://127.0.0.1/oauth_callback"])
    attempt = world.attempt(client_id=client_id, redirect_uri=old)
    assert (await world.http.get(world.authorize_url(attempt))).status_code == 200
    world.clock.advance(3600)
    assert "refresh_token" not in await world.obtain_tokens(client_id=client_id, redirect_uri=new)
    await expect_page(world, attempt, "redirect_uri.not_registered")
    assert (await world.refresh(tokens["refresh_token"], client_id=client_id)).status_code == 200


@pytest.mark.proves("RES-4")
async def test_k34_the_same_resource_twice_is_one_and_two_are_refused(world: World) -> None:
    attempt = world.attempt(client_id=publish(world, "codex"), redirect_uri="http://127.0.0.1:49152/callback")
    for again in (world.resource, f"{world.resource}/", world.resource.upper().replace("/MCP", "/mcp")):
        url = f"{world.authorize_url(attempt)}&{urlencode({'resource': again})}"
        assert (await world.http.get(url)).status_code == 200, again
    url = f"{world.authorize_url(attempt)}&{urlencode({'resource': 'https://other.example/mcp'})}"
    response = await world.http.get(url)
    assert response.status_code == 400
    assert "invalid_target" in response.text


async def test_k35_a_second_click_and_a_reload_get_a_friendly_page_and_no_second_code(world: World) -> None:
    attempt = world.attempt(
        client_id=publish(world, "claude-ai"), redirect_uri="https://claude.ai/api/mcp/auth_callback"
    )
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(attempt)))
        assert (await user.answer(consent)).left_to
        for page in (await user.answer(consent), await user.open(world.authorize_url(attempt))):
            assert page.left_to is None
            assert page.status == 409
            assert "already" in page.title
