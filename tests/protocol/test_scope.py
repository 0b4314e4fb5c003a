"""Scopes: what is well-formed, and what of it a client gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.protocol.scope import OFFLINE_ACCESS, build_scope, choose_scope, is_scope_token, parse_scope

OFFERED = ("notes:read", "notes:write", "admin")

tokens = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"], exclude_characters='"\\'), min_size=1)
known_tokens = st.sampled_from([*OFFERED, OFFLINE_ACCESS, "openid", "other"])


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("", ()),
        ("   ", ()),
        ("a", ("a",)),
        (" offline_access", ("offline_access",)),
        ("b  a b ", ("b", "a")),
        ("notes:read https://a.example/x!#[]^_`{|}~", ("notes:read", "https://a.example/x!#[]^_`{|}~")),
        ('a "', None),
        ("a\\b", None),
        ("a\tb", None),
        ("a\nb", None),
        ("ü", None),
        ("a\0", None),
        ("a\x7f", None),
        ("a\u00a0b", None),
        ("a\u202eb", None),
    ],
)
def test_a_scope_is_tokens_with_spaces_between(text: str, scope: tuple[str, ...] | None) -> None:
    assert parse_scope(text) == scope


@given(st.lists(tokens, unique=True))
def test_what_was_built_is_parsed_again(scope: list[str]) -> None:
    assert parse_scope(build_scope(scope)) == tuple(scope)


@given(st.text(st.characters()))
def test_any_text_is_a_scope_or_none(text: str) -> None:
    scope = parse_scope(text)
    assert scope is None or all(map(is_scope_token, scope))


@pytest.mark.parametrize(
    ("requested", "document", "chosen"),
    [
        (None, None, OFFERED),
        ((), None, OFFERED),
        (("notes:read",), None, ("notes:read",)),
        (("admin", "notes:read"), None, ("notes:read", "admin")),
        (("notes:read", "openid", "profile"), None, ("notes:read",)),
        (("openid", "profile"), None, None),
        (("offline_access",), None, (*OFFERED, "offline_access")),
        (("offline_access", "notes:read"), None, ("notes:read", "offline_access")),
        (("offline_access", "openid"), None, None),
        (None, ("notes:write", "other"), ("notes:write",)),
        (("notes:read",), ("notes:write",), None),
        (("notes:read", "notes:write"), ("notes:write",), ("notes:write",)),
        (("notes:write", "offline_access"), ("notes:write",), ("notes:write",)),
        (("notes:write", "offline_access"), ("notes:write", "offline_access"), ("notes:write", "offline_access")),
        (None, (), None),
        (None, ("openid", "profile", "email"), None),
    ],
)
def test_a_client_gets_what_it_asked_for_as_far_as_server_and_document_allow(
    requested: tuple[str, ...] | None, document: tuple[str, ...] | None, chosen: tuple[str, ...] | None
) -> None:
    assert choose_scope(requested, offered=OFFERED, document_scope=document) == chosen


@pytest.mark.parametrize(
    ("requested", "chosen"),
    [(None, ()), (("offline_access",), ("offline_access",)), (("notes:read",), ())],
)
def test_at_a_resource_without_scopes_every_requested_scope_falls_away(
    requested: tuple[str, ...] | None, chosen: tuple[str, ...]
) -> None:
    assert choose_scope(requested, offered=(), document_scope=None) == chosen


@given(
    st.none() | st.lists(known_tokens).map(tuple),
    st.lists(known_tokens.filter(lambda token: token != OFFLINE_ACCESS), unique=True),
    st.none() | st.lists(known_tokens),
)
def test_no_scope_comes_from_nowhere(
    requested: tuple[str, ...] | None, offered: list[str], document: list[str] | None
) -> None:
    chosen = choose_scope(requested, offered=offered, document_scope=document) or ()
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= {*offered, OFFLINE_ACCESS}
    assert document is None or set(chosen) <= set(document)
    if set(requested or ()) - {OFFLINE_ACCESS}:
        assert set(chosen) <= set(requested or ())
    if OFFLINE_ACCESS not in (requested or ()):
        assert OFFLINE_ACCESS not in chosen
