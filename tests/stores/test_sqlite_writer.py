"""The writer thread: what shares a commit, and what goes wrong in it."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from nameplate.errors import StoreError
from nameplate.stores.sqlite_writer import SqliteWriter

Operation = Callable[[sqlite3.Connection], object]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """What the writer is given; it closes it."""
    connection = connect(tmp_path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE numbers (number INTEGER UNIQUE, filling TEXT) STRICT")
    yield connection
    connection.close()


def connect(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "numbers.sqlite", isolation_level=None, check_same_thread=False, timeout=0.001)


def read_numbers(tmp_path: Path) -> set[int]:
    connection = connect(tmp_path)
    numbers = {row[0] for row in connection.execute("SELECT number FROM numbers")}
    connection.close()
    return numbers


def insert(number: int, filling: str = "") -> Operation:
    def operation(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers (number, filling) VALUES (?, ?)", (number, filling))
        return number

    return operation


def run(connection: sqlite3.Connection, scenario: Callable[[SqliteWriter], Awaitable[None]]) -> None:
    """Play a scenario with a writer, and close it."""

    async def main() -> None:
        writer = SqliteWriter(connection, patience_seconds=0.05)
        await scenario(writer)
        await writer.aclose()

    asyncio.run(main())


async def run_together(writer: SqliteWriter, operations: list[Operation]) -> list[object]:
    """The outcomes of operations that all wait while the writer is held up, and so share one group."""
    hold = threading.Event()
    held = asyncio.create_task(writer.run(lambda _: hold.wait()))
    tasks = [asyncio.create_task(writer.run(operation)) for operation in operations]
    await asyncio.sleep(0)
    hold.set()
    return (await asyncio.gather(held, *tasks, return_exceptions=True))[1:]


def test_operations_that_wait_together_share_one_commit(connection: sqlite3.Connection, tmp_path: Path) -> None:
    statements: list[str] = []

    async def scenario(writer: SqliteWriter) -> None:
        connection.set_trace_callback(statements.append)
        assert await run_together(writer, [insert(number) for number in range(100)]) == list(range(100))
        assert read_numbers(tmp_path) == set(range(100))

    run(connection, scenario)
    # The operation that held the writer up may have been a group of its own.
    assert statements.count("COMMIT") <= 2


def test_an_operation_that_fails_half_way_takes_nothing_with_it(connection: sqlite3.Connection, tmp_path: Path) -> None:
    def fail_half_way(connection: sqlite3.Connection) -> None:
        insert(50)(connection)
        insert(1)(connection)

    async def scenario(writer: SqliteWriter) -> None:
        outcomes = await run_together(writer, [insert(1), fail_half_way, insert(2), insert(1), insert(3)])
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, False, True, False]

    run(connection, scenario)
    assert read_numbers(tmp_path) == {1, 2, 3}


@pytest.mark.parametrize("value", [2**63, "\ud800"], ids=["integer over 64 bits", "lone surrogate"])
def test_a_value_that_cannot_be_bound_fails_its_own_operation_only(
    connection: sqlite3.Connection, tmp_path: Path, value: object
) -> None:
    def bind(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers (filling) VALUES (?)", (value,))

    async def scenario(writer: SqliteWriter) -> None:
        outcomes = await run_together(writer, [insert(1), bind, insert(2)])
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, False]

    run(connection, scenario)
    assert read_numbers(tmp_path) == {1, 2}


def test_when_sqlite_rolls_back_everything_only_the_operation_at_fault_fails(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    def lose_the_transaction(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite does by itself after some I/O errors
        raise sqlite3.OperationalError("disk I/O error")

    async def scenario(writer: SqliteWriter) -> None:
        outcomes = await run_together(writer, [insert(1), lose_the_transaction, insert(2)])
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, False]
        assert "disk I/O error" in str(outcomes[1])

    run(connection, scenario)
    assert read_numbers(tmp_path) == {1, 2}


def test_a_full_disk_fails_only_what_does_not_fit(connection: sqlite3.Connection, tmp_path: Path) -> None:
    connection.execute("PRAGMA max_page_count = 20")

    async def scenario(writer: SqliteWriter) -> None:
        outcomes = await run_together(writer, [insert(1), insert(2, "x" * 200_000), insert(3)])
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, False]
        assert "full" in str(outcomes[1])

    run(connection, scenario)
    assert read_numbers(tmp_path) == {1, 3}


def test_another_writer_is_waited_for(connection: sqlite3.Connection, tmp_path: Path) -> None:
    other = connect(tmp_path)

    async def scenario(writer: SqliteWriter) -> None:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(writer.run(insert(1)))
        await asyncio.sleep(0)
        other.execute("COMMIT")
        assert await task == 1

    run(connection, scenario)
    other.close()


def test_the_wait_for_another_writer_is_bounded(connection: sqlite3.Connection, tmp_path: Path) -> None:
    other = connect(tmp_path)

    async def scenario(writer: SqliteWriter) -> None:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await writer.run(insert(1))
        other.execute("COMMIT")
        assert await writer.run(insert(2)) == 2

    run(connection, scenario)
    other.close()
    assert read_numbers(tmp_path) == {2}


def test_a_cancelled_caller_leaves_its_operation_and_its_neighbours_alone(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    async def scenario(writer: SqliteWriter) -> None:
        hold = threading.Event()
        held = asyncio.create_task(writer.run(lambda _: hold.wait()))
        tasks = [asyncio.create_task(writer.run(insert(number))) for number in range(10)]
        await asyncio.sleep(0)
        tasks[4].cancel()
        hold.set()
        await held
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(outcomes.pop(4), asyncio.CancelledError)
        assert outcomes == [0, 1, 2, 3, 5, 6, 7, 8, 9]

    run(connection, scenario)
    assert read_numbers(tmp_path) == set(range(10))


def test_a_loop_that_ended_while_its_operation_ran_does_not_stop_the_writer(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    hold = threading.Event()
    writer = SqliteWriter(connection)

    async def leave_early() -> None:
        task = asyncio.create_task(writer.run(lambda connection: hold.wait() and insert(1)(connection)))
        await asyncio.sleep(0)
        assert not task.done()

    async def come_later() -> None:
        hold.set()
        assert await writer.run(insert(2)) == 2
        await writer.aclose()

    asyncio.run(leave_early())
    asyncio.run(come_later())
    assert read_numbers(tmp_path) == {1, 2}


def test_an_exception_that_no_operation_may_raise_stops_the_writer_and_tells_every_caller(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))

    def break_a_rule(_: sqlite3.Connection) -> None:
        raise LookupError

    async def scenario(writer: SqliteWriter) -> None:
        outcomes = await run_together(writer, [insert(1), break_a_rule, insert(2)])
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [True] * 3
        with pytest.raises(StoreError):
            await writer.run(insert(3))

    run(connection, scenario)
    assert reported == [LookupError]
    assert read_numbers(tmp_path) == set()
