"""``nameplate clients``: clients that are registered here, and clients that are known by a document."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from admin_kit import HOSTILE, STORE, fill, record_grant, registered_client, run, snapshot

from nameplate.ports.store import Store, StoredDocument

DOCUMENT_CLIENT = "https://app.example/client.json"
DOCUMENT = b"""{
    "client_id": "https://app.example/client.json",
    "client_name": "Notebook",
    "redirect_uris": ["http://127.0.0.1/callback", "ftp://app.example/"],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "files:read",
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks_uri": "https://app.example.com/keys.json"
}"""


async def register_two(store: Store) -> None:
    now = int(time.time())
    for client in (
        registered_client("npc_self", name="Desk", secret_hash=b"s" * 32),
        registered_client("npc_trusted", "operator", "Trusted"),
    ):
        await store.record_client(client, limit=10, now=now)


def test_a_client_that_is_registered_no_more_and_has_grants_is_shown_as_removed(tmp_path: Path) -> None:
    """As in a store that an earlier version has swept."""
    registered = registered_client("npc_gone")

    async def register(store: Store) -> None:
        await store.record_client(registered, limit=1, now=registered.created_at)

    fill(tmp_path, register, record_grant(client_id="npc_gone"))
    with closing(sqlite3.connect(tmp_path / STORE)) as connection, connection:
        connection.execute("DELETE FROM clients")
    (listed,) = run(tmp_path, "clients", "list", "--json").objects
    assert (listed["client_id"], listed["known_by"], listed["live_grants"]) == ("npc_gone", "removed", 1)
    assert "removed" in run(tmp_path, "clients", "list").output
    (shown,) = run(tmp_path, "clients", "show", "npc_gone", "--json").objects
    assert shown == {"client_id": "npc_gone", "known_by": "removed", "live_grants": 1}


async def keep_document(store: Store) -> None:
    await store.record_document(
        StoredDocument(
            client_id=DOCUMENT_CLIENT,
            body=DOCUMENT,
            headers=(),
            fetched_at=1_790_000_000,
            fresh_until=1_790_000_600,
            last_good_until=1_790_086_400,
        )
    )


def fill_with_three(folder: Path) -> None:
    """One registered by itself with a grant, one registered by the operator without, one of a document with two."""
    fill(
        folder,
        register_two,
        record_grant("one", client_id="npc_self"),
        record_grant("two", client_id=DOCUMENT_CLIENT, client_metadata=snapshot("Notebook")),
        record_grant("three", client_id=DOCUMENT_CLIENT, client_metadata=snapshot("Notebook")),
    )


def count_grants(folder: Path) -> dict[str, int]:
    return {each["client_id"]: each["live_grants"] for each in run(folder, "clients", "list", "--json").objects}


def test_the_list_has_registered_clients_and_those_of_documents_that_have_a_grant(tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    listed = run(tmp_path, "clients", "list", "--json").objects
    assert [(each["client_id"], each["client_name"], each["known_by"], each["live_grants"]) for each in listed] == [
        ("npc_self", "Desk", "itself", 1),
        ("npc_trusted", "Trusted", "operator", 0),
        (DOCUMENT_CLIENT, "Notebook", "document", 2),
    ]
    assert listed[0]["forgotten_at"] - listed[0]["registered_at"] == 86400
    assert (listed[1]["forgotten_at"], listed[2]["registered_at"]) == (None, None)
    table = run(tmp_path, "clients", "list").output.splitlines()
    assert len(table) == 4
    assert table[3].split() == [DOCUMENT_CLIENT, "Notebook", "document", "2"]


def test_a_client_without_live_grants_and_registration_is_not_listed(tmp_path: Path) -> None:
    fill(tmp_path, record_grant(expires_at=int(time.time()) - 1))
    assert run(tmp_path, "clients", "list").output == "There are no clients yet.\n"


def test_a_registered_client_is_shown_with_what_it_may_do_but_no_secret(tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    (shown,) = run(tmp_path, "clients", "show", "npc_self", "--json").objects
    assert (shown["known_by"], shown["client_name"], shown["has_secret"]) == ("itself", "Desk", True)
    assert shown["redirect_uris"] == ["http://127.0.0.1/callback"]
    outcome = run(tmp_path, "clients", "show", "npc_self")
    assert "grant one" in outcome.output
    for text in (outcome.output, str(shown)):
        assert "ssss" not in text
        assert (b"s" * 32).hex() not in text


def test_a_client_of_a_document_is_shown_with_what_the_document_says(tmp_path: Path) -> None:
    fill(tmp_path, keep_document, record_grant("one", client_id=DOCUMENT_CLIENT))
    (shown,) = run(tmp_path, "clients", "show", DOCUMENT_CLIENT, "--json").objects
    assert (shown["known_by"], shown["client_name"], shown["live_grants"]) == ("document", "Notebook", 1)
    assert (shown["scope"], shown["auth_methods"]) == (["files:read"], ["private_key_jwt"])
    assert shown["jwks_uri"] == "https://app.example.com/keys.json"
    assert (shown["fetched_at"], shown["refused_at"]) == (1_790_000_000, None)
    (warning,) = shown["warnings"]
    assert "ftp://app.example/" in warning
    outcome = run(tmp_path, "clients", "show", DOCUMENT_CLIENT)
    assert "Notebook" in outcome.output
    assert "grant one" in outcome.output


def test_a_document_that_was_never_kept_leaves_what_is_known(tmp_path: Path) -> None:
    fill(tmp_path, record_grant("one", client_id=DOCUMENT_CLIENT))
    (shown,) = run(tmp_path, "clients", "show", DOCUMENT_CLIENT, "--json").objects
    assert shown == {"client_id": DOCUMENT_CLIENT, "known_by": "document", "live_grants": 1}


@pytest.mark.parametrize("command", [("show",), ("remove", "--yes"), ("revoke", "--yes")])
def test_a_client_that_is_not_there_is_status_1(command: tuple[str, ...], tmp_path: Path) -> None:
    fill(tmp_path)
    outcome = run(tmp_path, "clients", *command, "npc_gone")
    assert (outcome.status, outcome.output) == (1, "")
    assert outcome.errors == "nameplate: there is no client npc_gone\n"


def test_removing_a_registered_client_ends_its_grants(tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    outcome = run(tmp_path, "clients", "remove", "npc_self", "--yes")
    assert (outcome.status, outcome.output) == (0, "Forgot npc_self, and ended 1 grant of it.\n")
    assert count_grants(tmp_path) == {"npc_trusted": 0, DOCUMENT_CLIENT: 2}
    events = run(tmp_path, "audit", "--json", "--client", "npc_self").objects
    assert {"client.removed", "grant.revoked"} <= {event["name"] for event in events}
    assert run(tmp_path, "clients", "remove", "npc_self", "--yes").status == 1


def test_removing_a_client_of_a_document_ends_its_grants(tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    outcome = run(tmp_path, "clients", "remove", DOCUMENT_CLIENT, "--yes", "--json")
    assert outcome.objects == [{"client_id": DOCUMENT_CLIENT, "removed": False, "ended": 2}]
    assert count_grants(tmp_path) == {"npc_self": 1, "npc_trusted": 0}


def test_revoking_leaves_a_registered_client_known(tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    outcome = run(tmp_path, "clients", "revoke", "npc_self", "--yes")
    assert (outcome.status, outcome.output) == (0, "Ended 1 grant of npc_self. It may ask again.\n")
    assert count_grants(tmp_path) == {"npc_self": 0, "npc_trusted": 0, DOCUMENT_CLIENT: 2}
    assert run(tmp_path, "clients", "revoke", "npc_trusted").output.startswith("Ended 0 grants")


@pytest.mark.parametrize(
    ("command", "asked"),
    [("remove", "Forget npc_self, and end 1 grant of it? [y/N] "), ("revoke", "End 1 grant of npc_self? [y/N] ")],
)
def test_whoever_says_no_loses_nothing(command: str, asked: str, tmp_path: Path) -> None:
    fill_with_three(tmp_path)
    outcome = run(tmp_path, "clients", command, "npc_self", typed="no\n")
    assert (outcome.status, outcome.output, outcome.errors) == (1, "", f"{tmp_path / STORE}: {asked}")
    assert run(tmp_path, "clients", command, "npc_self").status == 2
    assert count_grants(tmp_path)["npc_self"] == 1


@pytest.mark.parametrize("metadata", [None, "no json", '{"client_id":1}'])
def test_what_strangers_registered_cannot_play_with_the_terminal(metadata: str | None, tmp_path: Path) -> None:
    changes: dict[str, Any] = {} if metadata is None else {"metadata": metadata}
    client = registered_client(HOSTILE, name=HOSTILE, **changes)

    async def register(store: Store) -> None:
        await store.record_client(client, limit=10, now=client.created_at)

    fill(tmp_path, register, record_grant("one", client_id=HOSTILE, client_metadata=snapshot(HOSTILE)))
    for arguments in (("list",), ("show", HOSTILE), ("revoke", HOSTILE)):
        for form in ((), ("--json",)):
            outcome = run(tmp_path, "clients", *arguments, *form, typed="n\n")
            shown = outcome.output + outcome.errors
            assert shown.replace("\n", "").isprintable()
            assert "Ev" in shown
