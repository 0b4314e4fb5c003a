"""The file of a SQLite store: its name, its rights, and files that are not ours."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nameplate.errors import StoreError
from nameplate.stores.sqlite import SqliteStore
from nameplate.stores.sqlite_file import parse_database_path
from nameplate.stores.sqlite_schema import SCHEMA_VERSION
from nameplate.testing.store_samples import approve_sample

CHILD = Path(__file__).with_name("sqlite_child.py")


async def open_and_close(path: Path | str) -> None:
    store = await SqliteStore.open(str(path))
    await approve_sample(store, str(path))
    await store.aclose()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("store.sqlite", "/folder/store.sqlite"),
        ("var/store.sqlite", "/folder/var/store.sqlite"),
        ("/var/store.sqlite", "/var/store.sqlite"),
        ("sqlite:///store.sqlite", "/folder/store.sqlite"),
        ("sqlite:///var/store.sqlite", "/folder/var/store.sqlite"),
        ("sqlite:////var/store.sqlite", "/var/store.sqlite"),
        ("sqlite:////var/a%20b #c.sqlite", "/var/a%20b #c.sqlite"),
        ("what?.sqlite", "/folder/what?.sqlite"),
    ],
)
def test_a_path_or_url_names_a_file(given: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_database_path(given) == Path(expected.replace("/folder", str(tmp_path), 1))


@pytest.mark.parametrize(
    "given",
    [
        "",
        ":memory:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/store.sqlite",
        "sqlite:///store.sqlite?mode=ro",
        "SQLITE:///store.sqlite",
        "postgresql://host/store",
        "a\0b",
    ],
)
def test_what_names_no_file_is_refused(given: str) -> None:
    with pytest.raises(StoreError):
        parse_database_path(given)


@pytest.mark.parametrize("name", ["store.sqlite", "a b.sqlite", "100%.sqlite", "what?#.sqlite", "ünï.sqlite"])
def test_a_store_lies_under_exactly_the_name_it_was_given(name: str, tmp_path: Path) -> None:
    asyncio.run(open_and_close(tmp_path / name))
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_a_url_opens_the_same_store_as_its_path(tmp_path: Path) -> None:
    asyncio.run(open_and_close(f"sqlite:///{tmp_path}/store.sqlite"))
    asyncio.run(open_and_close(tmp_path / "store.sqlite"))
    assert list(tmp_path.iterdir()) == [tmp_path / "store.sqlite"]


def test_only_the_owner_may_read_the_store_whatever_the_umask(tmp_path: Path) -> None:
    def list_modes() -> dict[str, int]:
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    async def use_store() -> dict[str, int]:
        store = await SqliteStore.open(str(tmp_path / "store.sqlite"))
        await approve_sample(store)
        modes = list_modes()
        await store.aclose()
        return modes

    umask = os.umask(0)
    try:
        modes = asyncio.run(use_store())
    finally:
        os.umask(umask)
    assert modes == {"store.sqlite": 0o600, "store.sqlite-wal": 0o600, "store.sqlite-shm": 0o600}


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        asyncio.run(open_and_close(tmp_path / "missing" / "store.sqlite"))


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        asyncio.run(open_and_close(tmp_path))


def test_files_that_cannot_be_written_are_refused_at_the_start() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        asyncio.run(open_and_close(directory / "old.sqlite"))
        (directory / "open").mkdir(mode=0o777)
        (directory / "open").chmod(0o777)
        asyncio.run(open_and_close(directory / "open" / "old.sqlite"))
        for path in (directory / "old.sqlite", directory / "open" / "old.sqlite"):
            path.chmod(0o444)
        directory.chmod(0o555)
        paths = [directory / "new.sqlite", directory / "old.sqlite", directory / "open" / "old.sqlite"]
        child = [sys.executable, str(CHILD), "open_as_nobody", *map(str, paths)]
        answers = subprocess.run(child, capture_output=True, text=True, check=True).stdout.splitlines()
        directory.chmod(0o755)
    assert [answer.partition(":")[0] for answer in answers] == ["StoreError"] * 3, answers


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 500)
    before = path.read_bytes()
    with pytest.raises(StoreError):
        asyncio.run(open_and_close(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "script", ["CREATE TABLE notes (text)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"]
)
def test_the_database_of_another_program_is_refused_and_left_alone(script: str, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        asyncio.run(open_and_close(path))
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").touch()
    asyncio.run(open_and_close(tmp_path / "store.sqlite"))


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    asyncio.run(open_and_close(path))
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer nameplate"):
        asyncio.run(open_and_close(path))
