"""The security headers of the pages, and what the form of a page may lead to."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.server.pages.render import form_action_source, page_headers


@pytest.mark.proves("O21-18", "O21-25", "BCP-8")
def test_every_page_comes_with_its_headers() -> None:
    headers = page_headers(form_action="")
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("form_action", "directive"),
    [
        ("", "'self'"),
        ("'none'", "'none'"),
        ("https://app.example.com", "'self' https://app.example.com"),
        ("'self' http://127.0.0.1:4000", "'self' http://127.0.0.1:4000"),
        ("com.example.app:", "'self' com.example.app:"),
        ("https://a.example; script-src *", "'self'"),
        ("*", "'self'"),
        ("'unsafe-inline'", "'self'"),
        ("https://a.example\r\nX-Evil: 1", "'self'"),
    ],
)
def test_only_plain_sources_reach_the_policy(form_action: str, directive: str) -> None:
    policy = page_headers(form_action=form_action)["Content-Security-Policy"]
    assert f"; form-action {directive}; " in policy


def test_headers_of_one_page_are_not_those_of_the_next() -> None:
    page_headers(form_action="")["X-Frame-Options"] = "ALLOWALL"
    assert page_headers(form_action="")["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("redirect_uri", "source"),
    [
        ("https://app.example.com/cb", "https://app.example.com"),
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com:8443/cb?x=y", "https://app.example.com:8443"),
        ("HTTPS://App.Example.com/cb", "https://app.example.com"),
        ("https://[2001:db8::1]/cb", "https:"),
        ("https://under_score.example/cb", "https:"),
        ("https://xn--bcher-kva.ch/cb", "https://xn--bcher-kva.ch"),
        ("http://127.0.0.1:33418/callback", "http://127.0.0.1:33418"),
        ("http://localhost/callback", "http://localhost"),
        ("http://[::1]:33418/callback", "http:"),
        ("com.example.app:/cb", "com.example.app:"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor:"),
        ("http://app.example.com/cb", ""),
        ("http://127.1/cb", ""),
        ("http://localhost.evil.example/cb", ""),
        ("https://evil.example;script-src", ""),
        ("https://evil.example,x", ""),
        ("https://user@evil.example/", ""),
        ("https://evil.example\\x", ""),
        ("https://evil.example/ x", ""),
        ("https://'self'/", ""),
        ("https://*/", ""),
        ("https:", ""),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("blob:https://a.example/x", ""),
        ("", ""),
        ("*", ""),
        ("https://bücher.ch/", ""),
    ],
)
def test_the_source_for_the_answer_of_a_form(redirect_uri: str, source: str) -> None:
    assert form_action_source(redirect_uri) == source


@given(st.text() | st.builds("{}{}{}".format, st.sampled_from(["https://", "http://", "app:"]), st.text(), st.text()))
def test_no_redirect_uri_extends_the_policy(redirect_uri: str) -> None:
    source = form_action_source(redirect_uri)
    assert re.fullmatch(r"[a-z0-9:/.+-]*", source)
    policy = page_headers(form_action=source)["Content-Security-Policy"]
    assert policy.count(";") == 5
    assert policy.isascii()
    assert policy.isprintable()
