"""``nameplate accounts``: who may sign in, and who did. (``hash-password`` has its tests beside ``init``.)"""

import time
from pathlib import Path

import pytest
from admin_kit import HASH, HOSTILE, STORE, fill, record_grant, run

from nameplate.ports.store import Store
from nameplate.testing.store_samples import sample_session
from nameplate.upstream.local_accounts import LOCAL_ISSUER


async def alice_and_others_sign_in(store: Store) -> None:
    """Alice has two sessions; Carol is no longer declared; Dora comes from elsewhere and her sub looks like a flag."""
    now = int(time.time())
    for issuer, name, candidate in (
        (LOCAL_ISSUER, "alice", "sub-of-alice"),
        (LOCAL_ISSUER, "carol", "sub-of-carol"),
        ("https://idp.example", "dora", "-sub-of-dora"),
    ):
        assert await store.record_subject(issuer, name, candidate=candidate, now=now) == candidate
    for name, subject in (("one", "sub-of-alice"), ("two", "sub-of-alice"), ("three", "-sub-of-dora")):
        session = sample_session(name, subject=subject, signed_in_at=now, expires_at=now + 600)
        await store.record_session(session, replaces=None)


def fill_with_people(folder: Path) -> None:
    fill(
        folder,
        alice_and_others_sign_in,
        record_grant("one", username="alice"),
        record_grant("two", subject="-sub-of-dora"),
    )


def count_grants(folder: Path) -> dict[str, int]:
    return {each["subject"]: each["live_grants"] for each in run(folder, "accounts", "list", "--json").objects}


def test_the_list_has_declared_accounts_and_whoever_signed_in(tmp_path: Path) -> None:
    fill_with_people(tmp_path)
    people = run(tmp_path, "accounts", "list", "--json").objects
    keys = ("username", "declared", "subject", "upstream_issuer", "live_grants")
    assert [tuple(person[key] for key in keys) for person in people] == [
        ("alice", True, "sub-of-alice", LOCAL_ISSUER, 1),
        ("bob", True, "", "", 0),
        ("carol", False, "sub-of-carol", LOCAL_ISSUER, 0),
        ("", False, "-sub-of-dora", "https://idp.example", 1),
    ]
    assert people[0]["groups"] == ["staff", "admins"]
    assert people[1]["first_signed_in_at"] is None
    table = run(tmp_path, "accounts", "list").output
    assert "dora at https://idp.example" in table
    assert len(table.splitlines()) == 5


def test_no_command_prints_a_password_hash(tmp_path: Path) -> None:
    fill_with_people(tmp_path)
    for arguments in (("list",), ("list", "--json"), ("show", "alice"), ("show", "alice", "--json")):
        assert HASH not in run(tmp_path, "accounts", *arguments).output


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("alice", "sub-of-alice"),
        ("sub-of-alice", "sub-of-alice"),
        ("carol", "sub-of-carol"),
        ("-sub-of-dora", "-sub-of-dora"),
        ("bob", ""),
    ],
)
def test_a_person_is_found_by_username_or_by_sub(user: str, subject: str, tmp_path: Path) -> None:
    fill_with_people(tmp_path)
    outcome = run(tmp_path, "accounts", "show", user, "--json")
    assert [person["subject"] for person in outcome.objects] == [subject]


def test_a_person_is_shown_with_the_live_grants(tmp_path: Path) -> None:
    fill_with_people(tmp_path)
    outcome = run(tmp_path, "accounts", "show", "alice")
    for part in ("Alice", "staff", "admins", "sub-of-alice", "grant one"):
        assert part in outcome.output
    assert "grant two" not in outcome.output


@pytest.mark.parametrize("command", [("show",), ("sign-out", "--yes")])
def test_nobody_is_status_1(command: tuple[str, ...], tmp_path: Path) -> None:
    fill_with_people(tmp_path)
    outcome = run(tmp_path, "accounts", *command, "mallory")
    assert (outcome.status, outcome.output) == (1, "")
    assert outcome.errors == "nameplate: there is nobody called mallory\n"


def test_signing_a_person_out_ends_sessions_and_leaves_grants(tmp_path: Path) -> None:
    fill_with_people(tmp_path)
    outcome = run(tmp_path, "accounts", "sign-out", "alice", "--yes")
    assert (outcome.status, outcome.output) == (0, "Ended 2 sessions and 0 grants of alice.\n")
    assert count_grants(tmp_path)["sub-of-alice"] == 1
    ended = run(tmp_path, "audit", "--name", "session.ended", "--json").objects
    assert [event["subject"] for event in ended] == ["sub-of-alice", "sub-of-alice"]
    assert run(tmp_path, "accounts", "sign-out", "alice", "--yes", "--json").objects == [
        {"subject": "sub-of-alice", "sessions_ended": 0, "grants_ended": 0}
    ]


def test_signing_out_with_grants_ends_those_of_that_person_alone(tmp_path: Path) -> None:
    fill_with_people(tmp_path)
    outcome = run(tmp_path, "accounts", "sign-out", "-sub-of-dora", "--grants", "--yes")
    assert (outcome.status, outcome.output) == (0, "Ended 1 session and 1 grant of -sub-of-dora.\n")
    assert count_grants(tmp_path) == {"sub-of-alice": 1, "": 0, "sub-of-carol": 0, "-sub-of-dora": 0}


def test_whoever_says_no_signs_nobody_out(tmp_path: Path) -> None:
    fill_with_people(tmp_path)
    outcome = run(tmp_path, "accounts", "sign-out", "alice", "--grants", typed="n\n")
    asked = f"{tmp_path / STORE}: Sign alice out everywhere, and end 1 grant? [y/N] "
    assert (outcome.status, outcome.errors) == (1, asked)
    assert run(tmp_path, "accounts", "sign-out", "alice").status == 2
    assert run(tmp_path, "audit", "--name", "session.ended", "--json").objects == []


def test_what_somebody_is_called_elsewhere_cannot_play_with_the_terminal(tmp_path: Path) -> None:
    async def sign_in(store: Store) -> None:
        await store.record_subject(HOSTILE, HOSTILE, candidate="sub-of-evil", now=int(time.time()))

    fill(tmp_path, sign_in, record_grant("one", subject="sub-of-evil"))
    for arguments in (("list",), ("show", "sub-of-evil"), ("sign-out", "sub-of-evil"), ("show", HOSTILE)):
        for form in ((), ("--json",)):
            outcome = run(tmp_path, "accounts", *arguments, *form, typed="n\n")
            assert (outcome.output + outcome.errors).replace("\n", "").isprintable()
