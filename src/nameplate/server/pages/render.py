"""Views to bytes: the pages, their stylesheet and the headers that go with them.

Templates escape everything (autoescape) and refuse a missing value (StrictUndefined). Whatever is printed passes
``exact_text`` at the least, so that no template can forget to disarm a control or bidirectional character.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from nameplate.protocol.display import claimed_name, exact_text, plain_text, split_host
from nameplate.server.pages.views import ConsentView, EntranceView, ErrorView, NoticeView, SignInView

__all__ = [
    "STYLESHEET",
    "STYLESHEET_ETAG",
    "form_action_source",
    "page_headers",
    "render_consent",
    "render_entrance",
    "render_error",
    "render_notice",
    "render_sign_in",
]

STYLESHEET: bytes = (files(__package__) / "style.css").read_bytes()
"""The one stylesheet, to be served as ``text/css; charset=utf-8`` from the path that the render functions are given."""

STYLESHEET_ETAG: str = f'"{sha256(STYLESHEET).hexdigest()[:32]}"'
"""A strong entity tag of the stylesheet, with its quotes (RFC 9110 §8.8.3)."""

_HTTP = re.compile(
    r"(https?)://([a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?([/?#][!-~]*)?", re.ASCII | re.IGNORECASE
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
# Stands for the request's id while the rest of the page is rendered. Nobody can put it into a name: it is drawn anew at
# each start.
_MARK = f"mark-{secrets.token_hex(16)}"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,63}:)[!-~]*", re.ASCII | re.IGNORECASE)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})  # RFC 8252 §7.3 and architecture decision 9
# Schemes that name no app: they run, read or embed something, or belong to the rules for http above.
_UNFIT_SCHEMES = frozenset(
    {"about:", "blob:", "data:", "file:", "filesystem:", "ftp:", "http:", "https:", "intent:", "javascript:", "mailto:"}
    | {"vbscript:", "view-source:", "ws:", "wss:"}
)
_HOST_PART = r"[a-z0-9-]+(?:\.[a-z0-9-]+)*"  # CSP Level 3 §2.3.1: no brackets, no underscore
_SOURCE = re.compile(rf"https?://{_HOST_PART}(?::[0-9]{{1,5}})?|[a-z][a-z0-9+.-]*:", re.ASCII)
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action {}; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def render_sign_in(view: SignInView, *, stylesheet: str) -> bytes:
    """The sign-in page in UTF-8. ``stylesheet`` is the URL path of the stylesheet, here and below."""
    return _render_for_all(view, stylesheet)


def render_entrance(view: EntranceView, *, stylesheet: str) -> bytes:
    """The question, with a button for each identity provider."""
    return _render_for_all(view, stylesheet)


def _render_for_all(view: EntranceView | SignInView, stylesheet: str) -> bytes:
    """A page for whoever arrives. So it is what a flood would ask for: but for the request's id it is the same for
    everybody who comes from one client.
    """
    if view.username or view.problem or _REQUEST_ID.fullmatch(view.request) is None:
        return _render(_choose_template(view), view, stylesheet)
    parts = _render_around_request(replace(view, request=_MARK), stylesheet)
    return view.request.encode().join(parts)


@lru_cache(128)
def _render_around_request(view: EntranceView | SignInView, stylesheet: str) -> tuple[bytes, ...]:
    return tuple(_render(_choose_template(view), view, stylesheet).split(_MARK.encode()))


def _choose_template(view: EntranceView | SignInView) -> str:
    return "entrance.html" if isinstance(view, EntranceView) else "sign_in.html"


def render_consent(view: ConsentView, *, stylesheet: str) -> bytes:
    """The consent page (architecture decision 13)."""
    return _render("consent.html", view, stylesheet)


def render_error(view: ErrorView, *, stylesheet: str) -> bytes:
    """The page that says what went wrong."""
    return _render("error.html", view, stylesheet)


def render_notice(view: NoticeView, *, stylesheet: str) -> bytes:
    """A page with one message: signed out, already answered, this window may be closed."""
    return _render("notice.html", view, stylesheet)


def form_action_source(redirect_uri: str) -> str:
    """The Content-Security-Policy source for a form whose answer redirects to this URI; empty where there is none.

    Chromium applies ``form-action`` to every redirect that follows a submission (CSP Level 3 §6.4.1 leaves it open).
    ``https`` gives its origin, loopback ``http`` its origin, a private-use URI its scheme (RFC 8252 §7.1). A
    host-source cannot hold an IPv6 literal or an underscore, so there it is the scheme alone. The result has no space,
    quote, comma or semicolon, whatever comes in.
    """
    if (match := _HTTP.fullmatch(redirect_uri)) is not None:
        scheme, host, port = match[1].lower(), match[2].lower(), match[3] or ""
        if scheme == "http" and host not in _LOOPBACK:
            return ""
        source = f"{scheme}://{host}{port}"
        return source if _SOURCE.fullmatch(source) else f"{scheme}:"
    private = _SCHEME.fullmatch(redirect_uri)
    if private is None or private[1].lower() in _UNFIT_SCHEMES:
        return ""
    return private[1].lower()


@lru_cache(128)
def _build_policy(form_action: str) -> str:
    if form_action == "'none'":
        return _POLICY.format("'none'")
    sources = [source for source in form_action.split(" ") if _SOURCE.fullmatch(source)]
    return _POLICY.format(" ".join(["'self'", *sources]))


def page_headers(*, form_action: str) -> dict[str, str]:
    """The headers of every page.

    ``form_action`` is what the page's forms may lead to beside this server: results of ``form_action_source`` with
    spaces between, or empty. ``'none'``, with its quotes, is for pages without a form. What is no plain source is
    dropped, so the policy cannot be extended from outside.
    """
    return {"Content-Security-Policy": _build_policy(form_action), **_HEADERS}


def _render(
    name: str, view: ConsentView | EntranceView | ErrorView | NoticeView | SignInView, stylesheet: str
) -> bytes:
    return _template(name).render(view=view, stylesheet=stylesheet).encode()


@cache
def _template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nameplate.server.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_disarmed,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "exact": exact_text,
        "https_host": _https_host,
        "is_returnable": _is_returnable,
        "labels": _labels,
        "monogram": _monogram,
        "claimed": claimed_name,
        "plain": plain_text,
        "split_host": split_host,
    }
    environment.filters.update(filters)
    return environment


def _disarmed(value: object) -> object:
    """What Jinja prints. Markup passes: it comes from our own macros, whose values went through here before."""
    return exact_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _https_host(url: str) -> str:
    """The host, with its port, of an https URL that may be a link; empty where it may not (javascript:, //host)."""
    match = _HTTP.fullmatch(url)
    return match[2] + (match[3] or "") if match is not None and match[1].lower() == "https" else ""


def _is_returnable(url: str) -> bool:
    return form_action_source(url) != ""


def _labels(before: str) -> list[str]:
    """The labels of a host's beginning, each with its dot, for a place to wrap after each."""
    return [label + "." for label in before.rstrip(".").split(".")]


def _monogram(host: str) -> str:
    """The first letter or digit of the part of a host that says whose it is. Logos are never fetched."""
    return next((char.upper() for char in split_host(host)[1] if char.isalnum()), "?")
