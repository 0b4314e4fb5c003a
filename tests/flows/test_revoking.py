"""A client ends what it was given, with any of the tokens it got (RFC 7009; docs/decisions/0013)."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import hypothesis
import pytest
from hypothesis import strategies as st
from revocation_kit import (
    NOTES,
    RESOURCE_SERVERS,
    introspect,
    publish_key_client,
    read_feed,
    revoke,
    sign_assertion,
)

from assertion_kit import read_endings, run_replica
from flow_world import DOCUMENT, REDIRECT_URI, World, run_world
from nameplate.jose import SigningKey
from nameplate.protocol.parameters import MAX_PARAMETERS_BYTES
from nameplate.testing.document_host import HostedDocument, run_document_host

pytestmark = pytest.mark.anyio

DAY = 24 * 3600
KEY = SigningKey.generate()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world with resource servers that may ask."""
    async with run_world(tmp_path, **RESOURCE_SERVERS) as running:
        yield running


async def is_alive(world: World, tokens: dict[str, Any], **changes: str | None) -> bool:
    """Whether the grant behind the tokens still gives new ones. It is used up by that: ask once."""
    return (await world.refresh(tokens["refresh_token"], **changes)).status_code == 200


async def check_ended(world: World, tokens: dict[str, Any]) -> None:
    assert (await introspect(world, tokens["access_token"])).json() == {"active": False}
    assert len((await read_feed(world))["revoked"]) == 1
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert await read_endings(world) == ["client.revoked"]


# What is ended


@pytest.mark.proves("REV-3")
async def test_revoking_the_refresh_token_ends_all_that_was_granted(world: World) -> None:
    tokens = await world.obtain_tokens()
    response = await revoke(world, tokens["refresh_token"])
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"
    await check_ended(world, tokens)


@pytest.mark.proves("REV-4")
async def test_revoking_an_access_token_ends_all_that_was_granted(world: World) -> None:
    tokens = await world.obtain_tokens()
    assert (await revoke(world, tokens["access_token"])).status_code == 200
    await check_ended(world, tokens)


async def test_any_token_that_was_ever_given_ends_the_grant(world: World) -> None:
    """A client signs out with what it has: that must not end less because the token is an old one."""
    for name in ("refresh_token", "access_token"):
        tokens = await world.obtain_tokens()
        latest = (await world.refresh(tokens["refresh_token"])).json()
        world.clock.advance(601)  # the access token has expired
        assert (await revoke(world, tokens[name])).status_code == 200
        assert not await is_alive(world, latest)
    assert await read_endings(world) == ["client.revoked"] * 2


async def test_other_grants_of_the_same_client_and_person_live_on(world: World) -> None:
    first, second = await world.obtain_tokens(), await world.obtain_tokens()
    await revoke(world, first["refresh_token"])
    assert (await introspect(world, second["access_token"])).json()["active"] is True
    assert await is_alive(world, second)


@pytest.mark.proves("REV-2")
@pytest.mark.parametrize("hint", ["refresh_token", "access_token", "junk", ""])
async def test_a_hint_wrong_or_unknown_hides_nothing(world: World, hint: str) -> None:
    for name in ("refresh_token", "access_token"):
        tokens = await world.obtain_tokens()
        assert (await revoke(world, tokens[name], token_type_hint=hint)).status_code == 200
        assert not await is_alive(world, tokens)


async def test_revoking_twice_or_fifty_times_at_once_is_no_error(world: World) -> None:
    tokens = await world.obtain_tokens()
    responses = await asyncio.gather(*(revoke(world, tokens["refresh_token"]) for _ in range(50)))
    assert {response.status_code for response in responses} == {200}
    assert await read_endings(world) == ["client.revoked"]


async def test_a_grant_that_ended_by_itself_stays_as_it_is(world: World) -> None:
    tokens = await world.obtain_tokens()
    world.clock.advance(180 * DAY)
    assert (await revoke(world, tokens["refresh_token"])).status_code == 200
    assert await read_endings(world) == []


# Who may


@pytest.mark.proves("REV-1")
@pytest.mark.parametrize("name", ["refresh_token", "access_token"])
async def test_another_clients_token_is_as_good_as_unknown(world: World, name: str) -> None:
    """TK-08: neither the answer nor what is fetched tells that the token exists."""
    tokens = await world.obtain_tokens()
    stranger = world.host.publish("/stranger.json", DOCUMENT)
    before = len(world.host.requests)
    foreign = await revoke(world, tokens[name], client_id=stranger)
    unknown = await revoke(world, "npr_unknown", client_id=stranger)
    assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content) == (200, b"")
    assert {**foreign.headers, "date": ""} == {**unknown.headers, "date": ""}
    assert len(world.host.requests) == before
    assert await is_alive(world, tokens)


def build_jwt(header: dict[str, object], claims: dict[str, object], signature: bytes = b"x") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.proves("REV-2")
async def test_what_is_no_token_of_ours_is_answered_with_200_and_ends_nothing(world: World) -> None:
    tokens = await world.obtain_tokens()
    header, payload, signature = tokens["access_token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    forged = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
    ring = world.server.context.signing_keys
    for junk in (
        "junk",
        "tökén",
        "\x00",
        "a.b.c",
        "." * 5000,
        "npr_" + "A" * 43,
        tokens["refresh_token"] + "A",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        build_jwt(forged, claims),
        build_jwt({**forged, "alg": "none"}, claims, b""),
        build_jwt({**forged, "kid": "unknown"}, claims),
        SigningKey.generate().sign(claims, typ="at+jwt"),
        ring.sign(claims, typ="JWT"),  # an ID token would look like this
        ring.sign({**claims, "iss": "https://other.example"}, typ="at+jwt"),
        ring.sign({**claims, "grant_id": "npg_unknown"}, typ="at+jwt"),
        ring.sign({**claims, "grant_id": ["x"]}, typ="at+jwt"),
        ring.sign({name: value for name, value in claims.items() if name != "grant_id"}, typ="at+jwt"),
    ):
        for hint in (None, "access_token"):
            response = await revoke(world, junk, token_type_hint=hint)
            assert (response.status_code, response.content) == (200, b""), junk
    assert await read_endings(world) == []
    assert await is_alive(world, tokens)


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"token": None}, "invalid_request", "token.token_missing"),
        ({"token": ""}, "invalid_request", "token.token_missing"),
        ({"client_id": None}, "invalid_request", "token.client_id_missing"),
        ({"client_id": "nobody"}, "invalid_client", "client.unknown"),
        ({"client_secret": "s"}, "invalid_client", "client.auth_method_unsupported"),
        ({"client_assertion": "a.b.c"}, "invalid_client", "assertion.request"),
    ],
)
async def test_a_request_that_is_not_in_order_ends_nothing(
    world: World, changes: dict[str, str | None], code: str, reason: str
) -> None:
    tokens = await world.obtain_tokens()
    response = await revoke(world, **{"token": tokens["refresh_token"], **changes})
    assert (response.status_code, response.json()["error"], response.json()["reason"]) == (400, code, reason)
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"
    assert await is_alive(world, tokens)


async def register(world: World, auth_method: str) -> dict[str, Any]:
    members = {**DOCUMENT, "token_endpoint_auth_method": auth_method}
    response = await world.http.post(f"{world.issuer}/register", json=members)
    assert response.status_code == 201, response.text
    registered: dict[str, Any] = response.json()
    return registered


@pytest.mark.proves("REV-1")
async def test_a_client_with_a_secret_needs_it(world: World) -> None:
    registered = await register(world, "client_secret_basic")
    client_id, secret = registered["client_id"], registered["client_secret"]
    attempt = world.attempt(client_id=client_id)
    form = {
        "grant_type": "authorization_code",
        "code": await world.obtain_code(attempt),
        "redirect_uri": REDIRECT_URI,
        "code_verifier": attempt.verifier,
    }
    tokens = (await world.http.post(f"{world.issuer}/token", data=form, auth=(client_id, secret))).json()
    url = f"{world.issuer}/revoke"
    for token in (tokens["refresh_token"], "junk"):
        refused = await world.http.post(url, data={"token": token}, auth=(client_id, "wrong"))
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        assert refused.headers["www-authenticate"].startswith("Basic")
    refused = await revoke(world, tokens["refresh_token"], client_id=client_id)
    assert (refused.status_code, refused.json()["reason"]) == (400, "client.auth_method_unsupported")
    assert await read_endings(world) == []
    ended = await world.http.post(url, data={"token": tokens["refresh_token"]}, auth=(client_id, secret))
    assert ended.status_code == 200
    assert await read_endings(world) == ["client.revoked"]


async def obtain_by_key(world: World, key: SigningKey = KEY) -> dict[str, Any]:
    attempt = world.attempt()
    response = await world.redeem(attempt, await world.obtain_code(attempt), **sign_assertion(world, key))
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


@pytest.mark.proves("JWT-3", "REV-1")
async def test_a_client_with_a_key_needs_it_and_each_proof_serves_once(world: World) -> None:
    world = publish_key_client(world, KEY)
    first, second = await obtain_by_key(world), await obtain_by_key(world)
    used = sign_assertion(world, KEY)
    assert (await revoke(world, first["refresh_token"], **used)).status_code == 200
    assert await read_endings(world) == ["client.revoked"]
    used_at_token = sign_assertion(world, KEY)
    second = (await world.refresh(second["refresh_token"], **used_at_token)).json()
    for changes, reason in (
        (used, "assertion.replayed"),
        (used_at_token, "assertion.replayed"),
        (sign_assertion(world, SigningKey.generate()), "assertion.unknown_key"),
        (sign_assertion(world, KEY, aud=f"{world.issuer}/revoke"), "assertion.audience"),
        (sign_assertion(world, KEY, aud=f"{world.issuer}/token"), "assertion.audience"),
        ({}, "client.auth_method_unsupported"),
    ):
        refused = await revoke(world, second["refresh_token"], **changes)
        assert (refused.status_code, refused.json()["error"], refused.json()["reason"]) == (
            400,
            "invalid_client",
            reason,
        )
    assert await read_endings(world) == ["client.revoked"]
    assert await is_alive(world, second, **sign_assertion(world, KEY))


async def test_a_grant_that_was_made_with_a_key_is_not_revoked_without(world: World) -> None:
    methods = ["private_key_jwt", "none"]
    world = publish_key_client(world, KEY, token_endpoint_auth_methods_supported=methods)
    tokens = await obtain_by_key(world)
    refused = await revoke(world, tokens["refresh_token"])
    assert refused.json()["reason"] == "client.auth_method_pinned"
    assert await read_endings(world) == []


async def test_what_would_end_the_grant_anyway_does_not_keep_a_client_from_ending_it(world: World) -> None:
    """All keys were replaced: at /token that ends the grant, and so it does here, in the client's own name."""
    world = publish_key_client(world, KEY)
    tokens, fresh = await obtain_by_key(world), SigningKey.generate()
    publish_key_client(world, fresh)
    world.clock.advance(DAY)
    assert (await revoke(world, tokens["refresh_token"], **sign_assertion(world, fresh))).status_code == 200
    assert await read_endings(world) == ["client.revoked"]


# Without the document


@pytest.mark.parametrize("has_key", [False, True])
async def test_k31_a_client_signs_out_after_a_restart_while_its_host_is_down(
    world: World, tmp_path: Path, has_key: bool
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(run_document_host(elsewhere))
        declared = {"host": host.name, "network": "127.0.0.0/8", "ports": [host.port], "address": "127.0.0.1"}
        fetch = {"private_hosts": [declared], "trusted_ca_file": host.ca_file, "deadline_seconds": 1}
        with_host = replace(world, host=host, client_id=host.publish("/client.json", DOCUMENT))
        if has_key:
            with_host = publish_key_client(with_host, KEY)
        settings = {**RESOURCE_SERVERS, "fetch": fetch}
        async with run_replica(with_host, elsewhere, **settings) as before:
            tokens = await obtain_by_key(before) if has_key else await before.obtain_tokens()
        await stack.aclose()
        world.clock.advance(3 * DAY)  # no copy may stand in any more
        async with run_replica(with_host, elsewhere, **settings) as after:
            proof = sign_assertion(after, KEY) if has_key else {}
            refused = await after.refresh(tokens["refresh_token"], **proof)
            assert (refused.status_code, refused.json()["reason"]) == (503, "fetch.unreachable")
            for junk in ("npr_unknown", tokens["access_token"][:-8] + "AAAAAAAA"):
                assert (await revoke(after, junk, **proof)).status_code == 200
            assert await read_endings(after) == []
            proof = sign_assertion(after, KEY) if has_key else {}
            assert (await revoke(after, tokens["refresh_token"], **proof)).status_code == 200
            assert await read_endings(after) == ["client.revoked"]


async def test_without_keys_to_judge_it_by_a_proof_is_neither_good_nor_bad(world: World) -> None:
    """Keys at a ``jwks_uri`` are in no snapshot: the client is told to come back (RFC 7009 §2.2.1), its grant waits."""
    keys = {"jwks": None, "jwks_uri": world.host.url("/keys.json")}
    world.host.documents["/keys.json"] = HostedDocument(json.dumps({"keys": [KEY.public_jwk()]}).encode())
    world = publish_key_client(world, KEY, **keys)
    tokens = await obtain_by_key(world)
    world.host.documents["/keys.json"].status = 503
    world.clock.advance(3 * DAY)
    refused = await revoke(world, tokens["refresh_token"], **sign_assertion(world, KEY))
    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert await read_endings(world) == []
    world.host.documents["/keys.json"].status = 200
    world.clock.advance(60)
    assert (await revoke(world, tokens["refresh_token"], **sign_assertion(world, KEY))).status_code == 200
    assert await read_endings(world) == ["client.revoked"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"client_id": "other"}', None])
async def test_a_document_that_broke_does_not_keep_a_client_from_signing_out(world: World, body: bytes | None) -> None:
    tokens = await world.obtain_tokens()
    (path,) = world.host.documents
    if body is None:
        del world.host.documents[path]
    else:
        world.host.documents[path].body = body
    world.clock.advance(3 * DAY)
    assert (await revoke(world, tokens["refresh_token"])).status_code == 200
    assert await read_endings(world) == ["client.revoked"]


async def test_the_operator_who_switches_documents_off_keeps_nobody_from_signing_out(
    world: World, tmp_path: Path
) -> None:
    tokens = await world.obtain_tokens()
    async with run_replica(world, tmp_path, **RESOURCE_SERVERS, cimd={"enabled": False}) as replica:
        assert (await replica.refresh(tokens["refresh_token"])).json()["reason"] == "client.cimd_disabled"
        assert (await revoke(replica, tokens["refresh_token"])).status_code == 200
        assert await read_endings(replica) == ["client.revoked"]


# Replicas


@pytest.mark.proves("REV-3")
async def test_what_one_replica_ends_has_ended_at_the_others_and_after_a_restart(world: World, tmp_path: Path) -> None:
    tokens = await world.obtain_tokens()
    async with run_replica(world, tmp_path, **RESOURCE_SERVERS) as replica:
        assert (await introspect(replica, tokens["access_token"])).json()["active"] is True
        await revoke(world, tokens["access_token"])
        assert (await introspect(replica, tokens["access_token"])).json() == {"active": False}
        assert (await read_feed(replica))["revoked"] == (await read_feed(world))["revoked"] != []
    async with run_replica(world, tmp_path, **RESOURCE_SERVERS) as restarted:
        assert (await read_feed(restarted))["revoked"] == (await read_feed(world))["revoked"]
        assert (await restarted.refresh(tokens["refresh_token"])).status_code == 400


# HTTP


async def test_scripts_of_any_origin_may_revoke(world: World) -> None:
    preflight = await world.http.options(f"{world.issuer}/revoke")
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers


async def test_only_a_post_revokes(world: World) -> None:
    tokens = await world.obtain_tokens()
    query = {"token": tokens["refresh_token"], "client_id": world.client_id}
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        response = await world.http.request(method, f"{world.issuer}/revoke", params=query)
        assert (response.status_code, response.json()["reason"]) == (405, "token.method")
    in_query = await world.http.post(f"{world.issuer}/revoke", params=query, data={"a": "b"})
    assert in_query.json()["error"] == "invalid_request"
    assert await is_alive(world, tokens)


async def test_a_body_that_is_too_long_or_no_form_is_refused(world: World) -> None:
    url = f"{world.issuer}/revoke"
    long = b"client_id=x&token=" + b"a" * MAX_PARAMETERS_BYTES
    for content, content_type, reason in (
        (long, "application/x-www-form-urlencoded", "parameters.too_long"),
        (b"token=a&token=b", "application/x-www-form-urlencoded", "parameters.repeated"),
        (b'{"token": "a"}', "application/json", "parameters.media_type"),
    ):
        response = await world.http.post(url, content=content, headers={"Content-Type": content_type})
        assert (response.status_code, response.json()["error"], response.json()["reason"]) == (
            400,
            "invalid_request",
            reason,
        )


async def test_a_store_that_fails_is_no_fault_of_anybodys(world: World) -> None:
    await world.server.context.store.aclose()
    for response in (
        await revoke(world, "npr_x"),
        await world.http.get(f"{world.issuer}/revocations", auth=NOTES),
        await introspect(world, world.server.context.signing_keys.sign(build_claims(world), typ="at+jwt")),
    ):
        assert (response.status_code, response.json()["reason"]) == (503, "store.failed")
        assert response.json()["error"] == "temporarily_unavailable"
        assert int(response.headers["retry-after"]) > 0


def build_claims(world: World) -> dict[str, object]:
    now = int(world.clock())
    claims = {"iss": world.issuer, "aud": world.resource, "iat": now, "exp": now + 60}
    return {**claims, "sub": "s", "client_id": "c", "jti": "j", "grant_id": "g"}


async def test_the_metadata_names_the_endpoint(world: World) -> None:
    metadata = (await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server")).json()
    assert metadata["revocation_endpoint"] == f"{world.issuer}/revoke"


NAMES = st.sampled_from(["token", "token_type_hint", "client_id", "client_secret", "client_assertion", "x"])
FORMS = st.lists(st.tuples(NAMES, st.text(max_size=40)), max_size=6)
BODIES = st.binary(max_size=200) | st.text(alphabet="tokenclient_id=&%.+ \x00é", max_size=100).map(str.encode)
HEADERS = st.none() | st.sampled_from(["Basic", "Basic bm90ZXM6bm90ZXMtc2VjcmV0", "Bearer x", "Basic !!", "x" * 9000])


@hypothesis.settings(max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(form=FORMS, body=BODIES, header=HEADERS, path=st.sampled_from(["revoke", "introspect"]))
async def test_no_body_whatever_is_a_mistake_of_ours(
    world: World, form: list[tuple[str, str]], body: bytes, header: str | None, path: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if header is not None:
        headers["Authorization"] = header
    for content in (urlencode(form, errors="replace").encode(), body):
        response = await world.http.post(f"{world.issuer}/{path}", content=content, headers=headers)
        assert response.status_code in {200, 400, 401}
        if response.status_code != 200:
            assert response.json()["reason"]
