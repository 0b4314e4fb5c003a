"""Signing in at an identity provider: consent first, then the provider, then the account and the answer."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from identity_kit import IdentityWorld, find_provider_form, offers_provider, run_identity_world

from flow_world import read_answer, run_world
from nameplate.jose import KeySet, Verified
from nameplate.testing.headless_user import HeadlessUser

pytestmark = pytest.mark.anyio


def read_query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def read_claims(there: IdentityWorld, token: str) -> dict[str, Any]:
    keys = KeySet.from_jwks((await there.world.http.get(f"{there.world.issuer}/jwks")).json())
    verified = keys.verify(token, typ={"at+jwt"})
    assert isinstance(verified, Verified)
    return dict(verified.claims)


@pytest.mark.proves("MCP-80", "MCP-86")
async def test_a_person_agrees_signs_in_and_allows(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables={"corp": {"claims": {"email": "email"}}}) as there:
        attempt = there.world.attempt()
        async with HeadlessUser() as user:
            page = await there.arrive(user, attempt)
            assert there.provider.requests == []
            page = await there.return_from(user, await there.leave(user, page))
            assert "Jane Doe" in page.text
            answer = read_answer(await there.allow(user, page))
        assert (answer["state"], answer["iss"]) == ("st-1", there.world.issuer)
        tokens = (await there.world.redeem(attempt, answer["code"])).json()
        claims = await read_claims(there, tokens["access_token"])
        assert (claims["email"], claims["groups"]) == ("jane@example.com", ["staff", "engineers"])
        assert claims["iss"] == there.world.issuer
        assert "248289761001" not in str(claims["sub"])
        again = await there.world.refresh(tokens["refresh_token"])
        assert (await read_claims(there, again.json()["access_token"]))["sub"] == claims["sub"]


@pytest.mark.proves("MCP-81")
async def test_the_page_before_the_provider_is_the_whole_question(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        for text in ("localhost", "Notebook", "127.0.0.1:51763", "Read your notes", there.world.resource):
            assert text in page.text
        assert "Allow, and continue with Corp" in page.text
        assert page.asks_for("answer")
        assert not page.asks_for("password")
        response = await there.world.http.get(there.world.authorize_url(there.world.attempt()))
        policy = response.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "https:" in policy.partition("form-action")[2].partition(";")[0]
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"


async def test_a_person_can_say_no_without_signing_in(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        left = await user.submit(page, page.form_with("answer"), answer="deny")
        assert left.left_to is not None
        answer = read_answer(left.left_to)
        assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "st-1", there.world.issuer)
        assert there.provider.requests == []
        assert (await user.submit(page, find_provider_form(page))).status == 409


async def test_where_there_is_no_provider_an_answer_needs_an_account(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world, world.user() as user:
        page = await user.open(world.authorize_url(world.attempt()))
        form = page.form_with("password")
        form.action = "/consent"
        page = await user.submit(page, form, answer="deny")
        assert page.left_to is None
        assert page.asks_for("password")


async def test_allow_without_a_session_only_asks_again(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        again = await user.submit(page, page.form_with("answer"), answer="allow")
        assert again.left_to is None
        assert offers_provider(again)


async def test_whoever_is_signed_in_is_not_sent_to_the_provider_again(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        await there.obtain_tokens(user)
        before = len(there.provider.requests)
        page = await there.arrive(user)
        assert "Jane Doe" in page.text
        assert "code" in read_answer(await there.allow(user, page))
        assert len(there.provider.requests) == before


async def test_two_providers_and_accounts_of_our_own_side_by_side(tmp_path: Path) -> None:
    tables: dict[str, dict[str, Any]] = {"corp": {}, "guests": {}}
    async with run_identity_world(tmp_path, tables=tables, has_accounts=True) as there:
        there.providers["guests"].person |= {"name": "Gus Guest"}
        subjects = set()
        for name in tables:
            async with HeadlessUser() as user:
                page = await there.sign_in(user, name=name)
                assert ("Gus Guest" in page.text) == (name == "guests")
                subjects.add(page.form_with("answer").fields["subject"])
        async with there.world.user() as user:
            page = await user.sign_in(await there.arrive(user))
            assert "Alice" in page.text
            subjects.add(page.form_with("answer").fields["subject"])
            assert (await user.answer(page)).left_to
        assert len(subjects) == 3  # the two providers call their people the same


async def test_a_wrong_password_shows_the_whole_question_again(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, has_accounts=True) as there, there.world.user("wrong") as user:
        page = await user.sign_in(await there.arrive(user))
        assert page.status == 401
        assert "is not right" in page.text
        assert offers_provider(page)


async def test_there_is_no_way_to_post_a_password_where_nobody_has_one(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        form = find_provider_form(page)
        form.action = "/sign-in"
        assert (await user.submit(page, form, username="alice", password="x")).status == 405


async def test_parallel_tabs_each_come_back_to_their_own_request(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        first, second = there.world.attempt(state="one"), there.world.attempt(state="two", scope="notes:write")
        pages = [await there.arrive(user, attempt) for attempt in (first, second)]
        urls = [await there.leave(user, page) for page in pages]
        consent_two = await there.return_from(user, urls[1])
        consent_one = await there.return_from(user, urls[0])
        assert "Read your notes" in consent_one.text
        assert "Add and change notes" in consent_two.text
        assert read_answer(await there.allow(user, consent_one))["state"] == "one"
        # The second tab's session ended when the first one signed in, but it is the same person.
        assert read_answer(await there.allow(user, consent_two))["state"] == "two"


async def test_an_address_chooses_which_provider_stands_first(tmp_path: Path) -> None:
    tables = {"corp": {"email_domains": ["corp.example"]}, "guests": {"email_domains": ["guests.example"]}}
    async with run_identity_world(tmp_path, tables=tables) as there, HeadlessUser() as user:
        page = await there.arrive(user, there.world.attempt(login_hint="gus@Guests.example"))
        names = [form.action.rpartition("/")[2] for form in page.forms if "/sign-in/" in form.action]
        assert names == ["guests", "corp"]
        assert read_query(await there.leave(user, page, "guests"))["login_hint"] == "gus@Guests.example"
        # The address is no business of the other one.
        assert "login_hint" not in read_query(await there.leave(user, page, "corp"))


async def test_a_fresh_sign_in_is_asked_of_the_provider(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        await there.obtain_tokens(user)
        there.world.clock.advance(100)
        page = await there.arrive(user, there.world.attempt(max_age="50"))
        url = await there.leave(user, page)
        assert read_query(url)["max_age"] == "50"
        page = await there.return_from(user, url)
        assert "code" in read_answer(await there.allow(user, page))
        there.world.clock.advance(1)
        page = await there.arrive(user, there.world.attempt(prompt="login"))
        url = await there.leave(user, page)
        assert (read_query(url)["prompt"], read_query(url)["max_age"]) == ("login", "0")
        page = await there.return_from(user, url)
        assert "code" in read_answer(await there.allow(user, page))


async def test_a_sign_in_of_this_morning_at_the_provider_is_not_fresh_here(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        there.provider.id_token_changes = {"auth_time": int(there.world.clock()) - 30_000}
        await there.obtain_tokens(user)
        assert (await there.arrive(user)).asks_for("subject")
        page = await there.arrive(user, there.world.attempt(max_age="600"))
        assert offers_provider(page)


async def test_a_provider_that_does_not_say_when_is_asked_for_fresh_sign_ins(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        there.provider.id_token_changes = {"auth_time": None}
        await there.obtain_tokens(user)
        page = await there.arrive(user, there.world.attempt(max_age="600"))
        assert offers_provider(page)


async def test_signing_out_lets_the_person_choose_another_account(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.sign_in(user)
        sign_out = next(form for form in page.forms if form.action.endswith("/sign-out"))
        page = await user.submit(page, sign_out)
        url = await there.leave(user, page)
        assert read_query(url)["prompt"] == "select_account"
        there.provider.person |= {"sub": "other", "name": "Joan Other"}
        page = await there.return_from(user, url)
        assert "Joan Other" in page.text


async def test_each_sign_in_gives_a_new_session_and_ends_the_old_one(tmp_path: Path) -> None:
    """Session fixation: what was planted before is worth nothing after."""
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        await there.sign_in(user)
        jar = user._http.cookies
        name = next(cookie for cookie in jar if "session" in cookie)
        planted = jar[name]
        there.world.clock.advance(1)
        page = await there.arrive(user, there.world.attempt(prompt="login"))
        await there.return_from(user, await there.leave(user, page))
        assert jar[name] != planted
        async with HeadlessUser() as attacker:
            attacker._http.cookies.set(name, planted, domain="127.0.0.1")
            assert offers_provider(await there.arrive(attacker))


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"allowed_email_domains": ["other.example"]}, "not_allowed"),
        ({"allowed_groups": ["admins"]}, "not_allowed"),
        ({"allowed_claims": {"department": ["finance"]}}, "not_allowed"),
    ],
)
async def test_whoever_is_not_allowed_gets_nothing_and_the_client_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rules: dict[str, Any], reason: str
) -> None:
    table = {"allow_everybody": False, **rules}
    async with run_identity_world(tmp_path, tables={"corp": table}) as there, HeadlessUser() as user:
        page = await there.sign_in(user)
        assert page.left_to is not None
        answer = read_answer(page.left_to)
        assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "st-1", there.world.issuer)
        assert "jane" not in page.left_to
        assert any(getattr(record, "reason", "") == f"sign_in.{reason}" for record in caplog.records)
        assert not any("session" in cookie for cookie in user._http.cookies)


async def test_rules_of_today_end_what_was_allowed_before(tmp_path: Path) -> None:
    tables = {"corp": {"allow_everybody": False, "allowed_groups": ["staff"]}}
    async with run_identity_world(tmp_path, tables=tables) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        stricter = {"corp": {"allow_everybody": False, "allowed_groups": ["directors"]}}
        (tmp_path / "later").mkdir()
        plan = next(iter(there.world.server.context.upstreams)).plan
        object.__setattr__(plan, "policy", await load_policy(tmp_path / "later", stricter))
        refused = await there.world.refresh(tokens["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert refused.json()["reason"] == "sign_in.not_allowed"
        assert offers_provider(await there.arrive(user))


async def load_policy(directory: Path, tables: dict[str, Any]) -> object:
    async with run_identity_world(directory, tables=tables) as other:
        return next(iter(other.world.server.context.upstreams)).plan.policy


async def test_groups_decide_which_scopes_are_offered_and_given(tmp_path: Path) -> None:
    tables = {"corp": {"scopes_by_group": {"*": ["notes:read"], "writers": ["notes:write"]}}}
    async with run_identity_world(tmp_path, tables=tables) as there:
        async with HeadlessUser() as user:
            page = await there.sign_in(user, there.world.attempt(scope="notes:read notes:write"))
            assert "Add and change notes" not in page.text
        async with HeadlessUser() as user:
            tokens = await there.obtain_tokens(user, scope="notes:read notes:write")
            assert tokens["scope"] == "notes:read"
        async with HeadlessUser() as user:
            page = await there.sign_in(user, there.world.attempt(scope="notes:write"))
            assert page.left_to is None
            assert "sign_in.no_scope" in page.text
            assert any("error=access_denied" in link for link in page.links)
        there.provider.person |= {"groups": ["writers"]}
        async with HeadlessUser() as user:
            tokens = await there.obtain_tokens(user, scope="notes:read notes:write")
            assert tokens["scope"] == "notes:read notes:write"
