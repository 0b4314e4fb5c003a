"""The URL reader: parts as written, or a fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.fault import Fault
from nameplate.protocol.urls import (
    HttpsUrl,
    find_https_url_fault,
    has_dot_segment,
    is_permitted_port,
    read_https_url,
)


def test_parts_are_kept_as_written() -> None:
    assert read_https_url("https://A.example:8443/b%2Fc?d=%20#e") == HttpsUrl(
        text="https://A.example:8443/b%2Fc?d=%20#e",
        host="A.example",
        port=8443,
        path="/b%2Fc",
        query="d=%20",
        fragment="e",
    )


def test_absent_and_empty_parts_are_told_apart() -> None:
    bare, empty = read_https_url("https://a.example"), read_https_url("https://a.example/?#")
    assert isinstance(bare, HttpsUrl)
    assert isinstance(empty, HttpsUrl)
    assert (bare.path, bare.query, bare.fragment, bare.target) == ("", None, None, "")
    assert (empty.path, empty.query, empty.fragment, empty.target) == ("/", "", "", "/?")


@given(st.text(max_size=80) | st.from_regex(r"https://[a-z.\[\]:@]{0,10}[/?#%a-f0-9.;]{0,20}", fullmatch=True))
def test_what_is_read_can_be_put_together_again(text: str) -> None:
    url = read_https_url(text)
    assert find_https_url_fault(text) == (url if isinstance(url, Fault) else None)
    if isinstance(url, Fault):
        assert url.reason
        assert url.problem
        return
    port = text.removeprefix(f"https://{url.host}")[: len(f":{url.port}")]
    tail = "" if url.fragment is None else f"#{url.fragment}"
    assert text == f"https://{url.host}{port if port.startswith(':') else ''}{url.target}{tail}"


@pytest.mark.proves("CIMD-6")
@pytest.mark.parametrize("path", ["/.", "/..", "/a/./b", "/%2e", "/%2E%2e/", "/.%2e;x/", "/..;", "/.;/a"])
def test_dot_segments_are_seen_in_every_spelling(path: str) -> None:
    assert has_dot_segment(path)


@pytest.mark.proves("CIMD-6")
@pytest.mark.parametrize("path", ["", "/", "/...", "/.a", "/a.", "/a..b", "/.well-known/x", "/%2ea", "/a;.."])
def test_dots_inside_segments_are_no_dot_segments(path: str) -> None:
    assert not has_dot_segment(path)


@pytest.mark.parametrize("port", [443, 1024, 3000, 8080, 8443, 10443, 65535])
def test_usual_ports_are_permitted(port: int) -> None:
    assert is_permitted_port(port)


@pytest.mark.parametrize("port", [-1, 0, 1, 22, 25, 80, 442, 444, 1023, 2049, 5060, 6000, 6379, 6667, 10080, 65536])
def test_ports_of_other_services_are_not(port: int) -> None:
    assert not is_permitted_port(port)
