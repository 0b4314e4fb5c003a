"""The pages as bytes: escaping, structure, headers, stylesheet. What they look like is tested in tests/browser."""

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from nameplate.protocol.client_metadata import KnownBy
from nameplate.server.pages.render import STYLESHEET, render_consent
from nameplate.server.pages.views import ReturnLink, ScopeView
from page_samples import (
    CONSENT,
    CONSENT_BY_OPERATOR,
    CONSENT_LOOPBACK,
    CONSENT_PRIVATE_USE,
    CONSENT_UNVERIFIED,
    ERROR,
    HOSTILE,
    PAGES,
    SIGN_IN,
    SIGN_IN_FAILED,
    SIGN_IN_UNVERIFIED,
    View,
    hostile,
    render,
)

HOSTILE_PAGES = {f"hostile-{name}": hostile(view) for name, view in PAGES.items()}
ALL_PAGES = PAGES | HOSTILE_PAGES
VOID = {"meta", "link", "input", "wbr", "rect", "circle", "path"}
ALLOWED = {
    *(
        "html",
        "head",
        "title",
        "body",
        "main",
        "section",
        "footer",
        "h1",
        "h2",
        "p",
        "div",
        "span",
        "strong",
        "bdi",
        "code",
    ),
    *(
        "a",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "caption",
        "tbody",
        "tr",
        "th",
        "td",
        "form",
        "label",
        "button",
        "svg",
    ),
}


class Page(HTMLParser):
    """The elements of a page in order, as (tag, attributes), with the text of each that was closed."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(content.decode())
        self.close()
        assert self._open == [], "an element was left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} has an attribute twice"
        if tag not in VOID:
            self._open.append((tag, []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened, text = self._open.pop()
        assert opened == tag, f"{opened} was closed by {tag}"
        self.texts.append((tag, " ".join("".join(text).split())))

    def handle_data(self, data: str) -> None:
        for _, text in self._open:
            text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> str:
        return next(text for name, text in self.texts if name == tag)


@pytest.fixture(params=ALL_PAGES)
def page(request: pytest.FixtureRequest) -> Page:
    return Page(render(ALL_PAGES[request.param]))


def test_only_known_elements_appear(page: Page) -> None:
    assert {tag for tag, _ in page.elements} <= ALLOWED | VOID


def test_nothing_runs_and_nothing_is_styled_in_place(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in {"script", "style", "iframe", "object", "embed", "base", "img"}
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "srcset", "formaction"}]


@pytest.mark.proves("CIMD-94", "O21-25")
def test_nothing_is_loaded_from_another_host(page: Page) -> None:
    assert [link["href"] for link in page.all("link") if not link["href"].startswith("data:")] == ["/static/style.css"]
    assert not [attributes for _, attributes in page.elements if "src" in attributes or "xlink:href" in attributes]


def test_every_page_has_language_title_and_landmarks(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert page.text("title")
    assert [len(page.all(tag)) for tag in ("title", "main", "h1", "footer")] == [1, 1, 1, 1]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")


def test_every_visible_field_has_a_label_and_every_reference_a_target(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {label["for"] for label in page.all("label")}
    visible = {field["id"] for field in page.all("input") if field["type"] != "hidden"}
    assert labelled == visible
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert name not in attributes or attributes[name] in ids


@pytest.mark.proves("CIMD-94")
def test_every_link_is_fit_and_leads_away_without_a_trace(page: Page) -> None:
    for link in page.all("a"):
        assert link["rel"] == "noopener noreferrer"
        assert link["href"].startswith("https://")


@pytest.mark.proves("CIMD-96", "O21-20")
@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_hostile_text_stays_text(name: str) -> None:
    content = render(HOSTILE_PAGES[name]).decode()
    assert Page(content.encode()).text("title") != "owned"
    assert "{{7*7}}" in content  # printed, not evaluated to 49
    for raw in ("<script", "<img", "<svg/", "</textarea", "\u202e", "\u2066", "\u200b", "\0", "\r", "\U000e0041"):
        assert raw not in content
    assert "\u0301" * 4 not in content


def test_every_field_of_the_hostile_views_really_is_hostile() -> None:
    assert HOSTILE_PAGES["hostile-consent"].scopes[0].name == HOSTILE
    assert HOSTILE_PAGES["hostile-consent"].links[0] == (HOSTILE, HOSTILE)
    assert HOSTILE_PAGES["hostile-error-return"].return_link == ReturnLink(url=HOSTILE, host=HOSTILE)


@pytest.mark.proves("CIMD-96")
@given(st.text(st.characters(), max_size=60))
def test_whatever_a_client_calls_itself_the_page_keeps_its_structure(name: str) -> None:
    expected = [tag for tag, _ in Page(render(CONSENT)).elements]
    shown = [tag for tag, _ in Page(render(replace(CONSENT, client_name=name or "x"))).elements]
    assert shown == expected or shown == [tag for tag, _ in Page(render(replace(CONSENT, client_name=None))).elements]


@pytest.mark.parametrize("missing", ["action", "request", "subject", "keeps_access", "resource_name"])
def test_a_missing_value_is_an_error_and_not_an_empty_place(missing: str) -> None:
    values = {field.name: getattr(CONSENT, field.name) for field in fields(CONSENT) if field.name != missing}
    with pytest.raises(UndefinedError):
        render_consent(SimpleNamespace(**values), stylesheet="/static/style.css")  # type: ignore[arg-type]


def test_the_stylesheet_stands_where_the_server_is_mounted() -> None:
    content = render_consent(CONSENT, stylesheet="/auth/static/style.css?v=1&w=2")
    assert b'<link rel="stylesheet" href="/auth/static/style.css?v=1&amp;w=2">' in content


# Sign-in


def test_sign_in_posts_what_the_server_expects() -> None:
    page = Page(render(SIGN_IN))
    assert page.all("form") == [{"method": "post", "action": "/sign-in"}]
    assert {field["name"]: field.get("value") for field in page.all("input")} == {
        "request": "k3Jq0W",
        "username": "",
        "password": None,
    }
    assert [field.get("autocomplete") for field in page.all("input")] == [None, "username", "current-password"]
    assert page.text("title") == "Sign in – Team Notes"


def test_a_failed_sign_in_says_so_where_it_is_heard_and_keeps_the_name() -> None:
    page = Page(render(SIGN_IN_FAILED))
    assert page.text("title") == "Sign-in failed – Team Notes"
    assert {"class": "problem", "id": "problem", "role": "alert"} in page.all("p")
    username, password = page.all("input")[1:]
    assert username["value"] == "ada"
    assert "value" not in password
    assert "autofocus" in password
    assert "autofocus" not in username
    assert username["aria-describedby"] == password["aria-describedby"] == "problem"


def test_the_sign_in_page_says_whose_request_it_is() -> None:
    content = render(SIGN_IN).decode()
    assert content.index("<strong>example.com</strong>") < content.index('<bdi class="name">Example Assistant</bdi>')


# Consent: CIMD-90, CIMD-94, CIMD-96, CIMD-98, MCP-12, MCP-13, MCP-81, CP-01 to CP-07, CP-10


def test_consent_posts_what_the_server_expects() -> None:
    page = Page(render(CONSENT))
    sign_out, answer = page.all("form")
    assert sign_out == {"method": "post", "action": "/sign-out"}
    assert (answer["method"], answer["action"]) == ("post", "/consent")
    assert [(field["name"], field["value"]) for field in page.all("input")] == [
        ("request", "k3Jq0W"),
        ("request", "k3Jq0W"),
        ("subject", "p_7c1d"),
    ]


def test_deny_comes_before_allow_and_both_are_alike() -> None:
    deny, allow = Page(render(CONSENT)).all("button")[1:]
    assert deny == {"type": "submit", "name": "answer", "value": "deny"}
    assert allow == {"type": "submit", "name": "answer", "value": "allow"}


@pytest.mark.proves("CIMD-90")
def test_the_host_of_the_client_comes_before_everything_the_client_says() -> None:
    content = render(CONSENT).decode()
    host = content.index('<span class="before">app.<wbr></span><strong>example.com</strong>')
    assert host < content.index("Example Assistant")
    assert 'It calls itself <bdi class="name">Example Assistant</bdi></p>' in content
    assert Page(content.encode()).text("title") == "Allow example.com to use Team Notes?"


@pytest.mark.proves("CIMD-96")
@pytest.mark.parametrize("known_by", ["document", "itself"])
def test_a_name_cannot_close_a_quotation_and_go_on_in_our_voice(known_by: KnownBy) -> None:
    """CP-02."""
    name = "Notes”. Your administrator has checked this application. It is called “Notes"
    content = render(replace(CONSENT, known_by=known_by, client_name=name)).decode()
    shown = "Notes&#39;. Your administrator has checked this application. It is called &#39;Notes"
    assert f'It calls itself <bdi class="name">{shown}</bdi></p>' in content
    assert "“" not in content


@pytest.mark.proves("CIMD-90")
def test_a_name_at_another_host_does_not_displace_the_host() -> None:
    content = render(replace(CONSENT, client_host="evil.example", client_name="Google Docs")).decode()
    assert content.index("<strong>evil.example</strong>") < content.index("Google Docs")
    assert Page(content.encode()).text("title") == "Allow evil.example to use Team Notes?"


# Clients that nobody vouches for: decision 13, CP-05, DC-05


@pytest.mark.proves("CIMD-91")
@pytest.mark.parametrize("view", [CONSENT_UNVERIFIED, SIGN_IN_UNVERIFIED])
def test_a_client_that_registered_itself_is_not_verified_and_its_name_comes_after_that(view: View) -> None:
    content = render(view).decode()
    assert ("p", "Not verified: registered by itself") in Page(content.encode()).texts
    assert content.index("Not verified:") < content.index('<bdi class="name">Claude</bdi>')
    assert "Its document lies on" not in content
    assert "no host" not in content
    assert '<span class="monogram" aria-hidden="true">?</span>' in content


def test_the_question_about_a_client_that_registered_itself_does_not_repeat_its_name() -> None:
    page = Page(render(CONSENT_UNVERIFIED))
    assert page.text("title") == "Allow an unverified application to use Team Notes?"
    assert "Claude" not in page.text("h1")
    assert ("p", "Nothing about it is checked. Any program can register under this name.") in page.texts
    assert "Registered as" in [text for tag, text in page.texts if tag == "dt"]


@pytest.mark.proves("CIMD-91")
def test_a_client_that_the_operator_registered_has_its_name_from_there() -> None:
    page = Page(render(CONSENT_BY_OPERATOR))
    assert page.text("title") == "Allow Billing robot to use Team Notes?"
    assert ("p", "Registered by whoever runs this server") in page.texts
    assert ("p", "Billing robot") in page.texts
    for claim in ("Not verified", "It calls itself", "Only the host is checked", "Its document"):
        assert claim not in render(CONSENT_BY_OPERATOR).decode()


def test_whatever_stands_for_a_client_that_is_not_known_here_is_not_verified() -> None:
    view = replace(CONSENT, known_by="a kind to come")  # type: ignore[arg-type]
    assert "Not verified" in render(view).decode()


@pytest.mark.parametrize("name", [None, "", "\u200b\u202e"])
def test_a_client_that_registered_itself_without_a_visible_name_is_said_to_have_none(name: str | None) -> None:
    content = render(replace(CONSENT_UNVERIFIED, client_name=name)).decode()
    assert "It gives itself no name" in content
    assert "under this name" not in content


@pytest.mark.parametrize("name", [None, "", "\u200b\u202e"])
def test_a_client_without_a_visible_name_is_said_to_have_none(name: str | None) -> None:
    content = render(replace(CONSENT, client_name=name)).decode()
    assert "It gives itself no name" in content
    assert "its own claim" not in content


@pytest.mark.proves("MCP-12", "MCP-13")
def test_an_https_redirect_is_shown_with_its_host_and_without_a_warning() -> None:
    content = render(CONSENT).decode()
    assert "https://app.example.com/oauth/callback" in content
    assert 'class="warning"' not in content


@pytest.mark.proves("MCP-12", "MCP-13")
def test_a_loopback_redirect_is_warned_about() -> None:
    content = render(CONSENT_LOOPBACK).decode()
    assert "<strong>127.0.0.1</strong></bdi> on this computer" in content
    assert "Any program on this computer could receive the answer" in content


@pytest.mark.parametrize("kind", ["private_use", "a kind to come"])
def test_a_private_use_redirect_is_warned_about_and_so_is_what_is_not_known(kind: str) -> None:
    content = render(replace(CONSENT_PRIVATE_USE, redirect_kind=kind)).decode()
    assert "<strong>com.example.desktop:</strong>" in content
    assert "Any app on this device can claim that address" in content


def test_account_resource_scopes_and_duration_are_shown() -> None:
    content = render(CONSENT).decode()
    for shown in ("Ada Lovelace", "(<bdi>ada</bdi>)", "Team Notes", "https://notes.example.org/mcp", "notes:read"):
        assert shown in content
    assert "Read all notes of your team" in content
    assert "Also while you are away" in content
    assert "Only for a short while" in render(CONSENT_LOOPBACK).decode()


def test_a_scope_without_a_description_is_shown_by_its_name_and_no_scope_is_said_to_be_none() -> None:
    page = Page(render(replace(CONSENT, scopes=(ScopeView(name="admin", description=""),))))
    assert ("li", "admin admin") in page.texts
    assert "Use it without any particular permission" in render(replace(CONSENT, scopes=())).decode()


def test_warnings_are_shown_as_they_are() -> None:
    page = Page(render(replace(CONSENT, warnings=("One <thing>.", "Another."))))
    assert [text for tag, text in page.texts if tag == "li"][:2] == ["One <thing>.", "Another."]
    assert "Look twice" in [text for tag, text in page.texts if tag == "h2"]
    assert "Look twice" not in render(CONSENT).decode()


@pytest.mark.proves("CIMD-94", "CIMD-95")
def test_a_link_names_its_host_and_opens_beside_the_question() -> None:
    page = Page(render(CONSENT))
    assert page.all("a")[0] == {
        "href": "https://www.example.com/",
        "target": "_blank",
        "rel": "noopener noreferrer",
    }
    assert ("li", "Home page on www.example.com (opens a new tab)") in page.texts


@pytest.mark.proves("CIMD-36")
@pytest.mark.parametrize(
    "url",
    [
        "http://www.example.com/",
        "//evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "https:evil.example",
        "https://user@evil.example/",
        "https://evil.example\\@www.example.com/",
        "https://evil example/",
        "https://ex\u200bample.com/",
        "https://",
        " https://www.example.com/",
        "https://www.example.com/\n",
    ],
)
def test_what_is_no_plain_https_address_is_no_link(url: str) -> None:
    page = Page(render(replace(CONSENT, links=(("Home page", url),))))
    assert page.all("a") == []


# Errors


def test_an_error_page_says_what_which_rule_what_to_do_and_where_to_look() -> None:
    page = Page(render(ERROR))
    assert page.text("title") == page.text("h1") == ERROR.title
    codes = [text for tag, text in page.texts if tag == "code"]
    assert codes[-3:] == [ERROR.code, ERROR.reason, ERROR.reference]
    assert [text for tag, text in page.texts if tag == "th"] == [label for label, _ in ERROR.facts]
    assert codes[:3] == [value for _, value in ERROR.facts]
    for part in (ERROR.sentence, ERROR.advice, ERROR.rule):
        assert ("p", part) in page.texts


ERROR_WITHOUT = {
    "rule": replace(ERROR, rule=""),
    "facts": replace(ERROR, facts=()),
    "advice": replace(ERROR, advice=""),
    "code": replace(ERROR, code=""),
}


@pytest.mark.parametrize("field", ERROR_WITHOUT)
def test_what_an_error_does_not_have_leaves_no_empty_place(field: str) -> None:
    page = Page(render(ERROR_WITHOUT[field]))
    assert not [tag for tag, text in page.texts if not text and tag != "svg"]


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/cb?error=invalid_scope&state=%22&iss=https%3A%2F%2Fa.example",
        "http://127.0.0.1:4000/cb?error=invalid_scope",
        "http://[::1]:4000/cb",
        "com.example.app:/cb?error=invalid_scope",
        "https://app.example.com/cb?state=" + "x" * 4000,
    ],
)
def test_the_way_back_to_the_client_is_a_link_with_the_exact_address(url: str) -> None:
    page = Page(render(replace(ERROR, return_link=ReturnLink(url=url, host="app.example.com"))))
    assert [link["href"] for link in page.all("a")] == [url]
    assert page.text("a") == "Return to app.example.com"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript:alert(1)", "data:,x", "http://evil.example/", "/x", ""]
)
def test_an_unfit_way_back_is_left_out(url: str) -> None:
    assert Page(render(replace(ERROR, return_link=ReturnLink(url=url, host="x")))).all("a") == []


def test_every_class_in_the_pages_is_in_the_stylesheet() -> None:
    named = {
        name
        for view in PAGES.values()
        for _, each in Page(render(view)).elements
        for name in each.get("class", "").split()
    }
    styled = set(re.findall(r"\.([a-z][\w-]*)", STYLESHEET.decode()))
    assert named - styled <= {"consent", "error", "resource"}
