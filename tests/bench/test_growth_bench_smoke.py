"""The bench of a growing store fills it, measures every row at each size, and leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = {
    "authorize, document warm",
    "code exchange",
    "refresh",
    "code exchange, ES256",
    "refresh, ES256",
    "introspection",
    "memory of all processes",
}


def run_growth(file: Path, *options: str) -> None:
    command = [sys.executable, "-m", "bench.growth", "--grants", "20", "--grants", "60", "--rounds", "1"]
    command += ["--requests", "4", "--connections", "2", "--json", str(file), *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    measured = {(each["row"], each["side"]) for each in json.loads(file.read_text())}
    assert measured == {(row, size) for row in ROWS for size in ("20", "60")}


def test_it_measures_every_row_on_sqlite_with_two_processes(tmp_path: Path) -> None:
    run_growth(tmp_path / "growth.json", "--workers", "2")


@pytest.mark.postgres
def test_it_measures_every_row_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    run_growth(tmp_path / "growth.json", "--store", "postgres", "--postgres", postgres_url)
