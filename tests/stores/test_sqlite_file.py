"""The file of a SQLite store: its name, its rights, and files that are not ours."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from nameplate.errors import StoreError
from nameplate.stores.sqlite import SqliteStore
from nameplate.stores.sqlite_file import parse_database_path
from nameplate.stores.sqlite_schema import SCHEMA_VERSION, migrate
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
    with pytest.raises(StoreError, match=r"the folder .*/missing is missing.*No such file"):
        asyncio.run(open_and_close(tmp_path / "missing" / "store.sqlite"))


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"it is a folder.*unable to open database file"):
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
    assert "must be writable too" in answers[0]
    assert "permission denied" in answers[1]


def test_a_file_that_others_may_open_and_only_its_owner_can_change_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory, path = Path(name), Path(name) / "store.sqlite"
        asyncio.run(open_and_close(path))
        directory.chmod(0o777)
        path.chmod(0o666)
        child = [sys.executable, str(CHILD), "open_as_nobody", str(path)]
        answer = subprocess.run(child, capture_output=True, text=True, check=True).stdout
        mode = stat.S_IMODE(path.stat().st_mode)
    if os.geteuid() == 0:
        assert "cannot be changed to 0600 by this user" in answer
        assert mode == 0o666
    else:  # the child is the owner
        assert (answer, mode) == ("opened\n", 0o600)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_store_that_others_may_read_is_tightened_together_with_its_other_files(tmp_path: Path, is_link: bool) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "store.sqlite"
    path = tmp_path / "link.sqlite" if is_link else real

    async def reopen() -> dict[str, int]:
        first = await SqliteStore.open(str(real))
        await approve_sample(first)
        for each in real.parent.iterdir():
            each.chmod(0o644)
        second = await SqliteStore.open(str(path))
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in real.parent.iterdir()}
        await approve_sample(first, "again")  # its locks and files still serve
        await second.aclose()
        await first.aclose()
        return modes

    if is_link:
        path.symlink_to(real)
    modes = asyncio.run(reopen())
    assert modes == {"store.sqlite": 0o600, "store.sqlite-wal": 0o600, "store.sqlite-shm": 0o600}


def test_the_rights_of_another_programs_file_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE notes (text)")
    connection.close()
    path.chmod(0o644)
    with pytest.raises(StoreError, match="another program"):
        asyncio.run(open_and_close(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


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


def test_a_disk_that_is_full_is_told_as_the_cause(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store", isolation_level=None)) as connection:
        connection.execute("PRAGMA max_page_count = 3")  # what SQLite answers is the same
        with pytest.raises(sqlite3.OperationalError, match="database or disk is full"):
            migrate(connection)
        assert not connection.in_transaction
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    asyncio.run(open_and_close(path))
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer nameplate"):
        asyncio.run(open_and_close(path))
