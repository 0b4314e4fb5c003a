"""The two cookies, the check that a form is our own, and the address that budgets are kept by."""

from http.cookies import SimpleCookie
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from nameplate.secret import hash_bearer_value
from nameplate.server.browser import BrowserCookies, client_address, is_own_form, new_bearer_value

ISSUER = "https://auth.example.com/tenant"
COOKIES = BrowserCookies(ISSUER)
LOCAL = BrowserCookies("http://127.0.0.1:8080")


def build_request(*, host: str | None = "203.0.113.9", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    client = None if host is None else (host, 50000)
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw, "client": client})


def read_set_cookie(response: Response) -> tuple[str, str, dict[str, str]]:
    """Name, value and attributes of the one cookie that the response sets."""
    (header,) = response.headers.getlist("set-cookie")
    ((name, morsel),) = SimpleCookie(header).items()
    return name, morsel.value, {key: value for key, value in morsel.items() if value}


@pytest.mark.proves("O21-24")
def test_a_bearer_value_has_256_random_bits_and_says_what_it_is() -> None:
    values = {new_bearer_value("npx") for _ in range(100)}
    assert len(values) == 100
    assert all(value.startswith("npx_") and len(value) == 4 + 43 for value in values)


@pytest.mark.proves("MCP-82")
@pytest.mark.parametrize("purpose", ["browser", "session"])
def test_a_cookie_comes_back_as_the_hash_of_what_was_handed_out(purpose: str) -> None:
    response = Response()
    if purpose == "browser":
        COOKIES.write_browser(response, "npb_1")
    else:
        COOKIES.write_session(response, "nps_1", max_age_seconds=3600)
    name, value, attributes = read_set_cookie(response)
    request = build_request(cookie=f"{name}={value}")
    hashes = (COOKIES.browser_hash(request), COOKIES.session_hash(request))
    assert hashes == (
        (hash_bearer_value("npb_1"), None) if purpose == "browser" else (None, hash_bearer_value("nps_1"))
    )
    # __Host-: Secure, Path=/ and no Domain, or browsers drop it (RFC 6265bis §4.1.3.2)
    assert name.startswith("__Host-nameplate-")
    assert attributes.pop("max-age", None) == (None if purpose == "browser" else "3600")
    assert attributes == {"path": "/", "secure": True, "httponly": True, "samesite": "lax"}


def test_taking_a_session_back_empties_the_cookie_at_once() -> None:
    response = Response()
    COOKIES.clear_session(response)
    _name, value, attributes = read_set_cookie(response)
    assert value == ""
    assert attributes["max-age"] == "0"


def test_plain_http_on_this_machine_goes_without_the_prefix_that_needs_tls() -> None:
    response = Response()
    LOCAL.write_browser(response, "npb_1")
    name, _value, attributes = read_set_cookie(response)
    assert name.startswith("nameplate-browser-")
    assert "secure" not in attributes
    assert attributes["httponly"]


def test_two_issuers_on_one_host_do_not_share_cookies() -> None:
    response = Response()
    LOCAL.write_browser(response, "npb_1")
    name, value, _attributes = read_set_cookie(response)
    request = build_request(cookie=f"{name}={value}")
    assert LOCAL.browser_hash(request) is not None
    assert BrowserCookies("http://127.0.0.1:8081").browser_hash(request) is None


@pytest.mark.parametrize("value", ["", "x" * 129])
def test_a_cookie_that_we_never_made_is_no_cookie(value: str) -> None:
    response = Response()
    COOKIES.write_browser(response, "v")
    name, _value, _attributes = read_set_cookie(response)
    assert COOKIES.browser_hash(build_request(cookie=f"{name}={value}")) is None


def test_a_browser_without_cookies_is_unknown() -> None:
    assert COOKIES.browser_hash(build_request()) is None
    assert COOKIES.session_hash(build_request(cookie="nameplate-session=x; __Host-other=y")) is None


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=200))
def test_any_cookie_header_is_read_without_an_exception(header: str) -> None:
    assert COOKIES.browser_hash(build_request(cookie=header)) is None


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({}, True),
        ({"origin": "https://auth.example.com"}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "null"}, True),
        ({"origin": "null"}, False),
        ({"origin": "https://auth.example.com.evil.example"}, False),
        ({"origin": "http://auth.example.com"}, False),
        ({"origin": "https://auth.example.com:8443"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": ""}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site", "origin": "https://auth.example.com"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": ""}, False),
    ],
)
def test_a_form_is_ours_unless_the_browser_says_otherwise(headers: dict[str, str], *, is_own: bool) -> None:
    assert is_own_form(build_request(**headers), ISSUER) is is_own


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8::5:6:7:8", "2001:db8::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, "unknown"),
        ("unix:" + "x" * 200, "unix:" + "x" * 59),
    ],
)
def test_budgets_are_kept_by_ipv4_address_or_ipv6_household(host: str | None, address: str) -> None:
    assert client_address(build_request(host=host)) == address


households = st.integers(1, 2**64 - 1)  # what begins with 64 zeros may be an IPv4 address in disguise
hosts = st.integers(0, 2**64 - 1)


@given(households, hosts, hosts)
def test_nobody_gets_a_new_budget_by_another_address_in_the_same_network(household: int, one: int, other: int) -> None:
    addresses = [str(IPv6Address(household << 64 | host)) for host in (one, other)]
    assert len({client_address(build_request(host=address)) for address in addresses}) == 1
