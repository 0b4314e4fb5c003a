"""Bad token requests: RFC-shaped JSON with the right code, the same words whatever was wrong with a bearer value."""

from collections.abc import Callable
from urllib.parse import quote_plus

import pytest

from flow_world import World

pytestmark = pytest.mark.anyio

URL = "https://localhost/client.json"


@pytest.mark.proves("CIMD-114", "O21-9", "O21-12")
@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, "unsupported_grant_type"),
        ({"grant_type": "AUTHORIZATION_CODE"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "authorization_code", "client_id": URL}, "invalid_request"),
        ({"grant_type": "authorization_code", "client_id": URL, "code": "y"}, "invalid_request"),
        (
            {"grant_type": "authorization_code", "client_id": URL, "code": "y", "code_verifier": "z" * 43},
            "invalid_grant",
        ),
        ({"grant_type": "refresh_token", "client_id": URL}, "invalid_request"),
        ({"grant_type": "refresh_token", "client_id": URL, "refresh_token": "junk"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "client_id": URL, "refresh_token": "junk", "scope": '"'}, "invalid_scope"),
        # A client that is registered nowhere is told so first: it can then register.
        ({"grant_type": "refresh_token", "client_id": "x", "refresh_token": "junk"}, "invalid_client"),
        ({"grant_type": "authorization_code", "client_id": "x" * 9000}, "invalid_client"),
        ({"grant_type": "authorization_code", "client_id": "\0\ufffe' OR 1=1 --"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": "x", "client_secret": "s"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": URL, "client_secret": "s"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": URL, "client_assertion": "a.b.c"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": URL, "client_assertion_type": "x"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_secret": "s"}, "invalid_request"),
    ],
)
async def test_a_bad_form_gets_the_code_that_the_rfc_assigns(world: World, form: dict[str, str], error: str) -> None:
    response = await world.post_token(**form)
    assert response.status_code == 400
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["error"] == error
    assert body["error_description"]
    assert "." in body["reason"]
    assert body["reference"]


@pytest.mark.proves("CIMD-62", "CIMD-114", "O21-13")
@pytest.mark.parametrize("secret", ["", "made up"])
@pytest.mark.parametrize("encode", [str, quote_plus])
async def test_an_authorization_header_is_answered_with_401_and_a_challenge(
    world: World, encode: Callable[[str], str], secret: str
) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": attempt.verifier}
    auth = (encode(world.client_id), encode(secret))
    response = await world.http.post(f"{world.issuer}/token", data=form, auth=auth)
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_client"
    assert response.headers["www-authenticate"].startswith("Basic")
    assert (await world.redeem(attempt, code)).status_code == 200


@pytest.mark.proves("O21-14")
async def test_two_authorization_headers_are_refused(world: World) -> None:
    response = await world.http.post(
        f"{world.issuer}/token",
        data={"grant_type": "refresh_token", "refresh_token": "x"},
        headers=[("Authorization", "Basic eDp5"), ("Authorization", "Basic eDp5")],
    )
    assert (response.status_code, response.json()["reason"]) == (400, "client.auth_methods_several")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"grant_type": "refresh_token"}'),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", b"grant_type=refresh_token"),
        ("application/x-www-form-urlencoded", b"grant_type=a&grant_type=b"),
        ("application/x-www-form-urlencoded", b"grant_type=\xff\xfe"),
        ("application/x-www-form-urlencoded", b"a=" + b"b" * 100_000),
        ("application/x-www-form-urlencoded", b"&".join(b"p%d=1" % number for number in range(1000))),
        ("application/x-www-form-urlencoded; charset=utf-16", "grant_type=refresh_token".encode("utf-16")),
    ],
)
async def test_a_body_that_cannot_be_read_is_invalid_request(world: World, content_type: str, body: bytes) -> None:
    response = await world.http.post(f"{world.issuer}/token", content=body, headers={"Content-Type": content_type})
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"


@pytest.mark.proves("O21-10")
async def test_parameters_in_the_query_count_for_nothing(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    response = await world.http.post(
        f"{world.issuer}/token?code={code}", data={"grant_type": "authorization_code", "client_id": world.client_id}
    )
    assert response.json()["error"] == "invalid_request"


@pytest.mark.proves("O21-4")
async def test_every_bad_code_gets_the_same_words(world: World) -> None:
    answers = set()
    for seconds, changes in (
        (0, {"client_id": "https://localhost/other"}),
        (0, {"redirect_uri": "http://127.0.0.1:1/callback"}),
        (0, {"code_verifier": "v" * 43}),
        (61, {}),
    ):
        attempt = world.attempt()
        code = await world.obtain_code(attempt)
        world.clock.advance(seconds)
        response = await world.redeem(attempt, code, **changes)
        answers.add((response.status_code, response.json()["error"], response.json()["error_description"]))
    for code in ("npc_unknown", "junk", "x" * 5000):
        response = await world.redeem(world.attempt(), code)
        answers.add((response.status_code, response.json()["error"], response.json()["error_description"]))
    assert answers == {(400, "invalid_grant", "The authorization code is not valid.")}


@pytest.mark.proves("O21-2", "O21-4", "O21-5")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "https://localhost/other.json"},
        {"redirect_uri": "http://127.0.0.1:1/callback"},
        {"code_verifier": "v" * 43},
        {"code_verifier": "v" * 42},
    ],
)
async def test_a_code_is_bound_to_client_redirect_uri_and_verifier(world: World, changes: dict[str, str]) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    response = await world.redeem(attempt, code, **changes)
    assert response.json()["error"] == "invalid_grant"
    assert (await world.redeem(attempt, code)).json()["error"] == "invalid_grant"


@pytest.mark.proves("O21-5")
async def test_redirect_uri_is_not_required_at_the_token_endpoint(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    assert (await world.redeem(attempt, code, redirect_uri=None)).status_code == 200


@pytest.mark.proves("MCP-17", "RES-2", "RES-3")
async def test_another_resource_at_the_token_endpoint_is_invalid_target(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    response = await world.redeem(attempt, code, resource="https://other.example/mcp")
    assert response.json()["error"] == "invalid_target"


@pytest.mark.proves("CIMD-102", "O21-16")
async def test_a_refresh_token_is_bound_to_its_client(world: World) -> None:
    tokens = await world.obtain_tokens()
    response = await world.refresh(tokens["refresh_token"], client_id="https://localhost/other.json")
    assert response.json()["error"] == "invalid_grant"
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.proves("BCP-5")
async def test_an_idle_refresh_token_expires_and_so_does_the_grant(world: World) -> None:
    tokens = await world.obtain_tokens()
    world.clock.advance(30 * 86400 + 1)
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_no_grant_outlives_its_absolute_lifetime(world: World) -> None:
    token = (await world.obtain_tokens())["refresh_token"]
    for _ in range(6):
        world.clock.advance(29 * 86400)
        token = (await world.refresh(token)).json()["refresh_token"]
    world.clock.advance(10 * 86400)
    assert (await world.refresh(token)).json()["error"] == "invalid_grant"


@pytest.mark.proves("CIMD-89", "CIMD-117")
async def test_the_document_host_is_not_needed_after_consent(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    world.host.documents.clear()
    tokens = (await world.redeem(attempt, code)).json()
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200
    assert world.host.requests == ["/oauth/client.json"]  # once it is stale: test_documents_over_time.py


async def test_no_fetch_ever_starts_at_the_token_endpoint(world: World) -> None:
    await world.post_token(
        grant_type="authorization_code", client_id=world.host.url("/x.json"), code="y", code_verifier="z" * 43
    )
    assert world.host.requests == []
