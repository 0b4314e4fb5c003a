"""``nameplate keys``, on a store that a server has used."""

import asyncio
import io
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nameplate.cli import main
from nameplate.ports.store import StoredSigningKey
from nameplate.protocol.signing_keys import choose_active
from nameplate.secret import hash_bearer_value
from nameplate.server.app import AuthorizationServer
from nameplate.server.settings import ResourceServerSettings, load_settings
from nameplate.server.signing_keys import find_latest, seal_jwk
from nameplate.stores.sqlite import SqliteStore
from nameplate.vault import Vault, generate_encryption_key, parse_encryption_keys

HASH = "$argon2id$v=19$m=65536,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY"
CONFIGURATION = f"""
issuer = "https://auth.example.com"
accounts = [{{ username = "alice", password_hash = "{HASH}" }}]
resources = [{{ identifier = "https://mcp.example.com/mcp", name = "Notes" }}]

[store]
url = "sqlite:///store.sqlite3"
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    output: str
    errors: str

    @property
    def facts(self) -> dict[str, Any]:
        """The one JSON object that it printed."""
        (line,) = self.output.splitlines()
        facts: dict[str, Any] = json.loads(line)
        return facts


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``nameplate keys …`` in a folder with a configuration. Who types nothing has no terminal."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nameplate.toml").write_text(CONFIGURATION)

    def run_here(*arguments: str, typed: str | None = None) -> Outcome:
        terminal = io.StringIO(typed)
        monkeypatch.setattr(terminal, "isatty", lambda: typed is not None)
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(SystemExit) as ended:
            main(["keys", *arguments])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        assert "Traceback" not in captured.err
        return Outcome(ended.value.code, captured.out, captured.err)

    return run_here


@pytest.fixture
def served(run: Run) -> str:
    """A server has run on the store; the ``kid`` of its key."""
    start_server()
    (row,) = load_rows()
    return row.kid


def start_server() -> list[str]:
    """Start a server on the store, and stop it. Which keys it published."""

    async def start() -> list[str]:
        server = AuthorizationServer(load_settings(Path("nameplate.toml")))
        async with server.running() as context:
            context.signing_keys.sign({}, typ="at+jwt")
            return [key["kid"] for key in json.loads(bytes(context.signing_keys.jwks.body))["keys"]]

    return asyncio.run(start())


def load_rows() -> Sequence[StoredSigningKey]:
    async def load() -> Sequence[StoredSigningKey]:
        store = await SqliteStore.open("store.sqlite3")
        try:
            return await store.load_signing_keys()
        finally:
            await store.aclose()

    return asyncio.run(load())


def add_row(row: StoredSigningKey) -> None:
    async def add() -> None:
        store = await SqliteStore.open("store.sqlite3")
        try:
            await store.record_signing_key(row, latest=find_latest(await store.load_signing_keys()))
        finally:
            await store.aclose()

    asyncio.run(add())


def find_signing() -> str:
    active = choose_active(load_rows(), int(time.time()))
    assert active is not None
    return active.kid


def read_key_file() -> str:
    return Path("store.sqlite3.key").read_text().strip()


def read_key_name(text: str) -> str:
    (name,) = Vault(parse_encryption_keys([text], setting="s")).key_ids
    return name


def test_keys_are_listed_with_their_state(run: Run, served: str) -> None:
    waiting = run("rotate", "--json").facts["kid"]
    outcome = run("list")
    assert outcome.status == 0
    head, first, second = outcome.output.splitlines()
    assert head.split("  ")[0] == "KID"
    assert re.match(rf"{waiting}\s+waiting\s+20", first)
    assert re.match(rf"{served}\s+signing\s+20", second)
    assert all(f"{read_key_name(read_key_file())} (current)" in line for line in (first, second))


def test_keys_are_listed_for_programs_one_object_a_line(run: Run, served: str) -> None:
    now = run("rotate", "--at-once", "--json").facts["kid"]
    run("withdraw", served, "--yes")
    lines = [json.loads(line) for line in run("list", "--json").output.splitlines()]
    assert [(line["kid"], line["state"]) for line in lines] == [(now, "signing"), (served, "withdrawn")]
    assert lines[0]["needed_until_at"] is None
    assert lines[1]["needed_until_at"] == lines[1]["withdrawn_at"] + 660
    assert all(line["encryption"] == "current" for line in lines)
    assert set(lines[0]) == {
        *("kid", "state", "encryption_key", "encryption"),
        *("created_at", "created_time", "active_from_at", "active_from_time"),
        *("withdrawn_at", "withdrawn_time", "needed_until_at", "needed_until_time"),
    }


def test_a_rotation_says_from_when_the_new_key_signs(run: Run, served: str) -> None:
    before = int(time.time())
    outcome = run("rotate")
    (row, _old) = load_rows()
    assert outcome.status == 0
    assert re.fullmatch(rf"Made {row.kid}, which signs from 20\S+ \S+ \S+ on\.\n", outcome.output)
    assert before + 3600 <= row.active_from <= time.time() + 3600
    assert find_signing() == served
    again = run("rotate")
    assert again.output.startswith(f"There is a new key already: {row.kid}, which signs from ")
    assert run("rotate", "--json").facts["made"] is False
    assert len(load_rows()) == 2
    assert start_server() == [row.kid, served]


def test_a_rotation_at_once_says_what_it_risks(run: Run, served: str) -> None:
    outcome = run("rotate", "--at-once")
    assert outcome.status == 0
    assert find_signing() != served
    assert outcome.output.startswith(f"Made {find_signing()}, which signs as soon as")
    assert "Running servers notice within 30 seconds." in outcome.output
    assert "refuses its tokens until he fetches them again" in outcome.output
    facts = run("rotate", "--at-once", "--json").facts
    assert facts["made"] is True
    assert facts["kid"] == find_signing()


def test_withdrawing_the_only_key_makes_another_first(run: Run, served: str) -> None:
    outcome = run("withdraw", served, "--yes")
    assert outcome.status == 0
    assert outcome.output.startswith(f"Withdrew {served}; a new key signs now, {find_signing()}.\n")
    assert start_server() == [find_signing()] != [served]


def test_withdrawing_for_programs(run: Run, served: str) -> None:
    waiting = run("rotate", "--json").facts["kid"]
    facts = run("withdraw", served, "--yes", "--json").facts
    assert facts == {"kid": served, "signing": waiting, "made": False}
    assert run("withdraw", waiting, "--yes", "--json").facts["made"] is True


def test_withdrawing_is_not_done_without_being_asked_for_twice(run: Run, served: str) -> None:
    outcome = run("withdraw", served)
    assert outcome.status == 2
    assert "--yes" in outcome.errors
    assert [row.withdrawn_at for row in load_rows()] == [None]


@pytest.mark.parametrize("kid", ["nobody", "-nobody", "\x1b[2J"])
def test_a_key_that_does_not_exist_is_not_withdrawn(run: Run, served: str, kid: str) -> None:
    outcome = run("withdraw", kid, "--yes")
    assert outcome.status == 1
    assert "there is no signing key" in outcome.errors
    assert "\x1b[2J" not in outcome.errors
    assert [row.withdrawn_at for row in load_rows()] == [None]


@pytest.mark.parametrize("kid", ["-Kq9", "--yes", "-c"])
def test_a_key_whose_name_looks_like_an_option_can_be_withdrawn(run: Run, served: str, kid: str) -> None:
    vault = Vault(parse_encryption_keys([read_key_file()], setting="s"))
    (row,) = load_rows()
    private = vault.open(row.sealed_jwk, purpose=f"signing key {row.kid}")
    add_row(StoredSigningKey(kid=kid, sealed_jwk=seal_jwk(private, kid, vault), created_at=0, active_from=0))
    assert run("withdraw", "--yes", "--", kid).status == 0
    assert {row.kid: row.withdrawn_at is not None for row in load_rows()} == {kid: True, served: False}


def test_everything_is_encrypted_anew_under_the_first_key(run: Run, served: str, tmp_path: Path) -> None:
    old, new = read_key_file(), generate_encryption_key()
    Path("store.sqlite3.key").write_text(f"{new}\n{old}\n")
    assert [json.loads(line)["encryption"] for line in run("list", "--json").output.splitlines()] == ["older"]
    outcome = run("reseal")
    assert outcome.status == 0
    assert outcome.output == f"Encrypted 1 signing key anew, to lie under {read_key_name(new)}.\n"
    Path("store.sqlite3.key").write_text(f"{new}\n")
    assert start_server() == [served]
    facts = run("reseal", "--json").facts
    nothing = {"resealed": 0, "current": 0, "unreadable": 0}
    assert facts == {
        "encryption_key": read_key_name(new),
        "resealed": 0,
        "current": 1,
        "unreadable": [],
        "upstream_tokens": nothing,
    }


def test_a_lost_key_file_is_told_and_what_is_told_helps(run: Run, served: str) -> None:
    lost = read_key_name(read_key_file())
    Path("store.sqlite3.key").unlink()
    for arguments in (["rotate"], ["rotate", "--at-once"], ["withdraw", served, "--yes"], ["reseal"]):
        outcome = run(*arguments)
        assert outcome.status == 1
        assert f"the encryption key {lost} is not here" in outcome.errors
        assert "NAMEPLATE_STORE__ENCRYPTION_KEYS" in outcome.errors
    assert not Path("store.sqlite3.key").exists()
    listed = [json.loads(line) for line in run("list", "--json").output.splitlines()]
    assert [(line["encryption_key"], line["encryption"]) for line in listed] == [(lost, "unreadable")]
    # as the page says to which the message leads
    Path("store.sqlite3.key").write_text(run("generate-encryption-key").output)
    outcome = run("withdraw", served, "--yes")
    assert outcome.status == 1
    assert "nameplate keys withdraw --unreadable" in outcome.errors
    assert run("withdraw", "--unreadable", served, "--yes").status == 0
    assert start_server() == [find_signing()] != [served]


def test_a_key_that_only_the_command_cannot_open_is_asked_about_in_earnest(
    run: Run, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = read_key_name(read_key_file())
    monkeypatch.setenv("NAMEPLATE_STORE__ENCRYPTION_KEYS", json.dumps([given := generate_encryption_key()]))
    assert run("withdraw", "--unreadable", served).status == 2
    for typed, status in (("yes", 1), ("y", 1), ("", 1), (served, 0)):
        assert [row.withdrawn_at for row in load_rows()] == [None]
        outcome = run("withdraw", "--unreadable", served, typed=f"{typed}\n")
        assert outcome.status == status
        for told in (lacking, read_key_name(given), "the server's environment", "every access token", f"Type {served}"):
            assert told in outcome.errors
    assert start_server() == [find_signing()] != [served]


def test_a_key_that_can_be_opened_is_asked_about_as_ever(run: Run, served: str, tmp_path: Path) -> None:
    outcome = run("withdraw", "--unreadable", served, typed="y\n")
    assert outcome.status == 0
    assert outcome.errors.startswith(f"{tmp_path / 'store.sqlite3'}: Withdraw the signing key {served}? ")


def test_with_another_encryption_key_nothing_is_made_or_withdrawn(run: Run, served: str) -> None:
    Path("store.sqlite3.key").write_text(generate_encryption_key())
    for arguments in (["rotate"], ["rotate", "--at-once"], ["withdraw", served, "--yes"]):
        outcome = run(*arguments)
        assert outcome.status == 1
        assert f"the signing key {served} cannot be opened" in outcome.errors
    outcome = run("reseal")
    assert outcome.status == 1
    assert f"the signing key {served} cannot be opened by any of the encryption keys" in outcome.errors
    assert [(row.kid, row.withdrawn_at) for row in load_rows()] == [(served, None)]


def test_nothing_is_made_where_no_server_ever_ran(run: Run, tmp_path: Path) -> None:
    for arguments in (["list"], ["rotate"], ["reseal"], ["withdraw", "x", "--yes"]):
        outcome = run(*arguments)
        assert outcome.status == 1
        assert "there is no store" in outcome.errors
    assert [path.name for path in tmp_path.iterdir()] == ["nameplate.toml"]


def test_no_command_prints_what_is_secret(run: Run, served: str) -> None:
    key_text = read_key_file()
    vault = Vault(parse_encryption_keys([key_text], setting="s"))
    (row,) = load_rows()
    private = json.loads(vault.open(row.sealed_jwk, purpose=f"signing key {row.kid}"))["d"]
    printed = ""
    for arguments in (["list"], ["list", "--json"], ["rotate"], ["reseal"], ["withdraw", served, "--yes"]):
        outcome = run(*arguments)
        printed += outcome.output + outcome.errors
    assert served in printed
    assert private not in printed
    assert key_text not in printed


def test_encryption_keys_are_made_one_at_a_time(run: Run) -> None:
    texts = [run("generate-encryption-key").output for _ in range(2)]
    texts.append(f"{run('generate-encryption-key', '--json').facts['encryption_key']}\n")
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}\n", text) for text in texts)
    assert len(set(parse_encryption_keys([text.strip() for text in texts], setting="s"))) == 3


def test_secrets_come_with_the_hash_that_the_configuration_wants(run: Run) -> None:
    shown, setting = run("generate-secret").output.splitlines()
    (secret,) = re.findall(r"^Secret: ([A-Za-z0-9_-]{43}) ", shown)
    (secret_hash,) = re.findall(r'^secret_hash = "(.*)"$', setting)
    facts = run("generate-secret", "--json").facts
    assert facts["secret"] != secret
    for text, hashed in ((secret, secret_hash), (facts["secret"], facts["secret_hash"])):
        settings = ResourceServerSettings(id="files", secret_hash=hashed, resources=("https://mcp.example.com/mcp",))
        assert settings.secret_hash == f"sha256:{hash_bearer_value(text).hex()}"
