"""Who a provider's claims speak of: the subject alone is the person, all else is cut to what can be shown."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import UpstreamError
from nameplate.protocol.fault import is_blank, is_visible
from nameplate.upstream.person import merge_claims, read_person

ISSUER = "https://id.example.com"


@dataclass(frozen=True)
class Names:
    subject_claim: str = "sub"
    username_claims: tuple[str, ...] = ("preferred_username", "email", "name")
    display_name_claims: tuple[str, ...] = ("name", "preferred_username")
    email_claim: str = "email"
    email_verified_claim: str | None = "email_verified"
    groups_claim: str | None = "groups"


NAMES = Names()


@pytest.mark.parametrize(("subject", "read"), [("a", "a"), (7, "7"), ("x" * 255, "x" * 255), ("é b", "é b")])
def test_a_subject_is_a_text_or_a_whole_number(subject: object, read: str) -> None:
    assert read_person({"sub": subject}, ISSUER, NAMES).subject == read


@pytest.mark.parametrize(
    "subject", [None, "", " ", "x" * 256, True, 1.0, [], {}, "a\nb", "\u200b", "a\u202eb", 10**300]
)
def test_anything_else_is_nobody(subject: object) -> None:
    with pytest.raises(UpstreamError) as caught:
        read_person({"sub": subject}, ISSUER, NAMES)
    assert (caught.value.code, caught.value.reason) == ("server_error", "upstream.subject_missing")


@pytest.mark.parametrize(
    ("claims", "username", "display_name"),
    [
        ({}, "s", "s"),
        ({"preferred_username": "jane", "name": "Jane Doe"}, "jane", "Jane Doe"),
        ({"preferred_username": "", "email": "j@example.com"}, "j@example.com", "j@example.com"),
        ({"preferred_username": 7, "name": " Jane "}, "Jane", "Jane"),
        ({"name": "Ja\u202ene\x00\n"}, "Jane", "Jane"),
        ({"name": "\u200b\u3164"}, "s", "s"),
        ({"name": "x" * 1000}, "x" * 200, "x" * 200),
    ],
)
def test_names_are_what_can_be_shown_and_never_nothing(
    claims: dict[str, Any], username: str, display_name: str
) -> None:
    person = read_person({"sub": "s", **claims}, ISSUER, NAMES)
    assert (person.username, person.display_name) == (username, display_name)


@pytest.mark.parametrize(
    ("verified", "is_verified"),
    [(True, True), ("true", True), ("True", False), (1, False), ("yes", False), (None, False)],
)
def test_an_address_is_verified_only_where_that_is_said(verified: object, *, is_verified: bool) -> None:
    claims = {"sub": "s", "email": "j@example.com", "email_verified": verified}
    assert read_person(claims, ISSUER, NAMES).email_verified is is_verified
    assert read_person(claims, ISSUER, replace(NAMES, email_verified_claim=None)).email_verified is False


@pytest.mark.parametrize("email", [None, 7, "", "no-address", "a@", "@b", "a b@example.com", "a@example.com\n"])
def test_what_is_no_address_is_none_and_not_verified(email: object) -> None:
    person = read_person({"sub": "s", "email": email, "email_verified": True}, ISSUER, NAMES)
    assert (person.email, person.email_verified) == (None, False)


@pytest.mark.parametrize(
    ("groups", "read"),
    [
        (["a", "b", "a"], ("a", "b")),
        ("a", ("a",)),
        (["a", 7, None, "", {"id": 1}, "x" * 257], ("a",)),
        ({"a": 1}, ()),
        (None, ()),
        ([str(number) for number in range(2000)], tuple(str(number) for number in range(1000))),
    ],
)
def test_groups_are_texts(groups: object, read: tuple[str, ...]) -> None:
    assert read_person({"sub": "s", "groups": groups}, ISSUER, NAMES).groups == read


def test_claims_may_lie_deeper_and_names_may_have_dots() -> None:
    claims = {"sub": "s", "realm_access": {"roles": ["a"]}, "https://example.com/roles": ["b"]}
    assert read_person(claims, ISSUER, replace(NAMES, groups_claim="realm_access.roles")).groups == ("a",)
    assert read_person(claims, ISSUER, replace(NAMES, groups_claim="https://example.com/roles")).groups == ("b",)
    assert read_person(claims, ISSUER, replace(NAMES, groups_claim=None)).groups == ()


def test_what_was_signed_is_never_replaced() -> None:
    merged = merge_claims({"sub": "s", "name": "A"}, {"sub": "s", "name": "B", "locale": "de"}, NAMES)
    assert merged == {"sub": "s", "name": "A", "locale": "de"}


def test_only_an_id_token_speaks_of_the_sign_in() -> None:
    merged = merge_claims({"sub": "s"}, {"sub": "s", "auth_time": 7, "acr": "2", "iss": "x", "locale": "de"}, NAMES)
    assert merged == {"sub": "s", "locale": "de"}


@pytest.mark.parametrize(
    ("signed", "userinfo", "verified"),
    [
        ({"email": "a@x"}, {"email": "a@x", "email_verified": True}, True),
        ({"email": "a@x"}, {"email": "b@x", "email_verified": True}, None),
        ({"email": "a@x"}, {"email_verified": True}, None),
        ({"email": "a@x", "email_verified": True}, {"email": "b@x"}, True),
        ({"email": "a@x", "email_verified": False}, {"email": "a@x", "email_verified": True}, False),
        ({}, {"email": "b@x", "email_verified": True}, True),
    ],
)
def test_whether_an_address_is_verified_is_said_of_that_address(
    signed: dict[str, Any], userinfo: dict[str, Any], *, verified: bool | None
) -> None:
    assert merge_claims(signed, userinfo, NAMES).get("email_verified") is verified


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["sub", "name", "preferred_username", "email", "email_verified", "groups", "other"]), JSON
)


@given(CLAIMS)
def test_whatever_comes_is_a_person_or_refused(claims: dict[str, Any]) -> None:
    try:
        person = read_person(claims, ISSUER, NAMES)
    except UpstreamError:
        return
    for shown in (person.subject, person.username, person.display_name):
        assert shown
        assert is_visible(shown)
        assert not is_blank(shown)
    assert not person.email_verified or person.email
