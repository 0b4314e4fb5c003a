"""What may be used once is used once, also by fifty at the same moment."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from flow_world import World, read_answer, run_world

pytestmark = pytest.mark.anyio


def read_scope(access_token: str) -> object:
    payload = access_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["scope"]


@pytest.mark.proves("O21-4")
async def test_fifty_parallel_redemptions_of_one_code_give_one_token(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    responses = await asyncio.gather(*(world.redeem(attempt, code) for _ in range(50)))
    assert sorted(response.status_code for response in responses) == [200] + [400] * 49
    assert {response.json()["error"] for response in responses if response.status_code == 400} == {"invalid_grant"}
    tokens = next(response.json() for response in responses if response.status_code == 200)
    # A burst of retries is no theft: what the code bought still works.
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.proves("O21-4")
async def test_a_code_that_comes_again_later_ends_what_it_bought(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    tokens = (await world.redeem(attempt, code)).json()
    world.clock.advance(11)
    assert (await world.redeem(attempt, code)).json()["error"] == "invalid_grant"
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.proves("O21-4")
async def test_a_code_that_comes_again_after_its_lifetime_ends_what_it_bought(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    tokens = (await world.redeem(attempt, code)).json()
    world.clock.advance(3600)
    assert (await world.redeem(attempt, code)).status_code == 400
    assert (await world.refresh(tokens["refresh_token"])).status_code == 400


@pytest.mark.proves("O21-2")
async def test_a_wrong_verifier_burns_the_code_and_revokes_nothing(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    assert (await world.redeem(attempt, code, code_verifier="w" * 43)).json()["error"] == "invalid_grant"
    assert (await world.redeem(attempt, code)).json()["error"] == "invalid_grant"


async def test_a_wrong_verifier_for_a_redeemed_code_revokes_nothing(world: World) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    tokens = (await world.redeem(attempt, code)).json()
    world.clock.advance(30)
    await world.redeem(attempt, code, code_verifier="w" * 43)
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.proves("O21-16")
async def test_parallel_refreshes_all_get_the_same_answer(world: World) -> None:
    tokens = await world.obtain_tokens()
    responses = await asyncio.gather(*(world.refresh(tokens["refresh_token"]) for _ in range(10)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["refresh_token"] for response in responses}) == 1
    assert len({response.json()["access_token"] for response in responses}) == 1


async def test_a_repeat_says_how_much_time_is_left(world: World) -> None:
    tokens = await world.obtain_tokens()
    first = (await world.refresh(tokens["refresh_token"])).json()
    world.clock.advance(76)
    repeat = (await world.refresh(tokens["refresh_token"])).json()
    assert repeat == {**first, "expires_in": first["expires_in"] - 76}


async def test_a_repeat_that_asks_for_less_gets_less_and_the_same_refresh_token(world: World) -> None:
    tokens = await world.obtain_tokens(scope="notes:read notes:write")
    first = (await world.refresh(tokens["refresh_token"])).json()
    repeat = (await world.refresh(tokens["refresh_token"], scope="notes:read")).json()
    assert (repeat["scope"], repeat["refresh_token"]) == ("notes:read", first["refresh_token"])
    assert read_scope(repeat["access_token"]) == "notes:read"
    again = (await world.refresh(tokens["refresh_token"], scope="notes:write notes:read")).json()
    assert again["access_token"] == first["access_token"]


async def test_a_repeat_whose_access_token_is_over_gets_a_new_one(tmp_path: Path) -> None:
    async with run_world(tmp_path, tokens={"access_token_seconds": 60, "public": {}}) as world:
        tokens = await world.obtain_tokens()
        first = (await world.refresh(tokens["refresh_token"])).json()
        world.clock.advance(60)
        repeat = (await world.refresh(tokens["refresh_token"])).json()
        assert (repeat["expires_in"], repeat["refresh_token"]) == (60, first["refresh_token"])
        assert repeat["access_token"] != first["access_token"]


@pytest.mark.proves("MCP-15", "O21-16", "BCP-5")
async def test_a_refresh_token_reused_outside_the_window_ends_the_grant(world: World) -> None:
    tokens = await world.obtain_tokens()
    successor = (await world.refresh(tokens["refresh_token"])).json()["refresh_token"]
    world.clock.advance(121)
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await world.refresh(successor)).json()["error"] == "invalid_grant"


@pytest.mark.proves("MCP-15", "O21-16", "BCP-5")
async def test_a_repeat_after_the_successor_was_used_ends_the_grant(world: World) -> None:
    tokens = await world.obtain_tokens()
    second = (await world.refresh(tokens["refresh_token"])).json()["refresh_token"]
    third = (await world.refresh(second)).json()["refresh_token"]
    assert (await world.refresh(tokens["refresh_token"])).status_code == 400
    assert (await world.refresh(third)).status_code == 400


async def test_a_double_submit_of_consent_gives_one_code_and_a_friendly_page(world: World) -> None:
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        pages = await asyncio.gather(*(user.answer(consent) for _ in range(20)))
    codes = [page for page in pages if page.left_to]
    friendly = [page for page in pages if not page.left_to]
    assert len(codes) == 1
    assert {page.status for page in friendly} == {409}
    assert all("answered this already" in page.title for page in friendly)
    # The browser follows the last answer only, so each page leads on with the one code that there is.
    assert {link for page in friendly for link in page.links if "code=" in link} == {codes[0].left_to}


async def test_the_friendly_page_leads_nowhere_once_the_code_was_redeemed(world: World) -> None:
    attempt = world.attempt()
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(attempt)))
        answer = read_answer((await user.answer(consent)).left_to or "")
        assert (await world.redeem(attempt, answer["code"])).status_code == 200
        page = await user.answer(consent)
        assert page.status == 409
        assert not any("code=" in link for link in page.links)


async def test_the_friendly_page_of_a_denial_leads_nowhere(world: World) -> None:
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        await user.answer(consent, "deny")
        assert not any("code=" in link for link in (await user.answer(consent)).links)


async def test_a_denied_request_cannot_be_allowed_afterwards(world: World) -> None:
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        await user.answer(consent, "deny")
        assert (await user.answer(consent, "allow")).left_to is None


async def test_a_reload_of_a_spent_authorization_url_gets_a_friendly_page(world: World) -> None:
    attempt = world.attempt()
    async with world.user() as user:
        await user.authorize(world.authorize_url(attempt))
        page = await user.open(world.authorize_url(attempt))
        assert page.status == 409
        assert "used already" in page.title


async def test_two_tabs_with_one_challenge_give_one_code(world: World) -> None:
    attempt = world.attempt()
    async with world.user() as user:
        first = await user.sign_in(await user.open(world.authorize_url(attempt)))
        second = await user.open(world.authorize_url(attempt))
        assert (await user.answer(first)).left_to
        page = await user.answer(second)
        assert page.left_to is None
        assert page.status == 409


async def test_parallel_tabs_with_challenges_of_their_own_both_work(world: World) -> None:
    async with world.user() as user:
        first = await user.open(world.authorize_url(world.attempt()))
        second = await user.open(world.authorize_url(world.attempt(state="st-2")))
        answers = [await user.answer(await user.sign_in(page)) for page in (first, second)]
    assert [read_answer(page.left_to or "")["state"] for page in answers] == ["st-1", "st-2"]
