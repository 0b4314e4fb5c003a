"""``python -m bench``: measure, print the tables, write the JSON."""

import json
import sys
from asyncio import Runner
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import uvloop
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.markup import escape

from bench.failure import BenchFailed
from bench.rounds import START, Measurement, RoundOptions, run_rounds
from bench.table import build_json, build_rows, print_tables
from bench.visitor import Access
from bench.workloads import WORKLOADS
from bench.world import Driven, open_world

__all__ = ["main"]

TABLE_WIDTH = 110

Positive = Annotated[int, Parameter(validator=Number(gte=1))]

app = App(
    name="python -m bench", help="Measure what the authorization server costs, next to a floor.", version_flags=[]
)


@Parameter(name="*", group="A server that runs already")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that runs on this machine already, to be measured in place of one that is started here.

    Parameters
    ----------
    url
        Its issuer, over plain http.
    pid
        Its process, whose CPU time is read.
    client_id
        The URL of a client's document that it can fetch, and that allows a refresh token.
    redirect_uri
        A redirect URI of that client.
    resource
        A resource that it serves.
    scope
        Scopes of that resource, with spaces between.
    username
        Somebody who may sign in with a password.
    password
        That password.
    """

    url: str
    pid: int
    client_id: str
    redirect_uri: str
    resource: str
    scope: str
    username: str
    password: str

    def build_driven(self) -> Driven:
        """The same for the bench."""
        access = Access(
            issuer=self.url,
            client_id=self.client_id,
            redirect_uri=self.redirect_uri,
            resource=self.resource,
            scope=self.scope,
            username=self.username,
            password=self.password,
        )
        return Driven(access=access, pid=self.pid)


@app.default
def main(
    *,
    rounds: Positive = 7,
    requests: Positive = 500,
    connections: Positive = 8,
    only: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
    running: RunningServer | None = None,
) -> None:
    """Measure, and print the tables.

    Parameters
    ----------
    rounds
        How often each row is measured on both sides. The first round only warms up, unless it is the only one.
    requests
        How many requests a round sends for a row, to each side.
    connections
        How many are on their way at once.
    only
        Measure this row alone, named as in the table. Can be repeated. Idle memory comes with the start.
    json_file
        Write everything that was measured to this file, too.
    """
    _check_names(only)
    options = RoundOptions(rounds=rounds, requests=requests, connections=connections, only=only)
    measurements = _measure(options, running.build_driven() if running else None)
    if not measurements:
        raise BenchFailed("none of these rows can be measured at a server that runs already")
    rows = build_rows(measurements)
    print_tables(rows, Console(width=max(TABLE_WIDTH, Console().width)))
    if json_file is not None:
        json_file.write_text(json.dumps(build_json(rows, measurements, options), indent=1) + "\n")


def _check_names(only: tuple[str, ...]) -> None:
    known = [*(workload.name for workload in WORKLOADS), START]
    if unknown := [name for name in only if name not in known]:
        raise BenchFailed(f"no row is called {unknown[0]!r}; there are: {'; '.join(known)}")


def _measure(options: RoundOptions, driven: Driven | None) -> list[Measurement]:
    status = Console(stderr=True).status("starting the servers")

    async def measure(directory: Path) -> list[Measurement]:
        async with open_world(directory, driven) as world:
            return await run_rounds(world, options, status.update)

    with TemporaryDirectory() as name, status, Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure(Path(name)))


if __name__ == "__main__":
    try:
        app()
    except BenchFailed as error:
        Console(stderr=True).print(f"[bold red]bench:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
