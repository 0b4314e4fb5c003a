"""Long reads of a SQLite store: all is found, a stretch at a time, beside the event loop."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import StoreError
from nameplate.stores import sqlite_lister
from nameplate.stores.sqlite_lister import Condition, Listing, SqliteLister, load_stretch

NUMBERS = Listing(table="numbers", columns="id, kind", build=lambda row: int(row[0]))
ODD = Listing(
    table="numbers", columns="id", build=lambda row: int(row[0]), conditions=(Condition("kind = ?", ("odd",)),)
)


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_lister, "_IDS_AT_ONCE", 3)


def connect(path: Path | str, ids: list[int]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY, kind TEXT NOT NULL) STRICT")
    connection.execute("CREATE INDEX numbers_kind ON numbers (kind DESC, id DESC)")
    rows = [(number, "odd" if number % 2 else "even") for number in ids]
    connection.executemany("INSERT INTO numbers VALUES (?, ?)", rows)
    return connection


def run(scenario: Callable[[SqliteLister], Awaitable[None]], ids: list[int]) -> None:
    async def main() -> None:
        lister = SqliteLister(connect(":memory:", ids))
        await scenario(lister)
        await lister.aclose()

    asyncio.run(main())


@pytest.fixture(scope="module")
def lister() -> Iterator[tuple[asyncio.Runner, SqliteLister, sqlite3.Connection]]:
    connection = connect(":memory:", [])
    with asyncio.Runner() as runner:
        lister = SqliteLister(connection)
        yield runner, lister, connection
        runner.run(lister.aclose())


@given(
    ids=st.sets(st.integers(min_value=1, max_value=40)),
    after=st.integers(min_value=0, max_value=41),
    limit=st.integers(min_value=0, max_value=30),
)
def test_all_is_found_in_its_order_whatever_the_gaps(
    lister: tuple[asyncio.Runner, SqliteLister, sqlite3.Connection], ids: set[int], after: int, limit: int
) -> None:
    runner, reads, connection = lister
    connection.execute("DELETE FROM numbers")
    connection.executemany("INSERT INTO numbers VALUES (?, ?)", [(each, "odd" if each % 2 else "even") for each in ids])
    behind = [number for number in sorted(ids) if number > after]
    assert runner.run(reads.list(NUMBERS, after=after, limit=limit)) == behind[:limit]
    assert runner.run(reads.list(ODD, after=after, limit=limit)) == [each for each in behind if each % 2][:limit]


def test_a_stretch_in_which_nothing_is_found_is_short() -> None:
    connection = connect(":memory:", [2, 4, 6, 100, 102, 104])
    assert load_stretch(connection, listing=ODD, after=0, limit=9) == ([], 4)
    assert load_stretch(connection, listing=ODD, after=4, limit=9) == ([], 8)
    assert load_stretch(connection, listing=ODD, after=8, limit=9) == ([], 102)
    assert load_stretch(connection, listing=ODD, after=102, limit=9) == ([], None)
    assert load_stretch(connection, listing=ODD, after=104, limit=9) == ([], None)
    connection.close()


def test_a_long_list_neither_runs_on_the_loops_thread_nor_keeps_other_reads_waiting() -> None:
    threads: list[threading.Thread] = []

    def build(row: tuple[int]) -> int:
        threads.append(threading.current_thread())
        return row[0]

    async def scenario(lister: SqliteLister) -> None:
        listing = Listing(table="numbers", columns="id", build=build, conditions=(Condition("id > ?", (0,)),))
        long = asyncio.create_task(lister.list(listing, after=0, limit=10**6))
        await asyncio.sleep(0)
        assert await lister.run(lambda connection: connection.execute("SELECT 7").fetchone()) == (7,)
        assert not long.done()
        assert await long == list(range(1, 1000))
        assert threading.main_thread() not in threads

    run(scenario, list(range(1, 1000)))


def test_a_read_that_fails_and_one_after_the_end_are_errors_of_the_store() -> None:
    async def scenario(lister: SqliteLister) -> None:
        with pytest.raises(StoreError, match="no such table"):
            await lister.list(Listing(table="letters", columns="id", build=tuple), after=0, limit=1)
        with pytest.raises(StoreError):
            await lister.list(NUMBERS, after=2**63, limit=1)
        await lister.aclose()
        with pytest.raises(StoreError, match="closed"):
            await lister.list(NUMBERS, after=0, limit=1)

    run(scenario, [1])


def test_the_end_waits_for_the_reads_that_were_accepted() -> None:
    hold = threading.Event()

    def wait(connection: sqlite3.Connection) -> object:
        hold.wait()
        return connection.execute("SELECT count(*) FROM numbers").fetchone()

    async def scenario(lister: SqliteLister) -> None:
        reads = [asyncio.create_task(lister.run(wait)) for _ in range(3)]
        await asyncio.sleep(0)
        end = asyncio.create_task(lister.aclose())
        await asyncio.sleep(0)
        hold.set()
        await end
        assert await asyncio.gather(*reads) == [(2,)] * 3

    run(scenario, [1, 2])


def test_a_cancelled_list_takes_nothing_from_the_next(tmp_path: Path) -> None:
    async def scenario(lister: SqliteLister) -> None:
        lists = [asyncio.create_task(lister.list(ODD, after=0, limit=100)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in lists[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*lists, return_exceptions=True)
        assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [True, False] * 5
        assert outcomes[1] == list(range(1, 50, 2))

    run(scenario, list(range(50)))


def test_reads_see_what_another_connection_committed(tmp_path: Path) -> None:
    writer = connect(tmp_path / "numbers.sqlite", [1])

    async def scenario() -> None:
        lister = SqliteLister(sqlite3.connect(tmp_path / "numbers.sqlite", check_same_thread=False))
        for number in (3, 5, 7):
            await asyncio.to_thread(partial(writer.execute, "INSERT INTO numbers VALUES (?, 'odd')", (number,)))
            assert (await lister.list(ODD, after=0, limit=9))[-1] == number
        await lister.aclose()

    asyncio.run(scenario())
    writer.close()
