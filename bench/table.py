"""The measurements as rows: medians and ratios; on the terminal as a table, in a file as JSON."""

import os
import platform
import sqlite3
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.rounds import IDLE_MEMORY, START, Measurement, RoundOptions, Speed
from bench.workloads import WORKLOADS

__all__ = ["Figures", "Row", "build_json", "build_rows", "print_tables"]

_DISTRIBUTIONS = ("nameplate", "starlette", "uvicorn", "uvloop", "httptools", "cryptography", "joserfc")
_GOALS = {**{workload.name: workload.goal for workload in WORKLOADS}, START: "≤ 2.8 ×", IDLE_MEMORY: "≤ 50 MB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One side of a row: medians over the rounds that count."""

    value: float
    speed: Speed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Ours beside the floor.

    ``ratio`` is the median of the rounds' ratios, ``lowest`` and ``highest`` are the extremes of these; None where the
    floor's work was too little for the system's clock to see. ``more`` is the median of the differences.
    """

    name: str
    goal: str
    ours: Figures
    floor: Figures
    ratio: float | None
    lowest: float | None
    highest: float | None
    more: float


def build_rows(measurements: Sequence[Measurement]) -> list[Row]:
    """A row for each name, in order. The first round only warms up, unless it is the only one."""
    last = max(each.round for each in measurements)
    counted = [each for each in measurements if each.round > 0 or last == 0]
    return [_build_row(name, counted) for name in dict.fromkeys(each.row for each in counted)]


def _build_row(name: str, counted: Sequence[Measurement]) -> Row:
    ours = [each for each in counted if (each.row, each.side) == (name, "ours")]
    floor = [each for each in counted if (each.row, each.side) == (name, "floor")]
    # Pairs, because what else the machine does changes from round to round, and hits both sides of one alike.
    pairs = [(mine.value, least.value) for mine, least in zip(ours, floor, strict=True)]
    ratios = [mine / least for mine, least in pairs if least > 0]
    return Row(
        name=name,
        goal=_GOALS[name],
        ours=_build_figures(ours),
        floor=_build_figures(floor),
        ratio=statistics.median(ratios) if ratios else None,
        lowest=min(ratios, default=None),
        highest=max(ratios, default=None),
        more=statistics.median(mine - least for mine, least in pairs),
    )


def _build_figures(measurements: Sequence[Measurement]) -> Figures:
    speeds = [each.speed for each in measurements if each.speed is not None]
    return Figures(
        value=statistics.median(each.value for each in measurements),
        speed=Speed(
            requests_per_second=statistics.median(speed.requests_per_second for speed in speeds),
            p50_seconds=statistics.median(speed.p50_seconds for speed in speeds),
            p99_seconds=statistics.median(speed.p99_seconds for speed in speeds),
        )
        if speeds
        else None,
    )


def print_tables(rows: Sequence[Row], console: Console) -> None:
    """What it costs, and how fast the answers came."""
    cost = _build_table("What it costs: medians; CPU of the server process per request where it says µs")
    speed = _build_table("How fast the answers came, server and driver on the same machine")
    for name in ("ours", "floor", "ratio", "from – to", "more", "to reach"):
        cost.add_column(name, justify="right", no_wrap=True)
    for name in ("ours, req/s", "p50 / p99", "floor, req/s", "p50 / p99"):
        speed.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        show = _SHOWN_IN.get(row.name, _show_microseconds)
        spread = f"{_show_ratio(row.lowest)} – {_show_ratio(row.highest)}"
        ours, floor, more = (show(value) for value in (row.ours.value, row.floor.value, row.more))
        cost.add_row(row.name, ours, floor, _show_ratio(row.ratio), spread, more, row.goal)
        if row.ours.speed is not None and row.floor.speed is not None:
            speed.add_row(row.name, *_show_speed(row.ours.speed), *_show_speed(row.floor.speed))
    console.print(cost, speed)


def _build_table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("", no_wrap=True)
    return table


def _show_ratio(ratio: float | None) -> str:
    return "?" if ratio is None else f"{ratio:.2f}"


def _show_microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"


def _show_milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


def _show_megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.0f} MB"


_SHOWN_IN: dict[str, Callable[[float], str]] = {START: _show_milliseconds, IDLE_MEMORY: _show_megabytes}


def _show_speed(speed: Speed) -> tuple[str, str]:
    latency = f"{speed.p50_seconds * 1e3:.1f} / {speed.p99_seconds * 1e3:.1f} ms"
    return f"{speed.requests_per_second:.0f}", latency


def build_json(rows: Sequence[Row], measurements: Sequence[Measurement], options: RoundOptions) -> dict[str, object]:
    """Everything: the machine, the options, the rows, and each measurement in the order in which it was made."""
    return {
        "machine": {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "distributions": {name: version(name) for name in _DISTRIBUTIONS},
        },
        "options": asdict(options),
        "rows": [asdict(row) for row in rows],
        "measurements": [asdict(measurement) for measurement in measurements],
    }
