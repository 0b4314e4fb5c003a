"""Clients that prove themselves at the running server by a key; and everybody who cannot.

Rows of the attack list (JA, TK) stand beside the tests.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assertion_kit import (
    ClientKey,
    KeyedClient,
    expect,
    publish_keys,
    read_endings,
    run_replica,
    wrap_assertion,
)
from flow_world import World
from nameplate.protocol.client_authentication import ASSERTION_TYPE

pytestmark = pytest.mark.anyio

STALE = 700  # a document whose host says nothing of caching is fresh for 600 seconds
HOUR = 3600


@pytest.fixture
def client(world: World) -> KeyedClient:
    """A client whose only method is its key, which stands in its document."""
    keyed = KeyedClient(world=world, key=ClientKey.generate())
    keyed.publish()
    return keyed


@pytest.fixture
def remote(world: World) -> KeyedClient:
    """The same with a ``jwks_uri``."""
    keyed = KeyedClient(world=world, key=ClientKey.generate())
    keyed.publish(jwks_uri=publish_keys(world, keyed.key))
    return keyed


# A key


@pytest.mark.proves("CIMD-59", "CIMD-60", "JWT-1", "JWT-9")
@pytest.mark.parametrize("is_remote", [False, True])
async def test_a_client_with_a_key_gets_its_tokens_and_refreshes_them(world: World, is_remote: bool) -> None:
    for alg in ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
        client = KeyedClient(world=world, key=ClientKey.generate(alg), path=f"/{alg}.json")
        path = f"/{alg}/jwks.json"
        keys = {"jwks_uri": publish_keys(world, client.key, path=path)} if is_remote else {}
        client.publish(token_endpoint_auth_signing_alg=alg, **keys)
        world.host.requests.clear()
        tokens = await client.obtain_tokens()
        for _ in range(2):
            tokens = await client.refresh(tokens)
            assert tokens["status"] == 200, (alg, tokens)
        assert world.host.requests == ([client.path, path] if is_remote else [client.path]), alg


@pytest.mark.proves("JWT-5")
async def test_an_assertion_may_be_untyped_or_say_what_it_is(world: World, client: KeyedClient) -> None:
    tokens = await client.obtain_tokens()
    for typ in (None, "JWT", "jwt", "client-authentication+jwt", "oauth-client-auth+jwt"):
        tokens = await client.refresh(tokens, **client.prove({"typ": typ}))
        assert tokens["status"] == 200, (typ, tokens)


async def test_an_assertion_alone_says_who_the_client_is(world: World, client: KeyedClient) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    assert (await world.redeem(attempt, code, client_id=None, **client.prove())).status_code == 200


async def test_an_only_key_needs_no_kid_and_of_two_one_must_be_named(world: World, client: KeyedClient) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    response = await world.redeem(attempt, code, **client.prove({"kid": None}))
    tokens = response.json()
    assert response.status_code == 200
    client.publish(jwks={"keys": [client.key.build_jwk(), ClientKey.generate(kid="two").build_jwk()]})
    world.clock.advance(STALE)
    assert (await client.refresh(tokens, **client.prove({"kid": None})))["reason"] == "assertion.key"
    assert (await client.refresh(tokens))["status"] == 200


STRANGER = ClientKey.generate()
RSA = ClientKey.generate("RS256")

# What is wrong, how to sign it, and the reason: JA-01 to JA-09, JA-11.
FORGERIES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "alg none": ({"alg": "none"}, {}, "assertion.algorithm"),
    "alg nOnE": ({"alg": "nOnE"}, {}, "assertion.algorithm"),
    "hmac": ({"alg": "HS256"}, {}, "assertion.algorithm"),
    "another alg than the key's": ({"alg": "ES384"}, {}, "assertion.key"),
    "jwk": ({"jwk": STRANGER.build_jwk()}, {}, "assertion.header"),
    "jku": ({"jku": "https://attacker.example/keys"}, {}, "assertion.header"),
    "x5u": ({"x5u": "https://attacker.example/chain"}, {}, "assertion.header"),
    "x5c": ({"x5c": ["MIIB"]}, {}, "assertion.header"),
    "crit": ({"crit": ["exp"]}, {}, "assertion.header"),
    "b64": ({"crit": ["b64"], "b64": False}, {}, "assertion.header"),
    "zip": ({"zip": "DEF"}, {}, "assertion.header"),
    "unknown kid": ({"kid": "../../one"}, {}, "assertion.unknown_key"),
    "kid of megabytes": ({"kid": "k" * 11_000}, {}, "assertion.unknown_key"),
    "kid that is none": ({"kid": ["one"]}, {}, "assertion.key"),
    "access token": ({"typ": "at+jwt"}, {}, "assertion.type"),
    "DPoP proof": ({"typ": "dpop+jwt"}, {}, "assertion.type"),
    "identity assertion": ({"typ": "oauth-id-jag+jwt"}, {}, "assertion.type"),
    "logout token": ({"typ": "logout+jwt"}, {}, "assertion.type"),
    "another issuer": ({}, {"iss": "https://other.example/client.json"}, "assertion.other_client"),
    "another subject": ({}, {"sub": "https://other.example/client.json"}, "assertion.other_client"),
    "no audience": ({}, {"aud": None}, "assertion.audience"),
    "another audience": ({}, {"aud": "https://other.example"}, "assertion.audience"),
    "no end": ({}, {"exp": None}, "assertion.claim"),
    "a text for the end": ({}, {"exp": "1800000060"}, "assertion.claim"),
    "expired": ({}, {"exp": 1_799_999_000, "iat": None}, "assertion.expired"),
    "a day long": ({}, {"exp": 1_800_086_400}, "assertion.too_long_lived"),
    "from the future": ({}, {"iat": 1_800_000_100}, "assertion.not_yet_valid"),
    "no jti": ({}, {"jti": None}, "assertion.claim"),
}


@pytest.mark.proves("CIMD-59", "CIMD-69", "JWT-1", "JWT-2", "JWT-5", "JWT-6", "JWT-8", "O21-23")
async def test_a_forged_assertion_is_refused_and_costs_the_client_nothing(world: World, client: KeyedClient) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    for name, (header, claims, reason) in FORGERIES.items():
        response = await world.redeem(attempt, code, **client.prove(header, **claims))
        body = response.json()
        assert (response.status_code, body["error"], body["reason"]) == (400, "invalid_client", reason), name
    assert (await world.redeem(attempt, code, **client.prove())).status_code == 200
    assert world.host.requests == [client.path]


@pytest.mark.proves("CIMD-59", "JWT-9")
@pytest.mark.parametrize("key", [STRANGER, replace(RSA, kid="two"), replace(STRANGER, kid="three")])
async def test_nobody_elses_key_will_do(world: World, client: KeyedClient, key: ClientKey) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    token = replace(client, key=key).sign()
    response = await world.redeem(attempt, code, **wrap_assertion(token))
    expect(response, "invalid_client", "assertion.signature" if key.kid == "one" else "assertion.unknown_key")
    for broken in (token[:-4], f"{token}.x", token.rpartition(".")[0] + ".", "..", "x" * 14_000):
        response = await world.redeem(attempt, code, **wrap_assertion(broken))
        assert response.json()["error"] == "invalid_client"
    assert (await world.redeem(attempt, code, **client.prove())).status_code == 200


async def test_two_clients_with_one_key_are_two_clients(world: World, client: KeyedClient) -> None:
    other = replace(client, path="/other.json")
    other.publish()
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    expect(await world.redeem(attempt, code, **other.prove()), "invalid_client", "assertion.other_client")
    expect(await world.redeem(attempt, code, client_id=None, **other.prove()), "invalid_grant", "code.unknown")
    assert (await world.redeem(attempt, code, **client.prove())).status_code == 200


@pytest.mark.proves("CIMD-69")
async def test_a_client_that_names_an_algorithm_is_believed_by_no_other(world: World) -> None:
    client = KeyedClient(world=world, key=ClientKey.generate("RS256"))
    client.publish(token_endpoint_auth_signing_alg="PS256")
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    expect(await world.redeem(attempt, code, **client.prove()), "invalid_client", "assertion.algorithm")
    named = replace(client, key=replace(client.key, alg="PS256"))
    assert (await world.redeem(attempt, code, **named.prove())).status_code == 200


# Everybody without the key


@pytest.mark.proves("CIMD-59", "CIMD-60", "CIMD-63")
async def test_without_its_key_a_client_gets_nothing_and_nothing_is_spent(world: World, client: KeyedClient) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    for verifier in (attempt.verifier, "w" * 43):
        response = await world.redeem(attempt, code, code_verifier=verifier)
        expect(response, "invalid_client", "client.auth_method_unsupported")
    response = await world.redeem(attempt, code, **client.prove())
    assert response.status_code == 200
    tokens = response.json()
    assert (await client.refresh(tokens, client_assertion=None))["error"] == "invalid_client"
    rotated = await client.refresh(tokens)
    assert rotated["status"] == 200
    world.clock.advance(HOUR)
    for spent in (tokens, rotated):
        assert (await client.refresh(spent, client_assertion=None))["error"] == "invalid_client"
    assert (await client.refresh(rotated))["status"] == 200
    assert await read_endings(world) == []


# TK-02: another client, a wider scope, another resource, no assertion
@pytest.mark.proves("CIMD-60", "O21-16")
async def test_a_refresh_token_is_worth_nothing_without_the_key(world: World, client: KeyedClient) -> None:
    tokens = await client.obtain_tokens()
    other = replace(client, path="/other.json", key=ClientKey.generate())
    other.publish()
    for form, reason in (
        ({"client_id": world.client_id}, "refresh_token.unknown"),
        ({"client_id": other.client_id, **other.prove()}, "refresh_token.unknown"),
        ({"client_id": client.client_id}, "client.auth_method_unsupported"),
        ({"client_id": client.client_id, **replace(client, key=other.key).prove()}, "assertion.signature"),
        ({"client_id": client.client_id, **client.prove(), "scope": "notes:write"}, "scope.not_granted"),
        ({"client_id": client.client_id, **client.prove(), "resource": "https://x.example"}, "resource.not_granted"),
    ):
        assert (await world.refresh(tokens["refresh_token"], **form)).json()["reason"] == reason
    assert (await client.refresh(tokens))["status"] == 200


@pytest.mark.proves("O21-16")
async def test_whose_a_value_is_stands_in_the_log_and_in_no_answer(
    world: World, client: KeyedClient, caplog: pytest.LogCaptureFixture
) -> None:
    """TK-08: who guesses, or found something, must not learn that it is worth something."""
    tokens = await client.obtain_tokens()
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    theirs = [
        await world.refresh(tokens["refresh_token"]),
        await world.redeem(attempt, code, client_id=world.client_id),
    ]
    nobodys = [await world.refresh("npr_x"), await world.redeem(attempt, "npc_x", client_id=world.client_id)]
    for one, other in zip(theirs, nobodys, strict=True):
        assert {**one.json(), "reference": ""} == {**other.json(), "reference": ""}
    reasons = [getattr(record, "reason", "") for record in caplog.records]
    assert reasons == ["refresh_token.other_client", "code.other_client", "refresh_token.unknown", "code.unknown"]


async def test_a_code_in_a_strangers_name_is_not_burned_where_its_client_has_a_key(
    world: World, client: KeyedClient
) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    for form in ({"client_id": world.client_id}, {"client_id": "https://localhost/x.json", "code_verifier": "w" * 43}):
        expect(await world.redeem(attempt, code, **form), "invalid_grant", "code.unknown")
    assert (await world.redeem(attempt, code, **client.prove())).status_code == 200


async def test_a_client_with_its_key_and_a_wrong_verifier_burns_the_code(world: World, client: KeyedClient) -> None:
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    response = await world.redeem(attempt, code, code_verifier="w" * 43, **client.prove())
    expect(response, "invalid_grant", "code.wrong_verifier")
    expect(await world.redeem(attempt, code, **client.prove()), "invalid_grant", "code.replayed")


async def test_what_is_unknown_expired_or_foreign_gets_the_same_words_with_and_without_a_key(
    world: World, client: KeyedClient
) -> None:
    tokens = await client.obtain_tokens()
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    world.clock.advance(61)
    answers = set()
    for proof in ({}, client.prove(), wrap_assertion("a.b.c")):
        for response in (
            await world.redeem(attempt, code, **proof),
            await world.redeem(attempt, "npc_unknown", **proof),
            await world.redeem(attempt, code, **{**proof, "client_id": world.client_id}),
        ):
            answers.add((response.status_code, response.json()["error"], response.json()["error_description"]))
    world.clock.advance(200 * 86400)
    for proof in ({}, client.prove(), wrap_assertion("a.b.c")):
        for token in (tokens["refresh_token"], "npr_unknown"):
            response = await world.refresh(token, **{"client_id": client.client_id, **proof})
            answers.add((response.status_code, response.json()["error"], response.json()["error_description"]))
    assert answers == {
        (400, "invalid_grant", "The authorization code is not valid."),
        (400, "invalid_grant", "The refresh token is not valid."),
    }


@pytest.mark.proves("JWT-9")
async def test_no_key_set_is_fetched_for_who_holds_no_grant(world: World, remote: KeyedClient) -> None:
    world.host.requests.clear()
    for form in (
        {"grant_type": "authorization_code", "code": "npc_x", "code_verifier": "v" * 43},
        {"grant_type": "refresh_token", "refresh_token": "npr_x"},
    ):
        for client_id in (remote.client_id, None):
            response = await world.post_token(**form, client_id=client_id, **remote.prove())
            assert response.json()["error"] == "invalid_grant"
    assert world.host.requests == []


# JA-13
@pytest.mark.proves("O21-14")
async def test_an_assertion_in_the_query_counts_for_nothing_and_two_are_refused(
    world: World, client: KeyedClient
) -> None:
    attempt = client.attempt()
    form = {
        "grant_type": "authorization_code",
        "code": await world.obtain_code(attempt),
        "client_id": client.client_id,
        "code_verifier": attempt.verifier,
    }
    url = f"{world.issuer}/token?client_assertion={client.sign()}&client_assertion_type={ASSERTION_TYPE}"
    expect(await world.http.post(url, data=form), "invalid_client", "client.auth_method_unsupported")
    twice = {**form, "client_assertion": [client.sign(), client.sign()], "client_assertion_type": ASSERTION_TYPE}
    expect(await world.http.post(f"{world.issuer}/token", data=twice), "invalid_request", "parameters.repeated")
    both = {**form, **client.prove(), "client_secret": "s"}
    expect(await world.http.post(f"{world.issuer}/token", data=both), "invalid_request", "client.auth_methods_several")


# JA-10


@pytest.mark.proves("JWT-6")
async def test_an_assertion_works_once_whatever_it_was_used_for(world: World, client: KeyedClient) -> None:
    tokens = await client.obtain_tokens()
    proof = client.prove()
    tokens = await client.refresh(tokens, **proof)
    assert (await client.refresh(tokens, **proof))["reason"] == "assertion.replayed"
    attempt = client.attempt()
    code = await world.obtain_code(attempt)
    expect(await world.redeem(attempt, code, **proof), "invalid_client", "assertion.replayed")
    # Somebody who read an assertion, and has the code, cannot even burn it.
    wrong = await world.redeem(attempt, code, code_verifier="w" * 43, **proof)
    expect(wrong, "invalid_client", "assertion.replayed")
    assert (await world.redeem(attempt, code, **client.prove())).status_code == 200
    assert (await client.refresh(tokens))["status"] == 200
    names = [event.name for _, event in await world.server.context.store.load_audit_events()]
    assert names.count("assertion.replayed") == 3


@pytest.mark.proves("JWT-6")
async def test_a_request_that_fails_for_another_reason_uses_its_assertion_up(world: World, client: KeyedClient) -> None:
    tokens = await client.obtain_tokens()
    proof = client.prove()
    refused = await client.refresh(tokens, scope="admin", **proof)
    assert (refused["error"], refused["reason"]) == ("invalid_scope", "scope.not_granted")
    for scope in (None, "admin"):
        assert (await client.refresh(tokens, scope=scope, **proof))["reason"] == "assertion.replayed"
    assert (await client.refresh(tokens))["status"] == 200


@pytest.mark.proves("JWT-6")
async def test_of_twenty_uses_at_once_on_two_replicas_one_counts(
    world: World, client: KeyedClient, tmp_path: Path
) -> None:
    tokens = await client.obtain_tokens()
    async with run_replica(world, tmp_path) as replica:
        there, proof = replace(client, world=replica), client.prove()
        uses = [each.refresh(tokens, **proof) for each in (client, there) for _ in range(10)]
        answers = await asyncio.gather(*uses)
    assert sorted(answer["status"] for answer in answers) == [200] + [400] * 19
    assert {answer["reason"] for answer in answers if answer["status"] == 400} == {"assertion.replayed"}
    async with run_replica(world, tmp_path) as replica:
        there, fresh = replace(client, world=replica), [answer for answer in answers if answer["status"] == 200]
        assert (await there.refresh(fresh[0], **proof))["reason"] == "assertion.replayed"
        assert (await there.refresh(fresh[0]))["status"] == 200


@pytest.mark.proves("JWT-6")
async def test_two_clients_may_use_the_same_jti(world: World, client: KeyedClient) -> None:
    other = replace(client, path="/other.json", key=ClientKey.generate())
    other.publish()
    for each in (client, other):
        attempt = each.attempt()
        response = await world.redeem(attempt, await world.obtain_code(attempt), **each.prove(jti="same"))
        assert response.status_code == 200


# TK-01
@pytest.mark.proves("O21-16")
@pytest.mark.parametrize("is_keyed", [True, False])
async def test_fifty_parallel_refreshes_have_one_successor(world: World, client: KeyedClient, is_keyed: bool) -> None:
    if is_keyed:
        tokens = await client.obtain_tokens()
        answers = await asyncio.gather(*(client.refresh(tokens) for _ in range(50)))
    else:
        tokens = await world.obtain_tokens()
        responses = await asyncio.gather(*(world.refresh(tokens["refresh_token"]) for _ in range(50)))
        answers = [{"status": response.status_code, **response.json()} for response in responses]
    assert {answer["status"] for answer in answers} == {200}
    assert len({answer["refresh_token"] for answer in answers}) == 1
