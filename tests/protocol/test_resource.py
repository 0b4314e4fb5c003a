"""Resource indicators: which spelling means which declared resource."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.resource import (
    ProtectedResource,
    ScopeOffer,
    build_canonical_resource,
    choose_resource,
    find_resource,
)

NOTES = ProtectedResource(
    identifier="https://MCP.example.com/Notes/",
    name="Notes",
    scopes=(ScopeOffer(name="notes:read", description="Read"), ScopeOffer(name="notes:write", description="Write")),
)
MAIL = ProtectedResource(identifier="https://mcp.example.com/mail", name="Mail")

url_like = st.from_regex(
    r"[hH]ttps?://[A-Za-z.\[\]:@0-9]{0,12}(/[a-zA-Z%./]{0,6}){0,3}(\?[a-z/]{0,5})?#?", fullmatch=True
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://mcp.example.com", "https://mcp.example.com"),
        ("https://mcp.example.com/", "https://mcp.example.com"),
        ("https://mcp.example.com/mcp", "https://mcp.example.com/mcp"),
        ("https://mcp.example.com/mcp/", "https://mcp.example.com/mcp"),
        ("https://mcp.example.com/mcp//", "https://mcp.example.com/mcp/"),
        ("HTTPS://MCP.Example.com:443/Mcp", "https://mcp.example.com/Mcp"),
        ("http://localhost:80/mcp", "http://localhost/mcp"),
        ("http://localhost:443/mcp", "http://localhost:443/mcp"),
        ("https://[2001:DB8::443]/mcp", "https://[2001:db8::443]/mcp"),
        ("https://[2001:db8::1]:443/mcp", "https://[2001:db8::1]/mcp"),
        ("https://mcp.example.com/a/../b", "https://mcp.example.com/a/../b"),
        ("https://mcp.example.com/%41", "https://mcp.example.com/%41"),
        ("https://mcp.example.com/mcp?tenant=A", "https://mcp.example.com/mcp?tenant=A"),
    ],
)
def test_case_of_scheme_and_host_default_port_and_one_slash_do_not_matter(text: str, canonical: str) -> None:
    assert build_canonical_resource(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mcp.example.com",
        "/mcp",
        "urn:example:mcp",
        "ftp://mcp.example.com/",
        "http\u017f://mcp.example.com/",  # a long s, which folds to s
        "https://mcp.e\u212aample.com/",  # the sign of kelvin, which folds to k
        "https:mcp.example.com",
        "https://",
        "https:///mcp",
        "https://:443/mcp",
        "https://user@mcp.example.com/mcp",
        "https://mcp.example.com@evil.example/mcp",
        "https://mcp.example.com/mcp#",
        "https://mcp.example.com/mcp#x",
        "https://mcp.example.com\\@evil.example/",
        "https://mcp.example.com/ mcp",
        "https://mcp.example.com/mcp\n",
        "https://mcp.example.com/mcp\0",
        'https://mcp.example.com/"mcp',
        "https://mcp.example.com:99999999/mcp",
        "https://mcp.éxample.com/mcp",
        "https://\u212aube.example/mcp",
    ],
)
def test_what_is_no_absolute_http_url_without_a_fragment_has_no_canonical_form(text: str) -> None:
    assert build_canonical_resource(text) is None


@given(st.text(st.characters()) | url_like)
def test_any_text_has_a_canonical_form_or_none(text: str) -> None:
    canonical = build_canonical_resource(text)
    if canonical is not None:
        assert canonical.partition("/")[0] in ("https:", "http:")
        assert "#" not in canonical
        assert build_canonical_resource(canonical) is not None


@pytest.mark.proves("MCP-17", "RES-2")
@pytest.mark.parametrize(
    ("requested", "found"),
    [
        (NOTES.identifier, NOTES),
        ("https://mcp.example.com/Notes", NOTES),
        ("https://mcp.example.com:443/Notes/", NOTES),
        ("https://mcp.example.com/notes", None),
        ("https://mcp.example.com/Notes//", None),
        ("https://mcp.example.com/Notes/sub", None),
        ("https://mcp.example.com", None),
        ("https://mcp.example.com/Notes?x", None),
        ("http://mcp.example.com/Notes", None),
        ("https://mcp.example.com:8443/Notes", None),
        ("https://mcp.example.com.evil.example/Notes", None),
        ("https://MCP.EXAMPLE.COM/mail/", MAIL),
        ("\ud800", None),
    ],
)
def test_a_requested_resource_is_a_declared_one_or_none(requested: str, found: ProtectedResource | None) -> None:
    assert find_resource(requested, [NOTES, MAIL]) is found


@pytest.mark.proves("RES-4", "RES-5")
@pytest.mark.parametrize(
    ("requested", "declared", "chosen"),
    [
        ((), (NOTES,), NOTES),
        ((), (NOTES, MAIL), None),
        ((), (), None),
        ((MAIL.identifier,), (NOTES, MAIL), MAIL),
        (("https://mcp.example.com/Notes", "https://MCP.example.com/Notes/"), (NOTES, MAIL), NOTES),
        ((NOTES.identifier, MAIL.identifier), (NOTES, MAIL), None),
        ((NOTES.identifier, "https://evil.example/"), (NOTES, MAIL), None),
        (("https://evil.example/", NOTES.identifier), (NOTES, MAIL), None),
        (("https://evil.example/", "https://evil.example/x"), (NOTES, MAIL), None),
    ],
)
def test_a_request_is_for_one_resource(
    requested: tuple[str, ...], declared: tuple[ProtectedResource, ...], chosen: ProtectedResource | None
) -> None:
    assert choose_resource(requested, declared) is chosen


def test_the_names_of_its_scopes_stand_in_the_operators_order() -> None:
    assert NOTES.scope_names == ("notes:read", "notes:write")
    assert MAIL.scope_names == ()
