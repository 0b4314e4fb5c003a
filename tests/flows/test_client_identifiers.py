"""Client identifier URLs at the running server: one spelling is one client, and a bad one costs nobody a fetch."""

import asyncio
import json
from pathlib import Path

import pytest

from flow_world import DOCUMENT, World, run_world
from nameplate.testing.document_host import HostedDocument

pytestmark = pytest.mark.anyio

PATH = "/oauth/client.json"


def spell_badly(world: World) -> list[str]:
    """The client's own identifier, each time with one rule broken. Parsers that repair find the document."""
    origin, url = world.host.url(""), world.host.url(PATH)
    authority = origin.removeprefix("https://")
    return [
        *(f"{scheme}{authority}{PATH}" for scheme in ("http://", "ftp://", "HTTPS://", "https:/", "//", "")),
        "data:application/json,{}",
        *(f"https://{userinfo}@{authority}{PATH}" for userinfo in ("u", "u:p", "", ":")),
        *(f"{origin}{rest}" for rest in ("", "?x", "#f", "/", "//")),
        *(f"{origin}{path}" for path in (f"/.{PATH}", f"/a/..{PATH}", f"{PATH}/..", f"/%2e%2e{PATH}", f"/.%2E{PATH}")),
        *(f"{url}{tail}" for tail in ("#f", "#", "\\", "\r\nX: y", "%0d%0a", "\t", " ", "é", "a" * 8000)),
        f"https://{authority}\\@evil.example{PATH}",
    ]


@pytest.mark.proves("CIMD-1", "CIMD-2", "CIMD-4", "CIMD-5", "CIMD-6", "CIMD-7", "CIMD-12")
async def test_an_identifier_that_breaks_a_rule_is_refused_before_anything_is_fetched(world: World) -> None:
    for client_id in spell_badly(world):
        response = await world.http.get(world.authorize_url(world.attempt(client_id=client_id)))
        assert response.status_code == 400, client_id
        assert "location" not in response.headers
        assert "client_id." in response.text or "client.unknown" in response.text, client_id
    assert world.host.requests == []


@pytest.mark.proves("CIMD-9")
async def test_a_second_spelling_is_another_client_or_none(world: World) -> None:
    """The host serves the document at the encoded path as well, where it names another client than was asked for."""
    url = world.host.url(PATH)
    for other, reason in (
        (url.replace("localhost", "LOCALHOST"), "client_id.host_case"),
        (url.replace("/client", "/%63lient"), "document.client_id_mismatch"),
        (f"{url}?", "document.client_id_mismatch"),
        (f"{url}/", "fetch.not_found"),
    ):
        response = await world.http.get(world.authorize_url(world.attempt(client_id=other)))
        assert response.status_code == 400, other
        assert reason in response.text, other
        attempt = world.attempt()
        refused = await world.redeem(attempt, await world.obtain_code(attempt), client_id=other)
        assert refused.json()["error"] == "invalid_grant", other


@pytest.mark.proves("CIMD-8")
async def test_a_query_makes_a_client_of_its_own(world: World) -> None:
    client_id = world.host.url("/apps?app=1")
    world.host.documents["/apps"] = HostedDocument(json.dumps({**DOCUMENT, "client_id": client_id}).encode())
    tokens = await world.obtain_tokens(client_id=client_id)
    assert (await world.refresh(tokens["refresh_token"], client_id=client_id)).status_code == 200
    for other in ("/apps", "/apps?app=2", "/apps?app=1&x"):
        response = await world.http.get(world.authorize_url(world.attempt(client_id=world.host.url(other))))
        assert "document.client_id_mismatch" in response.text, other


@pytest.mark.proves("CIMD-34")
async def test_loopback_that_is_not_declared_is_refused_even_where_the_server_is_on_loopback(tmp_path: Path) -> None:
    async with run_world(tmp_path, fetch={}) as world:
        port = world.host.port
        for host in (
            f"localhost:{port}",
            f"127.0.0.1:{port}",
            f"[::1]:{port}",
            f"a.localhost:{port}",
            f"0x7f.1:{port}",
        ):
            attempt = world.attempt(client_id=f"https://{host}{PATH}")
            assert (await world.http.get(world.authorize_url(attempt))).status_code == 400
        assert world.host.requests == []


@pytest.mark.proves("CIMD-20", "CIMD-44")
async def test_fifty_people_who_arrive_at_once_cause_one_fetch(world: World) -> None:
    urls = [world.authorize_url(world.attempt()) for _ in range(50)]
    responses = await asyncio.gather(*map(world.http.get, urls))
    assert {response.status_code for response in responses} == {200}
    assert world.host.requests == [PATH]


@pytest.mark.proves("CIMD-110", "CIMD-114")
async def test_where_documents_are_switched_off_a_url_is_no_client_at_the_token_endpoint_either(tmp_path: Path) -> None:
    async with run_world(tmp_path, cimd={"enabled": False}) as world:
        for response in (await world.redeem(world.attempt(), "npc_x"), await world.refresh("npr_x")):
            assert (response.status_code, response.json()["error"]) == (400, "invalid_client")
            assert response.json()["reason"] == "client.cimd_disabled"
        for name in ("oauth-authorization-server", "openid-configuration"):
            metadata = (await world.http.get(f"{world.issuer}/.well-known/{name}")).json()
            assert "client_id_metadata_document_supported" not in metadata
