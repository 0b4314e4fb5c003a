"""Rounds: in each, every side fetches warm and cold, one side right after the other, in alternating order."""

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bench.failure import BenchFailed
from bench.fetch.sides import OURS, SIDES, Place, is_installed
from bench.process import ROOT
from nameplate.testing.document_host import DocumentHost, run_document_host

__all__ = ["COLD", "WARM", "Crowds", "Measurement", "Measurements", "RoundOptions", "measure_rounds"]

WARM, COLD = "warm", "cold"
HOST = "documents.bench.example"
SLOW_NAMES, SLOW_SECONDS = 200, 3.0
AT_ONCE = 100
COLD_ONE_IN = 4
LONGEST_SECONDS = 120

DOCUMENT = {
    "client_name": "Bench",
    "client_uri": "https://client.example",
    "logo_uri": "https://client.example/logo.png",
    "redirect_uris": ["http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
    "scope": "notes:read notes:write",
    "contacts": ["security@client.example"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOptions:
    """How often, and how many warm fetches at a time."""

    rounds: int
    fetches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a fetch cost on one side in one round: seconds of CPU, and of waiting (the median)."""

    round: int
    kind: str
    side: str
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowds:
    """What our cache did with many loads at once.

    ``requests`` came to the host when ``AT_ONCE`` loads asked for one document that was in no cache. ``quiet`` and
    ``busy`` are how long documents took, alone, and while ``waiting`` of ``SLOW_NAMES`` names waited for their name
    servers (the others were refused at once).
    """

    requests: list[int] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """All of a run. The first round, which warms up, is in neither unless it is the only one."""

    sides: tuple[str, ...]
    fetches: list[Measurement] = field(default_factory=list)
    crowds: Crowds = field(default_factory=Crowds)


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, work: str, **order: object) -> dict[str, Any]:
        """Have it do something; what came of it. Raises ``BenchFailed``."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise BenchFailed("a worker has no pipes")
        stdin.write(json.dumps({"work": work, **order}).encode() + b"\n")
        try:
            line = await asyncio.wait_for(stdout.readline(), LONGEST_SECONDS)
        except TimeoutError:
            raise BenchFailed(f"{work}: no answer in {LONGEST_SECONDS} s") from None
        if not line:
            raise BenchFailed(f"{work}: the worker ended; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        if "failure" in answer:
            raise BenchFailed(f"{work}: {answer['failure']}")
        return answer


@asynccontextmanager
async def _run_worker(side: str, place: Place) -> AsyncIterator[_Worker]:
    command = (sys.executable, "-m", "bench.fetch.worker", side, place.build_json())
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**20
    )
    try:
        yield _Worker(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()  # so it ends
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


async def measure_rounds(directory: Path, options: RoundOptions, say: Callable[[str], None]) -> Measurements:
    """Everything that is measured, with the host's files in ``directory``. ``say`` is told what is being done.

    Raises ``BenchFailed``.
    """
    sides = tuple(side for side in SIDES if is_installed(side))
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(run_document_host(directory, name=HOST))
        place = Place(name=host.name, port=host.port, ca_file=str(host.ca_file))
        workers = {side: await stack.enter_async_context(_run_worker(side, place)) for side in sides}
        measurements = Measurements(sides=sides)
        publisher = _Publisher(host)
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}")
            fetched = [each async for each in _measure_fetches(workers, publisher, number, options)]
            crowds = await _measure_crowds(workers[OURS], publisher, number, options)
            if number > 0 or options.rounds == 1:
                measurements.fetches.extend(fetched)
                _add_crowds(measurements.crowds, crowds)
    return measurements


class _Publisher:
    def __init__(self, host: DocumentHost) -> None:
        self.host = host
        self._numbers = count()

    def publish(self, kind: str) -> tuple[str, str]:
        """The path and the URL of a document that nobody has fetched; a cold one's connection is not kept."""
        path = f"/clients/{next(self._numbers)}.json"
        url = self.host.publish(path, DOCUMENT)
        if kind == COLD:
            self.host.documents[path].headers["Connection"] = "close"
        return path, url


async def _measure_fetches(
    workers: dict[str, _Worker], publisher: _Publisher, number: int, options: RoundOptions
) -> AsyncIterator[Measurement]:
    for kind, fetches in ((WARM, options.fetches), (COLD, max(1, options.fetches // COLD_ONE_IN))):
        _, url = publisher.publish(kind)
        for side in workers if number % 2 == 0 else reversed(workers):
            answer = await workers[side].ask("fetch", url=url, count=fetches)
            yield Measurement(
                round=number,
                kind=kind,
                side=side,
                cpu_seconds=answer["cpu_seconds"],
                wall_seconds=statistics.median(answer["took_seconds"]),
            )


async def _measure_crowds(ours: _Worker, publisher: _Publisher, number: int, options: RoundOptions) -> Crowds:
    path, url = publisher.publish(COLD)
    await ours.ask("load at once", url=url, count=AT_ONCE)
    crowds = Crowds(requests=[publisher.host.requests.count(path)])
    loads = max(1, options.fetches // COLD_ONE_IN)
    for slow_names in (0, SLOW_NAMES) if number % 2 == 0 else (SLOW_NAMES, 0):
        urls = [publisher.publish(COLD)[1] for _ in range(1 + loads)]
        order = {"urls": urls, "slow_names": slow_names, "slow_seconds": SLOW_SECONDS}
        answer = await ours.ask("load beside slow names", **order)
        (crowds.busy if slow_names else crowds.quiet).extend(answer["took_seconds"])
        if slow_names:
            crowds.waiting.append(answer["still_waiting"])
    if not crowds.waiting[0]:
        raise BenchFailed("the slow names were answered before the documents came: ask for fewer --fetches")
    return crowds


def _add_crowds(all_crowds: Crowds, crowds: Crowds) -> None:
    for name in ("requests", "quiet", "busy", "waiting"):
        getattr(all_crowds, name).extend(getattr(crowds, name))
