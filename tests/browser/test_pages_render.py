"""The pages in a real browser: light and dark, narrow and wide, by keyboard alone, with hostile names.

Screenshots go to test-output/screenshots/, which git ignores: look at them after a change.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from nameplate.server.pages.render import STYLESHEET, form_action_source, page_headers
from page_samples import PAGES, STYLESHEET_PATH, hostile, render

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parents[2] / "test-output" / "screenshots"
ALL_PAGES = PAGES | {f"hostile-{name}": hostile(view) for name, view in PAGES.items()}
CONTENT = {f"/{name}": render(view) for name, view in ALL_PAGES.items()}
WIDTHS = {"phone": 320, "desktop": 1280}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class Site:
    """Serves the pages as the server does. ``posts`` are the forms that came, ``target`` where their answer leads."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str]]] = []
        self.target = "/notice"
        self.form_action = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._build_request_handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))  # seconds to notice the end
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Site":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _build_request_handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class RequestHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == STYLESHEET_PATH:
                    self.answer(200, {"Content-Type": "text/css; charset=utf-8"}, STYLESHEET)
                elif path in CONTENT:
                    headers = page_headers(form_action=site.form_action)
                    self.answer(200, {"Content-Type": "text/html; charset=utf-8", **headers}, CONTENT[path])
                elif path == "/frame":
                    self.answer(200, {"Content-Type": "text/html"}, b"<iframe src='/consent' title='x'></iframe>")
                else:
                    self.answer(404, {}, b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                site.posts.append((self.path, dict(parse_qsl(body, keep_blank_values=True))))
                self.answer(303, {"Location": site.target}, b"")

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: the tests look at what the browser says."""

        return RequestHandler


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as served:
        yield served


@pytest.fixture
def open_page(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Opens pages of the site. At the end no page may have complained or asked another host for anything."""
    with watched(chromium, site) as open_one:
        yield open_one


@contextmanager
def watched(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note_request(request: Request) -> None:
        if not request.url.startswith((site.url, "data:")):
            complaints.append(f"{request.url} was asked for")

    def open_one(name: str, *, width: int = 1280, **options: Any) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, **{"reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", note_request)
        page.on("requestfailed", lambda request: complaints.append(f"{request.url} failed"))
        page.goto(f"{site.url}/{name}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


STICKING_OUT = """() => [...document.querySelectorAll('main *')].filter(each => {
    const main = document.querySelector('main').getBoundingClientRect(), box = each.getBoundingClientRect();
    return box.width && !each.closest('.unseen') && (box.left < main.left - .5 || box.right > main.right + .5);
}).map(each => each.outerHTML)"""


@pytest.mark.parametrize("name", ALL_PAGES)
def test_every_page_fits_every_screen(open_page: Callable[..., Page], name: str) -> None:
    page = open_page(name)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for screen, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{screen}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(STICKING_OUT) == []


# Computes what is really drawn, so that a pair of colours that the stylesheet's own test forgot is found here.
FAINT_TEXT = """() => {
    const parse = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
    const grounds = each => {
        for (let at = each; at; at = at.parentElement) {
            const style = getComputedStyle(at), colour = parse(style.backgroundColor);
            if (style.backgroundImage !== 'none')
                return style.backgroundImage.match(/linear-gradient\\(.*\\)/)[0].match(/rgb\\([^)]*\\)/g).map(parse);
            if (colour.length === 3 || colour[3] > 0) return [colour];
        }
    };
    const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    return [...document.querySelectorAll('body *')]
        .filter(each => [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
        .flatMap(each => grounds(each).map(ground =>
            [each.outerHTML, ratio(light(parse(getComputedStyle(each).color)), light(ground))]))
        .filter(([, contrast]) => contrast < 4.5);
}"""


@pytest.mark.parametrize("name", PAGES)
def test_no_text_is_faint(open_page: Callable[..., Page], name: str) -> None:
    page = open_page(name)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(FAINT_TEXT) == []


def test_light_and_dark_differ(open_page: Callable[..., Page]) -> None:
    page = open_page("consent", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(243, 241, 236)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == "rgb(19, 20, 22)"


def tab_stops(page: Page) -> list[str]:
    """What the Tab key reaches, in order; each must show a ring of two pixels or more."""
    stops: list[str] = []
    while True:
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
                const each = document.activeElement, style = getComputedStyle(each);
                const name = each.labels?.[0]?.textContent ?? each.textContent;
                return [each === document.body ? '' : name.trim(), style.outlineStyle + ' ' + style.outlineWidth];
            }"""
        )
        if not name or name in stops:
            return stops
        assert outline in {"solid 2px", "solid 3px"}, name
        stops.append(name)


def test_consent_by_keyboard_reaches_deny_before_allow(open_page: Callable[..., Page]) -> None:
    page = open_page("consent")
    assert tab_stops(page) == ["Home page", "Privacy policy", "Not you? Sign out", "Deny", "Allow"]


@pytest.mark.parametrize(("name", "first"), [("sign-in", "User name"), ("sign-in-failed", "Password")])
def test_sign_in_starts_in_the_field_that_is_empty(open_page: Callable[..., Page], name: str, first: str) -> None:
    page = open_page(name)
    expect(page.get_by_label(first)).to_be_focused()


def test_sign_in_by_keyboard(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("sign-in")
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse")
    page.keyboard.press("Enter")
    page.wait_for_url("**/notice")
    assert site.posts == [("/sign-in", {"request": "k3Jq0W", "username": "ada", "password": "correct horse"})]


@pytest.mark.parametrize(("button", "answer"), [("Deny", "deny"), ("Allow", "allow")])
def test_an_answer_by_keyboard(open_page: Callable[..., Page], site: Site, button: str, answer: str) -> None:
    page = open_page("consent", width=320)
    page.get_by_role("button", name=button, exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/notice")
    assert site.posts == [("/consent", {"request": "k3Jq0W", "subject": "p_7c1d", "answer": answer})]


def test_signing_out_by_mouse(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("consent")
    page.get_by_role("button", name="Not you? Sign out").click()
    page.wait_for_url("**/notice")
    assert site.posts == [("/sign-out", {"request": "k3Jq0W"})]


def test_deny_and_allow_are_drawn_alike(open_page: Callable[..., Page]) -> None:
    page = open_page("consent", width=320)
    deny, allow = (page.get_by_role("button", name=name, exact=True) for name in ("Deny", "Allow"))
    look = (
        "each => { const s = getComputedStyle(each); return [s.color, s.backgroundColor, s.font, s.border, s.opacity] }"
    )
    assert deny.evaluate(look) == allow.evaluate(look)
    deny_box, allow_box = deny.bounding_box(), allow.bounding_box()
    assert deny_box is not None
    assert allow_box is not None
    assert [deny_box[side] for side in ("y", "width", "height")] == [
        allow_box[side] for side in ("y", "width", "height")
    ]


def test_a_click_meant_for_the_page_before_does_not_answer(open_page: Callable[..., Page]) -> None:
    allow = open_page("consent").get_by_role("button", name="Allow", exact=True)
    at = """(each, time) => { const [animation] = each.getAnimations(); animation.pause(); animation.currentTime = time;
        return getComputedStyle(each).pointerEvents }"""
    assert allow.evaluate(at, 0) == "none"
    assert allow.evaluate(at, 590) == "none"
    assert (
        allow.evaluate("each => { each.getAnimations()[0].finish(); return getComputedStyle(each).pointerEvents }")
        == "auto"
    )


def test_the_owner_of_a_long_host_is_in_sight_on_a_phone(open_page: Callable[..., Page]) -> None:
    page = open_page("consent-sly", width=320)
    owner = page.locator(".plate strong")
    expect(owner).to_have_text("evil-owner.example")
    box = owner.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    assert box["y"] + box["height"] <= 800
    size = "each => parseFloat(getComputedStyle(each).fontSize)"
    assert owner.evaluate(size) > 1.5 * page.locator(".plate .before").evaluate(size)


@pytest.mark.parametrize("name", [name for name in ALL_PAGES if name.startswith("hostile-")])
def test_hostile_text_becomes_no_element(open_page: Callable[..., Page], name: str) -> None:
    page = open_page(name)
    assert page.locator("script, img, iframe, textarea, b, main a").count() == 0
    assert page.title() != "owned"
    assert page.locator("main").count() == 1


def test_what_a_screen_reader_meets(open_page: Callable[..., Page]) -> None:
    page = open_page("sign-in-failed")
    expect(page.get_by_role("alert")).to_have_text("User name or password is not right. Please try again.")
    for field in (page.get_by_role("textbox", name="User name"), page.get_by_label("Password")):
        expect(field).to_have_accessible_description("User name or password is not right. Please try again.")
    page = open_page("consent-sly")
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("contentinfo")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("An application asks for access to Team Notes")
    for name in ("Look twice", "If you allow it, it can", "Where this leads"):
        expect(page.get_by_role("region", name=name)).to_be_visible()


def test_nothing_moves_for_those_who_asked_for_it(open_page: Callable[..., Page]) -> None:
    duration = "each => getComputedStyle(each).transitionDuration"
    assert open_page("sign-in", reduced_motion="reduce").get_by_role("button").evaluate(duration) == "0s"
    assert open_page("sign-in", reduced_motion="no-preference").get_by_role("button").evaluate(duration) == "0.12s"


def test_forced_colours_keep_the_edges(open_page: Callable[..., Page]) -> None:
    page = open_page("consent-loopback", forced_colors="active")
    page.screenshot(path=SCREENSHOTS / "consent-loopback-forced-colours.png", full_page=True)
    assert page.locator(".plate").evaluate("each => getComputedStyle(each).borderTopWidth") == "1px"


def test_text_at_twice_its_size_still_fits(open_page: Callable[..., Page]) -> None:
    page = open_page("consent-loopback", width=640)
    page.evaluate("document.documentElement.style.setProperty('font-size', '200%')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640


def test_one_click_selects_a_reference(open_page: Callable[..., Page]) -> None:
    page = open_page("error")
    page.get_by_text("7F3K-9QPA").click()
    assert page.evaluate("getSelection().toString()") == "7F3K-9QPA"


# What the headers do


def test_the_page_is_not_shown_in_a_frame(chromium: Browser, site: Site) -> None:
    page = chromium.new_page()
    page.goto(f"{site.url}/frame")
    frame = page.frames[1]
    frame.wait_for_load_state()
    assert frame.url == "chrome-error://chromewebdata/"
    page.close()


@pytest.fixture
def client() -> Iterator[Site]:
    """Another origin, to which the answer of the consent form redirects."""
    with Site() as served:
        yield served


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_answer_reaches_the_redirect_uri_that_the_policy_names(
    chromium: Browser, site: Site, client: Site, host: str
) -> None:
    site.target = f"http://{host}:{client.port}/notice?code=x"
    site.form_action = form_action_source(site.target)
    page = chromium.new_page()
    page.goto(f"{site.url}/consent")
    page.get_by_role("button", name="Allow", exact=True).click()
    page.wait_for_url(site.target)
    page.close()


def test_the_answer_reaches_no_redirect_uri_that_the_policy_does_not_name(
    chromium: Browser, site: Site, client: Site
) -> None:
    site.target = f"http://127.0.0.1:{client.port}/notice?code=x"
    page = chromium.new_page()
    page.goto(f"{site.url}/consent")
    with page.expect_console_message() as said:
        page.get_by_role("button", name="Allow", exact=True).click()
    assert "form-action" in said.value.text
    assert page.url == f"{site.url}/consent"
    page.close()
