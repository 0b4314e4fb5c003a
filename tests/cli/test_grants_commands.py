"""``nameplate grants``, and what all administration commands have in common."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from admin_kit import HOSTILE, STORE, fill, record_grant, run, snapshot, write_configuration

from nameplate.cli import admin
from nameplate.cli.admin import describe_store
from nameplate.ports.store import Store

OTHER_CLIENT = "https://other.example/client.json"


async def revoke_two(store: Store) -> None:
    assert await store.revoke_grant("grant two", reason="test", now=int(time.time()))


def fill_with_three(folder: Path) -> None:
    """One that lives, one that was revoked, one that expired."""
    fill(
        folder,
        record_grant("one", username="alice"),
        record_grant("two", username="bob", subject="sub-of-bob", client_id=OTHER_CLIENT),
        record_grant("three", username="alice", expires_at=int(time.time()) - 1, resource="https://mcp.example/other"),
        revoke_two,
    )


def list_ids(folder: Path, *arguments: str) -> list[str]:
    outcome = run(folder, "grants", "list", "--json", *arguments)
    assert (outcome.status, outcome.errors) == (0, "")
    return [grant["id"] for grant in outcome.objects]


def test_live_grants_are_listed_and_with_all_those_that_ended(tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    assert list_ids(tmp_path) == ["grant one"]
    outcome = run(tmp_path, "grants", "list", "--json", "--all")
    assert {grant["id"]: grant["state"] for grant in outcome.objects} == {
        "grant one": "live",
        "grant two": "revoked",
        "grant three": "expired",
    }


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("--client", OTHER_CLIENT), ["grant two"]),
        (("--user", "alice"), ["grant one", "grant three"]),
        (("--subject", "sub-of-bob"), ["grant two"]),
        (("--resource", "https://mcp.example/other"), ["grant three"]),
        (("--user", "alice", "--client", OTHER_CLIENT), []),
        (("--subject", "-sub"), []),
    ],
)
def test_options_narrow_the_list(arguments: tuple[str, ...], ids: list[str], tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    assert list_ids(tmp_path, "--all", *arguments) == ids


def test_people_get_a_table_and_programs_get_every_member(tmp_path: Path) -> None:
    fill(tmp_path, record_grant(username="alice", client_metadata=snapshot("Notebook")))
    heading, row = run(tmp_path, "grants", "list").output.splitlines()
    assert heading.split() == ["ID", "STATE", "CLIENT", "USER", "RESOURCE", "SCOPE", "CREATED"]
    for part in ("grant one", "live", "https://app.example/client.json", "alice", "files:read files:write"):
        assert part in row
    (grant,) = run(tmp_path, "grants", "list", "--json").objects
    assert grant["client_name"] == "Notebook"
    assert grant["scope"] == ["files:read", "files:write"]
    assert grant["created_time"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(grant["created_at"]))
    assert (grant["revoked_at"], grant["revoked_time"]) == (None, None)


def test_a_list_longer_than_a_page_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_PAGE", 2)
    names = [f"number {number}" for number in range(5)]
    fill(tmp_path, *(record_grant(name) for name in names))
    assert list_ids(tmp_path) == [f"grant {name}" for name in names]
    assert run(tmp_path, "grants", "revoke", "--user", "", "--subject", "sub-of-alice", "--yes").output == (
        "Ended 5 grants.\n"
    )
    assert list_ids(tmp_path) == []


def test_one_grant_is_shown(tmp_path: Path) -> None:
    fill(tmp_path, record_grant(username="alice", client_metadata=snapshot("Notebook")))
    outcome = run(tmp_path, "grants", "show", "grant one")
    assert outcome.status == 0
    for part in ("Notebook", "alice", "sub-of-alice", "live", "nameplate audit --since 0 --grant grant one"):
        assert part in outcome.output
    (grant,) = run(tmp_path, "grants", "show", "grant one", "--json").objects
    assert grant["client_metadata"]["redirect_uris"] == ["http://127.0.0.1/callback"]


def test_what_is_not_there_is_status_1(tmp_path: Path) -> None:
    fill(tmp_path)
    for arguments in (("show", "gone"), ("revoke", "gone", "--yes")):
        outcome = run(tmp_path, "grants", *arguments)
        assert (outcome.status, outcome.output) == (1, "")
        assert outcome.errors == "nameplate: there is no grant gone\n"


def test_named_grants_are_revoked_and_the_audit_trail_says_by_whom(tmp_path: Path) -> None:
    fill(tmp_path, record_grant("one"), record_grant("two"), record_grant("three"))
    outcome = run(tmp_path, "grants", "revoke", "grant one", "gone", "grant three", "--yes")
    assert outcome.status == 1
    assert outcome.output == "Ended grant one.\nEnded grant three.\n"
    assert outcome.errors == "nameplate: there is no grant gone\n"
    assert list_ids(tmp_path) == ["grant two"]
    events = run(tmp_path, "audit", "--json", "--name", "grant.revoked").objects
    assert [(event["grant_id"], event["detail"]) for event in events] == [
        ("grant one", "grant.revoked_by_operator"),
        ("grant three", "grant.revoked_by_operator"),
    ]


def test_to_revoke_twice_does_no_harm(tmp_path: Path) -> None:
    fill(tmp_path, record_grant())
    assert run(tmp_path, "grants", "revoke", "grant one", "--yes", "--json").objects == [
        {"id": "grant one", "ended": True}
    ]
    again = run(tmp_path, "grants", "revoke", "grant one", "--yes")
    assert (again.status, again.output) == (0, "grant one had ended before.\n")


def test_grants_are_revoked_by_what_they_have_in_common(tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    outcome = run(tmp_path, "grants", "revoke", "--user", "alice", "--yes", "--json")
    assert outcome.objects == [{"ended": 1}]  # the other one of hers expired
    assert list_ids(tmp_path) == []


@pytest.mark.parametrize("arguments", [(), ("grant one", "--user", "alice")])
def test_it_must_be_clear_which_grants_to_revoke(arguments: tuple[str, ...], tmp_path: Path) -> None:
    fill(tmp_path, record_grant())
    outcome = run(tmp_path, "grants", "revoke", *arguments, "--yes")
    assert outcome.status == 2
    assert "name either grants" in outcome.errors
    assert list_ids(tmp_path) == ["grant one"]


@pytest.mark.parametrize(
    ("typed", "ended"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_nothing_ends_before_the_person_at_the_terminal_says_yes(typed: str, ended: bool, tmp_path: Path) -> None:
    fill(tmp_path, record_grant())
    outcome = run(tmp_path, "grants", "revoke", "--client", "https://app.example/client.json", typed=typed)
    assert outcome.status == (0 if ended else 1)
    assert outcome.errors.startswith(f"{tmp_path / STORE}: End 1 grant of 1 client? [y/N] ")
    assert list_ids(tmp_path) == ([] if ended else ["grant one"])


@pytest.mark.parametrize("which", [("grant one",), ("--resource", "https://mcp.example/mcp")])
def test_without_a_terminal_nothing_ends_without_yes(which: tuple[str, ...], tmp_path: Path) -> None:
    fill(tmp_path, record_grant())
    outcome = run(tmp_path, "grants", "revoke", *which)
    assert outcome.status == 2
    assert "--yes" in outcome.errors
    assert list_ids(tmp_path) == ["grant one"]


@pytest.mark.parametrize("arguments", [("grants", "list"), ("grants", "show", f"grant {HOSTILE}")])
def test_what_strangers_wrote_cannot_play_with_the_terminal(arguments: tuple[str, ...], tmp_path: Path) -> None:
    client_id = f"https://{HOSTILE}"
    hostile = record_grant(
        HOSTILE, username=HOSTILE, client_metadata=snapshot(HOSTILE), scope=(HOSTILE,), client_id=client_id
    )
    fill(tmp_path, hostile)
    for shown in (run(tmp_path, *arguments).output, run(tmp_path, *arguments, "--json").output):
        assert shown.replace("\n", "").isprintable()
    assert "\\u{1b}[31mil" in run(tmp_path, *arguments).output
    assert "[bold]name[/bold]" in run(tmp_path, *arguments).output
    (grant,) = run(tmp_path, *arguments, "--json").objects
    assert grant["username"] == HOSTILE


def test_a_question_and_an_error_cannot_play_with_it_either(tmp_path: Path) -> None:
    fill(tmp_path)
    outcome = run(tmp_path, "grants", "revoke", HOSTILE, "--yes")
    assert outcome.status == 1
    assert outcome.errors.replace("\n", "").isprintable()


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    outcome = run(tmp_path, "grants", "list")
    assert outcome.status == 1
    assert "there is no store" in outcome.errors
    assert [path.name for path in tmp_path.iterdir()] == ["nameplate.toml"]


@pytest.mark.parametrize("content", [b"", None])
def test_an_empty_file_is_not_made_a_store(tmp_path: Path, content: bytes | None) -> None:
    write_configuration(tmp_path)
    if content is None:
        with closing(sqlite3.connect(tmp_path / STORE)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # a header, and no table
    else:
        (tmp_path / STORE).write_bytes(content)
    before = (tmp_path / STORE).read_bytes()
    outcome = run(tmp_path, "grants", "list")
    assert outcome.status == 1
    assert "there is no store" in outcome.errors
    assert (tmp_path / STORE).read_bytes() == before


def test_what_is_no_database_is_told_by_the_store(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    (tmp_path / STORE).write_bytes(b"x" * 5000)
    outcome = run(tmp_path, "grants", "list")
    assert outcome.status == 1
    assert "not a database" in outcome.errors


def test_a_store_is_named_without_user_and_password() -> None:
    for url in (
        "postgresql://alice:hunter2@db.example.com:5432/nameplate?sslmode=require",
        "postgres://db.example.com:5432/nameplate",
    ):
        assert describe_store(url) == "db.example.com:5432/nameplate"
    assert describe_store("sqlite:////var/lib/store.sqlite3") == "/var/lib/store.sqlite3"


@pytest.mark.parametrize("at", [-(2**62), 2**62, 253_402_300_800, 2**40])
def test_an_instant_that_no_calendar_has_is_shown_as_its_number(tmp_path: Path, at: int) -> None:
    fill(tmp_path, record_grant(created_at=at, expires_at=2**62))
    assert str(at) in run(tmp_path, "grants", "list", "--all").output
    (grant,) = run(tmp_path, "grants", "list", "--all", "--json").objects
    assert (grant["created_at"], grant["created_time"]) == (at, None)
    assert run(tmp_path, "grants", "show", "grant one").status == 0


def test_the_configuration_is_the_file_here_or_the_one_that_is_named(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fill(tmp_path, record_grant())
    assert list_ids(elsewhere, "--config", str(tmp_path / "nameplate.toml")) == ["grant one"]
    assert list_ids(elsewhere, "-c", "../nameplate.toml") == ["grant one"]
    outcome = run(elsewhere, "grants", "list")
    assert outcome.status == 2
    assert "there is no nameplate.toml in this folder" in outcome.errors


def test_the_environment_counts_as_for_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fill(tmp_path, record_grant())
    monkeypatch.setenv("NAMEPLATE_STORE__URL", f"sqlite:///{tmp_path}/nameplate.sqlite3")
    write_configuration(elsewhere)
    assert list_ids(elsewhere) == ["grant one"]
    monkeypatch.setenv("NAMEPLATE_STORE__ULR", "x")
    assert run(elsewhere, "grants", "list").status == 2
