"""The command line: init, hash-password, and serve where it cannot start.

What a process is needed for runs as one (permissions, locale, exit status); the tables run in this one, which is
quicker.
"""

import io
import os
import pty
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from nameplate.cli import main
from nameplate.protocol.client_id import CIMD_DRAFT
from nameplate.server.settings import load_settings

NAMEPLATE = Path(sys.executable).with_name("nameplate")
HASH = "$argon2id$v=19$m=65536,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY"
CONFIGURATION = f"""
issuer = "https://auth.example.com"
accounts = [{{ username = "alice", password_hash = "{HASH}" }}]
resources = [{{ identifier = "https://mcp.example.com/mcp", name = "Notes" }}]
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    output: str
    errors: str


def run_process(directory: Path, *arguments: str, typed: bytes = b"", **environment: str) -> Outcome:
    """Run the installed command in a clean environment."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("NAMEPLATE_")}
    result = subprocess.run(
        [NAMEPLATE, *arguments], cwd=directory, input=typed, env=clean | environment, capture_output=True, timeout=30
    )
    return Outcome(result.returncode, result.stdout.decode(), result.stderr.decode())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command in this process, in an empty directory and without settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.upper().startswith("NAMEPLATE_"):
            monkeypatch.delenv(name)

    def run_here(*arguments: str, typed: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, captured.out, captured.err)

    return run_here


def read_password(output: str) -> str:
    (password,) = re.findall(r"Password: (\S+)", output)
    return str(password)


def test_version_names_the_draft_that_is_implemented(tmp_path: Path) -> None:
    outcome = run_process(tmp_path, "--version")
    assert outcome.status == 0
    assert CIMD_DRAFT in outcome.output


def test_init_writes_a_file_that_loads_and_only_its_owner_reads(tmp_path: Path) -> None:
    outcome = run_process(tmp_path, "init")
    assert outcome.status == 0, outcome.errors
    file = tmp_path / "nameplate.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings = load_settings(file)
    assert (settings.issuer, settings.listen) == ("http://127.0.0.1:8080", "127.0.0.1:8080")
    (account,) = settings.accounts
    password = read_password(outcome.output)
    assert len(password) >= 16
    assert PasswordHasher().verify(account.password_hash, password)
    assert password not in file.read_text(encoding="utf-8")
    assert outcome.output.count(password) == 1
    assert "nameplate serve --config nameplate.toml" in outcome.output


def test_init_overwrites_nothing_and_follows_no_link(run: Callable[..., Outcome], tmp_path: Path) -> None:
    file, link = tmp_path / "nameplate.toml", tmp_path / "link.toml"
    file.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere.toml")
    for path in (file, link):
        outcome = run("init", str(path))
        assert outcome.status == 2
        assert "it was left as it is" in outcome.errors
        assert "Password" not in outcome.output
    assert file.read_text() == "mine"
    assert not (tmp_path / "elsewhere.toml").exists()


@pytest.mark.parametrize("username", ["ada", 'a"b\\c', "'[/]'", "zoë 😀", "${x}", "$password_hash", "[bold]b[/bold]"])
def test_any_name_that_can_be_shown_makes_a_file_that_loads(username: str, run: Callable[..., Outcome]) -> None:
    path = "odd [bold] :smile: name.toml"
    outcome = run("init", path, "--username", username)
    assert outcome.status == 0, outcome.errors
    assert load_settings(Path(path)).accounts[0].username == username
    assert f"nameplate serve --config '{path}'" in outcome.output
    assert f"Account: {username} " in outcome.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--username", ""), "--username"),
        (("--username", "a\nissuer = 1"), "--username"),
        (("--username", "a" * 129), "--username"),
        (("a\nb.toml",), "path"),
        (("missing/nameplate.toml",), "missing/nameplate.toml cannot be written"),
    ],
)
def test_init_writes_nothing_that_would_not_load(
    arguments: tuple[str, ...], said: str, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = run("init", *arguments)
    assert outcome.status == 2
    assert said in outcome.errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("correct horse\n", "correct horse"),
        ("correct horse\r\n", "correct horse"),
        ("correct horse", "correct horse"),
        (" spaces stay \n", " spaces stay "),
        ("first line\nsecond line\n", "first line"),
    ],
)
def test_hash_password_reads_one_line_and_prints_nothing_but_its_hash(
    typed: str, password: str, run: Callable[..., Outcome]
) -> None:
    outcome = run("accounts", "hash-password", typed=typed.encode())
    assert outcome.status == 0, outcome.errors
    (line,) = outcome.output.splitlines()
    assert PasswordHasher().verify(line, password)


def test_a_password_is_hashed_as_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    outcome = run_process(
        tmp_path, "accounts", "hash-password", typed="pässwörter\n".encode(), LC_ALL="POSIX", PYTHONUTF8="0"
    )
    assert PasswordHasher().verify(outcome.output.strip(), "pässwörter")


@pytest.mark.parametrize("typed", [b"", b"\n", b"short\n", b"x" * 1025, b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7"])
def test_a_password_that_would_not_do_is_refused(typed: bytes, run: Callable[..., Outcome]) -> None:
    outcome = run("accounts", "hash-password", typed=typed)
    assert (outcome.status, outcome.output) == (2, "")
    assert outcome.errors.startswith("nameplate: password: ")


def type_at_prompt(keys: bytes) -> tuple[int, str]:
    """The exit status and what a terminal showed, when these keys are the answer to the first prompt."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(NAMEPLATE, [str(NAMEPLATE), "accounts", "hash-password"])
    shown = b""
    with os.fdopen(terminal, "r+b", buffering=0) as file:
        while b"Password: " not in shown:
            shown += file.read(1000)
        file.write(keys)
        with suppress(OSError):  # Linux's end of file at a terminal whose program has ended
            while part := file.read(1000):
                shown += part
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of pty.fork, where another test left a thread
@pytest.mark.parametrize(
    ("keys", "status", "said"), [(b"\x04", 2, "nothing was typed."), (b"\x03", 130, "Password: \r\n")]
)
def test_a_prompt_that_is_left_ends_its_line_and_shows_no_trace(keys: bytes, status: int, said: str) -> None:
    ended, shown = type_at_prompt(keys)
    assert ended == status
    assert shown.startswith("Password: \r\n")
    assert said in shown
    assert "Traceback" not in shown


def test_serve_without_a_configuration_says_how_to_make_one(tmp_path: Path) -> None:
    outcome = run_process(tmp_path, "serve")
    assert outcome.status == 2
    assert "nameplate init" in outcome.errors


def test_serve_points_to_the_configuration_that_lies_there(run: Callable[..., Outcome]) -> None:
    Path("nameplate.toml").write_text(CONFIGURATION)
    outcome = run("serve")
    assert outcome.status == 2
    assert "There is one here: nameplate serve --config nameplate.toml." in outcome.errors


@pytest.mark.parametrize(
    "flags", [("my.toml",), ("--listen=127.0.0.1:0", "my.toml"), ("--config", "a.toml", "my.toml")]
)
def test_serve_asks_whether_a_bare_file_is_the_configuration(
    flags: tuple[str, ...], run: Callable[..., Outcome]
) -> None:
    outcome = run("serve", *flags)
    assert outcome.status == 2
    assert outcome.errors == "nameplate: my.toml: Did you mean --config my.toml?\n"


def test_a_flags_own_value_may_end_in_toml(run: Callable[..., Outcome]) -> None:
    outcome = run("serve", "--listen", "my.toml", "--config", "missing.toml")
    assert "there is no file missing.toml" in outcome.errors


@pytest.mark.parametrize(
    ("text", "flags", "environment", "said"),
    [
        ("issuer = 'https://a.example'", (), {}, "accounts: nobody could sign in; add an [[accounts]] table"),
        ("issuer = ", (), {}, "--config: broken.toml cannot be read"),
        ("isuer = 1", (), {}, "isuer: there is no such setting."),
        (CONFIGURATION, ("--listen", "[/]"), {}, "listen: '[/]' is not ADDRESS:PORT"),
        (CONFIGURATION, ("--listen=[::1:80",), {}, "listen: '[::1:80' is not ADDRESS:PORT"),
        (CONFIGURATION, ("--isuer", "x"), {}, "--isuer: there is no such setting."),
        (CONFIGURATION, ("--tokens.access_token_seconds", "0"), {}, "tokens.access_token_seconds: "),
        (CONFIGURATION, (), {"NAMEPLATE_LISTEN": "x"}, "listen: 'x' is not ADDRESS:PORT"),
        (CONFIGURATION, (), {"NAMEPLATE_ISUER": "x"}, "NAMEPLATE_ISUER: there is no such setting."),
    ],
)
def test_serve_names_the_setting_that_cannot_work(
    text: str,
    flags: tuple[str, ...],
    environment: dict[str, str],
    said: str,
    run: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("broken.toml").write_text(text)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    outcome = run("serve", *flags, "--config", "broken.toml")
    assert outcome.status == 2
    assert outcome.errors.startswith(f"nameplate: {said}")
    assert len(outcome.errors.splitlines()) == 1


def test_serve_with_a_file_that_is_not_there_names_it(run: Callable[..., Outcome]) -> None:
    outcome = run("serve", "--config", "missing.toml")
    assert outcome.status == 2
    assert "--config: there is no file missing.toml" in outcome.errors
