"""The consent page: whatever clients, people and operators are called, the page keeps its elements and runs nothing.

The lines are the view's texts in the order of ``_TEXTS``, then a scope, a link and a warning. There are two forms with
our own hidden values and three buttons, however the texts read; no element or attribute that is not in the templates;
links lead to ``https`` hosts; and no text that a browser shows turns the line around. What the redirect URI adds to the
policy is a plain source.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

from fuzz.inputs import read_lines
from nameplate.protocol.client_metadata import KnownBy
from nameplate.protocol.display import exact_text
from nameplate.server.pages.render import form_action_source, page_headers, render_consent
from nameplate.server.pages.views import ConsentView, ScopeView

__all__ = ["LONGEST_BYTES", "TOKENS", "check"]

LONGEST_BYTES = 2000

TOKENS = (
    *(b"<script>", b"</title>", b"<!--", b"-->", b"<svg/onload=x>", b'"', b"'", b"&lt;", b"&#x3c;", b"{{7*7}}"),
    *(b"{% raw %}", b"javascript:", b"https://", b"http://127.0.0.1:1/", b"com.example.app:", b"\n", b"\xe2\x80\xae"),
    *(b"\x00", b"\xff", b"`", b"]]>", b" onclick=x ", b"\xef\xbc\x9cscript\xef\xbc\x9e"),
    *(b"https://evil.example;script-src", b"\xe2\x80\xa9"),
)

_TEXTS = (
    *("client_host", "client_name", "redirect_host", "redirect_uri", "resource_name", "person", "username"),
    *("client_id", "resource", "action", "sign_out_action", "request", "subject"),
)
_KINDS = ("https", "loopback", "private_use")
_KNOWN_BY: tuple[KnownBy, ...] = ("document", "operator", "itself")
_BLANK = ConsentView(
    **dict.fromkeys(_TEXTS, ""),
    known_by="document",
    redirect_kind="https",
    scopes=(),
    keeps_access=False,
    links=(),
    warnings=(),
)
_ONCE = ("html", "head", "title", "body", "main", "h1", "dl", "footer")
_COUNTS = Counter({**dict.fromkeys(_ONCE, 1), "form": 2, "input": 3, "button": 3, "link": 2, "meta": 4})
_OTHERS = {
    *("a", "bdi", "circle", "code", "dd", "div", "dt", "h2", "li", "p", "path", "rect", "section", "span", "strong"),
    *("svg", "ul", "wbr"),
}
_ATTRIBUTES = {
    *("action", "aria-hidden", "aria-label", "aria-labelledby", "charset", "class", "content", "cx", "cy", "d", "dir"),
    *(
        "focusable",
        "height",
        "href",
        "id",
        "lang",
        "method",
        "name",
        "r",
        "rel",
        "role",
        "rx",
        "target",
        "type",
        "value",
    ),
    *("viewbox", "width", "x", "y"),
}
_POLICY = re.compile(
    r"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'(?: [a-z0-9.+:/-]+)?; "
    r"base-uri 'none'; frame-ancestors 'none'"
)


class _Page(HTMLParser):
    """The elements of a page, and the text that shows."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.shown += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!a}")

    def read_all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of this name."""
        return [attributes for name, attributes in self.elements if name == tag]


def check(data: bytes) -> None:
    """Try one view."""
    view = _build_view(read_lines(data))
    page = _Page(render_consent(view, stylesheet="/static/style.css"))
    counts = Counter(tag for tag, _ in page.elements)
    assert {tag: counts[tag] for tag in _COUNTS} == _COUNTS
    assert counts.keys() <= _COUNTS.keys() | _OTHERS
    assert {name for _, attributes in page.elements for name in attributes} <= _ATTRIBUTES
    assert ("Not verified:" in page.shown) >= (view.known_by == "itself")
    _check_values(view, page)
    assert not {"Cf", "Cs", "Cn", "Zl", "Zp"}.intersection(map(unicodedata.category, page.shown))
    policy = page_headers(form_action=f"'self' {form_action_source(view.redirect_uri)}")["Content-Security-Policy"]
    assert _POLICY.fullmatch(policy)


def _build_view(lines: list[str]) -> ConsentView:
    texts = dict(zip(_TEXTS, lines, strict=False))
    scope, link, warning = [*lines[len(_TEXTS) :], "", "", ""][:3]
    return replace(
        _BLANK,
        **texts,
        known_by=_KNOWN_BY[len(link) % 3],
        redirect_kind=_KINDS[len(scope) % 3],
        scopes=(ScopeView(name=scope, description=warning),) if scope else (),
        keeps_access=bool(warning),
        links=((warning, link),) if link else (),
        warnings=(warning,) if warning else (),
    )


def _check_values(view: ConsentView, page: _Page) -> None:
    actions = [exact_text(action) for action in (view.sign_out_action, view.action)]
    assert [form["action"] for form in page.read_all("form")] == actions
    assert {form["method"] for form in page.read_all("form")} == {"post"}
    hidden = [("request", view.request), ("request", view.request), ("subject", view.subject)]
    assert [(field["name"], field["value"]) for field in page.read_all("input")] == [
        (name, exact_text(value)) for name, value in hidden
    ]
    assert [button.get("value") for button in page.read_all("button")] == [None, "deny", "allow"]
    for link in page.read_all("a"):
        assert (link["href"] or "").lower().startswith("https://")
        assert link["rel"] == "noopener noreferrer"
