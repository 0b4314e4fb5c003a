"""Protected resource metadata lies where clients look for it and says what they need (RFC 9728)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ConfigurationError
from nameplate.protocol.resource_metadata import (
    build_metadata_path,
    build_metadata_url,
    build_resource_metadata,
    check_identifier_url,
    is_loopback_url,
)


@pytest.mark.proves("MCP-31", "PRM-1")
@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("https://mcp.example.com", "/.well-known/oauth-protected-resource"),
        ("https://mcp.example.com/", "/.well-known/oauth-protected-resource"),
        ("https://mcp.example.com/mcp", "/.well-known/oauth-protected-resource/mcp"),
        ("https://mcp.example.com/mcp/", "/.well-known/oauth-protected-resource/mcp/"),
        ("https://mcp.example.com:8443/a/b", "/.well-known/oauth-protected-resource/a/b"),
    ],
)
def test_the_well_known_part_stands_before_the_path(resource: str, path: str) -> None:
    assert build_metadata_path(resource) == path
    origin = resource.removesuffix("/").split("/", 3)[:3]
    assert build_metadata_url(resource) == "/".join(origin) + path


@pytest.mark.proves("PRM-1", "PRM-5")
def test_the_document_holds_identifiers_byte_for_byte() -> None:
    assert build_resource_metadata(
        "https://mcp.example.com/mcp",
        authorization_servers=["https://login.example.com/tenant"],
        scopes=["read", "write", "read"],
        name="Notes",
        documentation_url="https://docs.example.com",
    ) == {
        "resource": "https://mcp.example.com/mcp",
        "authorization_servers": ["https://login.example.com/tenant"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["read", "write"],
        "resource_name": "Notes",
        "resource_documentation": "https://docs.example.com",
    }


@pytest.mark.proves("MCP-40")
def test_what_is_empty_is_left_out_and_offline_access_never_advertised() -> None:
    document = build_resource_metadata(
        "https://a.example", authorization_servers=["https://b.example"], scopes=["offline_access"]
    )
    assert set(document) == {"resource", "authorization_servers", "bearer_methods_supported"}


@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.example.com",
        "https://mcp.example.com/",
        "https://mcp.example.com/a/b%20c/d;e",
        "https://mcp.example.com:8443/mcp",
        "https://192.0.2.1/mcp",
        "https://[2001:db8::1]:8443/mcp",
        "http://127.0.0.1:8000/mcp",
        "http://localhost/mcp",
        "http://[::1]:8000",
    ],
)
def test_a_plain_https_or_loopback_url_is_an_identifier(url: str) -> None:
    check_identifier_url("resource", url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mcp.example.com",
        "//mcp.example.com",
        "https://",
        "https:///mcp",
        "https://MCP.example.com",
        "HTTPS://mcp.example.com",
        "https://mcp.example.com/mcp?tenant=1",
        "https://mcp.example.com/mcp?",
        "https://mcp.example.com/#a",
        "https://mcp.example.com/mcp#",
        "https://user@mcp.example.com",
        "https://mcp.example.com:99999",
        "https://mcp.example.com:0",
        "https://mcp.example.com:",
        "https://[::zz]/",
        "https://[:::::]/",
        "https://mcp.example.com/a b",
        'https://mcp.example.com/"',
        "https://mcp.example.com/\\",
        "https://mcp.example.com/\n",
        "https://mcp.example.com\n",
        "https://münchen.example",
        "ftp://mcp.example.com",
        "urn:example:mcp",
        "http://mcp.example.com",
        "http://localhost.example.com",
        "http://127.0.0.2",
        "http://10.0.0.1/mcp",
    ],
)
def test_anything_else_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_identifier_url("resource", url)
    assert caught.value.setting == "resource"


@given(st.text() | st.text(alphabet="htps:/[]@.?#1a%").map(lambda tail: "https://" + tail))
def test_no_text_breaks_the_checks(url: str) -> None:
    is_loopback_url(url)
    try:
        check_identifier_url("resource", url)
    except ConfigurationError:
        return
    assert url.isascii()
    assert build_metadata_url(url).startswith(url[:8])
