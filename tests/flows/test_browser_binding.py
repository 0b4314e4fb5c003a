"""The browser that answers is the one that was asked (AZ-13, CP-09 to CP-14)."""

from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from flow_world import World, run_world

pytestmark = pytest.mark.anyio


@pytest.mark.proves("MCP-82")
async def test_another_browser_cannot_answer(world: World) -> None:
    async with world.user() as asked, world.user() as other:
        consent = await asked.sign_in(await asked.open(world.authorize_url(world.attempt())))
        await other.authorize(world.authorize_url(world.attempt()))
        page = await other.answer(consent)
        assert page.status == 400
        assert "authorization.not_waiting" in page.text
        assert (await asked.answer(consent)).left_to


async def test_a_link_to_somebody_elses_consent_page_shows_nothing(world: World) -> None:
    async with world.user() as attacker, world.user() as victim:
        consent = await attacker.sign_in(await attacker.open(world.authorize_url(world.attempt())))
        await victim.authorize(world.authorize_url(world.attempt()))
        page = await victim.open(f"{world.issuer}/consent?request={consent.form_with('answer').fields['request']}")
        assert page.status == 400
        assert not page.forms


async def test_a_browser_without_cookies_is_told_so(world: World) -> None:
    response = await world.http.post(f"{world.issuer}/sign-in", data={"request": "x", "username": "a", "password": "b"})
    assert response.status_code == 400
    assert "browser.cookie_missing" in response.text


@pytest.mark.proves("MCP-81")
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/consent", "/sign-out"])
async def test_a_form_from_another_site_is_refused(world: World, path: str, headers: dict[str, str]) -> None:
    response = await world.http.post(f"{world.issuer}{path}", data={"request": "x"}, headers=headers)
    assert response.status_code == 403
    assert "form.foreign" in response.text


async def test_a_get_changes_nothing(world: World) -> None:
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        request_id = consent.form_with("answer").fields["request"]
        for _ in range(3):
            page = await user.open(f"{world.issuer}/consent?request={request_id}&answer=allow")
            assert page.left_to is None
        assert (await user.answer(consent)).left_to


async def test_an_answer_for_another_account_asks_again(world: World) -> None:
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        page = await user.submit(consent, consent.form_with("answer"), answer="allow", subject="somebody-else")
        assert page.left_to is None
        assert page.form_with("answer").fields["subject"] == consent.form_with("answer").fields["subject"]


async def test_signing_out_asks_who_it_is_and_keeps_the_request(world: World) -> None:
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        sign_out = next(form for form in consent.forms if form.action.endswith("/sign-out"))
        page = await user.submit(consent, sign_out)
        assert page.asks_for("password")
        assert (await user.answer(await user.sign_in(page))).left_to


async def test_a_request_expires(world: World) -> None:
    async with world.user() as user:
        consent = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        world.clock.advance(601)
        page = await user.answer(consent)
        assert page.status == 400
        assert "authorization.not_waiting" in page.text


async def test_a_session_expires(world: World) -> None:
    async with world.user() as user:
        await user.authorize(world.authorize_url(world.attempt()))
        world.clock.advance(12 * 3600 + 1)
        page = await user.open(world.authorize_url(world.attempt()))
        assert page.asks_for("password")


async def test_a_wrong_password_shows_the_page_again_and_says_so(world: World) -> None:
    async with world.user(password="wrong") as user:
        page = await user.sign_in(await user.open(world.authorize_url(world.attempt())))
        assert page.status == 401
        assert page.form_with("password").fields["username"] == "alice"
        assert page.form_with("password").fields["password"] == ""


@pytest.mark.proves("O21-24")
async def test_guessing_is_throttled_and_other_accounts_are_not(world: World) -> None:
    async with world.user(password="wrong") as user:
        page = await user.open(world.authorize_url(world.attempt()))
        for _ in range(5):
            page = await user.sign_in(page)
            assert page.status == 401
        page = await user.sign_in(page)
        assert page.status == 429
        form = page.form_with("password")
        assert (await user.submit(page, form, username="bob", password="x")).status == 401
        world.clock.advance(60)
        assert (await user.sign_in(page)).status == 401


async def test_a_stranger_who_is_throttled_uses_up_nothing_that_the_owner_needs_elsewhere(world: World) -> None:
    async with world.user(password="wrong") as stranger:
        page = await stranger.open(world.authorize_url(world.attempt()))
        assert {(await stranger.sign_in(page)).status for _ in range(70)} == {401, 429}
    account = f"sign-in:account:{sha256(b'alice').hexdigest()[:16]}"
    assert await world.server.context.store.spend(account, 50, capacity=60, refill_per_second=0.1, now=world.clock()), (
        "five failures from one address took more than five from the budget for all addresses"
    )


async def test_a_new_session_id_is_made_at_every_sign_in(world: World) -> None:
    async with httpx2.AsyncClient(trust_env=False) as browser:
        seen: set[str] = set()
        for _ in range(2):
            page = await browser.get(world.authorize_url(world.attempt(prompt="login")))
            request_id = page.text.split('name="request" value="')[1].split('"')[0]
            response = await browser.post(
                f"{world.issuer}/sign-in",
                data={"request": request_id, "username": "alice", "password": "correct horse battery staple"},
            )
            assert response.status_code == 303
            seen.update(value for name, value in response.cookies.items() if "session" in name)
            world.clock.advance(5)
        assert len(seen) == 2


async def test_cookies_are_http_only_lax_and_two_at_the_most(world: World) -> None:
    async with httpx2.AsyncClient(trust_env=False) as browser:
        for _ in range(4):
            response = await browser.get(world.authorize_url(world.attempt()))
        first = response.headers.get_list("set-cookie")
        assert first == []
        assert len(browser.cookies) == 1
    response = await world.http.get(world.authorize_url(world.attempt()))
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "domain" not in cookie


@pytest.mark.proves("MCP-81", "O21-18", "O21-25", "BCP-8")
async def test_pages_carry_their_security_headers(world: World) -> None:
    response = await world.http.get(world.authorize_url(world.attempt()))
    policy = response.headers["content-security-policy"]
    for directive in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert directive in policy
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert response.headers["cache-control"] == "no-store"


async def test_the_consent_page_lets_its_form_lead_to_the_client_and_nowhere_else(world: World) -> None:
    async with httpx2.AsyncClient(trust_env=False, follow_redirects=True) as browser:
        page = await browser.get(world.authorize_url(world.attempt()))
        request_id = page.text.split('name="request" value="')[1].split('"')[0]
        consent = await browser.post(
            f"{world.issuer}/sign-in",
            data={"request": request_id, "username": "alice", "password": "correct horse battery staple"},
        )
        assert "form-action 'self' http://127.0.0.1:51763;" in consent.headers["content-security-policy"] + ";"


@pytest.mark.proves("BCP-7")
async def test_host_and_forwarded_headers_change_nothing(world: World) -> None:
    headers = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/x",
        "X-Forwarded-For": "8.8.8.8",
        "Forwarded": "host=evil.example;proto=https",
    }
    plain = await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server")
    forged = await world.http.get(f"{world.issuer}/.well-known/oauth-authorization-server", headers=headers)
    assert plain.content == forged.content
    response = await world.http.get(world.authorize_url(world.attempt()), headers=headers)
    assert response.status_code == 200
    assert "evil.example" not in response.text + str(response.headers)


async def test_the_parts_of_a_path_issuer_link_to_each_other(tmp_path: Path) -> None:
    async with run_world(tmp_path, issuer_path="/auth") as world, world.user() as user:
        page = await user.open(world.authorize_url(world.attempt()))
        assert urlsplit(page.form_with("password").action).path == "/auth/sign-in"
        assert (await world.http.get(f"{world.issuer}/style.css")).status_code == 200
