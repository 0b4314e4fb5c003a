"""What of a provider's claims gets into our access tokens, and what never does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ConfigurationError
from nameplate.protocol.person_claims import RESERVED_CLAIMS, build_person_claims, check_claim_mapping, read_claim

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=80,
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("email", "ada@corp.example"),
        ("https://corp.example/roles", ["a"]),
        ("a.b", "dotted"),
        ("realm_access.roles", ["x"]),
        ("resource_access.a.roles", ["y"]),
        ("realm_access.roles.0", None),
        ("realm_access.none.deeper", None),
        ("email.deeper", None),
        (".", None),
        ("missing", None),
        ("null", None),
    ],
)
def test_a_claim_is_found_by_its_name_or_by_a_path(path: str, value: object) -> None:
    claims: dict[str, object] = {
        "email": "ada@corp.example",
        "https://corp.example/roles": ["a"],
        "a.b": "dotted",
        "a": {"b": "inside"},
        "realm_access": {"roles": ["x"]},
        "resource_access": {"a": {"roles": ["y"]}},
        "null": None,
    }
    assert read_claim(claims, path) == value


@given(claims=st.dictionaries(st.text(max_size=8), json_values, max_size=4), path=st.text(max_size=12))
def test_any_path_leads_somewhere_or_nowhere(claims: dict[str, object], path: str) -> None:
    read_claim(claims, path)
    read_claim(claims, f"{path}.{path}")


def test_values_of_a_token_are_taken_over_as_they_are() -> None:
    said: dict[str, object] = {
        "email": "ada@corp.example",
        "level": 3,
        "active": False,
        "realm_access": {"roles": ["a", "b"]},
    }
    mapping = {"mail": "email", "level": "level", "active": "active", "roles": "realm_access.roles", "dept": "none"}
    built = build_person_claims(mapping, said)
    assert built.claims == {"mail": "ada@corp.example", "level": 3, "active": False, "roles": ["a", "b"]}
    assert built.left_out == ()


@pytest.mark.parametrize(
    "value",
    [
        {"an": "object"},
        [["nested"]],
        [{"an": "object"}],
        ["fine", None],
        1.5,
        2**53,
        -(2**60),
        "x" * 201,
        ["x" * 201],
        ["x"] * 51,
        "line\nbreak",
        "\u202eturned",
        "\ud800",
        "\0",
        ["x" * 190] * 30,  # 30 of at most 50, each short enough, together too long for a header
    ],
)
def test_what_is_unfit_is_left_out_whole_and_said_to_be(value: object) -> None:
    built = build_person_claims({"x": "theirs", "email": "email"}, {"theirs": value, "email": "a@corp.example"})
    assert built.claims == {"email": "a@corp.example"}
    assert built.left_out == ("x",)


@given(said=st.dictionaries(st.text(max_size=8), json_values, max_size=6), groups=st.lists(st.text(max_size=250)))
def test_what_a_token_says_of_a_person_is_bounded(said: dict[str, object], groups: list[str]) -> None:
    built = build_person_claims({f"c{index}": name for index, name in enumerate(said)}, said, groups=groups)
    assert len(json.dumps(dict(built.claims)).encode()) <= 4096
    for value in built.claims.values():
        entries = value if isinstance(value, list) else [value]
        assert len(entries) <= 50
        assert all(len(entry) <= 200 for entry in entries if isinstance(entry, str))
    assert not set(built.claims) & set(built.left_out)


def test_groups_are_a_claim_unless_the_mapping_has_its_own() -> None:
    assert build_person_claims({}, {}, groups=["a"]).claims == {"groups": ["a"]}
    assert build_person_claims({}, {}, groups=[]).claims == {}
    assert build_person_claims({"groups": "roles"}, {"roles": ["b"]}, groups=["a"]).claims == {"groups": ["b"]}
    assert build_person_claims({"groups": "roles"}, {}, groups=["a"]).claims == {}
    assert build_person_claims({}, {}, groups=["a"] * 51).left_out == ("groups",)


@pytest.mark.parametrize("name", sorted(RESERVED_CLAIMS))
def test_no_claim_that_says_what_a_token_is_comes_from_a_provider(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_claim_mapping({name: "email"}, setting="upstreams.claims")
    assert caught.value.setting == "upstreams.claims"


def test_the_claims_that_other_rules_rely_on_are_reserved() -> None:
    assert {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "scope", "client_id"} <= RESERVED_CLAIMS
    assert {"grant_id", "cnf", "act", "azp"} <= RESERVED_CLAIMS


@pytest.mark.parametrize(
    "mapping",
    [
        {"": "email"},
        {"with blank": "email"},
        {"_claim_names": "email"},
        {"ümlaut": "email"},
        {"x" * 101: "email"},
        {"email": ""},
        {"email": "x" * 201},
        {"email": "line\nbreak"},
        {"email": " email"},
        {f"c{index}": "email" for index in range(21)},
    ],
)
def test_a_mapping_that_cannot_work_is_refused_at_the_start(mapping: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_claim_mapping(mapping, setting="upstreams.claims")
    assert caught.value.setting == "upstreams.claims"


def test_a_mapping_that_can_work_is_taken() -> None:
    check_claim_mapping(
        {"email": "email", "https://corp.example/roles": "realm_access.roles", "groups": "cognito:groups"},
        setting="upstreams.claims",
    )
