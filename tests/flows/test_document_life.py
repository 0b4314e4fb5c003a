"""A client's document at the running server: what is read of it and what is not, how it fails, changes and goes."""

import re
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from flow_world import DOCUMENT, World, read_answer, run_world
from hostile import SilentListener
from nameplate.testing.document_host import run_document_host
from nameplate.testing.headless_user import Page
from nameplate.testing.serving import open_listener

pytestmark = pytest.mark.anyio

PATH = "/oauth/client.json"
HOUR = 3600


async def open_consent(world: World, **changes: str | None) -> Page:
    """The consent page for an authorization request with these changes."""
    async with world.user() as user:
        return await user.sign_in(await user.open(world.authorize_url(world.attempt(**changes))))


def point_at(decoy: str) -> dict[str, Any]:
    """Every member in which a document can name a URL, one that a server might be led to fetch."""
    claims = urlsafe_b64encode(f'{{"iss": "{decoy}", "jwks_uri": "{decoy}"}}'.encode()).decode().rstrip("=")
    header = urlsafe_b64encode(f'{{"alg": "ES256", "jku": "{decoy}"}}'.encode()).decode().rstrip("=")
    shown = {name: f"{decoy}/{name}" for name in ("client_uri", "logo_uri", "policy_uri", "tos_uri")}
    ignored = {
        name: f"{decoy}/{name}"
        for name in (
            *("sector_identifier_uri", "initiate_login_uri", "backchannel_logout_uri", "frontchannel_logout_uri"),
            *("signed_jwks_uri", "organization_uri", "backchannel_client_notification_endpoint"),
        )
    }
    lists = {
        name: [f"{decoy}/{name}"] for name in ("request_uris", "post_logout_redirect_uris", "claims_redirect_uris")
    }
    return {**shown, **ignored, **lists, "software_statement": f"{header}.{claims}.c2ln"}


@pytest.mark.proves("CIMD-30")
async def test_nothing_that_a_document_points_at_is_fetched(world: World) -> None:
    async with SilentListener() as decoy:
        for number, origin in enumerate(("https://127.0.0.1", "https://localhost", "http://127.0.0.1")):
            client_id = world.host.publish(f"/{number}.json", {**DOCUMENT, **point_at(f"{origin}:{decoy.port}")})
            tokens = await world.obtain_tokens(client_id=client_id)
            assert (await world.refresh(tokens["refresh_token"], client_id=client_id)).status_code == 200
        keys = world.host.publish("/keys.json", {**DOCUMENT, "jwks_uri": f"https://127.0.0.1:{decoy.port}/jwks"})
        response = await world.http.get(world.authorize_url(world.attempt(client_id=keys)))
        assert (response.status_code, "document.jwks_uri" in response.text) == (400, True)
        assert decoy.accepted == 0
    assert world.host.requests == ["/0.json", "/1.json", "/2.json", "/keys.json"]


@pytest.mark.proves("CIMD-36", "CIMD-75")
async def test_a_link_that_is_no_https_url_is_left_out_of_the_page(world: World) -> None:
    members = {"client_uri": "javascript:alert(1)", "policy_uri": "file:///etc/passwd", "tos_uri": "/terms"}
    client_id = world.host.publish("/bad-links.json", {**DOCUMENT, **members, "logo_uri": "data:image/svg+xml,x"})
    consent = await open_consent(world, client_id=client_id)
    assert consent.asks_for("answer")
    assert consent.links == []
    client_id = world.host.publish("/good-link.json", {**DOCUMENT, "client_uri": "https://example.com/home"})
    assert (await open_consent(world, client_id=client_id)).links == ["https://example.com/home"]


@pytest.mark.proves("MCP-12", "MCP-13")
async def test_consent_shows_where_the_answer_goes_and_warns_where_it_stays_on_this_computer(world: World) -> None:
    warning = "Any program on this computer could receive the answer"
    redirect_uris = ["http://127.0.0.1/callback", "http://localhost/callback", "https://app.example.com/callback"]
    client_id = world.host.publish("/three.json", {**DOCUMENT, "redirect_uris": redirect_uris})
    for redirect_uri, host, warns in (
        ("http://127.0.0.1:5001/callback", "127.0.0.1", True),
        ("http://localhost:5002/callback", "localhost", True),
        ("https://app.example.com/callback", "app.example.com", False),
    ):
        consent = await open_consent(world, client_id=client_id, redirect_uri=redirect_uri)
        assert host in consent.text
        assert (warning in consent.text) is warns


def declare(host: str, port: int) -> dict[str, object]:
    """A private host. ``localhost`` leads outside the network that it is declared for."""
    if host == "localhost":
        return {"host": host, "network": "127.9.9.9/32", "ports": [port]}
    return {"host": host, "network": "127.0.0.0/8", "ports": [port], "address": "127.0.0.1"}


async def read_failure(world: World, client_id: str) -> str:
    """The page for a document that cannot be had, without what names the client and this very request."""
    response = await world.http.get(world.authorize_url(world.attempt(client_id=client_id)))
    assert (response.status_code, response.headers["retry-after"]) == (503, "30")
    assert "location" not in response.headers
    assert "fetch.unreachable" in response.text
    text, authority = response.text, client_id.removeprefix("https://").partition("/")[0]
    for part in (client_id, authority, authority.partition(":")[0]):
        text = text.replace(part, "")
    return re.sub(r'Reference</dt><dd><code class="copy">[0-9A-Z]+', "", text)


@pytest.mark.proves("CIMD-37", "CIMD-46", "CIMD-113")
async def test_a_host_that_is_down_silent_not_trusted_or_inside_ends_on_one_and_the_same_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    listener, closed = open_listener()
    listener.close()
    async with (
        run_document_host(tmp_path / "other", name="other.test") as other,
        SilentListener() as silent,
        SilentListener() as inside,
    ):
        other.publish(PATH, DOCUMENT)
        ports = {"other.test": other.port, "down.test": closed, "silent.test": silent.port, "localhost": inside.port}
        hosts = [declare(host, port) for host, port in ports.items()]
        async with run_world(tmp_path, fetch={"private_hosts": hosts, "deadline_seconds": 0.3}) as world:
            pages = {await read_failure(world, f"https://{host}:{port}{PATH}") for host, port in ports.items()}
        assert len(pages) == 1
        assert (other.requests, silent.accepted, inside.accepted) == ([], 1, 0)
    causes = [vars(record)["reason"] for record in caplog.records if record.name == "nameplate.fetch"]
    assert causes == ["TlsFailed", "Unreachable", "TimedOut", "AddressRefused"]


@pytest.mark.proves("CIMD-42", "CIMD-100")
async def test_a_document_that_changed_is_put_before_the_person_as_it_is_now(world: World) -> None:
    await world.obtain_tokens()
    changed = {"client_name": "Ledger", "redirect_uris": ["https://ledger.example/cb"], "scope": "notes:write"}
    world.host.publish(PATH, {**DOCUMENT, **changed})
    world.clock.advance(HOUR)
    old = await world.http.get(world.authorize_url(world.attempt()))
    assert (old.status_code, "redirect_uri.not_registered" in old.text) == (400, True)
    consent = await open_consent(world, redirect_uri="https://ledger.example/cb", scope=None)
    for now in ("Ledger", "ledger.example", "Add and change notes"):
        assert now in consent.text, now
    for before in ("Notebook", "Read your notes"):
        assert before not in consent.text, before
    world.host.publish(
        PATH, {**DOCUMENT, "token_endpoint_auth_method": "tls_client_auth", "jwks_uri": world.host.url("/j")}
    )
    world.clock.advance(HOUR)
    refused = await world.http.get(world.authorize_url(world.attempt()))
    assert "document.auth_method_unsupported" in refused.text


@pytest.mark.proves("CIMD-103")
@pytest.mark.parametrize("status", [404, 410])
async def test_a_document_that_is_gone_allows_nothing_new_once_its_copy_is_stale(world: World, status: int) -> None:
    await world.obtain_tokens()
    world.host.documents[PATH].status = status
    assert (await world.http.get(world.authorize_url(world.attempt()))).status_code == 200
    world.clock.advance(HOUR)
    gone = await world.http.get(world.authorize_url(world.attempt()))
    assert (gone.status_code, "fetch.not_found" in gone.text) == (400, True)
    assert world.host.requests == [PATH, PATH]


@pytest.mark.proves("CIMD-89")
async def test_a_code_is_good_for_the_redirect_uri_it_was_issued_for_whatever_the_document_says_now(
    world: World,
) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    world.host.publish(PATH, {**DOCUMENT, "redirect_uris": ["https://elsewhere.example/cb"]})
    world.clock.advance(59)
    assert (await world.redeem(attempt, code)).status_code == 200


@pytest.mark.proves("CIMD-98", "NAT-6")
@pytest.mark.parametrize("redirect_uri", ["http://127.0.0.1:5000/callback", "com.example.app:/cb"])
async def test_what_any_program_can_imitate_is_asked_for_every_time(world: World, redirect_uri: str) -> None:
    redirect_uris = ["http://127.0.0.1/callback", "com.example.app:/cb"]
    changes = {"client_id": world.host.publish("/native.json", {**DOCUMENT, "redirect_uris": redirect_uris})}
    async with world.user() as user:
        for _ in range(2):
            page = await user.open(world.authorize_url(world.attempt(**changes, redirect_uri=redirect_uri)))
            if page.asks_for("password"):
                page = await user.sign_in(page)
            assert page.left_to is None
            assert page.asks_for("answer")
            answered = await user.answer(page)
            assert "code" in read_answer(answered.left_to or "")
        page = await user.open(world.authorize_url(world.attempt(**changes, redirect_uri=redirect_uri, prompt="none")))
        assert (page.status, page.left_to) == (400, None)
