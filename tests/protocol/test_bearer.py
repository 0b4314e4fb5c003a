"""One bearer token in one header; a challenge that nobody can break out of; scopes that imply others."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import BearerError
from nameplate.protocol.bearer import build_challenge, check_scope, is_scope_sufficient, parse_authorization_header

METADATA_URL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"


@pytest.mark.parametrize(
    "value", [b"Bearer abc", b"bearer abc", b"BEARER abc", b"bEaReR    abc", b" Bearer abc ", b"Bearer abc\t"]
)
def test_the_scheme_is_read_in_any_case_and_spacing(value: bytes) -> None:
    assert parse_authorization_header([value]) == "abc"


def test_a_token_may_hold_every_character_of_the_grammar() -> None:
    assert parse_authorization_header([b"Bearer aZ09-._~+/=="]) == "aZ09-._~+/=="


@pytest.mark.parametrize(
    "values", [[], [b"Basic dXNlcjpwYXNz"], [b"DPoP abc"], [b"Negotiate"], [b"BearerX abc"], [b"Digest a=b, c=d"]]
)
def test_no_header_and_other_schemes_bring_no_token(values: list[bytes]) -> None:
    assert parse_authorization_header(values) is None


@pytest.mark.proves("MCP-33")
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Bearer a b",
        b"Bearer a, Bearer b",
        b"Bearer a,b",
        b"Bearer\tabc",
        b"Bearer =abc",
        b"Bearer a=b",
        b'Bearer "abc"',
        b"Bearer abc\x00",
        b"Bearer abc\r\nX: y",
        b"Bearer abc\n",
        "Bearer tökén".encode(),
        b"Bearer \xff",
        b"Bearer: abc",
        b"\xff\xfe",
        b"=",
    ],
)
def test_a_malformed_header_is_a_bad_request(value: bytes) -> None:
    with pytest.raises(BearerError) as caught:
        parse_authorization_header([value])
    assert (caught.value.code, caught.value.status) == ("invalid_request", 400)
    assert caught.value.reason == "token.malformed_header"


@pytest.mark.proves("MCP-39")
@pytest.mark.parametrize("values", [[b"Bearer a", b"Bearer a"], [b"Bearer a", b"Basic b"], [b"", b""]])
def test_a_repeated_header_is_a_bad_request(values: list[bytes]) -> None:
    with pytest.raises(BearerError) as caught:
        parse_authorization_header(values)
    assert (caught.value.status, caught.value.reason) == (400, "token.repeated")


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"Bearer " + tail), max_size=2))
def test_a_token_is_never_anything_but_its_grammar(values: list[bytes]) -> None:
    try:
        token = parse_authorization_header(values)
    except BearerError:
        return
    assert token is None or re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", token)


@pytest.mark.proves("MCP-42")
def test_a_challenge_without_credentials_names_no_error() -> None:
    expected = f'Bearer resource_metadata="{METADATA_URL}", scope="read write"'
    missing = BearerError("", "An access token is needed.", reason="token.missing")
    assert build_challenge(None, resource_metadata_url=METADATA_URL, scope=("read", "write")) == expected
    assert build_challenge(missing, resource_metadata_url=METADATA_URL, scope=("read", "write")) == expected


def test_a_challenge_names_the_error_first() -> None:
    error = BearerError("invalid_token", "The access token has expired.", reason="token.expired")
    assert build_challenge(error, resource_metadata_url=METADATA_URL, scope=()) == (
        f'Bearer error="invalid_token", error_description="The access token has expired.", '
        f'resource_metadata="{METADATA_URL}"'
    )


PARAMETER = re.compile(r'(\w+)="([\x20\x21\x23-\x5B\x5D-\x7E]*)"(?:, |$)')


@pytest.mark.proves("PRM-3")
@given(st.text(), st.text(), st.lists(st.text()))
def test_nothing_breaks_out_of_a_challenge(description: str, url: str, scope: list[str]) -> None:
    """RS-09."""
    error = BearerError("insufficient_scope", description, reason="x")
    challenge = build_challenge(error, resource_metadata_url=url, scope=scope)
    challenge.encode("ascii")
    assert challenge.isprintable()
    scheme, _, rest = challenge.partition(" ")
    names = [match[1] for match in PARAMETER.finditer(rest)]
    assert scheme == "Bearer"
    assert "".join(match[0] for match in PARAMETER.finditer(rest)) == rest
    assert names == ["error", "error_description", "resource_metadata", "scope"][: 4 if scope else 3]


IMPLIES = {"admin": ("write",), "write": ("read",), "loop": ("loop", "admin")}


@pytest.mark.proves("MCP-36")
@pytest.mark.parametrize(
    ("granted", "needed", "is_enough"),
    [
        ((), (), True),
        (("read",), (), True),
        (("read",), ("read",), True),
        ((), ("read",), False),
        (("read",), ("write",), False),
        (("read",), ("read", "write"), False),
        (("write",), ("read",), True),
        (("admin",), ("read", "write", "admin"), True),
        (("loop",), ("read",), True),
        (("loop",), ("other",), False),
        (("READ",), ("read",), False),
        (("readwrite",), ("read",), False),
    ],
)
def test_a_broader_scope_covers_what_it_implies(
    granted: tuple[str, ...], needed: tuple[str, ...], is_enough: bool
) -> None:
    assert is_scope_sufficient(granted, needed, IMPLIES) is is_enough


def test_without_a_hierarchy_nothing_is_implied() -> None:
    assert not is_scope_sufficient(["admin"], ["read"])


@pytest.mark.proves("MCP-35")
def test_a_refusal_names_everything_that_is_needed() -> None:
    with pytest.raises(BearerError) as caught:
        check_scope(["read"], ("read", "write", "delete"))
    assert (caught.value.code, caught.value.status) == ("insufficient_scope", 403)
    assert caught.value.scope == ("read", "write", "delete")


SCOPES = st.sampled_from("abcdef")
HIERARCHIES = st.dictionaries(SCOPES, st.frozensets(SCOPES))


@given(st.frozensets(SCOPES), st.frozensets(SCOPES), HIERARCHIES)
def test_more_scope_never_allows_less(
    granted: frozenset[str], needed: frozenset[str], implies: dict[str, frozenset[str]]
) -> None:
    if is_scope_sufficient(granted, needed, implies):
        assert is_scope_sufficient(granted | {"f"}, needed, implies)
        assert all(is_scope_sufficient(granted, [scope], implies) for scope in needed)
    else:
        assert not needed <= granted
