"""Clients that register themselves, over the socket: from the registration to the refresh, and what strangers get."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest
from httpx2 import ASGITransport

from flow_world import REDIRECT_URI, World, run_world
from nameplate.ports.verdicts import Unknown
from nameplate.protocol.registration import MAX_REGISTRATION_BYTES, parse_registration
from nameplate.server.register import build_registered_client

pytestmark = pytest.mark.anyio

PUBLIC = {
    "client_name": "Notebook",
    "redirect_uris": ["http://127.0.0.1/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
}


async def post(world: World, **members: object) -> httpx2.Response:
    return await world.http.post(f"{world.issuer}/register", json={**PUBLIC, **members})


async def register(world: World, **members: object) -> dict[str, Any]:
    response = await post(world, **members)
    assert response.status_code == 201, response.text
    registered: dict[str, Any] = response.json()
    return registered


def expect_error(response: httpx2.Response, status: int, code: str, reason: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error"], body["reason"]) == (status, code, reason), response.text
    assert body["error_description"].isascii()
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"
    return body


async def read_metadata(world: World) -> dict[str, Any]:
    parts = urlsplit(world.issuer)
    url = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}"
    metadata: dict[str, Any] = (await world.http.get(url)).json()
    return metadata


@pytest.mark.proves("MCP-3", "DCR-1", "CIMD-13")
async def test_a_registered_client_signs_in_and_stays_signed_in(world: World) -> None:
    endpoint = (await read_metadata(world))["registration_endpoint"]
    response = await world.http.post(endpoint, json=PUBLIC)
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"
    registered = response.json()
    assert not registered["client_id"].startswith("http")
    assert registered == {
        **PUBLIC,
        "client_id": registered["client_id"],
        "client_id_issued_at": int(world.clock()),
        "application_type": "native",
        "response_types": ["code"],
    }
    tokens = await world.obtain_tokens(client_id=registered["client_id"])
    refreshed = await world.refresh(tokens["refresh_token"], client_id=registered["client_id"])
    assert refreshed.status_code == 200, refreshed.text


@pytest.mark.parametrize("method", [None, "client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("is_sent_as", ["client_secret_basic", "client_secret_post"])
async def test_a_secret_is_good_both_ways_and_nothing_goes_without_it(
    world: World, method: str | None, is_sent_as: str
) -> None:
    registered = await register(world, token_endpoint_auth_method=method)
    client_id, secret = registered["client_id"], registered["client_secret"]
    assert registered["token_endpoint_auth_method"] == (method or "client_secret_basic")
    assert registered["client_secret_expires_at"] == 0
    attempt = world.attempt(client_id=client_id)
    form = {
        "grant_type": "authorization_code",
        "code": await world.obtain_code(attempt),
        "redirect_uri": REDIRECT_URI,
        "code_verifier": attempt.verifier,
    }
    wrong = await world.post_token(**form, client_id=client_id, client_secret=f"{secret}x")
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_client")
    without = await world.post_token(**form, client_id=client_id)
    assert (without.status_code, without.json()["error"]) == (400, "invalid_client")
    if is_sent_as == "client_secret_post":
        response = await world.post_token(**form, client_id=client_id, client_secret=secret)
    else:
        response = await world.http.post(
            f"{world.issuer}/token", data=form, auth=(quote(client_id, safe=""), quote(secret, safe=""))
        )
    assert response.status_code == 200, response.text


async def test_every_registration_is_a_client_of_its_own(world: World) -> None:
    one, other = await register(world), await register(world)
    assert one["client_id"] != other["client_id"]
    attempt = world.attempt(client_id=one["client_id"])
    stolen = await world.redeem(attempt, await world.obtain_code(attempt), client_id=other["client_id"])
    assert (stolen.status_code, stolen.json()["reason"]) == (400, "code.unknown")


@pytest.mark.parametrize("issuer_path", ["/tenant/a"])
async def test_an_issuer_with_a_path_registers_below_it(tmp_path: Path, issuer_path: str) -> None:
    async with run_world(tmp_path, issuer_path=issuer_path) as world:
        assert (await read_metadata(world))["registration_endpoint"] == f"{world.issuer}/register"
        tokens = await world.obtain_tokens(client_id=(await register(world))["client_id"])
        assert tokens["token_type"] == "Bearer"


# What the person sees: CP-05, DC-05


async def test_a_name_that_somebody_registered_is_not_taken_for_who_it_is(world: World) -> None:
    registered = await register(
        world, client_name="Claude", client_uri="https://claude.ai/", logo_uri="https://x.example/"
    )
    url = world.authorize_url(world.attempt(client_id=registered["client_id"]))
    async with world.user() as user:
        sign_in = await user.open(url)
        consent = await user.sign_in(sign_in)
    for page in (sign_in, consent):
        assert page.text.index("Not verified:") < page.text.index("calls itself Claude")
        assert "Its document" not in page.text
    assert consent.title == "Allow an unverified application to use Notes?"
    assert "The name resembles “claude”, which is known from claude.ai; but nothing proves that" in consent.text
    assert not [link for link in consent.links if "claude.ai" in link]


async def test_a_name_whose_answers_go_to_its_own_host_is_warned_of_no_further(world: World) -> None:
    callback = "https://claude.ai/api/mcp/auth_callback"
    registered = await register(world, client_name="Claude", redirect_uris=[callback, "https://claude.evil.example/cb"])
    async with world.user() as user:
        attempt = world.attempt(client_id=registered["client_id"], redirect_uri=callback)
        consent = await user.sign_in(await user.open(world.authorize_url(attempt)))
        assert "Not verified:" in consent.text
        assert "Look twice" not in consent.text
        other = world.attempt(client_id=registered["client_id"], redirect_uri="https://claude.evil.example/cb")
        assert "but the answer goes to evil.example" in (await user.open(world.authorize_url(other))).text


async def test_a_client_that_the_operator_registered_is_said_to_be_so_and_keeps_to_its_scope(
    world: World,
) -> None:
    body = json.dumps({**PUBLIC, "client_name": "Billing robot", "scope": "notes:read"}).encode()
    client = parse_registration(body, "npd_robot", world.server.context.policy, known_by="operator")
    registered = build_registered_client(client, None, now=int(world.clock()), lifetime_seconds=None)
    await world.server.context.store.record_client(registered, limit=0, now=registered.created_at)
    attempt = world.attempt(client_id="npd_robot", scope="notes:read notes:write")
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(attempt)))
    assert consent.title == "Allow Billing robot to use Notes?"
    assert "Registered by whoever runs this server" in consent.text
    assert "notes:write" not in consent.text


# What is registered is what is matched: DC-02, DC-06, decision 9


async def test_what_was_dropped_from_a_registration_is_refused_at_the_authorization(world: World) -> None:
    registered = await register(
        world,
        application_type="web",
        redirect_uris=["https://app.example.com/cb", "http://127.0.0.1/callback", "http://app.example.com/cb"],
    )
    assert registered["redirect_uris"] == ["https://app.example.com/cb"]
    for uri in (REDIRECT_URI, "http://app.example.com/cb"):
        attempt = world.attempt(client_id=registered["client_id"], redirect_uri=uri)
        response = await world.http.get(world.authorize_url(attempt))
        assert response.status_code == 400
        assert "redirect_uri.not_registered" in response.text
        assert "redirect_uri registered" in response.text


async def test_the_operators_list_holds_at_the_registration_and_for_those_registered_before(tmp_path: Path) -> None:
    both = ["http://127.0.0.1/callback", "https://app.example.com/cb"]
    narrowed = {"allowed_client_redirect_uris": ["https://app.example.com/cb"]}
    async with run_world(tmp_path) as before:
        registered = await register(before, redirect_uris=both)
    async with run_world(tmp_path, cimd=narrowed) as world:
        attempt = world.attempt(client_id=registered["client_id"])
        assert "redirect_uri.not_allowed" in (await world.http.get(world.authorize_url(attempt))).text
        assert (await register(world, redirect_uris=both))["redirect_uris"] == ["https://app.example.com/cb"]
        expect_error(await post(world), 400, "invalid_redirect_uri", "document.redirect_uris_unusable")


async def test_clients_that_registered_work_without_documents(tmp_path: Path) -> None:
    async with run_world(tmp_path, cimd={"enabled": False}) as world:
        metadata = await read_metadata(world)
        assert "client_id_metadata_document_supported" not in metadata
        assert (await world.obtain_tokens(client_id=(await register(world))["client_id"]))["token_type"] == "Bearer"
        assert "client.cimd_disabled" in (await world.http.get(world.authorize_url(world.attempt()))).text


async def test_registration_can_be_switched_off(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        registered = await register(world)
    async with run_world(tmp_path, registration={"enabled": False}) as world:
        assert "registration_endpoint" not in await read_metadata(world)
        assert (await post(world)).status_code == 404
        # Whoever registered before stays registered.
        assert (await world.obtain_tokens(client_id=registered["client_id"]))["token_type"] == "Bearer"


# Nothing is fetched: DC-03


async def test_nothing_that_a_registration_points_at_is_fetched(world: World) -> None:
    await register(
        world,
        token_endpoint_auth_method="private_key_jwt",
        jwks_uri=world.host.url("/jwks.json"),
        client_uri=world.host.url("/home"),
        logo_uri=world.host.url("/logo.png"),
        tos_uri=world.host.url("/tos"),
        policy_uri=world.host.url("/privacy"),
        sector_identifier_uri=world.host.url("/sector.json"),
        redirect_uris=[world.host.url("/cb")],
    )
    assert world.host.requests == []


# Strangers in numbers: DC-01


@pytest.mark.proves("DCR-6")
async def test_one_address_can_register_only_so_many_clients_at_once(world: World) -> None:
    for _ in range(60):
        await register(world)
    expect_error(await post(world, redirect_uris=[]), 400, "invalid_redirect_uri", "document.redirect_uris_missing")
    refused = await post(world)
    expect_error(refused, 429, "temporarily_unavailable", "registration.too_many")
    world.clock.advance(int(refused.headers["retry-after"]))
    await register(world)


@pytest.mark.proves("DCR-6")
async def test_what_is_refused_is_bounded_too_and_before_it_is_read(world: World) -> None:
    """DO-03."""
    for _ in range(120):
        expect_error(await post(world, redirect_uris=[]), 400, "invalid_redirect_uri", "document.redirect_uris_missing")
    refused = await world.http.post(f"{world.issuer}/register", content=b"x")
    expect_error(refused, 429, "temporarily_unavailable", "registration.too_many")
    world.clock.advance(int(refused.headers["retry-after"]))
    await register(world)


@pytest.mark.proves("DCR-6")
async def test_one_network_cannot_shut_out_the_others(tmp_path: Path) -> None:
    """DC-01: a /48, to the last registration that it gets, whatever addresses it uses."""
    async with run_world(tmp_path) as world:
        app = world.server.standalone_app()

        async def register_from(address: str) -> int:
            transport = ASGITransport(app, client=(address, 50_000))
            async with httpx2.AsyncClient(transport=transport) as http:
                return (await http.post(f"{world.issuer}/register", json=PUBLIC)).status_code

        got = [await register_from(f"2001:db8:0:{number:x}::1") for number in range(0, 0x10000, 0x100)]
        assert got == [201] * 240 + [429] * 16
        assert await register_from("2001:db8:1::1") == 201


@pytest.mark.proves("DCR-6")
async def test_what_every_sign_in_would_copy_is_small(world: World) -> None:
    """DO-05: what is registered is copied into each waiting request."""
    uris = [f"https://app.example/{number}/{'x' * 80}" for number in range(60)]
    answer = await post(world, redirect_uris=uris)
    expect_error(answer, 400, "invalid_client_metadata", "registration.too_much")
    await register(world, redirect_uris=uris[:40])


@pytest.mark.proves("DCR-6")
async def test_what_is_kept_for_strangers_is_bounded_and_newcomers_still_find_a_place(tmp_path: Path) -> None:
    """DC-01: who was allowed something stays, and of the others the oldest gives way."""
    async with run_world(tmp_path, registration={"max_clients": 2}) as world:
        used, unused = await register(world), await register(world)
        await world.obtain_tokens(client_id=used["client_id"])
        newcomer = await register(world)
        store = world.server.context.store
        assert isinstance(await store.load_client(unused["client_id"]), Unknown)
        await world.obtain_tokens(client_id=newcomer["client_id"])
        refused = await post(world)
        expect_error(refused, 503, "temporarily_unavailable", "registration.full")
        assert int(refused.headers["retry-after"]) > 0
        await world.obtain_tokens(client_id=used["client_id"])


async def test_a_client_that_was_removed_while_the_person_looked_gets_no_grant(world: World) -> None:
    registered = await register(world)
    async with world.user() as user:
        attempt = world.attempt(client_id=registered["client_id"])
        consent = await user.sign_in(await user.open(world.authorize_url(attempt)))
        await world.server.context.store.remove_client(registered["client_id"], int(world.clock()))
        answered = await user.answer(consent)
    assert answered.left_to is None
    assert "authorization.not_waiting" in answered.text


@pytest.mark.proves("DCR-6")
async def test_a_client_for_which_no_grant_lives_is_forgotten_and_one_with_a_grant_is_not(tmp_path: Path) -> None:
    async with run_world(tmp_path, registration={"client_seconds": 3600}) as world:
        used, unused = await register(world), await register(world)
        tokens = await world.obtain_tokens(client_id=used["client_id"])
        world.clock.advance(3600)
        store = world.server.context.store
        await store.sweep(int(world.clock()), limit=1000)
        assert isinstance(await store.load_client(unused["client_id"]), Unknown)
        refreshed = await world.refresh(tokens["refresh_token"], client_id=used["client_id"])
        assert refreshed.status_code == 200, refreshed.text
        forgotten = await world.http.get(world.authorize_url(world.attempt(client_id=unused["client_id"])))
    assert forgotten.status_code == 400
    assert "client.unknown" in forgotten.text
    assert "remove the connection and set it up anew" in forgotten.text


# The endpoint


async def test_a_script_of_any_origin_may_register(world: World) -> None:
    preflight = await world.http.options(
        f"{world.issuer}/register",
        headers={
            "Origin": "https://inspector.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,mcp-protocol-version",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in preflight.headers


@pytest.mark.proves("DCR-3")
@pytest.mark.parametrize(
    ("content", "content_type", "status", "code", "reason"),
    [
        (b"", "application/json", 400, "invalid_client_metadata", "document.not_json"),
        (b"[]", "application/json", 400, "invalid_client_metadata", "document.not_object"),
        (b"{}", "application/json", 400, "invalid_redirect_uri", "document.redirect_uris_missing"),
        (json.dumps(PUBLIC).encode(), "text/plain", 400, "invalid_request", "registration.media_type"),
        (json.dumps(PUBLIC).encode(), "", 400, "invalid_request", "registration.media_type"),
        (b"redirect_uris=x", "application/x-www-form-urlencoded", 400, "invalid_request", "registration.media_type"),
        (b" " * (MAX_REGISTRATION_BYTES + 1), "application/json", 413, "invalid_request", "registration.too_long"),
        (b"[" * MAX_REGISTRATION_BYTES, "application/json", 400, "invalid_client_metadata", "document.nesting"),
    ],
)
async def test_what_is_no_registration_is_refused_in_json(
    world: World, content: bytes, content_type: str, status: int, code: str, reason: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await world.http.post(f"{world.issuer}/register", content=content, headers=headers)
    expect_error(response, status, code, reason)


async def test_a_body_that_breaks_off_is_no_mistake_of_the_servers(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    parts = urlsplit(world.issuer)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
    writer.write_eof()
    await reader.read()
    writer.close()
    await register(world)
    reasons = [record.__dict__.get("reason") for record in caplog.records if record.levelno >= logging.WARNING]
    assert reasons == ["registration.disconnected"]


async def test_other_methods_are_refused_in_json_too(world: World) -> None:
    response = await world.http.get(f"{world.issuer}/register")
    assert (response.status_code, response.json()["reason"]) == (405, "token.method")
    assert "POST" in response.headers["allow"]


async def test_a_store_that_fails_is_no_fault_of_the_client(world: World) -> None:
    await world.server.context.store.aclose()
    response = await post(world)
    expect_error(response, 503, "temporarily_unavailable", "store.failed")
    assert int(response.headers["retry-after"]) > 0
