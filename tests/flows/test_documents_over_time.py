"""A client's document over time, at the running server: what each failure and each change means for new authorizations
and for a grant that lives. Row by row the table in docs/decisions/0008; tests named ``k…`` are rows of the
compatibility checklist.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from starlette.applications import Starlette

from flow_world import DOCUMENT, World, build_settings
from hostile import SilentListener
from nameplate.ports.store import StoredDocument
from nameplate.ports.verdicts import Unknown
from nameplate.server.app import AuthorizationServer
from nameplate.testing.document_host import run_document_host
from nameplate.testing.serving import open_listener, serve_app

pytestmark = pytest.mark.anyio

PATH = "/oauth/client.json"
STALE = 700  # a document whose host says nothing of caching is fresh for 600 seconds
HOUR = 3600
DAY = 24 * HOUR

Break = Callable[[World], None]


def serve(**changes: Any) -> Break:
    """The client's document comes back like this."""

    def break_it(world: World) -> None:
        world.host.documents[PATH] = replace(world.host.documents[PATH], **changes)

    return break_it


# K04: what bot filters and broken deployments answer
PASSING = {
    "403": serve(status=403, body=b"Just a moment...", content_type="text/html"),
    "429": serve(status=429),
    "500": serve(status=500),
    "503": serve(status=503, headers={"Retry-After": "86400"}),
    "302": serve(status=302, headers={"Location": "https://example.com/login"}),
    "html": serve(body=b"<!doctype html>", content_type="text/html"),
    "too large": serve(body=b" " * 6000),
}
REASONS = dict.fromkeys(PASSING, "fetch.status") | {
    "302": "fetch.redirect",
    "html": "fetch.media_type",
    "too large": "fetch.too_large",
}
FINAL = {
    "404": (serve(status=404), "fetch.not_found"),
    "410": (serve(status=410), "fetch.not_found"),
    "no JSON": (serve(body=b"oops"), "document.not_json"),
    "another client": (serve(body=b'{"client_id": "https://claude.ai/x"}'), "document.client_id_mismatch"),
}


def mend(world: World) -> None:
    """The document is as it was."""
    world.host.publish(PATH, DOCUMENT)


async def open_authorization(world: World, **changes: str | None) -> httpx2.Response:
    return await world.http.get(world.authorize_url(world.attempt(**changes)))


async def refresh(world: World, tokens: dict[str, Any]) -> dict[str, Any]:
    """The next tokens; the refresh must succeed."""
    response = await world.refresh(tokens["refresh_token"])
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def expect_refusal(world: World, tokens: dict[str, Any], error: str, reason: str) -> None:
    response = await world.refresh(tokens["refresh_token"])
    assert (response.json()["error"], response.json()["reason"]) == (error, reason)
    assert response.status_code == (503 if error == "temporarily_unavailable" else 400)
    assert ("retry-after" in response.headers) == (response.status_code == 503)


async def read_endings(world: World) -> list[str]:
    """Why grants ended, by the audit trail."""
    events = await world.server.context.store.load_audit_events()
    return [event.detail for _, event in events if event.name == "grant.revoked"]


@asynccontextmanager
async def run_replica(world: World, directory: Path, **changes: Any) -> AsyncIterator[World]:
    """Another server over the same store, as a replica or after a restart: its memory is empty."""
    settings = build_settings(world.server.context.issuer, world.resource, directory, world.host, changes)
    server = AuthorizationServer(settings, clock=world.clock)
    listener, port = open_listener()
    async with serve_app(server.standalone_app(), listener):
        yield replace(world, issuer=f"http://127.0.0.1:{port}", server=server)


@dataclass(kw_only=True)
class Hosting:
    """The document host of a world, which can be taken down."""

    stack: AsyncExitStack
    port: int

    async def take_down(self) -> None:
        await self.stack.aclose()


@asynccontextmanager
async def run_fragile_world(world: World, directory: Path, **fetch: Any) -> AsyncIterator[tuple[World, Hosting]]:
    """A server of its own store, whose document host can be taken down."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(run_document_host(directory))
        fragile = replace(world, host=host, client_id=host.publish(PATH, DOCUMENT))
        declared = {"host": host.name, "network": "127.0.0.0/8", "ports": [host.port], "address": "127.0.0.1"}
        settings = {"private_hosts": [declared], "trusted_ca_file": host.ca_file, "deadline_seconds": 0.5, **fetch}
        async with run_replica(fragile, directory, fetch=settings) as running:
            yield running, Hosting(stack=stack, port=host.port)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


# Row 1: what may pass


@pytest.mark.proves("CIMD-45")
@pytest.mark.parametrize("failure", PASSING)
async def test_k04_what_may_pass_is_bridged_for_a_day_and_never_ends_a_grant(world: World, failure: str) -> None:
    tokens = await world.obtain_tokens()
    PASSING[failure](world)
    world.clock.advance(STALE)
    tokens = await refresh(world, tokens)
    assert (await open_authorization(world)).status_code == 200
    world.clock.advance(600 + DAY - STALE - 1)
    tokens = await refresh(world, tokens)
    world.clock.advance(1)
    await expect_refusal(world, tokens, "temporarily_unavailable", REASONS[failure])
    page = await open_authorization(world)
    assert (page.status_code, page.headers["retry-after"]) == (503, "30")
    world.clock.advance(DAY)
    await expect_refusal(world, tokens, "temporarily_unavailable", REASONS[failure])
    mend(world)
    await refresh(world, tokens)
    assert (await open_authorization(world)).status_code == 200
    assert await read_endings(world) == []


@pytest.mark.proves("CIMD-37", "CIMD-40")
@pytest.mark.parametrize("failure", PASSING)
async def test_k04_without_a_good_copy_a_failure_is_a_page_and_over_as_soon_as_it_is_mended(
    world: World, failure: str
) -> None:
    PASSING[failure](world)
    page = await open_authorization(world)
    assert (page.status_code, page.headers["retry-after"]) == (503, "30")
    assert "location" not in page.headers
    assert REASONS[failure] in page.text
    assert "localhost" in page.text
    mend(world)
    assert await world.obtain_tokens()


@pytest.mark.proves("CIMD-45", "CIMD-117")
async def test_k31_a_client_is_known_on_every_leg_after_a_restart_while_its_host_is_down(
    world: World, elsewhere: Path
) -> None:
    async with run_fragile_world(world, elsewhere) as (before, hosting):
        tokens = await before.obtain_tokens()
        attempt = before.attempt()
        code = await before.obtain_code(attempt)
        world.clock.advance(STALE - 680)
        await hosting.take_down()
        async with run_replica(before, elsewhere) as after:
            assert (await after.redeem(attempt, code)).status_code == 200
            world.clock.advance(STALE)
            tokens = await refresh(after, tokens)
            assert (await open_authorization(after)).status_code == 200
            world.clock.advance(DAY)
            await expect_refusal(after, tokens, "temporarily_unavailable", "fetch.unreachable")
            assert await read_endings(after) == []


async def test_a_silent_host_holds_up_a_refresh_for_moments_only(world: World, elsewhere: Path) -> None:
    async with run_fragile_world(world, elsewhere, deadline_seconds=30) as (fragile, hosting):
        tokens = await fragile.obtain_tokens()
        world.clock.advance(STALE)
        await hosting.take_down()
        async with SilentListener(port=hosting.port) as silent, asyncio.timeout(10):
            for _ in range(3):
                tokens = await refresh(fragile, tokens)
            assert silent.accepted == 1


# Row 2: what may be an attack


async def test_a_certificate_that_is_not_trusted_is_not_bridged_and_ends_no_grant(
    world: World, elsewhere: Path
) -> None:
    async with run_fragile_world(world, elsewhere) as (fragile, hosting):
        tokens = await fragile.obtain_tokens()
        world.clock.advance(STALE)
        await hosting.take_down()
        certificate_file = elsewhere / "untrusted.pem"
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate_file))
        listener, _ = open_listener(hosting.port)
        async with serve_app(Starlette(), listener, certificate_file=certificate_file):
            await expect_refusal(fragile, tokens, "temporarily_unavailable", "fetch.unreachable")
            assert (await open_authorization(fragile)).status_code == 503
            assert await read_endings(fragile) == []


async def test_a_name_that_moved_inside_is_not_bridged_and_ends_no_grant(world: World, tmp_path: Path) -> None:
    tokens = await world.obtain_tokens()
    world.clock.advance(STALE)
    inside = {"host": world.host.name, "network": "127.9.9.9/32", "ports": [world.host.port]}
    fetch = {"private_hosts": [inside], "trusted_ca_file": world.host.ca_file, "deadline_seconds": 0.3}
    async with run_replica(world, tmp_path, fetch=fetch) as replica:
        await expect_refusal(replica, tokens, "temporarily_unavailable", "fetch.unreachable")
        assert (await open_authorization(replica)).status_code == 503
    await refresh(world, tokens)


# Rows 3 and 4: what says that the client is gone


@pytest.mark.proves("CIMD-103")
@pytest.mark.parametrize("failure", FINAL)
async def test_a_client_that_is_gone_gets_nothing_new_and_loses_its_grant_once_that_is_confirmed(
    world: World, failure: str
) -> None:
    break_it, reason = FINAL[failure]
    tokens = await world.obtain_tokens()
    break_it(world)
    world.clock.advance(STALE)
    page = await open_authorization(world)
    assert (page.status_code, reason in page.text, "invalid_client" in page.text) == (400, True, True)
    tokens = await refresh(world, tokens)
    world.clock.advance(HOUR - 1)
    tokens = await refresh(world, tokens)
    world.clock.advance(1)
    await expect_refusal(world, tokens, "invalid_client", reason)
    assert await read_endings(world) == [reason]
    mend(world)
    await expect_refusal(world, tokens, "invalid_grant", "refresh_token.grant_revoked")
    assert await world.obtain_tokens(), "the client itself is welcome again"


async def test_what_is_mended_within_the_hour_costs_nobody_a_grant(world: World) -> None:
    tokens = await world.obtain_tokens()
    for break_it, _ in FINAL.values():
        break_it(world)
        world.clock.advance(STALE)
        tokens = await refresh(world, tokens)
        world.clock.advance(HOUR - STALE)
        mend(world)
        tokens = await refresh(world, tokens)
    assert await read_endings(world) == []


@pytest.mark.parametrize("failure", FINAL)
async def test_the_end_of_a_client_is_confirmed_across_a_restart(world: World, tmp_path: Path, failure: str) -> None:
    break_it, reason = FINAL[failure]
    tokens, others = await world.obtain_tokens(), await world.obtain_tokens()
    break_it(world)
    world.clock.advance(STALE)
    tokens = await refresh(world, tokens)
    world.clock.advance(HOUR)
    async with run_replica(world, tmp_path) as replica:
        for each in (tokens, others):
            await expect_refusal(replica, each, "invalid_client", reason)
        assert await read_endings(replica) == [reason, reason]


async def test_past_its_last_good_copy_a_grant_still_waits_for_the_confirmation(world: World) -> None:
    tokens = await world.obtain_tokens()
    world.host.documents.clear()
    world.clock.advance(2 * DAY)
    await expect_refusal(world, tokens, "temporarily_unavailable", "fetch.unreachable")
    world.clock.advance(HOUR)
    await expect_refusal(world, tokens, "invalid_client", "fetch.not_found")


# Row 5: policy


async def test_a_client_that_the_operator_no_longer_admits_is_refused_without_a_fetch_and_its_grant_ends(
    world: World, tmp_path: Path
) -> None:
    tokens = await world.obtain_tokens()
    async with run_replica(world, tmp_path, fetch={}) as strict:
        page = await open_authorization(strict)
        assert (page.status_code, "client_id.single_label" in page.text) == (400, True)
        await expect_refusal(strict, tokens, "invalid_client", "client_id.single_label")
        assert await read_endings(strict) == ["client_id.single_label"]
    assert world.host.requests == [PATH]


# Shared by replicas


async def test_an_approved_document_is_shared_and_a_strangers_never_stored(world: World, tmp_path: Path) -> None:
    stranger = world.host.publish("/stranger.json", DOCUMENT)
    assert (await open_authorization(world, client_id=stranger)).status_code == 200
    tokens = await world.obtain_tokens()
    store = world.server.context.store
    stored = await store.load_document(world.client_id)
    assert isinstance(stored, StoredDocument)
    assert json.loads(stored.body)["client_name"] == "Notebook"
    assert await store.load_document(stranger) == Unknown()
    async with run_replica(world, tmp_path) as replica:
        assert (await open_authorization(replica)).status_code == 200
        tokens = await refresh(replica, tokens)
        assert world.host.requests == ["/stranger.json", PATH]
        assert (await open_authorization(replica, client_id=stranger)).status_code == 200
        assert world.host.requests == ["/stranger.json", PATH, "/stranger.json"]
        world.clock.advance(STALE)
        tokens = await refresh(replica, tokens)
        await refresh(world, tokens)
        assert world.host.requests[3:] == [PATH], "what one renewed serves the other"


async def test_a_document_that_must_not_be_kept_is_fetched_for_each_use_and_not_stored(world: World) -> None:
    serve(headers={"Cache-Control": "no-store"})(world)
    tokens = await world.obtain_tokens()
    tokens = await refresh(world, tokens)
    assert world.host.requests == [PATH, PATH]
    PASSING["500"](world)
    await expect_refusal(world, tokens, "temporarily_unavailable", "fetch.status")
    stored = await world.server.context.store.load_document(world.client_id)
    assert isinstance(stored, Unknown)


# What changes


@pytest.mark.proves("CIMD-89", "CIMD-100")
async def test_k29_other_redirects_and_grant_types_concern_new_authorizations_only(world: World) -> None:
    tokens = await world.obtain_tokens(scope="notes:read notes:write")
    changed = {"redirect_uris": ["https://new.example/cb"], "grant_types": ["authorization_code"]}
    world.host.publish(PATH, {**DOCUMENT, **changed, "scope": "notes:read", "client_name": "Ledger"})
    assert (await open_authorization(world)).status_code == 200, "the document is fresh"
    world.clock.advance(STALE)
    for _ in range(2):
        tokens = await refresh(world, tokens)
        assert tokens["scope"] == "notes:read notes:write"
    assert "redirect_uri.not_registered" in (await open_authorization(world)).text
    new = await world.obtain_tokens(redirect_uri="https://new.example/cb", scope=None)
    assert (new["scope"], "refresh_token" in new) == ("notes:read", False)


async def test_a_client_that_no_longer_offers_none_is_not_served_without_its_key(world: World) -> None:
    tokens = await world.obtain_tokens()
    keys = {"jwks_uri": world.host.url("/jwks.json")}
    world.host.publish(PATH, {**DOCUMENT, **keys, "token_endpoint_auth_method": "private_key_jwt"})
    tokens = await refresh(world, tokens)
    world.clock.advance(STALE)
    await expect_refusal(world, tokens, "invalid_client", "client.auth_method_withdrawn")
    both = {"token_endpoint_auth_methods_supported": ["private_key_jwt", "none"]}
    world.host.publish(PATH, {**DOCUMENT, **keys, **both, "token_endpoint_auth_method": "private_key_jwt"})
    world.clock.advance(STALE)
    await refresh(world, tokens)
    assert await read_endings(world) == []
    assert "/jwks.json" not in world.host.requests


# What no document decides


async def test_no_fetch_starts_at_the_token_endpoint_for_who_holds_no_grant(world: World) -> None:
    tokens = await world.obtain_tokens()
    await refresh(world, tokens)
    spent = tokens
    other = world.host.publish("/other.json", DOCUMENT)
    world.clock.advance(STALE)
    for form in (
        {"refresh_token": "npr_unknown", "client_id": world.client_id},
        {"refresh_token": "npr_unknown", "client_id": other},
        {"refresh_token": spent["refresh_token"], "client_id": other},
        {"refresh_token": spent["refresh_token"], "client_id": world.client_id},
    ):
        response = await world.post_token(grant_type="refresh_token", **form)
        assert response.json()["error"] == "invalid_grant"
    assert world.host.requests == [PATH]


async def test_a_stolen_refresh_token_ends_the_grant_although_the_document_cannot_be_had(world: World) -> None:
    tokens = await world.obtain_tokens()
    await refresh(world, tokens)
    PASSING["500"](world)
    world.clock.advance(2 * DAY)
    await expect_refusal(world, tokens, "invalid_grant", "refresh_token.reused")
    assert await read_endings(world) == ["refresh_token.reused"]


async def test_a_repeat_gets_its_answer_although_the_document_cannot_be_had(world: World) -> None:
    serve(headers={"Cache-Control": "no-store"})(world)
    tokens = await world.obtain_tokens()
    first = await refresh(world, tokens)
    PASSING["500"](world)
    assert (await refresh(world, tokens))["refresh_token"] == first["refresh_token"]


# Budgets


def read_budgets(directory: Path) -> dict[str, float]:
    connection = sqlite3.connect(directory / "store.sqlite3")
    rows = connection.execute("SELECT name, level FROM budgets WHERE name LIKE 'fetch:%'").fetchall()
    connection.close()
    return dict(rows)


@pytest.mark.proves("CIMD-44")
async def test_a_fetch_for_a_stranger_is_charged_to_its_source_and_a_warm_document_to_nobody(
    world: World, tmp_path: Path
) -> None:
    for _ in range(3):
        await open_authorization(world)
    budgets = read_budgets(tmp_path)
    assert set(budgets) == {"fetch:source:127.0.0.1", "fetch:host:localhost", "fetch:total"}
    await world.obtain_tokens()
    world.clock.advance(STALE)
    assert (await open_authorization(world)).status_code == 200
    assert world.host.requests == [PATH, PATH]
    assert read_budgets(tmp_path) == budgets, "nor is one whose client somebody approved"


@pytest.mark.proves("CIMD-44")
async def test_a_source_that_spent_its_budget_is_sent_away_and_clients_with_a_grant_are_not(
    world: World, tmp_path: Path
) -> None:
    tokens = await world.obtain_tokens()
    stranger = world.host.publish("/stranger.json", DOCUMENT)
    async with run_replica(world, tmp_path) as replica:
        left = read_budgets(tmp_path)["fetch:source:127.0.0.1"]
        spend = replica.server.context.store.spend
        assert await spend("fetch:source:127.0.0.1", int(left), capacity=400, refill_per_second=5, now=world.clock())
        page = await open_authorization(replica, client_id=stranger)
        assert (page.status_code, page.headers["retry-after"], "fetch.busy" in page.text) == (503, "4", True)
        assert world.host.requests == [PATH]
        world.clock.advance(1)
        assert (await open_authorization(replica)).status_code == 200
        await refresh(replica, tokens)
        assert (await open_authorization(replica, client_id=stranger)).status_code == 503
        world.clock.advance(STALE)
        assert (await open_authorization(replica)).status_code == 200
        assert world.host.requests == [PATH, PATH]
        assert (await open_authorization(replica, client_id=stranger)).status_code == 200, "by now it has refilled"
