"""``nameplate clients register``: what the operator gives, what he gets once, and what he is told is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from admin_kit import HOSTILE, Outcome, fill, run

from nameplate.ports.store import Store
from nameplate.protocol.client_metadata import ClientMetadata, parse_snapshot
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.secret import hash_bearer_value

ROBOT = {"client_name": "Robot", "redirect_uris": ["https://robot.example.com/cb"], "scope": "notes:read"}


def register(folder: Path, members: dict[str, Any] | bytes, *flags: str) -> Outcome:
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    (folder / "robot.json").write_bytes(body)
    return run(folder, "clients", "register", "robot.json", *flags)


def load(folder: Path, client_id: str) -> RegisteredClient:
    found: list[RegisteredClient] = []

    async def step(store: Store) -> None:
        client = await store.load_client(client_id)
        assert isinstance(client, RegisteredClient)
        found.append(client)

    fill(folder, step)
    return found[0]


def test_a_client_is_registered_for_good_and_its_secret_is_kept_as_a_hash(tmp_path: Path) -> None:
    fill(tmp_path)
    outcome = register(tmp_path, ROBOT, "--json")
    (answer,) = outcome.objects
    assert outcome.status == 0
    assert answer | ROBOT == answer
    assert answer["client_secret_expires_at"] == 0
    stored = load(tmp_path, answer["client_id"])
    assert stored.expires_at is None
    assert stored.secret_hash == hash_bearer_value(answer["client_secret"])
    assert parse_snapshot(stored.metadata) == ClientMetadata(
        client_id=answer["client_id"],
        client_name="Robot",
        redirect_uris=("https://robot.example.com/cb",),
        grant_types=("authorization_code", "refresh_token"),
        grant_types_listed=True,
        scope=("notes:read",),
        auth_methods=("client_secret_basic", "client_secret_post"),
        known_by="operator",
    )


def test_people_are_shown_id_and_secret_and_told_to_keep_it(tmp_path: Path) -> None:
    fill(tmp_path)
    outcome = register(tmp_path, ROBOT)
    assert "npd_" in outcome.output
    assert "npe_" in outcome.output
    assert "it is not shown again" in outcome.output
    listed = run(tmp_path, "clients", "list", "--json").objects
    assert [(entry["client_name"], entry["known_by"]) for entry in listed] == [("Robot", "operator")]


def test_a_client_without_a_secret_gets_none(tmp_path: Path) -> None:
    fill(tmp_path)
    outcome = register(tmp_path, {**ROBOT, "token_endpoint_auth_method": "none"})
    assert outcome.status == 0
    assert "secret" not in outcome.output


def test_what_was_dropped_is_said_and_cannot_move_the_cursor(tmp_path: Path) -> None:
    fill(tmp_path)
    members = {**ROBOT, "client_name": HOSTILE, "redirect_uris": [*ROBOT["redirect_uris"], f"robot:{HOSTILE}"]}
    outcome = register(tmp_path, members)
    assert "dropped" in outcome.errors
    for shown in (outcome.output, outcome.errors):
        assert not {"\x1b", "\r", "\x07", "\u202e", "\x7f"}.intersection(shown)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({}, "redirect_uris: is missing"),
        ({"redirect_uris": ["http://robot.example.com/cb"]}, "no entry can be used"),
        ({**ROBOT, "token_endpoint_auth_method": "tls_client_auth"}, "is none of those performed here"),
        (b"[", "is not JSON"),
        (b" " * 20_000, "has at most 16384 bytes"),
    ],
)
def test_what_cannot_be_registered_is_refused_naming_the_file(
    tmp_path: Path, members: dict[str, Any] | bytes, problem: str
) -> None:
    fill(tmp_path)
    outcome = register(tmp_path, members)
    assert outcome.status == 2
    assert "robot.json: " in outcome.errors
    assert problem in outcome.errors
    assert outcome.output == ""
    assert run(tmp_path, "clients", "list", "--json").objects == []


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    fill(tmp_path)
    outcome = run(tmp_path, "clients", "register", "missing.json")
    assert outcome.status == 2
    assert "missing.json: it cannot be read" in outcome.errors
