"""``python -m bench.fetch``: measure, print, write the JSON."""

import json
import sys
from asyncio import Runner
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import uvloop
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.markup import escape

from bench.failure import BenchFailed
from bench.fetch.rounds import RoundOptions, measure_rounds
from bench.fetch.table import build_json, build_rows, print_tables

__all__ = ["main"]

TABLE_WIDTH = 110

Positive = Annotated[int, Parameter(validator=Number(gte=1))]

app = App(
    name="python -m bench.fetch",
    help="Measure what a guarded fetch costs, next to a bare one and to FastMCP's.",
    version_flags=[],
)


@app.default
def main(
    *,
    rounds: Positive = 7,
    fetches: Positive = 200,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Measure, and print.

    Parameters
    ----------
    rounds
        How often each side is measured. The first round only warms up, unless it is the only one.
    fetches
        How many warm fetches a round makes on each side. Of cold ones it makes a quarter as many.
    json_file
        Write everything that was measured to this file, too.
    """
    options = RoundOptions(rounds=rounds, fetches=fetches)
    status = Console(stderr=True).status("starting")
    with TemporaryDirectory() as name, status, Runner(loop_factory=uvloop.new_event_loop) as runner:
        measurements = runner.run(measure_rounds(Path(name), options, status.update))
    rows = build_rows(measurements)
    print_tables(rows, measurements, Console(width=max(TABLE_WIDTH, Console().width)))
    if json_file is not None:
        json_file.write_text(json.dumps(build_json(rows, measurements, options), indent=1) + "\n")


if __name__ == "__main__":
    try:
        app()
    except BenchFailed as error:
        Console(stderr=True).print(f"[bold red]bench:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
