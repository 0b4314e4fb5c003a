"""``python -m bench.growth``: the same requests with a thousand, a hundred thousand and a million stored grants."""

import asyncio
import json
import os
import statistics
import sys
from asyncio import Runner
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import asyncpg
import uvloop
from cyclopts import App, Parameter
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.driver import connect
from bench.failure import BenchFailed
from bench.growth.filling import fill_postgres, fill_sqlite
from bench.ours import Place, run_ours
from bench.process import find_free_port, find_processes, read_memory_bytes
from bench.resource_app import PATH
from bench.rounds import Measurement, RoundOptions, measure_side
from bench.visitor import Visitor
from bench.workloads import INTROSPECTION, WORKLOADS
from bench.world import DOCUMENT, REDIRECT_URI, Side, build_publisher, open_keyed_side
from nameplate.testing.document_host import run_document_host

__all__ = ["main"]

ROWS = ("authorize, document warm", "code exchange", "refresh")
KEYED_ROWS = ("code exchange, ES256", "refresh, ES256")
MEMORY = "memory of all processes"

app = App(name="python -m bench.growth", help="Measure our server while its store grows.", version_flags=[])


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is measured.

    Parameters
    ----------
    store
        Where our server keeps everything.
    postgres
        The database to use for PostgreSQL. A schema is made in it, and dropped.
    grants
        How many grants are stored, in growing order.
    workers
        How many processes serve.
    """

    store: Literal["sqlite", "postgres"] = "sqlite"
    postgres: str = "postgresql://127.0.0.1/test"
    grants: Annotated[tuple[int, ...], Parameter(negative=())] = (1_000, 100_000, 1_000_000)
    workers: int = 1

    @property
    def title(self) -> str:
        """In words, for above the table."""
        return f"{self.store}, {self.workers} {'process' if self.workers == 1 else 'processes'}"


@app.default
def main(
    setting: Setting = Setting(),
    *,
    rounds: int = 5,
    requests: int = 500,
    connections: int = 16,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Measure, and print the table.

    Parameters
    ----------
    rounds
        How often each row is measured at each size. The first round only warms up, unless it is the only one.
    requests
        How many requests a round sends for a row.
    connections
        How many are on their way at once.
    json_file
        Write every measurement to this file, too.
    """
    options = RoundOptions(rounds=rounds, requests=requests, connections=connections)
    with TemporaryDirectory() as name, Runner(loop_factory=uvloop.new_event_loop) as runner:
        store = _Store(Path(name), setting.postgres if setting.store == "postgres" else None)
        measurements = runner.run(_measure(store, setting, options))
    _print_table(measurements, setting.grants, setting.title)
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(each) for each in measurements], indent=1) + "\n")


class _Store:
    """A store of our own in the folder, or in a schema of the database."""

    def __init__(self, directory: Path, postgres_url: str | None) -> None:
        self.directory = directory
        self._postgres_url = postgres_url
        self._schema = f"nameplate_bench_{os.getpid()}"
        self._file = directory / "nameplate.sqlite3"

    @property
    def url(self) -> str:
        """As the configuration names it."""
        if self._postgres_url is None:
            return f"sqlite:///{self._file}"
        separator = "&" if "?" in self._postgres_url else "?"
        return f"{self._postgres_url}{separator}schema={self._schema}"

    async def fill(self, grants: int) -> None:
        """Bring it to so many grants."""
        if self._postgres_url is None:
            await asyncio.to_thread(fill_sqlite, str(self._file), grants)
        else:
            await fill_postgres(self._postgres_url, self._schema, grants)

    async def drop(self) -> None:
        """Leave nothing behind in the database."""
        if self._postgres_url is not None:
            connection = await asyncpg.connect(self._postgres_url)
            await connection.execute(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")
            await connection.close()


async def _measure(store: _Store, setting: Setting, options: RoundOptions) -> list[Measurement]:
    measurements: list[Measurement] = []
    status = Console(stderr=True).status("starting the server")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.drop)
        stack.enter_context(status)
        side, keyed_side = await _open_sides(stack, store, setting.workers)
        for size in setting.grants:
            status.update(f"filling the store with {size} grants")
            await store.fill(size)
            for number in range(options.rounds):
                status.update(f"{size} grants, round {number + 1} of {options.rounds}")
                measured = await _measure_round(side, keyed_side, number, options)
                measurements.extend(replace(each, side=str(size)) for each in measured)
    return measurements


async def _measure_round(side: Side, keyed_side: Side, number: int, options: RoundOptions) -> list[Measurement]:
    measured = [
        await measure_side(keyed_side if workload.name in KEYED_ROWS else side, workload, number, options)
        for workload in (*WORKLOADS, INTROSPECTION)
        if workload.name in (*ROWS, *KEYED_ROWS, INTROSPECTION.name)
    ]
    memory = sum(map(read_memory_bytes, find_processes(side.pid)))
    return [*measured, Measurement(round=number, row=MEMORY, side=side.name, value=memory)]


async def _open_sides(stack: AsyncExitStack, store: _Store, workers: int) -> tuple[Side, Side]:
    host = await stack.enter_async_context(run_document_host(store.directory))
    place = Place(
        host=host,
        client_id=host.publish("/client.json", DOCUMENT),
        redirect_uri=REDIRECT_URI,
        resource=f"http://127.0.0.1:{find_free_port()}{PATH}",
    )
    access, process = await stack.enter_async_context(
        run_ours(store.directory, place, store_url=store.url, workers=workers)
    )
    visitor = Visitor(access, publish=build_publisher(host))
    await visitor.open()
    side = Side(name="ours", url=access.issuer, pid=process.pid, visitor=visitor)
    async with connect(access.issuer, connections=1) as driver:  # the grant that is copied
        await visitor.take_refresh_tokens(driver, 1)
    return side, await open_keyed_side(side, host)


def _print_table(measurements: Sequence[Measurement], sizes: Sequence[int], title: str) -> None:
    last = max(each.round for each in measurements)
    counted = [each for each in measurements if each.round > 0 or last == 0]
    table = Table(title=f"{title}: CPU time per request, requests a second", title_justify="left", box=SIMPLE)
    table.add_column("stored grants", no_wrap=True)
    for size in sizes:
        table.add_column(f"{size:,}".replace(",", " "), justify="right")
        table.add_column("req/s", justify="right")
    table.add_column("last ÷ first", justify="right")
    for row in dict.fromkeys(each.row for each in counted):
        medians: list[float] = []
        cells: list[str] = []
        for size in sizes:
            found = [each for each in counted if (each.row, each.side) == (row, str(size))]
            medians.append(statistics.median(each.value for each in found))
            speeds = [each.speed.requests_per_second for each in found if each.speed is not None]
            shown = f"{medians[-1] / 1e6:.0f} MB" if row == MEMORY else f"{medians[-1] * 1e6:.0f} µs"
            cells += [shown, f"{statistics.median(speeds):.0f}" if speeds else ""]
        table.add_row(row, *cells, f"{medians[-1] / medians[0]:.2f}")
    Console(width=max(120, Console().width)).print(table)


if __name__ == "__main__":
    try:
        app()
    except BenchFailed as error:
        Console(stderr=True).print(f"[bold red]bench:[/] {error}", soft_wrap=True, markup=False)
        sys.exit(1)
