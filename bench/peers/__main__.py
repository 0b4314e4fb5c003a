"""``python -m bench.peers``: our server beside FastMCP's OAuth proxy and npm's oidc-provider, row by row."""

import importlib.util
import json
import os
import shutil
import statistics
import sys
from asyncio import Runner
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import uvloop
from cyclopts import App, Parameter
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.failure import BenchFailed
from bench.ours import Place, run_ours
from bench.peers.fastmcp_app import STORES
from bench.peers.visitor import FastMcpVisitor, RedirectVisitor
from bench.process import ROOT, find_free_port, run_server
from bench.resource_app import PATH, SCOPES
from bench.rounds import Measurement, RoundOptions, measure_side, take_turns
from bench.visitor import Visitor
from bench.workloads import WORKLOADS
from bench.world import DOCUMENT, REDIRECT_URI, Side, build_publisher, open_keyed_side
from nameplate.testing.document_host import run_document_host
from nameplate.testing.serving import open_listener, serve_app

__all__ = ["main"]

ROWS = ("metadata", "authorize, document warm", "authorize, document cold", "code exchange", "refresh")
KEYED_ROWS = ("code exchange, ES256", "refresh, ES256")
OURS = "ours"
NODE_FOLDER = ROOT / "bench" / "peers" / "node"

app = App(name="python -m bench.peers", help="Measure our server beside its peers.", version_flags=[])


@app.default
def main(
    *,
    rounds: int = 5,
    requests: int = 200,
    connections: int = 8,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Measure, and print the table. A peer that is not installed has no column.

    Parameters
    ----------
    rounds
        How often each row is measured on every side. The first round only warms up, unless it is the only one.
    requests
        How many requests a round sends for a row, to each side.
    connections
        How many are on their way at once.
    json_file
        Write every measurement to this file, too.
    """
    options = RoundOptions(rounds=rounds, requests=requests, connections=connections)
    with TemporaryDirectory() as name, Runner(loop_factory=uvloop.new_event_loop) as runner:
        measurements = runner.run(_measure(Path(name), options))
    _print_table(measurements)
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(each) for each in measurements], indent=1) + "\n")


async def _measure(directory: Path, options: RoundOptions) -> list[Measurement]:
    measurements: list[Measurement] = []
    async with _open_sides(directory) as (sides, keyed_sides):
        with Console(stderr=True).status("") as status:
            for number in range(options.rounds):
                for workload in (each for each in WORKLOADS if each.name in (*ROWS, *KEYED_ROWS)):
                    for side in take_turns(keyed_sides if workload.name in KEYED_ROWS else sides, number):
                        status.update(f"round {number + 1} of {options.rounds}: {workload.name}, {side.name}")
                        measurements.append(await measure_side(side, workload, number, options))
    return measurements


@asynccontextmanager
async def _open_sides(directory: Path) -> AsyncIterator[tuple[list[Side], list[Side]]]:
    """Every side, visited by a public client, and again by a client with a key."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(run_document_host(directory))
        place = Place(
            host=host,
            client_id=host.publish("/client.json", DOCUMENT),
            redirect_uri=REDIRECT_URI,
            resource=f"http://127.0.0.1:{find_free_port()}{PATH}",
        )
        host.documents["/client.json"].headers["Cache-Control"] = "max-age=3600"  # or FastMCP would fetch it each time
        access, process = await stack.enter_async_context(run_ours(directory, place))
        visitor = Visitor(access, publish=build_publisher(host))
        await visitor.open()
        sides = [Side(name=OURS, url=access.issuer, pid=process.pid, visitor=visitor)]
        if importlib.util.find_spec("fastmcp"):
            upstream = await stack.enter_async_context(_run_upstream())
            for store in STORES:
                sides.append(await _open_fastmcp(stack, place, directory, store, upstream))  # noqa: PERF401
        if (NODE_FOLDER / "node_modules" / "oidc-provider").is_dir() and shutil.which("node"):
            sides.append(await _open_oidc_provider(stack, place, directory))
        yield sides, [await open_keyed_side(side, host) for side in sides]


async def _open_fastmcp(stack: AsyncExitStack, place: Place, directory: Path, store: str, upstream: str) -> Side:
    port = find_free_port()
    resource = f"http://127.0.0.1:{port}/mcp"  # the proxy protects the server that it is part of
    command = (
        *(sys.executable, "-m", "bench.peers.fastmcp_app", "--port", str(port), "--upstream", upstream),
        *("--store", store, "--ca-file", str(place.host.ca_file), "--scopes", " ".join(SCOPES)),
    )
    environment = {"FASTMCP_HOME": str(directory / f"fastmcp-{store}")}
    name, access = f"FastMCP, {store} store", replace(place, resource=resource).build_access(f"http://127.0.0.1:{port}")
    return await _open_peer(
        stack, name, directory, (command, environment), FastMcpVisitor(access, publish=build_publisher(place.host))
    )


async def _open_oidc_provider(stack: AsyncExitStack, place: Place, directory: Path) -> Side:
    port = find_free_port()
    command = ("node", str(NODE_FOLDER / "oidc_provider.mjs"), str(port), place.resource, " ".join(SCOPES))
    environment = {"NODE_EXTRA_CA_CERTS": str(place.host.ca_file), "NODE_ENV": "production"}
    visitor = RedirectVisitor(place.build_access(f"http://127.0.0.1:{port}"), publish=build_publisher(place.host))
    return await _open_peer(stack, "oidc-provider, memory", directory, (command, environment), visitor)


async def _open_peer(
    stack: AsyncExitStack,
    name: str,
    directory: Path,
    start: tuple[Sequence[str], dict[str, str]],
    visitor: RedirectVisitor,
) -> Side:
    command, environment = start
    issuer = visitor.access.issuer
    log_file = directory / f"{name}.log"
    command = ("env", *(f"{key}={value}" for key, value in environment.items()), *command)
    process = await stack.enter_async_context(run_server(command, ready_url=issuer, log_file=log_file))
    await visitor.open()
    return Side(name=name, url=issuer, pid=process.pid, visitor=visitor)


@asynccontextmanager
async def _run_upstream() -> AsyncIterator[str]:
    """The token endpoint of the provider behind FastMCP's proxy, in this process: its time is nobody's."""

    async def issue(_request: Request) -> Response:
        token = {"access_token": "upstream", "refresh_token": os.urandom(16).hex(), "token_type": "Bearer"}
        return JSONResponse({**token, "expires_in": 3600, "scope": " ".join(SCOPES)})

    listener, port = open_listener()
    async with serve_app(Starlette(routes=[Route("/token", issue, methods=["POST"])]), listener):
        yield f"http://127.0.0.1:{port}"


def _print_table(measurements: Sequence[Measurement]) -> None:
    last = max(each.round for each in measurements)
    counted = [each for each in measurements if each.round > 0 or last == 0]
    names = list(dict.fromkeys(each.side for each in sorted(counted, key=lambda each: each.side != OURS)))
    table = Table(
        title="What a request costs: CPU time of the server's process, medians", title_justify="left", box=SIMPLE
    )
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    for name in names[1:]:
        table.add_column(f"{name.partition(',')[0]} ÷ ours", justify="right")
    for row in dict.fromkeys(each.row for each in counted):
        values = {name: [each.value for each in counted if (each.row, each.side) == (row, name)] for name in names}
        costs = [f"{statistics.median(values[name]) * 1e6:.0f} µs" for name in names]
        ratios = [
            statistics.median(theirs / mine for theirs, mine in zip(values[name], values[OURS], strict=True))
            for name in names[1:]
        ]
        table.add_row(row, *costs, *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=max(150, Console().width)).print(table)


if __name__ == "__main__":
    try:
        app()
    except BenchFailed as error:
        Console(stderr=True).print(f"[bold red]bench:[/] {error}", soft_wrap=True, markup=False)
        sys.exit(1)
