"""Bad authorization requests: a page with a reason, never a redirect to an unproven URI, never a 500."""

import json
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from flow_world import DOCUMENT, World, read_answer, run_world
from nameplate.testing.document_host import HostedDocument

pytestmark = pytest.mark.anyio


async def expect_page(world: World, url: str, reason: str, status: int = 400) -> str:
    response = await world.http.get(url)
    assert response.status_code == status, response.text
    assert "location" not in response.headers
    assert response.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"
    assert reason in response.text
    return response.text


@pytest.mark.proves("CIMD-80", "CIMD-113", "MCP-8", "MCP-83", "O21-6", "O21-7", "BCP-1")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_id": None}, "authorization.client_id_missing"),
        ({"client_id": "my-app"}, "client.unknown"),
        ({"client_id": "https://localhost:1/../x"}, "client_id."),
        ({"client_id": "https://127.0.0.1/x.json"}, "client_id."),
        ({"client_id": "http://client.example.com/x.json"}, "client_id."),
        ({"redirect_uri": "https://evil.example/cb"}, "redirect_uri.not_registered"),
        ({"redirect_uri": "http://127.0.0.1:51763/callback/"}, "redirect_uri.not_registered"),
        ({"redirect_uri": "http://localhost:51763/callback"}, "redirect_uri.not_registered"),
        ({"redirect_uri": "http://127.0.0.1.evil.example/callback"}, "redirect_uri.not_registered"),
    ],
)
async def test_nothing_leads_back_to_a_client_that_is_not_proven(
    world: World, changes: dict[str, str | None], reason: str
) -> None:
    text = await expect_page(world, world.authorize_url(world.attempt(**changes)), reason)
    assert 'href="http://127.0.0.1:51763' not in text


@pytest.mark.proves("MCP-6", "MCP-16", "O21-1", "O21-3", "O21-8", "O21-9", "O21-19", "BCP-1", "ISS-1", "RES-2")
@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"code_challenge": None}, "invalid_request", "authorization.challenge_missing"),
        ({"code_challenge_method": "plain"}, "invalid_request", "authorization.challenge_method"),
        ({"code_challenge_method": None}, "invalid_request", "authorization.challenge_method"),
        ({"code_challenge": "short"}, "invalid_request", "authorization.challenge_malformed"),
        ({"response_type": None}, "invalid_request", "authorization.response_type_missing"),
        ({"response_type": "token"}, "unsupported_response_type", "authorization.response_type"),
        ({"response_mode": "fragment"}, "invalid_request", "authorization.response_mode"),
        ({"scope": "admin"}, "invalid_scope", "scope.nothing_left"),
        ({"scope": 'notes:read "'}, "invalid_scope", "scope.malformed"),
        ({"resource": "https://other.example/mcp"}, "invalid_target", "resource.unknown"),
        ({"resource": "http://127.0.0.1:8000/mcp#x"}, "invalid_target", "resource.unknown"),
        ({"prompt": "none"}, "interaction_required", "authorization.prompt_none"),
        ({"request": "e30.e30."}, "request_not_supported", "authorization.request_object"),
        ({"request_uri": "http://169.254.169.254/"}, "request_uri_not_supported", "authorization.request_object"),
        ({"state": "s" * 5000}, "invalid_request", "authorization.state_too_long"),
    ],
)
async def test_an_error_after_the_client_is_proven_offers_a_way_back_and_takes_nobody_there(
    world: World, changes: dict[str, str | None], code: str, reason: str
) -> None:
    attempt = world.attempt(**changes)
    await expect_page(world, world.authorize_url(attempt), reason)
    async with world.user() as user:
        page = await user.open(world.authorize_url(attempt))
    back = next(link for link in page.links if link.startswith("http://127.0.0.1:51763/callback?"))
    answer = read_answer(back)
    assert answer["error"] == code
    assert answer["iss"] == world.issuer
    assert answer["state"] == attempt.parameters["state"]


@pytest.mark.proves("O21-10")
@pytest.mark.parametrize(
    "query",
    [
        "client_id=a&client_id=b",
        "redirect_uri=https://a/&redirect_uri=https://b/",
        "scope=a&scope=b",
        "%ff=1",
        "state=%ff",
        "x=" + "a" * 20_000,
        "&".join(f"p{number}=1" for number in range(200)),
    ],
)
async def test_a_query_that_cannot_be_read_is_refused(world: World, query: str) -> None:
    await expect_page(world, f"{world.issuer}/authorize?{query}", "parameters.")


@pytest.mark.parametrize("raw", [b"client_id=\xff", b"client_id=\x80abc", b"a=%00&client_id=%0d%0a"])
async def test_raw_bytes_in_the_query_are_no_mistake_of_ours(world: World, raw: bytes) -> None:
    response = await world.http.get(f"{world.issuer}/authorize?" + quote(raw, safe="=&%"))
    assert response.status_code == 400


def publish_raw(world: World, path: str, document: HostedDocument) -> str:
    world.host.documents[path] = document
    return world.host.url(path)


@pytest.mark.proves("CIMD-21", "CIMD-37", "CIMD-51", "CIMD-113", "MCP-9")
@pytest.mark.parametrize(
    ("document", "reason", "status"),
    [
        (HostedDocument(b"{}", status=404), "fetch.not_found", 400),
        (HostedDocument(b"{}", status=500), "fetch.status", 503),
        (HostedDocument(b"{}", status=403), "fetch.status", 503),
        (HostedDocument(b"", status=302, headers={"Location": "https://localhost/x"}), "fetch.redirect", 503),
        (HostedDocument(b"{}", content_type="text/plain"), "fetch.media_type", 503),
        (HostedDocument(b"<html>", content_type="text/html"), "fetch.media_type", 503),
        (HostedDocument(b" " * 6000), "fetch.too_large", 503),
        (HostedDocument(b"not json"), "document.", 400),
        (HostedDocument(b"[]"), "document.", 400),
        (HostedDocument(b'{"client_id": "https://elsewhere.example/x"}'), "document.", 400),
        (HostedDocument(b"[" * 4000), "document.", 400),
    ],
)
async def test_a_document_that_cannot_be_used_is_a_page_with_the_reason(
    world: World, document: HostedDocument, reason: str, status: int
) -> None:
    client_id = publish_raw(world, "/bad.json", document)
    await expect_page(world, world.authorize_url(world.attempt(client_id=client_id)), reason, status)


async def test_a_host_that_does_not_answer_says_when_to_come_back(world: World) -> None:
    response = await world.http.get(world.authorize_url(world.attempt(client_id="https://localhost:1/x.json")))
    assert response.status_code in (400, 503)
    assert "fetch." in response.text or "client_id." in response.text


@pytest.mark.proves("CIMD-40")
async def test_a_failure_is_not_remembered(world: World) -> None:
    client_id = publish_raw(world, "/late.json", HostedDocument(b"{}", status=500))
    url = world.authorize_url(world.attempt(client_id=client_id))
    assert (await world.http.get(url)).status_code == 503
    world.host.publish("/late.json", DOCUMENT)
    assert (await world.http.get(url)).status_code == 200


async def test_a_document_that_demands_what_is_not_performed_is_refused_with_both_sides_named(world: World) -> None:
    client_id = world.host.publish(
        "/key.json",
        {
            **DOCUMENT,
            "token_endpoint_auth_method": "tls_client_auth",
            "jwks_uri": world.host.url("/jwks.json"),
        },
    )
    text = await expect_page(
        world, world.authorize_url(world.attempt(client_id=client_id)), "document.auth_method_unsupported"
    )
    assert "requires tls_client_auth; this server performs none, private_key_jwt," in text


@pytest.mark.proves("CIMD-66")
async def test_chatgpt_s_document_works_as_a_public_client(world: World) -> None:
    client_id = world.host.publish(
        "/chatgpt.json",
        {
            **DOCUMENT,
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "jwks_uri": world.host.url("/jwks.json"),
        },
    )
    assert await world.obtain_tokens(client_id=client_id)


async def test_opencode_sees_both_redirect_uris_when_they_differ(world: World) -> None:
    attempt = world.attempt(redirect_uri="http://127.0.0.1:19876/mcp/oauth/callback")
    text = await expect_page(world, world.authorize_url(attempt), "redirect_uri.not_registered")
    assert "http://127.0.0.1:19876/mcp/oauth/callback" in text
    assert "http://127.0.0.1/callback" in text


async def test_the_servers_own_urls_are_no_clients(world: World) -> None:
    text = await expect_page(world, world.authorize_url(world.attempt(client_id=world.issuer)), "client")
    assert "client.own_url" in text or "client_id." in text


@pytest.mark.proves("O21-20")
async def test_markup_in_a_request_stays_text(world: World) -> None:
    hostile = '"><script>alert(1)</script>'
    for changes in ({"client_id": f"https://localhost/{hostile}"}, {"redirect_uri": hostile}, {"scope": hostile}):
        response = await world.http.get(world.authorize_url(world.attempt(**changes)))
        assert "<script" not in response.text


@pytest.mark.proves("O21-10")
async def test_get_and_post_are_kept_apart(world: World) -> None:
    assert (await world.http.post(f"{world.issuer}/authorize")).status_code == 405
    assert (await world.http.get(f"{world.issuer}/token")).status_code == 405
    assert (await world.http.options(f"{world.issuer}/authorize")).status_code == 405


@pytest.mark.proves("CIMD-110")
async def test_switched_off_documents_are_neither_advertised_nor_accepted(tmp_path: Path) -> None:
    async with run_world(tmp_path, cimd={"enabled": False}) as world:
        metadata = (await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server")).json()
        assert "client_id_metadata_document_supported" not in metadata
        await expect_page(world, world.authorize_url(world.attempt()), "client.cimd_disabled")
        assert world.host.requests == []


async def test_the_operators_list_narrows_what_a_document_registers(tmp_path: Path) -> None:
    async with run_world(tmp_path, cimd={"allowed_client_redirect_uris": ["http://127.0.0.1:*/other"]}) as world:
        client_id = world.host.publish(
            "/two.json",
            {**DOCUMENT, "redirect_uris": ["http://127.0.0.1/callback", "http://127.0.0.1/other"]},
        )
        allowed = world.attempt(client_id=client_id, redirect_uri="http://127.0.0.1:5000/other")
        assert (await world.http.get(world.authorize_url(allowed))).status_code == 200
        await expect_page(world, world.authorize_url(world.attempt(client_id=client_id)), "redirect_uri.not_allowed")


@pytest.mark.proves("O21-10")
async def test_an_unlisted_member_cannot_change_what_is_asked(world: World) -> None:
    """Unknown parameters are ignored (RFC 6749 §3.1)."""
    attempt = world.attempt()
    attempt.parameters.update({"scope[]": "admin", "Resource": "https://evil.example", "unknown": json.dumps({"a": 1})})
    assert (await world.http.get(f"{world.issuer}/authorize?{urlencode(attempt.parameters)}")).status_code == 200
