"""Rounds: in each, every workload is measured on both sides, one right after the other, in alternating order."""

import statistics
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from bench.driver import Load, connect
from bench.process import find_processes, read_cpu_seconds, read_memory_bytes
from bench.workloads import WORKLOADS, Workload
from bench.world import Side, Starter, World

__all__ = [
    "IDLE_MEMORY",
    "START",
    "Measurement",
    "RoundOptions",
    "Speed",
    "measure_side",
    "run_rounds",
    "take_turns",
]

IDLE_MEMORY = "idle memory"
START = "start to first answer"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOptions:
    """How often, how many requests at a time, over how many connections. ``only`` are names of rows; empty: all."""

    rounds: int
    requests: int
    connections: int
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast the answers came, seen from the driver."""

    requests_per_second: float
    p50_seconds: float
    p99_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A figure of one side. ``value``: CPU seconds of the server per request, or the start's seconds, or bytes."""

    round: int
    row: str
    side: str
    value: float
    requests: int = 1
    speed: Speed | None = None


async def run_rounds(world: World, options: RoundOptions, say: Callable[[str], None]) -> list[Measurement]:
    """Every measurement, in the order in which they were made. ``say`` is told what is being done.

    Raises ``BenchFailed`` where an answer is not what it must be.
    """
    return [each for number in range(options.rounds) async for each in _run_round(world, options, number, say)]


async def _run_round(
    world: World, options: RoundOptions, number: int, say: Callable[[str], None]
) -> AsyncIterator[Measurement]:
    for workload in WORKLOADS:
        if not options.only or workload.name in options.only:
            say(f"round {number + 1} of {options.rounds}: {workload.name}")
            for side in take_turns(workload.find_sides(world), number):
                yield await measure_side(side, workload, number, options)
    if not options.only or START in options.only:
        say(f"round {number + 1} of {options.rounds}: {START}")
        for name, start in take_turns(list(world.starters.items()), number):
            for measurement in await _measure_start(name, start, number, world):
                yield measurement


def take_turns(sides: Sequence[_T], number: int) -> Iterator[_T]:
    """Who was first is second in the next round: what the first leaves behind (caches, clock speed) evens out."""
    return iter(sides) if number % 2 == 0 else reversed(sides)


async def measure_side(side: Side, workload: Workload, number: int, options: RoundOptions) -> Measurement:
    """One row of one side, in one round. Raises ``BenchFailed`` where an answer is not what it must be."""
    count = max(1, options.requests // workload.one_in)
    async with connect(side.visitor.access.issuer, connections=options.connections) as driver:
        batch = await workload.prepare(side, driver, count)
    async with connect(side.url, connections=options.connections) as driver:
        processes = find_processes(side.pid)
        before = sum(map(read_cpu_seconds, processes))
        load = await driver.send(batch.requests)
        cpu_seconds = sum(map(read_cpu_seconds, processes)) - before
    batch.keep(load.answers)
    return Measurement(
        round=number,
        row=workload.name,
        side=side.name,
        value=cpu_seconds / count,
        requests=count,
        speed=_build_speed(load),
    )


def _build_speed(load: Load) -> Speed:
    latencies = sorted(load.latencies)
    return Speed(
        requests_per_second=len(latencies) / load.seconds,
        p50_seconds=statistics.median(latencies),
        p99_seconds=latencies[int(len(latencies) * 0.99)],
    )


async def _measure_start(name: str, start: Starter, number: int, world: World) -> list[Measurement]:
    """Start it once more, with an empty folder."""
    with TemporaryDirectory() as directory:
        async with start(Path(directory), world.place) as (_, process):
            return [
                Measurement(round=number, row=START, side=name, value=process.start_seconds),
                Measurement(round=number, row=IDLE_MEMORY, side=name, value=read_memory_bytes(process.pid)),
            ]
