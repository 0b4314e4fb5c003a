"""Attack list F: what can be tried where people sign in at an identity provider (PX-01 to PX-12; 13: the tokens')."""

import secrets
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from identity_kit import IdentityWorld, find_provider_form, offers_provider, run_identity_world

from flow_world import DOCUMENT, read_answer
from nameplate.ports.store import GrantFilter
from nameplate.testing.headless_user import HeadlessUser, Page

pytestmark = pytest.mark.anyio


def read_query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def count_grants(there: IdentityWorld) -> int:
    return len(await there.world.server.context.store.list_grants(GrantFilter()))


def is_refusal(page: Page, *reasons: str) -> bool:
    return page.left_to is None and page.status in {400, 403} and any(reason in page.text for reason in reasons)


@pytest.mark.proves("MCP-80", "MCP-82")
async def test_px_01_a_second_client_is_asked_about_before_the_provider_hears_of_it(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as victim:
        await there.obtain_tokens(victim)
        sent_before = len(there.provider.requests)
        other = there.world.host.publish("/other/client.json", {**DOCUMENT, "client_name": "Other"})
        page = await there.arrive(victim, there.world.attempt(client_id=other))
        assert page.left_to is None
        assert "Other" in page.text
        assert page.asks_for("answer")
        assert len(there.provider.requests) == sent_before
        # Nor is consent to the one client consent to the other: its subject alone does not do.
        assert await count_grants(there) == 1


@pytest.mark.proves("MCP-84")
async def test_px_02_a_callback_that_nobody_asked_for_does_nothing(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as attacker, HeadlessUser() as victim:
        url = await there.leave(attacker, await there.arrive(attacker))
        back = await there.provider.visit(url)
        await there.arrive(victim)
        # The attacker's code and state in the victim's browser: login CSRF.
        assert is_refusal(await victim.open(back), "upstream.attempt_unknown")
        for state in ("", "x", "npu_" + secrets.token_urlsafe(32), "%00"):
            page = await victim.open(f"{there.callback()}?{urlencode({'code': 'c', 'state': state})}")
            assert is_refusal(page, "upstream.attempt_unknown", "parameters.")
        page = await victim.open(f"{there.callback()}?code=c&state=a&state=b")
        assert is_refusal(page, "parameters.repeated")
        assert there.provider.find_requests("token") == []
        # And it is still the attacker's own.
        assert (await attacker.open(back)).asks_for("answer")


@pytest.mark.proves("MCP-84")
async def test_px_02_a_state_serves_once(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        back = await there.provider.visit(await there.leave(user, await there.arrive(user)))
        assert (await user.open(back)).asks_for("answer")
        asked = len(there.provider.find_requests("token"))
        page = await user.open(back)
        assert page.status == 403
        assert "upstream.attempt_unknown" in page.text
        assert len(there.provider.find_requests("token")) == asked


@pytest.mark.proves("MCP-84")
async def test_px_02_a_state_lives_ten_minutes(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"tokens": {"pending_authorization_seconds": 3600}}
    async with run_identity_world(tmp_path, **settings) as there, HeadlessUser() as user:
        back = await there.provider.visit(await there.leave(user, await there.arrive(user)))
        there.world.clock.advance(601)
        assert is_refusal(await user.open(back), "upstream.attempt_unknown")
        assert there.provider.find_requests("token") == []


async def test_px_02_the_state_is_made_after_the_button_and_differs_each_time(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        queries = [read_query(await there.leave(user, page)) for _ in range(3)]
        for member in ("state", "nonce", "code_challenge"):
            assert len({query[member] for query in queries}) == 3
        assert not any(query["state"] in page.text for query in queries)


@pytest.mark.proves("MCP-82", "MCP-84")
async def test_px_03_consent_in_one_browser_and_the_provider_in_another(tmp_path: Path) -> None:
    """CVE-2026-27124: the attacker agrees, and sends the victim the provider's link."""
    async with run_identity_world(tmp_path) as there, HeadlessUser() as attacker, HeadlessUser() as victim:
        url = await there.leave(attacker, await there.arrive(attacker))
        page = await there.return_from(victim, url)
        assert page.status == 400
        assert "browser.cookie_missing" in page.text
        await there.arrive(victim)
        page = await there.return_from(victim, url)
        assert page.status == 403
        assert "upstream.attempt_unknown" in page.text
        assert await count_grants(there) == 0
        assert not any("session" in cookie for cookie in victim._http.cookies)


@pytest.mark.proves("MCP-84")
async def test_px_03_a_button_of_another_browsers_page_leads_nowhere(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as attacker, HeadlessUser() as victim:
        page = await there.arrive(attacker)
        await there.arrive(victim)
        refused = await victim.submit(page, find_provider_form(page))
        assert is_refusal(refused, "authorization.not_waiting")
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            form = find_provider_form(page)
            answer = await attacker._http.post(
                f"{there.world.issuer}{urlsplit(form.action).path}", data=form.fields, headers=headers
            )
            assert answer.status_code == 403
        assert there.provider.requests == []


async def test_px_04_pkce_and_a_nonce_go_along(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        url = await there.leave(user, await there.arrive(user))
        query = read_query(url)
        assert query["code_challenge_method"] == "S256"
        assert query["nonce"]
        back = await there.provider.visit(url)
        assert (await user.open(back)).asks_for("answer")
        (exchange,) = there.provider.find_requests("token")
        assert exchange.parameters["code_verifier"]


async def test_px_04_a_code_of_an_earlier_sign_in_does_not_sign_in_again(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user, HeadlessUser() as other:
        used = read_query(await there.provider.visit(await there.leave(user, await there.arrive(user))))
        url = await there.leave(other, await there.arrive(other))
        fresh = read_query(await there.provider.visit(url))
        page = await other.open(f"{there.callback()}?{urlencode({**fresh, 'code': used['code']})}")
        assert page.left_to is not None  # the verifier is another one
        assert read_answer(page.left_to)["error"] == "server_error"
        assert not any("session" in cookie for cookie in other._http.cookies)


async def test_px_05_an_answer_at_the_callback_of_another_provider(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables={"corp": {}, "guests": {}}) as there, HeadlessUser() as user:
        back = await there.provider.visit(await there.leave(user, await there.arrive(user)))
        page = await user.open(back.replace("/callback/corp", "/callback/guests"))
        assert is_refusal(page, "upstream.other_callback")
        assert there.providers["guests"].find_requests("token") == []
        assert is_refusal(await user.open(back), "upstream.attempt_unknown")
        assert await count_grants(there) == 0


@pytest.mark.parametrize("issuer", [None, "https://evil.example", ""])
async def test_px_05_an_answer_in_the_name_of_another_issuer(tmp_path: Path, issuer: str | None) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        there.provider.answer_changes = {"iss": issuer}
        page = await there.sign_in(user)
        assert page.left_to is not None
        assert read_answer(page.left_to)["error"] == "server_error"
        assert there.provider.find_requests("token") == []


async def test_px_05_an_unknown_provider_has_no_callback_and_no_button(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        assert (await user.open(there.callback("nobody"))).status == 404
        form = find_provider_form(page)
        form.action = form.action.replace("corp", "nobody")
        assert (await user.submit(page, form)).status == 404


async def test_px_06_what_the_provider_writes_is_not_repeated(tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        there.provider.answer_changes = {
            "code": None,
            "error": "access_denied",
            "error_description": script,
            "error_uri": "javascript:alert(1)",
        }
        page = await there.sign_in(user)
        assert page.left_to is not None
        answer = read_answer(page.left_to)
        assert answer["error"] == "access_denied"
        assert "alert" not in page.left_to
        there.provider.answer_changes["error"] = script
        page = await there.sign_in(user)
        assert page.left_to is not None
        assert read_answer(page.left_to)["error"] == "server_error"
        assert "alert" not in page.left_to


@pytest.mark.proves("MCP-85")
async def test_px_07_the_providers_tokens_stay_here_and_ours_are_not_sent_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="nameplate")
    async with run_identity_world(tmp_path, tables={"corp": {"keeps_tokens": True}}) as there, HeadlessUser() as user:
        tokens = await there.obtain_tokens(user)
        refreshed = (await there.world.refresh(tokens["refresh_token"])).json()
        shown = f"{tokens} {refreshed} {caplog.text} {[vars(record) for record in caplog.records]}"
        assert there.provider.issued
        assert not any(value in shown for value in there.provider.issued)
        ours = [tokens["access_token"], tokens["refresh_token"], refreshed["access_token"]]
        sent = " ".join(f"{request.parameters} {request.headers}" for request in there.provider.requests)
        assert not any(value in sent for value in ours)
        stolen = there.provider.issued[-1]
        assert (await there.world.refresh(stolen)).json()["error"] == "invalid_grant"
        userinfo = f"{there.provider.issuer}/userinfo"
        tls = ssl.create_default_context(cafile=there.provider.ca_file)
        async with httpx2.AsyncClient(verify=tls, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            assert (await client.get(userinfo, headers=headers)).status_code == 401


async def test_px_08_registering_tells_nothing_of_our_own_credentials(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there:
        there.provider.client.client_id, there.provider.client.secret = "nameplate-at-corp", "very-secret"
        body = {"redirect_uris": ["http://127.0.0.1/callback"], "client_name": "X"}
        response = await there.world.http.post(f"{there.world.issuer}/register", json=body)
        assert response.status_code == 201
        metadata = await there.world.http.get(f"{there.world.issuer}/.well-known/oauth-authorization-server")
        for text in (response.text, metadata.text):
            assert there.provider.client.secret not in text
            assert "a secret" not in text
            assert there.provider.issuer not in text


@pytest.mark.parametrize(
    "lie",
    [
        {"signature": "none"},
        {"signature": "HS256"},
        {"id_token_changes": {"iss": "https://evil.example"}},
        {"id_token_changes": {"aud": "somebody-else"}},
        {"id_token_changes": {"nonce": "another"}},
        {"id_token_changes": {"nonce": None}},
        {"id_token_changes": {"exp": 1}},
        {"id_token_changes": {"azp": "somebody-else", "aud": ["nameplate", "somebody-else"]}},
        {"id_token_changes": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
        {"header_changes": {"kid": "unknown"}},
        {"token_changes": {"id_token": None}},
    ],
    ids=str,
)
async def test_px_09_an_id_token_that_lies_signs_nobody_in(tmp_path: Path, lie: dict[str, Any]) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        for name, value in lie.items():
            setattr(there.provider, name, value)
        page = await there.sign_in(user)
        assert page.left_to is not None
        assert read_answer(page.left_to)["error"] == "server_error"
        assert not any("session" in cookie for cookie in user._http.cookies)


async def test_px_10_an_address_that_is_not_verified_opens_no_door(tmp_path: Path) -> None:
    tables = {"corp": {"allow_everybody": False, "allowed_email_domains": ["example.com"]}}
    async with run_identity_world(tmp_path, tables=tables) as there:
        for verified, is_welcome in ((False, False), (None, False), ("yes", False), (True, True)):
            there.provider.id_token_changes = {"email_verified": verified}
            there.provider.userinfo_changes = {"email_verified": verified}
            async with HeadlessUser() as user:
                page = await there.sign_in(user)
                assert page.asks_for("answer") == is_welcome
                assert (page.left_to is None) == is_welcome


async def test_px_10_a_person_is_issuer_and_subject_and_never_the_address(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path, tables={"corp": {}, "guests": {}}) as there:
        subjects = []
        for name, sub in (("corp", "1"), ("corp", "2"), ("guests", "1")):
            there.providers[name].person |= {"sub": sub, "email": "jane@example.com"}
            async with HeadlessUser() as user:
                page = await there.sign_in(user, name=name)
                subjects.append(page.form_with("answer").fields["subject"])
        assert len(set(subjects)) == 3
        there.provider.person |= {"sub": "1", "email": "married@example.com", "name": "Jane Roe"}
        async with HeadlessUser() as user:
            page = await there.sign_in(user)
            assert page.form_with("answer").fields["subject"] == subjects[0]


async def test_px_11_a_forged_host_changes_nothing_that_is_sent_to_the_provider(tmp_path: Path) -> None:
    forged = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example;proto=https",
    }
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        form = find_provider_form(page)
        url = f"{there.world.issuer}{urlsplit(form.action).path}"
        answer = await user._http.post(url, data=form.fields, headers=forged)
        assert answer.status_code == 303
        assert read_query(answer.headers["location"])["redirect_uri"] == there.callback()
        assert "evil.example" not in answer.headers["location"]


async def test_px_12_a_link_from_elsewhere_always_asks_and_names_the_resource(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as victim:
        await there.obtain_tokens(victim)
        page = await there.arrive(victim, there.world.attempt(state="of-the-attacker"))
        assert page.left_to is None
        assert "Notes" in page.text
        assert there.world.resource in page.text
        left = await there.allow(victim, page)
        assert read_answer(left)["iss"] == there.world.issuer


async def test_px_12_nobody_skips_the_question_by_going_to_the_provider_first(tmp_path: Path) -> None:
    """Consent bypass: a callback without approval only leads to the question, whatever is posted or repeated."""
    async with run_identity_world(tmp_path, tables={"corp": {"keeps_tokens": True}}) as there, HeadlessUser() as user:
        page = await there.sign_in(user)
        assert page.asks_for("answer")
        assert await count_grants(there) == 0
        form = page.form_with("answer")
        for changed in ({"subject": "somebody"}, {"subject": ""}):
            again = await user.submit(page, form, answer="allow", **changed)
            assert again.left_to is None
        assert await count_grants(there) == 0


async def test_px_12_somebody_else_at_the_provider_is_asked_and_not_given_what_the_first_allowed(
    tmp_path: Path,
) -> None:
    async with run_identity_world(tmp_path, tables={"corp": {"keeps_tokens": True}}) as there, HeadlessUser() as user:
        page = await user.answer(await there.sign_in(user))
        assert page.left_to is not None
        there.provider.person |= {"sub": "other", "name": "Joan Other"}
        page = await there.return_from(user, page.left_to)
        assert page.left_to is None
        assert "Joan Other" in page.text
        assert await count_grants(there) == 0


async def test_what_a_browser_leaves_unfinished_is_bounded(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        urls = [await there.leave(user, page) for _ in range(25)]
        assert len(user._http.cookies) == 1
        assert is_refusal(await there.return_from(user, urls[0]), "upstream.attempt_unknown")
        assert (await there.return_from(user, urls[-1])).asks_for("answer")


async def test_one_address_cannot_make_us_ask_the_provider_without_end(tmp_path: Path) -> None:
    async with run_identity_world(tmp_path) as there, HeadlessUser() as user:
        page = await there.arrive(user)
        for _ in range(120):
            await there.leave(user, page)
        refused = await user.submit(page, find_provider_form(page))
        assert refused.status == 429
        assert offers_provider(refused)
