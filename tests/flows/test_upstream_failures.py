"""Failure at every step of a sign-in at a provider: the client is told, or the person may try again; nobody is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from identity_kit import find_provider_form, offers_provider, run_identity_world

from flow_world import read_answer
from nameplate.testing.headless_user import HeadlessUser
from nameplate.testing.identity_provider import Endpoint, FakeAnswer

pytestmark = pytest.mark.anyio

DOWN = FakeAnswer(status=503, body=b"<h1>down</h1>", content_type="text/html")
HTML = FakeAnswer(status=200, body=b"<h1>hello</h1>", content_type="text/html")


def has_session(user: HeadlessUser) -> bool:
    return any("session" in cookie for cookie in user._http.cookies)


async def test_a_provider_that_is_down_does_not_stop_the_start_and_is_tried_again(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, has_accounts=True) as there:
        there.provider.instead["metadata"] = DOWN
        async with HeadlessUser("alice", "correct horse battery staple") as user:
            page = await there.arrive(user)
            page = await user.submit(page, find_provider_form(page))
            assert page.status == 503
            assert "does not answer just now" in page.text
            assert offers_provider(page)
            # Whoever has an account of our own is not concerned.
            assert (await user.sign_in(page)).asks_for("answer")


@pytest.mark.parametrize(
    ("endpoint", "answer", "error"),
    [
        ("token", DOWN, "temporarily_unavailable"),
        ("token", HTML, "server_error"),
        ("token", FakeAnswer(status=403, body=b'{"message":"no"}'), "server_error"),
        ("token", FakeAnswer(status=200, body=b"{}"), "server_error"),
        ("token", FakeAnswer(status=200, body=b'{"error":"bad_verification_code"}'), "server_error"),
        ("token", FakeAnswer(status=400, body=b'{"error":"invalid_grant"}'), "server_error"),
        ("token", FakeAnswer(status=302, headers={"Location": "https://evil.example/"}), "server_error"),
        ("jwks", DOWN, "temporarily_unavailable"),
        ("jwks", HTML, "server_error"),
        ("userinfo", DOWN, "temporarily_unavailable"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.body.decode()[:20],
)
async def test_a_failure_behind_the_callback_is_told_to_the_client(
    tmp_path: Path, endpoint: Endpoint, answer: FakeAnswer, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        url = await there.leave(user, await there.arrive(user))
        there.provider.instead[endpoint] = answer
        page = await there.return_from(user, url)
        assert page.left_to is not None, page.text
        told = read_answer(page.left_to)
        assert (told["state"], told["iss"]) == ("st-1", there.world.issuer)
        if error == "server_error":  # what cannot be believed may as well be called a failure of the moment
            assert told["error"] in {"server_error", "temporarily_unavailable"}
        else:
            assert told["error"] == error
        assert not has_session(user)
        assert any(getattr(record, "reference", "") for record in caplog.records)


async def test_after_a_failure_the_person_can_try_again_from_the_page(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        url = await there.leave(user, page)
        there.provider.instead["token"] = DOWN
        assert (await there.return_from(user, url)).left_to is not None
        del there.provider.instead["token"]
        consent = await there.return_from(user, await there.leave(user, page))
        assert "code" in read_answer(await there.allow(user, consent))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("access_denied", "access_denied"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("server_error", "server_error"),
        ("invalid_scope", "server_error"),
        ("login_required", "server_error"),
        ("unauthorized_client", "server_error"),
    ],
)
async def test_an_error_that_the_browser_brings_is_told_to_the_client(tmp_path: Path, error: str, told: str) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        there.provider.answer_changes = {"code": None, "error": error, "error_description": "raw text"}
        page = await there.sign_in(user)
        assert page.left_to is not None
        answer = read_answer(page.left_to)
        assert (answer["error"], answer["state"], answer["iss"]) == (told, "st-1", there.world.issuer)
        assert "raw" not in page.left_to


async def test_a_no_at_the_provider_ends_the_request(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        url = await there.leave(user, page)
        there.provider.answer_changes = {"code": None, "error": "access_denied"}
        assert (await there.return_from(user, url)).left_to is not None
        assert (await user.submit(page, find_provider_form(page))).status == 409


async def test_a_request_that_is_over_when_the_browser_comes_back(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        url = await there.leave(user, page)
        await user.submit(page, page.form_with("answer"), answer="deny")
        back = await there.return_from(user, url)
        assert back.status == 409
        assert "authorization.already_answered" in back.text
        assert there.provider.find_requests("token") == []


async def test_a_provider_that_changes_its_keys_goes_on(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there:
        async with HeadlessUser() as user:
            await there.obtain_tokens(user)
        there.provider.rotate_keys()
        async with HeadlessUser() as user:
            assert await there.obtain_tokens(user)


async def test_a_provider_that_is_down_at_the_second_way_lets_the_person_try_again(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables={"corp": {"keeps_tokens": True}}) as there, HeadlessUser() as user:
        page = await user.answer(await there.sign_in(user))
        assert page.left_to is not None
        there.provider.instead["token"] = DOWN
        page = await there.return_from(user, page.left_to)
        assert page.left_to is not None
        assert read_answer(page.left_to)["error"] == "temporarily_unavailable"
        del there.provider.instead["token"]
        assert await there.obtain_tokens(user)


async def test_a_provider_that_is_down_never_logs_anybody_out(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables={"corp": {"keeps_tokens": True}}) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        for endpoint in ("metadata", "jwks", "token", "userinfo", "revoke"):
            there.provider.instead[endpoint] = DOWN
        there.world.clock.advance(7200)
        refreshed = await there.world.refresh(tokens["refresh_token"])
        assert refreshed.status_code == 200


@pytest.mark.parametrize("garbage", ["", "x", "é", "a" * 5000, "%00", "%ff", "<script>"])
async def test_garbage_at_the_callback_gets_a_page(tmp_path: Path, garbage: str) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        await there.arrive(user)
        page = await user.open(f"{there.callback()}?state={garbage}&code={garbage}&iss={garbage}&error={garbage}")
        assert page.status in {400, 403}
        assert page.left_to is None
        assert "<script>" not in page.title


@pytest.mark.parametrize("person", [{"sub": ""}, {"sub": None}, {"sub": ["x"]}, {"sub": "a" * 300}, {"sub": "a\u202e"}])
async def test_a_provider_that_does_not_say_who_it_is_signs_nobody_in(tmp_path: Path, person: dict[str, Any]) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        there.provider.id_token_changes = person
        page = await there.sign_in(user)
        assert page.left_to is not None
        assert read_answer(page.left_to)["error"] == "server_error"
        assert not has_session(user)


async def test_a_person_with_thousands_of_groups_and_long_claims_can_sign_in(tmp_path: Path) -> None:
    table = {"allow_everybody": False, "allowed_groups": ["staff"], "claims": {"bio": "bio", "roles": "roles"}}
    async with run_identity_world(tmp_path, tables={"corp": table}) as there, HeadlessUser() as user:
        there.provider.person |= {
            "groups": [f"group-{number}" for number in range(400)] + ["staff"],
            "roles": [f"role-{number}" for number in range(300)],
            "bio": "long " * 250,
            "name": "<b>J\u202eane</b>" * 20,
        }
        tokens = await there.obtain_tokens(user)
        assert len(json.dumps(tokens)) < 2000
