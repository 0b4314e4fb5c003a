"""A person in Chromium who signs in at an identity provider: through our question, the provider's redirects, and back.

Chromium holds the page's form-action against every redirect that follows a button; a unit test cannot show that.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from test_sign_in_flow import begin, press, run_callback
from world_thread import WorldThread, run_world_thread

from flow_world import read_answer
from nameplate.testing.clock import FixedClock
from nameplate.testing.identity_provider import FakeIdentityProvider, run_identity_provider

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parents[2] / "test-output" / "screenshots"


@contextmanager
def run_provider_thread(directory: Path) -> Iterator[FakeIdentityProvider]:
    """Run a provider until the block is left."""
    started: list[FakeIdentityProvider] = []
    ready, stop = threading.Event(), threading.Event()

    async def live() -> None:
        async with run_identity_provider(directory, clock=FixedClock()) as provider:
            started.append(provider)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    try:
        assert ready.wait(30), "the provider did not start"
        yield started[0]
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module", params=[False, True], ids=["forgets tokens", "keeps tokens"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldThread]:
    directory = tmp_path_factory.mktemp("provider")
    with run_provider_thread(directory) as provider:
        table = {
            "name": "corp",
            "type": "oidc",
            "title": "Example Corporation",
            "issuer": provider.issuer,
            "client_id": provider.client.client_id,
            "client_secret": provider.client.secret,
            "trusted_ca_file": provider.ca_file,
            "allow_everybody": True,
            "keeps_tokens": request.param,
        }
        with run_world_thread(tmp_path_factory.mktemp("world"), upstreams=[table], accounts=[]) as world:
            yield world


@pytest.fixture
def profile(chromium: Browser, running: WorldThread) -> Iterator[BrowserContext]:
    context = chromium.new_context(java_script_enabled=False, ignore_https_errors=True)
    context.set_default_timeout(10_000)
    yield context
    context.close()


def test_a_person_agrees_signs_in_at_the_provider_and_allows(running: WorldThread, profile: BrowserContext) -> None:
    page = profile.new_page()
    with run_callback() as (port, seen):
        attempt = begin(running, page, port)
        press(page, "Allow, and continue with Example Corporation")
        expect(page.get_by_text("Jane Doe")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "flow-upstream-consent.png", full_page=True)
        press(page, "Allow")
        expect(page).to_have_title("Back at the client")
    answer = read_answer(seen[0])
    assert answer["iss"] == running.world.issuer
    assert running.run(running.world.redeem(attempt, answer["code"])).status_code == 200


def test_denying_before_signing_in_takes_the_person_back(running: WorldThread, profile: BrowserContext) -> None:
    page = profile.new_page()
    with run_callback() as (port, seen):
        begin(running, page, port)
        press(page, "Deny")
        expect(page).to_have_title("Back at the client")
    assert read_answer(seen[0])["error"] == "access_denied"


def test_two_tabs_do_not_get_in_each_others_way(running: WorldThread, profile: BrowserContext) -> None:
    pages = [profile.new_page(), profile.new_page()]
    with run_callback() as (port, seen):
        for number, page in enumerate(pages):
            begin(running, page, port, state=f"tab-{number}")
        for page in reversed(pages):
            press(page, "Allow, and continue with Example Corporation")
        for page in pages:
            expect(page.get_by_text("Jane Doe")).to_be_visible()
            allow(page)
    assert sorted(read_answer(path)["state"] for path in seen if "code=" in path) == ["tab-0", "tab-1"]


def allow(page: Page) -> None:
    press(page, "Allow")
    expect(page).to_have_title("Back at the client")
