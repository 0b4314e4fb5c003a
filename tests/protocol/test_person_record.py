"""What is remembered of a person: enough for the rules, never more than eight KiB, and never half a list as a whole."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import StoreError
from nameplate.protocol.person_record import (
    MAX_RECORD_BYTES,
    PersonRecord,
    RecordNeeds,
    build_person_record,
    parse_person_record,
)
from nameplate.protocol.session import choose_authenticated_at
from nameplate.protocol.sign_in_policy import AllowedPeople, build_sign_in_policy, find_sign_in_refusal

ISSUER = "https://id.example.com"


@dataclass(kw_only=True)
class Person:
    email: str | None = None
    email_verified: bool = False
    groups: tuple[str, ...] = ()
    claims: dict[str, Any] = field(default_factory=dict)


def remember(person: Person, needs: RecordNeeds = RecordNeeds(), at: int | None = None) -> PersonRecord:  # noqa: B008
    return parse_person_record(build_person_record(person, issuer=ISSUER, needs=needs, authenticated_at=at))


def test_what_the_rules_ask_for_comes_back_and_nothing_else() -> None:
    person = Person(
        email="a@example.com",
        email_verified=True,
        groups=("staff",),
        claims={"department": "sales", "salary": 1, "realm_access": {"roles": ["a", "b"]}},
    )
    needs = RecordNeeds(claims={"department": ("sales",), "realm_access.roles": (), "missing": ()})
    assert remember(person, needs, 17) == PersonRecord(
        issuer=ISSUER,
        email="a@example.com",
        email_verified=True,
        groups=("staff",),
        claims={"department": "sales", "realm_access.roles": ["a", "b"]},
        authenticated_at=17,
    )


def test_of_a_long_list_the_entries_that_a_rule_names_stay_and_it_is_called_cut() -> None:
    many = [f"entry-{number}" for number in range(1000)]
    person = Person(groups=(*many, "staff"), claims={"roles": [*many, "editor"], "ids": many})
    needs = RecordNeeds(claims={"roles": ("editor", "owner"), "ids": ()}, groups=frozenset({"staff", "admins"}))
    record = remember(person, needs)
    assert (record.groups, record.are_groups_cut) == (("staff",), True)
    assert record.claims["roles"] == ["editor"]
    assert record.cut == {"roles", "ids"}


def test_true_is_not_taken_for_one() -> None:
    person = Person(claims={"flags": [True] * 1000})
    assert remember(person, RecordNeeds(claims={"flags": (1,)})).claims["flags"] == []


@pytest.mark.parametrize("claims", [{"hasgroups": True}, {"_claim_names": {"groups": "src1"}}])
def test_that_there_are_groups_which_nobody_listed_is_remembered(claims: dict[str, Any]) -> None:
    policy = build_sign_in_policy(AllowedPeople(groups=["staff"]), is_organization=True)
    refusal = find_sign_in_refusal(policy, remember(Person(claims=claims)))
    assert refusal is not None
    assert refusal.reason == "sign_in.groups_unknown"


TEXTS = st.text(max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=10,
)


@given(
    claims=st.dictionaries(TEXTS, VALUES, max_size=8),
    groups=st.lists(TEXTS, max_size=20),
    repeat=st.sampled_from([1, 1, 200]),
    paths=st.lists(TEXTS, max_size=300),
)
def test_whatever_a_provider_says_can_be_remembered(
    claims: dict[str, Any], groups: list[str], repeat: int, paths: list[str]
) -> None:
    given_claims = {name: value * repeat if isinstance(value, (str, list)) else value for name, value in claims.items()}
    person = Person(groups=tuple(groups) * repeat, claims=given_claims)
    needs = RecordNeeds(claims=dict.fromkeys([*paths, *claims], ("a", 1, True)), groups=frozenset(groups[:2]))
    text = build_person_record(person, issuer=ISSUER, needs=needs, authenticated_at=None)
    assert len(text.encode()) <= MAX_RECORD_BYTES
    record = parse_person_record(text)
    assert set(record.groups) <= set(groups)
    assert set(record.claims) <= {*needs.claims, "hasgroups"}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "\ud800", json.dumps({"issuer": 1}), '{"issuer":"x"}', "{" * 5000]
)
def test_anything_else_is_damage(text: str) -> None:
    with pytest.raises(StoreError):
        parse_person_record(text)


@pytest.mark.parametrize(
    ("auth_time", "was_asked", "expected"),
    [
        (900, False, 900),
        (900.9, False, 900),
        (1001, False, None),
        (-1, False, None),
        (True, False, None),
        ("900", False, None),
        (None, False, None),
        (float("nan"), False, None),
        (None, True, 1000),
        (900, True, 1000),
    ],
)
def test_when_somebody_proved_who_it_is(auth_time: object, was_asked: bool, expected: int | None) -> None:
    assert choose_authenticated_at(auth_time, was_asked=was_asked, now=1000) == expected
