"""Several processes over one SQLite file, and one that is killed."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nameplate.ports.verdicts import AlreadyAnswered, Unknown
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_samples import BROWSER, NOW, approve_sample, sample_code, sample_pending

CHILD = Path(__file__).with_name("sqlite_child.py")
MANY = 1_000_000


@contextmanager
def run_child(command: str, path: Path, count: int) -> Iterator[subprocess.Popen[str]]:
    """A child that has opened its store and waits for a line."""
    arguments = [sys.executable, str(CHILD), command, str(path), str(count)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
            yield child
        finally:
            child.kill()


def start(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with run_child("approve", path, MANY) as child:
        start(child)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(300)]
        child.kill()
        lines += child.stdout.readlines()
    acknowledged = {int(line) for line in lines if line.endswith("\n")}
    assert len(acknowledged) >= 300

    async def read_all() -> None:
        store = await SqliteStore.open(str(path))
        for number in range(max(acknowledged) + 100):
            code = await store.load_code(sample_code(f"{number}").code_hash)
            pending = await store.load_authorization(sample_pending(f"{number}").id_hash, BROWSER, NOW)
            assert (code != Unknown()) == isinstance(pending, AlreadyAnswered), (
                "an approval is stored whole or not at all"
            )
            assert number not in acknowledged or code != Unknown()
        await store.aclose()

    asyncio.run(read_all())
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_two_processes_redeem_each_code_once(tmp_path: Path) -> None:
    path, count = tmp_path / "store.sqlite", 300

    async def approve_all() -> None:
        store = await SqliteStore.open(str(path))
        await asyncio.gather(*(approve_sample(store, f"{number}") for number in range(count)))
        await store.aclose()

    asyncio.run(approve_all())
    with ExitStack() as stack:
        children = [stack.enter_context(run_child("redeem", path, count)) for _ in range(2)]
        for child in children:
            start(child)
        won = [{int(line) for line in child.communicate()[0].split()} for child in children]
    assert won[0] | won[1] == set(range(count))
    assert not won[0] & won[1]


def test_processes_that_start_together_make_one_schema(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    arguments = [sys.executable, str(CHILD), "redeem", str(path), "0"]
    children = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [child.communicate("go\n")[0] for child in children] == ["open\n"] * 4
    assert [child.returncode for child in children] == [0] * 4
