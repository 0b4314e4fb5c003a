"""Who may sign in: rules by e-mail, group and claim, and what a stranger must not talk himself into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nameplate.errors import ConfigurationError
from nameplate.protocol.person_claims import ClaimText
from nameplate.protocol.sign_in_policy import (
    AllowedPeople,
    SignInPolicy,
    build_sign_in_policy,
    check_scopes_by_group,
    find_sign_in_refusal,
    narrow_scope,
)

OFFERED = ("notes:read", "notes:write", "admin")


@dataclass(frozen=True, kw_only=True)
class Person:
    """What a provider said."""

    email: str | None = None
    email_verified: bool = False
    groups: Sequence[str] = ()
    claims: Mapping[str, object] = field(default_factory=dict)


def build(
    *,
    emails: Sequence[str] | None = None,
    email_domains: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    claims: Mapping[str, Sequence[ClaimText]] | None = None,
) -> SignInPolicy:
    allowed = AllowedPeople(emails=emails, email_domains=email_domains, groups=groups, claims=claims)
    return build_sign_in_policy(allowed, is_organization=False)


def find_reason(policy: SignInPolicy, person: Person) -> str | None:
    refusal = find_sign_in_refusal(policy, person)
    return None if refusal is None else refusal.reason


def find_email_reason(email: str | None, *, verified: bool = True) -> str | None:
    policy = build(emails=["ada@home.example", "kim@home.example"], email_domains=["corp.example", "bücher.example"])
    return find_reason(policy, Person(email=email, email_verified=verified))


@pytest.mark.parametrize(
    "email",
    [
        "ada@home.example",
        "Ada@HOME.example",
        "x@corp.example",
        "x.y+z@Corp.Example",
        "jörg@corp.example",
        "x@bücher.example",
        "x@xn--bcher-kva.example",
    ],
)
def test_a_listed_address_or_one_of_a_listed_domain_is_let_in(email: str) -> None:
    assert find_email_reason(email) is None


@pytest.mark.parametrize(
    "email",
    [
        "grace@home.example",
        "x@evilcorp.example",
        "x@evil-corp.example",
        "x@sub.corp.example",
        "x@corp.example.evil.example",
        "x@corp.example@evil.example",
        "x@evil.example@corp.example",
        '"x@evil.example"@corp.example',
        "x@corp.example.",
        "x@corp.example\n",
        "x@corp.example,y@evil.example",
        "x@evil.example <y@corp.example>",
        "x evil@corp.example",
        "x\u200b@corp.example",
        "@corp.example",
        "corp.example",
        "x@",
        "x@[192.0.2.1]",
        "x@c\u043erp.example",  # a Cyrillic o
        "x@\uff43orp.example",  # a full-width c
        "x@corp\u3002example",  # an ideographic full stop
        "x@corp.exam\u017fle",  # long s folds to s
        "\u212aim@home.example",  # the sign for kelvin folds to k
        "x@BÜCHER.example",
        f"{'x' * 250}@corp.example",
    ],
)
def test_what_only_looks_like_a_listed_address_is_not_let_in(email: str) -> None:
    assert find_email_reason(email) == "sign_in.not_allowed"


@pytest.mark.parametrize(("email", "verified"), [("ada@home.example", False), (None, True), ("", True), (None, False)])
def test_an_address_that_the_provider_does_not_vouch_for_counts_for_nothing(email: str | None, verified: bool) -> None:
    assert find_email_reason(email, verified=verified) == "sign_in.email_unverified"


def test_only_the_truth_value_true_is_verified() -> None:
    policy = build(emails=["ada@home.example"])
    wrong: bool = "true"  # type: ignore[assignment]
    assert find_reason(policy, Person(email="ada@home.example", email_verified=wrong)) == "sign_in.email_unverified"


@given(local=st.text(max_size=20), domain=st.text(max_size=20), groups=st.lists(st.text(max_size=5), max_size=3))
def test_no_unverified_address_is_ever_let_in(local: str, domain: str, groups: list[str]) -> None:
    policy = build(emails=["ada@home.example"], email_domains=["corp.example"])
    for email in (f"{local}@{domain}", f"{local}@corp.example", "ada@home.example"):
        assert find_reason(policy, Person(email=email, groups=groups)) == "sign_in.email_unverified"


@given(email=st.text(max_size=60))
def test_whatever_is_let_in_ends_in_the_listed_domain(email: str) -> None:
    for text in (email, f"{email}corp.example", f"x@{email}", f"x@corp.example{email}"):
        if find_reason(build(email_domains=["corp.example"]), Person(email=text, email_verified=True)) is None:
            local, _, domain = text.rpartition("@")
            assert "@" not in local
            assert domain.isascii()
            assert domain.lower() == "corp.example"


@given(prefix=st.text(st.characters(codec="utf-8"), min_size=1, max_size=10))
def test_a_domain_with_anything_before_it_is_another_domain(prefix: str) -> None:
    assume("@" not in prefix)
    assert find_email_reason(f"x@{prefix}corp.example") == "sign_in.not_allowed"
    assert find_email_reason(f"x@{prefix}.corp.example") == "sign_in.not_allowed"


@pytest.mark.parametrize(
    ("groups", "claims", "reason"),
    [
        (("staff",), {}, None),
        (("guests", "admins"), {}, None),
        ((), {}, "sign_in.not_allowed"),
        (("Staff",), {}, "sign_in.not_allowed"),
        (("staff2", "/staff", "sta"), {}, "sign_in.not_allowed"),
        ((), {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}}, "sign_in.groups_unknown"),
        ((), {"hasgroups": True}, "sign_in.groups_unknown"),
        ((), {"hasgroups": "true", "_claim_names": "groups"}, "sign_in.not_allowed"),
        ((), {"_claim_names": {"address": "src1"}}, "sign_in.not_allowed"),
    ],
)
def test_a_person_in_one_of_the_listed_groups_is_let_in(
    groups: tuple[str, ...], claims: dict[str, object], reason: str | None
) -> None:
    assert find_reason(build(groups=["staff", "admins"]), Person(groups=groups, claims=claims)) == reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(claims=st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_groups_that_are_not_listed_never_open_the_door(claims: dict[str, object]) -> None:
    policy = build(groups=["staff"])
    overage = {**claims, "_claim_names": {"groups": "src1"}, "groups": ["staff"]}
    assert find_reason(policy, Person(claims=claims)) is not None
    assert find_reason(policy, Person(claims=overage)) == "sign_in.groups_unknown"


@pytest.mark.parametrize(
    ("claims", "is_allowed"),
    [
        ({"department": "research"}, True),
        ({"department": ["sales", "research"]}, True),
        ({"department": "Research"}, False),
        ({"department": "research, sales"}, False),
        ({"department": {"research": True}}, False),
        ({"department": None}, False),
        ({}, False),
    ],
)
def test_a_claim_must_be_or_contain_a_listed_value(claims: dict[str, object], is_allowed: bool) -> None:
    assert (find_reason(build(claims={"department": ["research"]}), Person(claims=claims)) is None) is is_allowed


@pytest.mark.parametrize(("value", "is_allowed"), [(True, True), (1, False), ("true", False), (1.0, False)])
def test_values_of_another_type_are_other_values(value: object, is_allowed: bool) -> None:
    assert (find_reason(build(claims={"active": [True]}), Person(claims={"active": value})) is None) is is_allowed


def test_a_claim_inside_another_is_reached_by_its_path() -> None:
    policy = build(claims={"realm_access.roles": ["mcp"], "https://corp.example/level": [2, 3]})
    said: dict[str, object] = {"realm_access": {"roles": ["mcp"]}, "https://corp.example/level": 3}
    assert find_reason(policy, Person(claims=said)) is None
    for wrong in ({"roles": ["other"]}, ["mcp"], "roles", {"roles": {"mcp": True}}):
        assert find_reason(policy, Person(claims={**said, "realm_access": wrong})) == "sign_in.not_allowed"


def test_kinds_must_all_be_met_and_within_a_kind_one_will_do() -> None:
    policy = build(email_domains=["corp.example"], groups=["staff", "admins"], claims={"a": [1], "b": [2]})
    claims = {"a": 1, "b": 2}
    person = Person(email="x@corp.example", email_verified=True, groups=["admins"], claims=claims)
    assert find_reason(policy, person) is None
    assert find_reason(policy, replace(person, email_verified=False)) == "sign_in.email_unverified"
    assert find_reason(policy, replace(person, email="x@other.example")) == "sign_in.not_allowed"
    assert find_reason(policy, replace(person, groups=[])) == "sign_in.not_allowed"
    assert find_reason(policy, replace(person, claims={"a": 1})) == "sign_in.not_allowed"


def test_nothing_set_means_everybody_only_where_the_organization_gives_out_the_accounts() -> None:
    policy = build_sign_in_policy(AllowedPeople(), is_organization=True)
    assert find_reason(policy, Person()) is None
    with pytest.raises(ConfigurationError, match=r"upstreams\.allow_everybody: strangers can have accounts"):
        build_sign_in_policy(AllowedPeople(), is_organization=False)
    assert find_reason(build_sign_in_policy(AllowedPeople(everybody=True), is_organization=False), Person()) is None


@pytest.mark.parametrize(
    ("allowed", "setting"),
    [
        (AllowedPeople(emails=[]), "allowed_emails"),
        (AllowedPeople(email_domains=[]), "allowed_email_domains"),
        (AllowedPeople(groups=[]), "allowed_groups"),
        (AllowedPeople(claims={}), "allowed_claims"),
        (AllowedPeople(emails=["corp.example"]), "allowed_emails"),
        (AllowedPeople(emails=["*@corp.example", "@corp.example"]), "allowed_emails"),
        (AllowedPeople(email_domains=["@corp.example"]), "allowed_email_domains"),
        (AllowedPeople(email_domains=[".corp.example"]), "allowed_email_domains"),
        (AllowedPeople(email_domains=["*.corp.example"]), "allowed_email_domains"),
        (AllowedPeople(email_domains=["*"]), "allowed_email_domains"),
        (AllowedPeople(email_domains=["com"]), "allowed_email_domains"),
        (AllowedPeople(email_domains=["xn--a.example"]), "allowed_email_domains"),
        (AllowedPeople(groups=[""]), "allowed_groups"),
        (AllowedPeople(groups=["staff "]), "allowed_groups"),
        (AllowedPeople(groups=["x"] * 1001), "allowed_groups"),
        (AllowedPeople(claims={"": ["x"]}), "allowed_claims"),
        (AllowedPeople(claims={"hd": []}), "allowed_claims"),
        (AllowedPeople(claims={"hd": "corp.example"}), "allowed_claims"),
        (AllowedPeople(claims={"hd": [""]}), "allowed_claims"),
        (AllowedPeople(claims={"line\nbreak": ["x"]}), "allowed_claims"),
        (AllowedPeople(everybody=True, groups=["staff"]), "allow_everybody"),
    ],
)
@pytest.mark.parametrize("is_organization", [True, False])
def test_a_rule_that_could_mean_something_else_is_refused_at_the_start(
    allowed: AllowedPeople, setting: str, is_organization: bool
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_sign_in_policy(allowed, is_organization=is_organization, table="upstreams.work")
    assert caught.value.setting == f"upstreams.work.{setting}"


@pytest.mark.parametrize(
    ("groups", "table", "scope"),
    [
        ((), None, OFFERED),
        (("staff",), {"staff": ["notes:read"]}, ("notes:read",)),
        (("staff", "editors"), {"staff": ["notes:read"], "editors": ["notes:write"]}, ("notes:read", "notes:write")),
        ((), {"staff": ["notes:read"]}, ()),
        ((), {"*": ["notes:read"], "editors": ["notes:write"]}, ("notes:read",)),
        (("editors",), {"*": ["notes:read"], "editors": ["notes:write"]}, ("notes:read", "notes:write")),
        (("*",), {"editors": ["notes:write"]}, ()),
        (("Editors",), {"editors": ["notes:write"]}, ()),
    ],
)
def test_a_person_may_be_given_what_the_groups_may(
    groups: tuple[str, ...], table: dict[str, list[str]] | None, scope: tuple[str, ...]
) -> None:
    assert narrow_scope(OFFERED, groups=groups, scopes_by_group=table) == scope
    assert narrow_scope([*OFFERED, "offline_access"], groups=groups, scopes_by_group=table) == (
        *scope,
        "offline_access",
    )


@given(
    groups=st.lists(st.sampled_from("abc"), max_size=3),
    table=st.dictionaries(st.sampled_from("abc*"), st.lists(st.sampled_from([*OFFERED, "other"]), max_size=3)),
)
def test_narrowing_adds_nothing_and_keeps_the_order(groups: list[str], table: dict[str, list[str]]) -> None:
    narrowed = narrow_scope(OFFERED, groups=groups, scopes_by_group=table)
    assert narrowed == tuple(scope for scope in OFFERED if scope in narrowed)
    assert set(narrowed) <= {scope for group in {*groups, "*"} for scope in table.get(group, ())}


@pytest.mark.parametrize("table", [{}, {"": ["notes:read"]}, {"staff": ["notes:delete"]}])
def test_a_table_of_scopes_names_groups_and_scopes_that_are_offered(table: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_scopes_by_group(table, offered=OFFERED, setting="resources.scopes_by_group")
    assert caught.value.setting == "resources.scopes_by_group"


def test_a_table_that_fits_is_taken() -> None:
    check_scopes_by_group({"*": ["notes:read"], "staff": OFFERED}, offered=OFFERED, setting="resources.scopes_by_group")
