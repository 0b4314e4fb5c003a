"""Several processes over one PostgreSQL database."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from nameplate.stores.postgres import PostgresStore
from nameplate.stores.postgres_schema import SCHEMA_VERSION
from nameplate.testing.store_samples import approve_sample
from postgres_kit import fetch_value

pytestmark = pytest.mark.postgres

CHILD = Path(__file__).with_name("postgres_child.py")


def start_children(url: str, count: int, *, children: int) -> list[subprocess.Popen[str]]:
    arguments = [sys.executable, str(CHILD), url, f"{count}"]
    pipe = subprocess.PIPE
    return [subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True) for _ in range(children)]


def test_processes_that_start_together_make_one_schema(new_schema_url: str) -> None:
    children = start_children(new_schema_url, 0, children=8)
    assert [child.communicate("go\n")[0] for child in children] == ["open\n"] * 8
    assert [child.returncode for child in children] == [0] * 8
    versions = asyncio.run(fetch_value(new_schema_url, "select array_agg(version) from store_version"))
    assert versions == [SCHEMA_VERSION]


def test_two_processes_redeem_each_code_once(postgres_store_url: str) -> None:
    count = 100

    async def approve_all() -> None:
        store = await PostgresStore.open(postgres_store_url)
        await asyncio.gather(*(approve_sample(store, f"{number}") for number in range(count)))
        await store.aclose()

    asyncio.run(approve_all())
    children = start_children(postgres_store_url, count, children=2)
    for child in children:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        child.stdin.write("go\n")
        child.stdin.flush()
    won = [{int(line) for line in child.communicate()[0].split()} for child in children]
    assert won[0] | won[1] == set(range(count))
    assert not won[0] & won[1]
