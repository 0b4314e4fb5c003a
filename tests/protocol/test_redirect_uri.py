"""Redirect URIs: what a document may list, what matches it, what an operator narrows, and how an answer is built."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ConfigurationError
from nameplate.protocol.fault import Fault
from nameplate.protocol.redirect_uri import (
    SCRIPT_SCHEMES,
    RedirectTarget,
    RedirectUri,
    build_redirect,
    check_redirect_pattern,
    match_redirect_uri,
    read_redirect_uri,
)

CLAUDE_CODE = ("http://localhost/callback", "http://127.0.0.1/callback")


@pytest.mark.parametrize(
    ("text", "kind", "host"),
    [
        ("https://claude.ai/api/mcp/auth_callback", "https", "claude.ai"),
        ("https://app.example.com:8443/cb?tenant=1", "https", "app.example.com"),
        ("https://app.example.com", "https", "app.example.com"),
        ("https://App.example.com/cb", "https", "App.example.com"),
        ("https://app/cb", "https", "app"),
        ("https://10.0.0.5/cb", "https", "10.0.0.5"),
        ("https://[2001:db8::1]/cb", "https", "[2001:db8::1]"),
        ("https://app.example.com/cb/a%2Fb", "https", "app.example.com"),
        ("http://127.0.0.1/callback", "loopback", "127.0.0.1"),
        ("http://127.0.0.1:33418/", "loopback", "127.0.0.1"),
        ("http://127.0.0.1:33418", "loopback", "127.0.0.1"),
        ("http://[::1]:5000/cb?x=1", "loopback", "[::1]"),
        ("http://localhost", "loopback", "localhost"),
        ("http://localhost:*/callback", "loopback", "localhost"),
        ("com.example.app:/oauth2redirect", "private_use", "com.example.app"),
        ("com.example.app:oauth2redirect", "private_use", "com.example.app"),
        ("com.example.app://oauth/callback?x=1", "private_use", "com.example.app"),
        ("com.atprotodart:/lysto", "private_use", "com.atprotodart"),
    ],
)
def test_usable_entries_are_read(text: str, kind: str, host: str) -> None:
    assert read_redirect_uri(text) == RedirectUri(text=text, kind=kind, host=host)  # type: ignore[arg-type]


@pytest.mark.proves("CIMD-84", "NAT-4")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "relative"),
        ("/callback", "relative"),
        ("//app.example.com/cb", "relative"),
        ("app.example.com/cb", "relative"),
        ("https://app.example.com/cb#x", "fragment"),
        ("https://app.example.com/cb#", "fragment"),
        ("com.example.app:/cb#x", "fragment"),
        ("http://localhost/cb#x", "fragment"),
        ("https://u@app.example.com/cb", "userinfo"),
        ("https://app.example.com\\@evil.com/cb", "backslash"),
        ("https:/app.example.com/cb", "scheme"),
        ("HTTPS://app.example.com/cb", "scheme"),
        ("https://app.example.com:0/cb", "port"),
        ("https://app.example.com:99999/cb", "port"),
        ("https://app.example.com./cb", "host_trailing_dot"),
        ("https://[::gg]/cb", "host"),
        ("https://[1::2::3]/cb", "host"),
        ("https://xn--clude-5ve.ai/cb", "host_mixed_script"),
        ("https://app.example.com/a/../cb", "dot_segment"),
        ("https://app.example.com/%2e%2e/cb", "dot_segment"),
        ("http://localhost/../cb", "dot_segment"),
        ("https://app.example.com/%zz", "percent_encoding"),
        ("http://localhost/%", "percent_encoding"),
        ("https://app.example.com/c\tb", "character"),
        ("https://app.example.com/ü", "character"),
        ("http://localhost/c b", "character"),
        ("com.example.app:/c b", "character"),
        ("com.example.app:/{x}", "character"),
        ("https://*.example.com/cb", "host"),
        ("https://app.example.com/*", "wildcard"),
        ("https://app.example.com/cb?*", "wildcard"),
        ("http://localhost:*/*", "wildcard"),
        ("http://localhost/*", "wildcard"),
        ("http://*/cb", "wildcard"),
        ("com.example.app:/*", "wildcard"),
        ("http://app.example.com/cb", "plain_http"),
        ("http://localhost./cb", "plain_http"),
        ("http://LOCALHOST/cb", "plain_http"),
        ("http://127.1/cb", "plain_http"),
        ("http://127.0.0.2/cb", "plain_http"),
        ("http://2130706433/cb", "plain_http"),
        ("http://[::ffff:127.0.0.1]/cb", "plain_http"),
        ("http://localhost.evil.com/cb", "plain_http"),
        ("http://127.0.0.1.nip.io/cb", "plain_http"),
        ("http://localhost@evil.com/cb", "plain_http"),
        ("http://user@localhost/cb", "plain_http"),
        ("http://localhost:/cb", "plain_http"),
        ("http://localhost:080/cb", "plain_http"),
        ("http://localhost:99999/cb", "port"),
        ("myapp:/cb", "scheme_without_dot"),
        ("mcpjam://oauth/callback", "scheme_without_dot"),
        ("urn:ietf:wg:oauth:2.0:oob", "scheme_without_dot"),
        ("ftp://app.example.com/cb", "scheme_without_dot"),
        ("mailto:a@example.com", "scheme_without_dot"),
        ("com.example.app:", "character"),
        ("https://app.example.com/" + "a" * 2048, "too_long"),
    ],
)
def test_an_entry_that_breaks_a_rule_has_a_reason(text: str, reason: str) -> None:
    fault = read_redirect_uri(text)
    assert isinstance(fault, Fault)
    assert fault.reason == reason


@pytest.mark.proves("CIMD-84")
@pytest.mark.parametrize("scheme", sorted(SCRIPT_SCHEMES))
@pytest.mark.parametrize("form", ["{}:alert(1)", "{}://x/%0aalert(1)", "\t{}:x", "\x01{}:x", "{}:", "{}\n:x"])
def test_script_like_schemes_are_known_in_every_disguise(scheme: str, form: str) -> None:
    for text in (form.format(scheme), form.format(scheme.upper()), form.format(scheme[:2] + "\t" + scheme[2:])):
        fault = read_redirect_uri(text)
        assert isinstance(fault, Fault)
        assert fault.reason == "script_scheme"


# RU-01, RU-02
@pytest.mark.proves("CIMD-80", "CIMD-82", "O21-6", "BCP-1")
@pytest.mark.parametrize(
    "requested",
    [
        *(
            f"https://app.example.com{rest}"
            for rest in ("/cb/", "/cb/../cb", "/cb%2f..", "/cb;x", "/cb?x", "/cb?", "/cb#x")
        ),
        *(
            f"https://app.example.com{rest}"
            for rest in ("/cb#", "/CB", "//cb", "/cb%00", "/cb\t", "/..;/cb", "/%63b", "", "/")
        ),
        "https://app.example.com.evil.com/cb",
        "https://app.example.com@evil.com/cb",
        "https://evil.com/app.example.com/cb",
        "https://app.example.com:443/cb",
        "https://app.example.com:8443/cb",
        "https://APP.example.com/cb",
        "HTTPS://app.example.com/cb",
        "https://app.example.com./cb",
        "https://app.example.com\\@evil.com/cb",
        "https://app.example.com%40evil.com/cb",
        "https://a@b@app.example.com/cb",
        "https://app．example．com/cb",
        "http://app.example.com/cb",
        " https://app.example.com/cb",
        "https://app.example.com/cb ",
        "",
    ],
)
def test_nothing_but_the_exact_string_matches(requested: str) -> None:
    assert match_redirect_uri(requested, ["https://app.example.com/cb"]) is None


def test_the_exact_string_matches() -> None:
    assert match_redirect_uri("https://app.example.com/cb", ["https://x.test/", "https://app.example.com/cb"]) == (
        RedirectTarget(
            uri="https://app.example.com/cb",
            registered="https://app.example.com/cb",
            kind="https",
            host="app.example.com",
        )
    )


# RU-03, RU-04, K07, K15, K16
@pytest.mark.proves("CIMD-81", "O21-6", "NAT-1")
@pytest.mark.parametrize(
    ("registered", "requested"),
    [
        ("http://localhost/callback", "http://localhost:3118/callback"),
        ("http://127.0.0.1/callback", "http://127.0.0.1:52163/callback"),
        ("http://127.0.0.1/callback", "http://127.0.0.1/callback"),
        ("http://[::1]/cb", "http://[::1]:1/cb"),
        ("http://127.0.0.1:33418/", "http://127.0.0.1:33418/"),
        ("http://127.0.0.1:33418/", "http://127.0.0.1:59656/"),
        ("http://127.0.0.1:33418/", "http://127.0.0.1/"),
        ("http://127.0.0.1:33418", "http://127.0.0.1:59656"),
        ("http://localhost:*/callback", "http://localhost:54545/callback"),
        ("http://localhost:*/callback", "http://localhost/callback"),
        ("http://localhost/cb?a=1", "http://localhost:5/cb?a=1"),
    ],
)
def test_a_loopback_uri_matches_at_any_port(registered: str, requested: str) -> None:
    target = match_redirect_uri(requested, [registered])
    assert target is not None
    assert (target.uri, target.registered, target.kind) == (requested, registered, "loopback")


@pytest.mark.proves("CIMD-81", "CIMD-82", "O21-6")
@pytest.mark.parametrize(
    ("registered", "requested"),
    [
        ("http://localhost/callback", "http://127.0.0.1:3118/callback"),
        ("http://127.0.0.1/callback", "http://localhost:3118/callback"),
        ("http://localhost/callback", "http://[::1]:3118/callback"),
        ("http://127.0.0.1/callback", "http://127.0.0.2:3118/callback"),
        ("http://localhost/callback", "http://localhost:3118/callback/"),
        ("http://localhost/callback", "http://localhost:3118/other"),
        ("http://localhost/callback", "http://localhost:3118/callback?x"),
        ("http://localhost/callback", "http://localhost:3118/callback#"),
        ("http://localhost/callback", "http://localhost:3118/Callback"),
        ("http://localhost/callback", "https://localhost:3118/callback"),
        ("http://localhost/callback", "http://localhost:0/callback"),
        ("http://localhost/callback", "http://localhost:03118/callback"),
        ("http://localhost/callback", "http://localhost:65536/callback"),
        ("http://localhost/callback", "http://localhost:*/callback"),
        ("http://localhost:*/callback", "http://localhost:*/callback"),
        ("http://localhost/callback", "http://localhost.evil.com:3118/callback"),
        ("http://localhost/callback", "http://localhost:3118@evil.com/callback"),
        ("http://127.0.0.1/callback", "http://127.0.0.1.nip.io/callback"),
        ("http://127.0.0.1/callback", "http://2130706433/callback"),
        ("http://127.0.0.1:33418/", "http://127.0.0.1:33418"),
        ("http://127.0.0.1:33418", "http://127.0.0.1:33418/"),
        ("http://127.0.0.1/callback/a", "http://127.0.0.1:5/callback/b"),
        ("https://localhost/cb", "https://localhost:1/cb"),
        ("https://c.test/cb", "https://c.test:8443/cb"),
        ("http://c.test/cb", "http://c.test/cb"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("myapp:/cb", "myapp:/cb"),
        ("https://c.test/cb#x", "https://c.test/cb#x"),
        ("http://localhost/*", "http://localhost/a"),
    ],
)
def test_the_port_is_all_that_may_differ_and_only_at_loopback(registered: str, requested: str) -> None:
    assert match_redirect_uri(requested, [registered]) is None


def test_the_exact_entry_is_preferred_over_one_with_another_port() -> None:
    registered = ("http://127.0.0.1/cb", "http://127.0.0.1:5/cb")
    target = match_redirect_uri("http://127.0.0.1:5/cb", registered)
    assert target is not None
    assert target.registered == "http://127.0.0.1:5/cb"


@pytest.mark.parametrize(
    ("pattern", "requested"),
    [
        ("http://localhost:3118/callback", "http://localhost:3118/callback"),
        ("http://localhost:*/callback", "http://localhost:3118/callback"),
        ("http://localhost/callback", "http://localhost:3118/callback"),
        ("http://localhost:*/*", "http://localhost:3118/callback"),
        ("http://localhost:3118/*", "http://localhost:3118/callback"),
    ],
)
def test_a_pattern_of_the_operator_lets_a_listed_uri_pass(pattern: str, requested: str) -> None:
    assert match_redirect_uri(requested, CLAUDE_CODE, [pattern]) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        "http://localhost:3119/callback",
        "http://127.0.0.1:*/callback",
        "http://localhost:*/call*",
        "http://localhost:*/",
        "http://localhost:*",
        "http://*:3118/callback",
        "http://*/callback",
        "http://localhost:*/*/callback",
        "https://localhost:*/callback",
        "http://localhost:*/callback?x",
        "http://localhost:.*/callback",
        "*",
        "",
    ],
)
def test_a_pattern_that_does_not_cover_it_stops_a_listed_uri(pattern: str) -> None:
    assert match_redirect_uri("http://localhost:3118/callback", CLAUDE_CODE, [pattern]) is None


def test_an_empty_list_of_the_operator_lets_nothing_pass() -> None:
    assert match_redirect_uri("http://localhost:3118/callback", CLAUDE_CODE, []) is None


def test_a_pattern_of_the_operator_adds_nothing_to_what_the_document_lists() -> None:
    assert match_redirect_uri("http://localhost:1/other", CLAUDE_CODE, ["http://localhost:*/*"]) is None


@pytest.mark.parametrize(
    ("segment", "passes"),
    [
        ("kDmjx77UnKOM", True),
        ("a%20b", True),
        ("...", True),
        ("", False),
        ("a/b", False),
        ("a%2Fb", False),
        ("a%5cb", False),
        ("%2e%2e", False),
        ("..", False),
        ("a?x=1", False),
        ("a#x", False),
    ],
)
def test_an_asterisk_is_one_whole_path_segment(segment: str, passes: bool) -> None:
    uri = f"https://chatgpt.com/connector/oauth/{segment}"
    matched = match_redirect_uri(uri, [uri], ["https://chatgpt.com/connector/oauth/*"])
    assert (matched is not None) is passes


@pytest.mark.parametrize("uri", ["https://evil.com/cb", "https://evil.com:1/cb", "https://a.b/x/cb"])
def test_an_asterisk_is_never_a_host(uri: str) -> None:
    for pattern in (
        "https://*/cb",
        "https://*:*/cb",
        "https://*:1/cb",
        "https:*/cb",
        "https:/*/cb",
        "https:///*/cb",
        "https://*",
    ):
        assert match_redirect_uri(uri, [uri], [pattern]) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "https://claude.ai/api/mcp/auth_callback",
        "https://chatgpt.com/connector/oauth/*",
        "https://app.test:*/cb",
        "http://localhost:*/callback",
        "http://[::1]:*/*",
        "com.example.app:/cb/*",
    ],
)
def test_a_pattern_that_can_match_passes_its_check(pattern: str) -> None:
    check_redirect_pattern(pattern, setting="redirects")


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "",
            "*",
            "https://*/cb",
            "https://*.a.test/cb",
            "https://a.test/x*",
            "http://a.test/cb",
            "https://a.test/cb?*",
        ),
        *("javascript:*", "https://a.test/cb#x", "http://localhost:abc/cb", "https://a.test:*:1/cb", "myapp:/cb"),
    ],
)
def test_a_pattern_that_cannot_match_is_refused_with_its_setting(pattern: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_redirect_pattern(pattern, setting="redirects")
    assert caught.value.setting == "redirects"


ALPHABET = st.text(st.sampled_from("htps:/.*?#@[]%25aZ0-127localhost\\\t\n"), max_size=40)
PREFIXES = st.sampled_from(["", "http://localhost", "http://127.0.0.1:", "https://a.test/", "com.a:/", "javascript:"])
URIS = st.builds(str.__add__, PREFIXES, ALPHABET | st.text(max_size=20))


@given(URIS, st.lists(URIS, max_size=4), st.none() | st.lists(URIS, max_size=3))
def test_any_strings_give_a_target_to_the_byte_or_none(
    requested: str, registered: list[str], allowed: list[str] | None
) -> None:
    target = match_redirect_uri(requested, [*registered, requested], allowed)
    if target is not None:
        assert target.uri == requested
        assert target.registered in {requested, *registered}
        assert not isinstance(read_redirect_uri(requested), Fault)
        assert match_redirect_uri(requested, [*registered, requested]) is not None


@pytest.mark.proves("CIMD-80", "CIMD-82")
@given(URIS, URIS)
def test_two_different_strings_match_only_as_loopback_uris(requested: str, registered: str) -> None:
    target = match_redirect_uri(requested, [registered])
    if target is not None and requested != registered:
        assert target.kind == "loopback"
        assert requested.startswith(f"http://{target.host}")
        assert registered.startswith(f"http://{target.host}")


@given(URIS)
def test_any_pattern_is_checked_without_an_exception_but_ours(pattern: str) -> None:
    try:
        check_redirect_pattern(pattern, setting="redirects")
    except ConfigurationError:
        return
    assert "*" in pattern or not isinstance(read_redirect_uri(pattern), Fault)


PARAMETERS = {"code": "c+/ =", "state": "ü&=?#\r\n", "iss": "https://as.test"}


@pytest.mark.proves("MCP-7")
@pytest.mark.parametrize(
    ("uri", "before"),
    [
        ("https://a.test/cb", "https://a.test/cb?"),
        ("https://a.test", "https://a.test?"),
        ("https://a.test/cb?tenant=1&x", "https://a.test/cb?tenant=1&x&"),
        ("https://a.test/cb?a=%7e+b&a=2", "https://a.test/cb?a=%7e+b&a=2&"),
        ("https://a.test/cb?", "https://a.test/cb?&"),
        ("https://a.test/cb?state=evil&t=1&code=x&iss=y&error=z", "https://a.test/cb?t=1&"),
        ("https://a.test/cb?c%6fde=x&%73tate=y&t", "https://a.test/cb?t&"),
        ("https://a.test/cb?code&error_description=1&error_uri=2", "https://a.test/cb?"),
        ("https://a.test/cb?a=?code=1", "https://a.test/cb?a=?code=1&"),
        ("http://localhost:3118/callback", "http://localhost:3118/callback?"),
        ("com.example.app:/cb", "com.example.app:/cb?"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback?"),
    ],
)
def test_response_parameters_are_added_and_foreign_ones_of_the_same_name_removed(uri: str, before: str) -> None:
    built = build_redirect(uri, PARAMETERS)
    assert built == f"{before}code=c%2B%2F%20%3D&state=%C3%BC%26%3D%3F%23%0D%0A&iss=https%3A%2F%2Fas.test"


def test_without_parameters_a_redirect_is_only_cleaned() -> None:
    assert build_redirect("https://a.test/cb", {}) == "https://a.test/cb"
    assert build_redirect("https://a.test/cb?code=1", {}) == "https://a.test/cb"


@pytest.mark.proves("MCP-7")
@given(
    st.text(st.sampled_from("abcode=&%6fstateissn+?"), max_size=40), st.dictionaries(st.text(), st.text(), max_size=4)
)
def test_each_added_parameter_arrives_exactly_once(query: str, extra: dict[str, str]) -> None:
    parameters = {**PARAMETERS, **extra}
    url = build_redirect(f"https://a.test/cb?{query}", parameters)
    assert url.isascii()
    assert url.isprintable()
    arrived = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    for name, value in parameters.items():
        sent = value.encode("utf-8", "replace").decode()
        key = name.encode("utf-8", "replace").decode()
        assert [one for found, one in arrived if found == key].count(sent) >= 1
    for name in ("code", "state", "iss"):
        assert [found for found, _ in arrived].count(name) == 1
