"""The bench of the fetcher measures what it says it measures. How long anything takes is no finding here."""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "bench.fetch")
LONGEST_SECONDS = 120
ROUNDS, FETCHES = 3, 4

SIDES = ("ours", "bare", "FastMCP")
ROWS = ("warm fetch, CPU", "warm fetch, waiting", "cold fetch, CPU", "cold fetch, waiting")

Report = dict[str, Any]


@pytest.fixture(scope="module")
def printed_and_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Report]:
    """What a small run prints and writes."""
    file = tmp_path_factory.mktemp("bench") / "fetch.json"
    options = ("--rounds", str(ROUNDS), "--fetches", str(FETCHES), "--json", str(file))
    ran = subprocess.run([*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
    return ran.stdout, json.loads(file.read_text())


@pytest.fixture(scope="module")
def report(printed_and_report: tuple[str, Report]) -> Report:
    return printed_and_report[1]


def find_values(report: Report, kind: str, side: str, measure: str) -> list[float]:
    return [each[measure] for each in report["measurements"] if (each["kind"], each["side"]) == (kind, side)]


def test_every_row_has_figures_of_every_side(printed_and_report: tuple[str, Report]) -> None:
    printed, report = printed_and_report
    assert [row["name"] for row in report["rows"]] == list(ROWS)
    for row in report["rows"]:
        assert row["name"] in printed
        assert set(row["seconds"]) == set(SIDES)
        assert all(seconds > 0 for seconds in row["seconds"].values())


def test_the_first_round_does_not_count_and_the_sides_take_turns(report: Report) -> None:
    order = [(each["round"], each["kind"], each["side"]) for each in report["measurements"]]
    assert order == [
        *((1, kind, side) for kind in ("warm", "cold") for side in reversed(SIDES)),
        *((2, kind, side) for kind in ("warm", "cold") for side in SIDES),
    ]


@pytest.mark.parametrize("row", ROWS)
def test_a_ratio_is_the_median_of_the_rounds(report: Report, row: str) -> None:
    [found] = [each for each in report["rows"] if each["name"] == row]
    kind, measure = row.split(maxsplit=1)[0], "cpu_seconds" if row.endswith("CPU") else "wall_seconds"
    ours = find_values(report, kind, "ours", measure)
    for side in SIDES[1:]:
        ratios = [mine / other for mine, other in zip(ours, find_values(report, kind, side, measure), strict=True)]
        assert found["ratios"][side]["median"] == pytest.approx(statistics.median(ratios))


def test_a_crowd_makes_one_request_and_slow_names_were_waiting_while_others_loaded(
    printed_and_report: tuple[str, Report],
) -> None:
    printed, report = printed_and_report
    crowds = report["crowds"]
    assert crowds["requests"] == [1] * (ROUNDS - 1)
    assert min(crowds["waiting"]) > 0
    assert len(crowds["quiet"]) == len(crowds["busy"]) == (ROUNDS - 1) * (FETCHES // 4)
    assert crowds["ratio"] == pytest.approx(max(crowds["busy"]) / max(crowds["quiet"]))
    assert "requests to its host: 1 " in printed


def test_the_report_says_on_what_and_how_it_was_measured(report: Report) -> None:
    assert report["options"] == {"rounds": ROUNDS, "fetches": FETCHES}
    assert {"httpcore2", "fastmcp"} <= set(report["machine"]["distributions"])


def test_a_worker_looks_up_our_host_on_loopback_and_other_names_as_ever() -> None:
    code = """
import json, socket
from bench.fetch.sides import stand_in_for_dns

stand_in_for_dns("documents.bench.example")
names = ["documents.bench.example", b"documents.bench.example", "127.0.0.2"]
print(json.dumps([sorted({entry[4][0] for entry in socket.getaddrinfo(name, 443)}) for name in names]))
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert json.loads(ran.stdout) == [["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2"]]


@pytest.mark.parametrize("options", [("--rounds", "0"), ("--fetches", "0"), ("--side", "ours")])
def test_an_option_that_means_nothing_is_refused(options: tuple[str, ...]) -> None:
    ran = subprocess.run([*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    assert ran.returncode != 0
