"""A person in Chromium, on the real pages of the running server, on the way to a client that listens on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from world_thread import WorldThread, run_world_thread

from flow_world import PASSWORD, Attempt, read_answer

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parents[2] / "test-output" / "screenshots"


@contextmanager
def run_callback() -> Iterator[tuple[int, list[str]]]:
    """The client's end: its port, and the paths that a browser brought it."""
    seen: list[str] = []

    class Callback(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>Back at the client</title>Back at the client")

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Callback)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldThread]:
    with run_world_thread(tmp_path_factory.mktemp("world"), issuer_path="/auth") as world:
        yield world


@pytest.fixture
def profile(chromium: Browser, running: WorldThread) -> Iterator[BrowserContext]:
    """A fresh profile, ten minutes later: what was tried before counts no longer."""
    running.world.clock.advance(600)
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(10_000)
    yield context
    context.close()


def begin(running: WorldThread, page: Page, port: int, **changes: str | None) -> Attempt:
    redirect_uri = f"http://127.0.0.1:{port}/callback"
    attempt = running.world.attempt(**{"redirect_uri": redirect_uri, **changes})
    page.goto(running.world.authorize_url(attempt))
    return attempt


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def press(page: Page, name: str) -> None:
    """As with the keyboard: the buttons ignore the pointer for a moment, against hijacked double clicks."""
    page.get_by_role("button", name=name, exact=True).focus()
    page.keyboard.press("Enter")


def test_a_person_signs_in_allows_and_is_taken_back_to_the_client(
    running: WorldThread, profile: BrowserContext
) -> None:
    page = profile.new_page()
    with run_callback() as (port, seen):
        attempt = begin(running, page, port)
        expect(page).to_have_title("Sign in – Notes")
        page.screenshot(path=SCREENSHOTS / "flow-1-sign-in.png", full_page=True)
        sign_in(page)
        expect(page.get_by_text("Read your notes")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "flow-2-consent.png", full_page=True)
        press(page, "Allow")
        expect(page).to_have_title("Back at the client")
    answer = read_answer(seen[0])
    assert answer["iss"] == running.world.issuer
    response = running.run(running.world.redeem(attempt, answer["code"]))
    assert response.status_code == 200


def test_denying_takes_the_person_back_too(running: WorldThread, profile: BrowserContext) -> None:
    page = profile.new_page()
    with run_callback() as (port, seen):
        begin(running, page, port)
        sign_in(page)
        press(page, "Deny")
        expect(page).to_have_title("Back at the client")
    assert read_answer(seen[0])["error"] == "access_denied"


def test_an_ipv6_loopback_client_is_reached_through_the_page_s_policy(
    running: WorldThread, profile: BrowserContext
) -> None:
    client_id = running.world.host.publish(
        "/six.json", {"client_name": "Six", "redirect_uris": ["http://[::1]/callback"]}
    )
    page = profile.new_page()
    begin(running, page, 1, client_id=client_id, redirect_uri="http://[::1]:9/callback")
    sign_in(page)
    with page.expect_request(lambda request: request.url.startswith("http://[::1]:9/callback?code=")):
        press(page, "Allow")


def test_a_wrong_password_is_said_and_the_name_is_kept(running: WorldThread, profile: BrowserContext) -> None:
    page = profile.new_page()
    begin(running, page, 1)
    sign_in(page, "wrong")
    expect(page.get_by_text("The username or the password is not right.")).to_be_visible()
    expect(page.get_by_label("User name")).to_have_value("alice")
    page.screenshot(path=SCREENSHOTS / "flow-3-wrong-password.png", full_page=True)


def test_going_back_to_a_spent_page_and_answering_again_gets_a_friendly_page(
    running: WorldThread, profile: BrowserContext
) -> None:
    page = profile.new_page()
    with run_callback() as (port, seen):
        begin(running, page, port)
        sign_in(page)
        press(page, "Allow")
        expect(page).to_have_title("Back at the client")
        page.go_back()
        if page.get_by_role("button", name="Allow", exact=True).count():
            press(page, "Allow")
        expect(page.get_by_role("heading", name="You have answered this already")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "flow-4-answered-already.png", full_page=True)
    assert len([path for path in seen if path.startswith("/callback")]) == 1


def test_signing_out_on_the_consent_page_lets_somebody_else_sign_in(
    running: WorldThread, profile: BrowserContext
) -> None:
    page = profile.new_page()
    begin(running, page, 1)
    sign_in(page)
    page.get_by_role("button", name="Sign out").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Password")).to_be_visible()


def test_an_error_after_the_client_is_proven_offers_a_link_back(running: WorldThread, profile: BrowserContext) -> None:
    page = profile.new_page()
    with run_callback() as (port, seen):
        begin(running, page, port, scope="admin")
        page.screenshot(path=SCREENSHOTS / "flow-5-refused.png", full_page=True)
        assert not seen
        page.get_by_role("link", name="Return to").click()
        expect(page).to_have_title("Back at the client")
    assert read_answer(seen[0])["error"] == "invalid_scope"


def test_a_refused_client_is_explained_and_nobody_is_sent_anywhere(
    running: WorldThread, profile: BrowserContext
) -> None:
    page = profile.new_page()
    begin(running, page, 1, client_id=running.world.host.url("/nothing.json"))
    expect(page.get_by_text("fetch.not_found")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "flow-6-no-document.png", full_page=True)


@pytest.mark.proves("CIMD-94")
def test_no_page_of_the_flow_logs_a_console_message_or_leaves_the_server(
    running: WorldThread, profile: BrowserContext
) -> None:
    page = profile.new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    begin(running, page, 1)
    sign_in(page)
    expect(page.get_by_role("button", name="Allow", exact=True)).to_be_visible()
    assert messages == []
    assert all(url.startswith((running.world.issuer, "data:")) for url in requests), requests
