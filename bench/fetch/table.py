"""The measurements as rows, on the terminal and in a file."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.fetch.rounds import AT_ONCE, COLD, SLOW_NAMES, WARM, Crowds, Measurements, RoundOptions
from bench.fetch.sides import BARE, FASTMCP, OURS

__all__ = ["Ratio", "Row", "build_json", "build_rows", "find_p99", "print_tables"]

_DISTRIBUTIONS = ("nameplate", "httpcore2", "httpx2", "anyio", "fastmcp")
_GOALS = {WARM: "≤ 1.3 ×", COLD: "≤ 1.1 ×"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The median of the rounds' ratios, and their extremes."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``seconds`` are each side's medians over the rounds, ``ratios`` those of each other side: ours divided by it."""

    name: str
    goal: str
    seconds: Mapping[str, float]
    ratios: Mapping[str, Ratio]


def build_rows(measurements: Measurements) -> list[Row]:
    """A row each for CPU and waiting, warm and cold. Ours is to reach its goal beside the bare pool."""
    return [
        _build_row(measurements, kind, measure, goal if measure == "cpu_seconds" else "")
        for kind, goal in _GOALS.items()
        for measure in ("cpu_seconds", "wall_seconds")
    ]


def _build_row(measurements: Measurements, kind: str, measure: str, goal: str) -> Row:
    values = {
        side: [float(getattr(each, measure)) for each in measurements.fetches if (each.kind, each.side) == (kind, side)]
        for side in measurements.sides
    }
    ours = values[OURS]
    return Row(
        name=f"{kind} fetch, {'CPU' if measure == 'cpu_seconds' else 'waiting'}",
        goal=goal,
        seconds={side: statistics.median(seconds) for side, seconds in values.items()},
        ratios={side: _build_ratio(ours, seconds) for side, seconds in values.items() if side != OURS},
    )


def _build_ratio(ours: Sequence[float], others: Sequence[float]) -> Ratio:
    # Pairs, because what else the machine does changes from round to round, and hits all sides of one alike.
    ratios = [mine / other for mine, other in zip(ours, others, strict=True)]
    return Ratio(median=statistics.median(ratios), lowest=min(ratios), highest=max(ratios))


def find_p99(seconds: Sequence[float]) -> float:
    """How long the slowest of a hundred took."""
    return sorted(seconds)[int(len(seconds) * 0.99)]


def print_tables(rows: Sequence[Row], measurements: Measurements, console: Console) -> None:
    """What a fetch costs, and what crowds do."""
    cost = Table(title="What a fetch costs the process that fetches: medians", title_justify="left", box=SIMPLE)
    cost.add_column("", no_wrap=True)
    others = [side for side in measurements.sides if side != OURS]
    for name in (*measurements.sides, *(f"÷ {side}" for side in others), "from – to", "to reach"):
        cost.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        seconds = [f"{row.seconds[side] * 1e6:.0f} µs" for side in measurements.sides]
        bare = row.ratios[BARE]
        ratios = [_show_ratio(row.ratios[side].median) for side in others]
        cost.add_row(row.name, *seconds, *ratios, f"{bare.lowest:.2f} – {bare.highest:.2f}", row.goal)
    console.print(cost, *_build_sentences(measurements), sep="\n")


def _show_ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def _build_sentences(measurements: Measurements) -> list[str]:
    crowds = measurements.crowds
    quiet, busy = find_p99(crowds.quiet), find_p99(crowds.busy)
    beside = f"{SLOW_NAMES} names without an answer ({min(crowds.waiting)} waiting, the others refused at once)"
    took = f"{busy * 1e3:.1f} ms, else {quiet * 1e3:.1f} ms (p99)"
    sentences = [
        f"{AT_ONCE} loads of one cold document: requests to its host: {max(crowds.requests)} (to reach: 1).",
        f"Beside {beside} another client's document takes {took}: {busy / quiet:.2f} × (to reach: ≤ 1.5).",
    ]
    if FASTMCP not in measurements.sides:
        sentences.append("FastMCP is not installed here, and has no column.")
    return sentences


def build_json(rows: Sequence[Row], measurements: Measurements, options: RoundOptions) -> dict[str, object]:
    """Everything: the machine, the options, the rows, and each measurement in the order in which it was made."""
    return {
        "machine": {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "distributions": {
                name: version(name) for name in _DISTRIBUTIONS if name != "fastmcp" or FASTMCP in measurements.sides
            },
        },
        "options": asdict(options),
        "rows": [asdict(row) for row in rows],
        "crowds": _build_crowds(measurements.crowds),
        "measurements": [asdict(each) for each in measurements.fetches],
    }


def _build_crowds(crowds: Crowds) -> dict[str, object]:
    quiet, busy = find_p99(crowds.quiet), find_p99(crowds.busy)
    return asdict(crowds) | {"quiet_p99": quiet, "busy_p99": busy, "ratio": busy / quiet}
