"""The provider's tokens: kept sealed with the grant, exchanged for resource servers, refreshed once, ended with it."""

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from identity_kit import RESOURCE_SERVER, IdentityWorld, build_resource_server, run_identity_world

from flow_world import read_answer
from nameplate.server.app import AuthorizationServer
from nameplate.testing.headless_user import HeadlessUser
from nameplate.testing.identity_provider import FakeAnswer
from nameplate.testing.serving import open_listener, serve_app

pytestmark = pytest.mark.anyio

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
KEEPS = {"corp": {"keeps_tokens": True}}
DOWN = FakeAnswer(status=503, headers={"Retry-After": "17"})


async def exchange(
    there: IdentityWorld, subject_token: str, *, issuer: str | None = None, secret: str = "", **changes: str | None
) -> httpx2.Response:
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject_token,
        "subject_token_type": ACCESS_TOKEN,
        **changes,
    }
    name, right = RESOURCE_SERVER
    return await there.world.http.post(
        f"{issuer or there.world.issuer}/token",
        data={member: value for member, value in form.items() if value is not None},
        auth=(name, secret or right),
    )


def count_refreshes(there: IdentityWorld) -> int:
    sent = there.provider.find_requests("token")
    return sum(request.parameters["grant_type"] == "refresh_token" for request in sent)


@pytest.mark.proves("MCP-85", "MCP-86")
async def test_a_resource_server_gets_the_current_token_of_the_person(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables=KEEPS, may_exchange=True) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        response = await exchange(there, tokens["access_token"])
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in response.headers
        body = response.json()
        assert body["access_token"] in there.provider.issued
        assert (body["issued_token_type"], body["token_type"]) == (ACCESS_TOKEN, "Bearer")
        assert 3500 < body["expires_in"] <= 3600
        assert "refresh_token" not in body
        assert (await exchange(there, tokens["access_token"])).json()["access_token"] == body["access_token"]
        assert count_refreshes(there) == 0


async def test_no_more_is_granted_than_the_page_showed(tmp_path: Path) -> None:
    """Who is put into another group between Allow and the way back has not seen what that group may do."""
    groups = {"*": ["notes:read"], "writers": ["notes:write"]}
    tables = {"corp": {"keeps_tokens": True, "scopes_by_group": groups}}
    async with run_identity_world(tmp_path, tables=tables) as there, HeadlessUser() as user:
        attempt = there.world.attempt(scope="notes:read notes:write")
        page = await user.answer(await there.sign_in(user, attempt))
        assert page.left_to is not None
        there.provider.person |= {"groups": ["writers"]}
        page = await there.return_from(user, page.left_to)
        assert page.left_to is not None
        response = await there.world.redeem(attempt, read_answer(page.left_to)["code"])
        assert response.json()["scope"] == "notes:read"


def read_store(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.glob("store.sqlite3*") if file.suffix != ".key")


async def test_tokens_lie_sealed_in_the_store(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables=KEEPS, may_exchange=True) as there, HeadlessUser() as user:
        await there.obtain_tokens(user)
        files = read_store(tmp_path)
        for value in there.provider.issued:
            assert value.encode() not in files
            assert base64.b64encode(value.encode()) not in files


async def test_tokens_of_another_grant_cannot_be_put_in_their_place(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables=KEEPS, may_exchange=True) as there:
        tokens = []
        for sub in ("one", "two"):
            there.provider.person["sub"] = sub
            async with HeadlessUser() as user:
                tokens.append(await there.obtain_tokens(user))
        with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as store:
            table = "upstream_tokens"
            (first, *_rest) = store.execute(f"SELECT sealed FROM {table}").fetchone()
            store.execute(f"UPDATE {table} SET sealed = ?", (first,))
            store.commit()
        answers = [await exchange(there, each["access_token"]) for each in tokens]
        assert sorted(answer.status_code for answer in answers) == [200, 503]


async def test_tokens_are_refreshed_before_they_run_out(tmp_path: Path) -> None:
    async with (
        run_identity_world(tmp_path, tables=KEEPS, may_exchange=True, tokens={"access_token_seconds": 86400}) as there,
        HeadlessUser() as user,
    ):
        tokens = await there.obtain_tokens(user)
        before = (await exchange(there, tokens["access_token"])).json()["access_token"]
        there.world.clock.advance(3550)
        after = (await exchange(there, tokens["access_token"])).json()
        assert after["access_token"] != before
        assert after["expires_in"] > 3500
        assert count_refreshes(there) == 1
        there.world.clock.advance(3550)
        again = (await exchange(there, tokens["access_token"])).json()  # by the rotated refresh token
        assert again["access_token"] not in (before, after["access_token"])


async def test_two_servers_refresh_once(tmp_path: Path) -> None:
    tokens_table = {"access_token_seconds": 86400}
    async with (
        run_identity_world(tmp_path, tables=KEEPS, may_exchange=True, tokens=tokens_table) as there,
        HeadlessUser() as user,
    ):
        tokens = await there.obtain_tokens(user)
        async with run_replica(there) as second:
            there.world.clock.advance(3700)  # run out: whoever does not refresh has to wait
            gate = asyncio.Event()
            there.provider.waits_for["token"] = gate
            asked = [
                asyncio.create_task(exchange(there, tokens["access_token"], issuer=issuer))
                for issuer in (there.world.issuer, second) * 4
            ]
            await wait_until(lambda: count_refreshes(there))
            gate.set()
            answers = [await task for task in asked]
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.json()["access_token"] for answer in answers}) == 1
            assert count_refreshes(there) == 1


@asynccontextmanager
async def run_replica(there: IdentityWorld) -> AsyncIterator[str]:
    """A second server over the same store; the base URL of its endpoints."""
    listener, port = open_listener()
    server = AuthorizationServer(there.world.server._settings, clock=there.world.clock)
    async with serve_app(server.standalone_app(), listener):
        yield f"http://127.0.0.1:{port}"


async def wait_until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110  (nobody tells us)
            await asyncio.sleep(0)


async def test_px_13_what_the_provider_ended_ends_here(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"tokens": {"access_token_seconds": 86400}}
    async with (
        run_identity_world(tmp_path, tables=KEEPS, may_exchange=True, **settings) as there,
        HeadlessUser() as user,
    ):
        tokens = await there.obtain_tokens(user)
        there.provider.end_grants()
        there.world.clock.advance(3700)
        refused = await exchange(there, tokens["access_token"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert refused.json()["reason"] == "upstream.grant_ended"
        assert (await there.world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await exchange(there, tokens["access_token"])).json()["reason"] == "exchange.subject_token"
        assert await there.obtain_tokens(user)


async def test_a_provider_that_is_down_ends_nothing(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"tokens": {"access_token_seconds": 86400}}
    async with (
        run_identity_world(tmp_path, tables=KEEPS, may_exchange=True, **settings) as there,
        HeadlessUser() as user,
    ):
        tokens = await there.obtain_tokens(user)
        there.provider.instead["token"] = DOWN
        there.world.clock.advance(3550)  # still good for some seconds
        assert (await exchange(there, tokens["access_token"])).status_code == 200
        there.world.clock.advance(100)
        refused = await exchange(there, tokens["access_token"])
        assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
        assert refused.headers["retry-after"] == "17"
        del there.provider.instead["token"]
        there.world.clock.advance(31)  # the lease of the attempt that failed
        assert (await exchange(there, tokens["access_token"])).status_code == 200


async def test_a_provider_without_refresh_tokens_ends_the_grant_when_its_token_runs_out(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"tokens": {"access_token_seconds": 86400}}
    async with (
        run_identity_world(tmp_path, tables=KEEPS, may_exchange=True, **settings) as there,
        HeadlessUser() as user,
    ):
        there.provider.issues_refresh_tokens = False
        tokens = await there.obtain_tokens(user)
        assert (await exchange(there, tokens["access_token"])).status_code == 200
        there.world.clock.advance(3601)
        assert (await exchange(there, tokens["access_token"])).json()["reason"] == "upstream.no_refresh_token"
        assert (await there.world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_token_that_never_expires_is_not_refreshed(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"tokens": {"access_token_seconds": 86400}}
    async with (
        run_identity_world(tmp_path, tables=KEEPS, may_exchange=True, **settings) as there,
        HeadlessUser() as user,
    ):
        there.provider.token_changes = {"expires_in": None}
        tokens = await there.obtain_tokens(user)
        there.world.clock.advance(80_000)
        body = (await exchange(there, tokens["access_token"])).json()
        assert "expires_in" not in body
        assert count_refreshes(there) == 0


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"subject_token": None}, 400, "invalid_request"),
        ({"subject_token": "junk"}, 400, "invalid_request"),
        ({"subject_token_type": None}, 400, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, 400, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"}, 400, "invalid_request"),
        ({"requested_token_type": ACCESS_TOKEN}, 200, ""),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, 400, "invalid_request"),
        ({"resource": "https://graph.example.com"}, 400, "invalid_target"),
        ({"audience": "graph"}, 400, "invalid_target"),
        ({"scope": "openid"}, 200, ""),
        ({"scope": "admin"}, 400, "invalid_scope"),
        ({"secret": "wrong"}, 401, "invalid_client"),
    ],
    ids=str,
)
async def test_each_wrong_exchange_is_refused_in_the_rfcs_words(
    tmp_path: Path, changes: dict[str, Any], status: int, error: str
) -> None:
    async with run_identity_world(tmp_path, tables=KEEPS, may_exchange=True) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        response = await exchange(there, **{"subject_token": tokens["access_token"], **changes})
        assert response.status_code == status, response.text
        assert response.json().get("error", "") == error


async def test_a_refresh_token_of_ours_is_nothing_to_exchange(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables=KEEPS, may_exchange=True) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        assert (await exchange(there, tokens["refresh_token"])).json()["error"] == "invalid_request"


async def test_a_client_cannot_exchange(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables=KEEPS, may_exchange=True) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        response = await there.world.post_token(
            grant_type=EXCHANGE,
            subject_token=tokens["access_token"],
            subject_token_type=ACCESS_TOKEN,
            client_id=there.world.client_id,
        )
        assert response.json()["error"] == "invalid_client"


async def test_only_who_may_exchange_can_and_only_then_it_is_advertised(tmp_path: Path) -> None:
    servers = [build_resource_server(may_exchange=False)]
    async with run_identity_world(tmp_path, tables=KEEPS, resource_servers=servers) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        assert (await exchange(there, tokens["access_token"])).json()["error"] == "unsupported_grant_type"
        metadata = await there.world.http.get(f"{there.world.issuer}/.well-known/oauth-authorization-server")
        assert EXCHANGE not in metadata.json()["grant_types_supported"]
    (tmp_path / "two").mkdir()
    async with run_identity_world(tmp_path / "two", tables=KEEPS, may_exchange=True) as there:
        metadata = await there.world.http.get(f"{there.world.issuer}/.well-known/oauth-authorization-server")
        assert EXCHANGE in metadata.json()["grant_types_supported"]


async def test_a_resource_server_gets_nothing_for_the_tokens_of_others(tmp_path: Path) -> None:
    other = "http://127.0.0.1:8000/other"
    own = {"identifier": "http://127.0.0.1:8000/mcp", "name": "Notes", "scopes": []}
    resources = [own, {"identifier": other, "name": "Other", "scopes": []}]
    servers = [build_resource_server(resources=[other], may_exchange=True)]
    async with (
        run_identity_world(tmp_path, tables=KEEPS, resources=resources, resource_servers=servers) as there,
        HeadlessUser() as user,
    ):
        tokens = await there.obtain_tokens(user, scope=None)
        assert (await exchange(there, tokens["access_token"])).json()["reason"] == "exchange.subject_token"


async def test_there_is_nothing_to_exchange_where_nothing_is_kept(tmp_path: Path) -> None:
    tables = {"corp": {"keeps_tokens": True}, "guests": {}}
    async with run_identity_world(tmp_path, tables=tables, may_exchange=True) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user, "guests")
        assert len(there.providers["guests"].find_requests("authorize")) == 1  # and no second way there
        response = await exchange(there, tokens["access_token"])
        assert response.json()["reason"] == "exchange.no_upstream_tokens"


async def revoke(there: IdentityWorld, token: str) -> None:
    data = {"token": token, "client_id": there.world.client_id}
    assert (await there.world.http.post(f"{there.world.issuer}/revoke", data=data)).status_code == 200


async def test_what_a_client_gives_back_ends_at_the_provider_too(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables=KEEPS, may_exchange=True) as there, HeadlessUser() as user:
        first = await there.obtain_tokens(user)
        second = await there.obtain_tokens(user)
        await revoke(there, first["refresh_token"])
        assert there.provider.revoked == []  # the other client's access would have ended with it
        assert (await exchange(there, second["access_token"])).status_code == 200
        await revoke(there, second["refresh_token"])
        await wait_until(lambda: there.provider.revoked)
        (revoked,) = there.provider.revoked
        assert revoked in there.provider.issued


async def test_a_provider_that_cannot_end_it_does_not_keep_it_alive_here(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables=KEEPS, may_exchange=True) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        there.provider.instead["revoke"] = DOWN
        await revoke(there, tokens["refresh_token"])
        assert (await there.world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
