"""Resource servers ask about tokens (RFC 7662) and read which grants were revoked (docs/decisions/0013)."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from revocation_kit import (
    NOTES,
    OTHERS,
    RESOURCE_SERVERS,
    introspect,
    read_feed,
    revoke,
)

from assertion_kit import run_replica
from flow_world import PASSWORD_HASH, World, run_world
from nameplate.errors import ConfigurationError
from nameplate.jose import SigningKey
from nameplate.protocol.revocation import digest_grant_id
from nameplate.server.settings import Settings
from nameplate.server.settings_checks import check_settings

pytestmark = pytest.mark.anyio

INACTIVE = b'{"active":false}'


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world with resource servers that may ask."""
    async with run_world(tmp_path, **RESOURCE_SERVERS) as running:
        yield running


def read_claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


# Introspection


@pytest.mark.proves("INT-3")
async def test_of_a_good_token_the_caller_learns_what_was_signed(world: World) -> None:
    tokens = await world.obtain_tokens()
    claims = read_claims(tokens["access_token"])
    response = await introspect(world, tokens["access_token"])
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in response.headers
    assert response.json() == {
        "active": True,
        "token_type": "Bearer",
        **{name: claims[name] for name in ("iss", "aud", "client_id", "sub", "exp", "iat", "jti", "grant_id")},
        "scope": "notes:read",
    }
    assert claims["client_id"] == world.client_id


async def test_a_caller_may_send_its_secret_in_the_form(world: World) -> None:
    tokens = await world.obtain_tokens()
    form = {"client_id": NOTES[0], "client_secret": NOTES[1], "token": tokens["access_token"]}
    response = await world.http.post(f"{world.issuer}/introspect", data=form)
    assert response.json()["active"] is True


def check_stranger(response: httpx2.Response) -> None:
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic")
    assert response.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in response.headers


def build_basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"}


@pytest.mark.proves("INT-1")
async def test_nobody_asks_without_saying_who_asks(world: World) -> None:
    """TK-09."""
    for headers in (
        {},
        build_basic(NOTES[0], "wrong"),
        build_basic(NOTES[0], ""),
        build_basic("nobody", NOTES[1]),
        build_basic(NOTES[0], OTHERS[1]),
        build_basic(NOTES[0].upper(), NOTES[1]),
        {"Authorization": "Bearer notes-secret"},
        {"Authorization": "Basic"},
    ):
        check_stranger(await world.http.get(f"{world.issuer}/revocations", headers=headers))
        form = {"token": "t"}
        check_stranger(await world.http.post(f"{world.issuer}/introspect", data=form, headers=headers))


@pytest.mark.proves("INT-1")
async def test_a_secret_in_the_form_is_judged_like_one_in_the_header(world: World) -> None:
    for form, headers in (
        ({"client_id": NOTES[0]}, {}),
        ({"client_id": NOTES[0], "client_secret": "wrong"}, {}),
        ({"client_secret": NOTES[1]}, {}),
        ({"client_secret": NOTES[1]}, build_basic(*NOTES)),
        ({"client_id": OTHERS[0]}, build_basic(*NOTES)),
        ({"client_assertion": "a.b.c"}, {}),
    ):
        data = {"token": "t", **form}
        check_stranger(await world.http.post(f"{world.issuer}/introspect", data=data, headers=headers))


@pytest.mark.proves("INT-1")
async def test_a_wrong_secret_and_an_unknown_id_look_alike(world: World) -> None:
    """TK-07."""
    answers = [await introspect(world, "t", auth) for auth in ((NOTES[0], "wrong"), ("nobody", "wrong"))]
    bodies = [{**answer.json(), "reference": ""} for answer in answers]
    assert bodies[0] == bodies[1]
    assert {**answers[0].headers, "date": ""} == {**answers[1].headers, "date": ""}


async def test_two_headers_are_nobodys(world: World) -> None:
    headers = [*build_basic(*NOTES).items()] * 2
    response = await world.http.post(f"{world.issuer}/introspect", data={"token": "t"}, headers=headers)
    assert response.status_code == 401


async def check_inactive(world: World, token: str, auth: tuple[str, str] = NOTES) -> None:
    response = await introspect(world, token, auth)
    assert (response.status_code, response.content) == (200, INACTIVE)
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.proves("INT-2")
async def test_a_token_for_another_resource_is_not_the_callers_business(world: World) -> None:
    tokens = await world.obtain_tokens()
    await check_inactive(world, tokens["access_token"], OTHERS)
    elsewhere = await world.obtain_tokens(resource=RESOURCE_SERVERS["resources"][1]["identifier"])
    await check_inactive(world, elsewhere["access_token"], NOTES)
    assert (await introspect(world, elsewhere["access_token"], OTHERS)).json()["active"] is True


@pytest.mark.proves("INT-2")
async def test_what_is_no_access_token_of_ours_is_inactive(world: World) -> None:
    tokens = await world.obtain_tokens()
    claims, ring = read_claims(tokens["access_token"]), world.server.context.signing_keys
    header, payload, signature = tokens["access_token"].split(".")
    assert (await introspect(world, ring.sign(claims, typ="at+jwt"))).json()["active"] is True
    for token in (
        "junk",
        "tökén",
        "a.b.c",
        "." * 5000,
        "x" * 15_000,
        tokens["refresh_token"],
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}.",
        SigningKey.generate().sign(claims, typ="at+jwt"),
        ring.sign(claims, typ="JWT"),
        ring.sign(claims, typ="logout+jwt"),
        ring.sign(claims, typ="client-authentication+jwt"),
        ring.sign({**claims, "iss": "https://other.example"}, typ="at+jwt"),
        ring.sign({**claims, "aud": [claims["aud"]]}, typ="at+jwt"),
        ring.sign({**claims, "aud": [claims["aud"], "https://other.example"]}, typ="at+jwt"),
        ring.sign({**claims, "grant_id": "npg_unknown"}, typ="at+jwt"),
        ring.sign({name: value for name, value in claims.items() if name != "grant_id"}, typ="at+jwt"),
        ring.sign({**claims, "client_id": "https://other.example/client.json"}, typ="at+jwt"),
        ring.sign({**claims, "sub": "somebody"}, typ="at+jwt"),
        ring.sign({**claims, "cnf": {"jkt": "x"}}, typ="at+jwt"),
        ring.sign({**claims, "exp": int(world.clock())}, typ="at+jwt"),
        ring.sign({**claims, "iat": int(world.clock()) + 60}, typ="at+jwt"),
        ring.sign({**claims, "exp": "x"}, typ="at+jwt"),
    ):
        await check_inactive(world, token)


@pytest.mark.proves("INT-2")
async def test_an_expired_token_is_inactive_from_its_very_second(world: World) -> None:
    tokens = await world.obtain_tokens()
    world.clock.advance(599)
    assert (await introspect(world, tokens["access_token"])).json()["active"] is True
    world.clock.advance(1)
    await check_inactive(world, tokens["access_token"])


@pytest.mark.proves("INT-2", "REV-3")
async def test_a_token_whose_grant_ended_is_inactive_whatever_ended_it(world: World) -> None:
    revoked, reused = await world.obtain_tokens(), await world.obtain_tokens()
    await revoke(world, revoked["refresh_token"])
    await check_inactive(world, revoked["access_token"])
    await world.refresh(reused["refresh_token"])
    world.clock.advance(121)
    await world.refresh(reused["refresh_token"])
    await check_inactive(world, reused["access_token"])
    assert (await read_feed(world))["revoked"] == sorted(
        digest_grant_id(read_claims(tokens["access_token"])["grant_id"]) for tokens in (revoked, reused)
    )


@pytest.mark.proves("INT-2")
async def test_a_token_of_a_person_who_was_taken_out_is_inactive(world: World, tmp_path: Path) -> None:
    tokens = await world.obtain_tokens()
    others = [{"username": "bob", "password_hash": PASSWORD_HASH}]
    async with run_replica(world, tmp_path, **RESOURCE_SERVERS, accounts=others) as without_alice:
        await check_inactive(without_alice, tokens["access_token"])
    assert (await introspect(world, tokens["access_token"])).json()["active"] is True


async def test_a_question_about_no_token_is_a_bad_request(world: World) -> None:
    for form in ({"token": ""}, {"token_type_hint": "access_token"}):
        response = await world.http.post(f"{world.issuer}/introspect", data=form, auth=NOTES)
        assert (response.status_code, response.json()["reason"]) == (400, "token.token_missing")
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("path", "method"), [("introspect", "GET"), ("introspect", "OPTIONS"), ("revocations", "POST")]
)
async def test_other_methods_are_not_answered(world: World, path: str, method: str) -> None:
    response = await world.http.request(method, f"{world.issuer}/{path}", auth=NOTES)
    assert (response.status_code, response.json()["reason"]) == (405, "token.method")


async def test_without_resource_servers_there_is_nothing_to_ask(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        assert (await introspect(world, "t")).status_code == 404
        assert (await world.http.get(f"{world.issuer}/revocations", auth=NOTES)).status_code == 404
        metadata = (await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server")).json()
        assert "introspection_endpoint" not in metadata


async def test_the_metadata_names_the_endpoint_and_how_to_authenticate_there(world: World) -> None:
    metadata = (await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server")).json()
    assert metadata["introspection_endpoint"] == f"{world.issuer}/introspect"
    assert metadata["introspection_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]


async def test_the_endpoints_lie_below_the_issuers_path(tmp_path: Path) -> None:
    async with run_world(tmp_path, issuer_path="/tenant", **RESOURCE_SERVERS) as world:
        tokens = await world.obtain_tokens()
        await revoke(world, tokens["refresh_token"])
        await check_inactive(world, tokens["access_token"])
        assert len((await read_feed(world))["revoked"]) == 1
        refused = await world.http.get(f"{world.issuer}/revoke")
        assert refused.json()["reason"] == "token.method"


# The feed


async def test_the_feed_names_the_callers_revoked_grants_and_nobody_elses(world: World) -> None:
    tokens = await world.obtain_tokens()
    now = int(world.clock())
    assert await read_feed(world) == {
        "issuer": world.issuer,
        "resources": [world.resource],
        "at": now,
        "since": now - 660,
        "revoked": [],
    }
    await revoke(world, tokens["access_token"])
    grant_id = read_claims(tokens["access_token"])["grant_id"]
    assert (await read_feed(world))["revoked"] == [digest_grant_id(grant_id)]
    assert (await read_feed(world, OTHERS))["revoked"] == []


async def test_the_feed_cannot_be_kept_by_anything_in_between(world: World) -> None:
    response = await world.http.get(f"{world.issuer}/revocations", auth=NOTES)
    assert response.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("path", ["introspect", "revocations"])
async def test_a_method_that_is_not_served_is_refused_without_a_word_to_other_origins(world: World, path: str) -> None:
    response = await world.http.put(f"{world.issuer}/{path}", auth=NOTES)
    assert (response.status_code, response.json()["reason"]) == (405, "token.method")
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert (await world.http.put(f"{world.issuer}/token")).headers["access-control-allow-origin"] == "*"


async def test_the_feed_forgets_a_grant_once_no_token_of_it_can_live(world: World) -> None:
    tokens = await world.obtain_tokens()
    await revoke(world, tokens["access_token"])
    world.clock.advance(660 + 60)
    assert len((await read_feed(world))["revoked"]) == 1
    world.clock.advance(1)
    assert (await read_feed(world))["revoked"] == []


async def test_the_longest_lifetime_of_any_class_of_clients_counts(world: World, tmp_path: Path) -> None:
    longer = {"tokens": {"unverified": {"access_token_seconds": 3600}}}
    async with run_replica(world, tmp_path, **RESOURCE_SERVERS, **longer) as replica:
        feed = await read_feed(replica)
        assert feed["at"] - feed["since"] == 3600 + 60


async def test_a_swept_store_still_knows_what_was_revoked(world: World) -> None:
    tokens = await world.obtain_tokens()
    await revoke(world, tokens["access_token"])
    world.clock.advance(600)
    while await world.server.context.store.sweep(int(world.clock()), limit=100):
        pass
    assert len((await read_feed(world))["revoked"]) == 1


# Settings


def build_settings(**changes: Any) -> Settings:
    resource = {"identifier": "https://mcp.example.com/mcp", "name": "Notes"}
    accounts = [{"username": "ada", "password_hash": PASSWORD_HASH}]
    return Settings.model_validate(
        {"issuer": "https://login.example.com", "accounts": accounts, "resources": [resource], **changes}
    )


@pytest.mark.parametrize(
    ("servers", "setting"),
    [
        ([("a", ["https://mcp.example.com/mcp"]), ("a", ["https://mcp.example.com/mcp"])], "resource_servers.id"),
        ([("a", ["https://mcp.example.com/mcp/"])], "resource_servers.resources"),
        ([("a", ["https://mcp.example.com/mcp", "https://other.example.com"])], "resource_servers.resources"),
    ],
)
def test_resource_servers_that_cannot_work_are_refused_at_the_start(
    servers: list[tuple[str, list[str]]], setting: str
) -> None:
    secret_hash = "sha256:" + "0" * 64
    tables = [{"id": name, "secret_hash": secret_hash, "resources": resources} for name, resources in servers]
    with pytest.raises(ConfigurationError) as caught:
        check_settings(build_settings(resource_servers=tables))
    assert caught.value.setting == setting
    good = {"id": "a", "secret_hash": secret_hash, "resources": ["https://mcp.example.com/mcp"]}
    check_settings(build_settings(resource_servers=[good]))


async def test_no_secret_reaches_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    tokens = await world.obtain_tokens()
    with caplog.at_level("DEBUG"):
        await introspect(world, tokens["access_token"], (NOTES[0], "wrong-secret"))
        await introspect(world, tokens["access_token"])
        await revoke(world, tokens["refresh_token"], client_id="nobody")
        await revoke(world, tokens["refresh_token"])
    logged = caplog.text + "".join(str(record.__dict__) for record in caplog.records if record.name != "httpx2")
    for secret in ("wrong-secret", NOTES[1], tokens["access_token"], tokens["refresh_token"]):
        assert secret not in logged
