"""A missing tool skips the tests that need it, or fails the run where it is required."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = """
import os
import pytest

def test_free():
    assert "NAMEPLATE_REQUIRE" not in os.environ

@pytest.mark.interop
def test_marked():
    assert False

def test_by_fixture(node_peers):
    assert False
"""


def run_sample(folder: Path, *arguments: str, required: str) -> tuple[int, str]:
    """Run the sample beside a copy of our conftest, where no peer from npm is installed."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_sample.py").write_text(SAMPLE)
    options = [f"--config-file={ROOT / 'pyproject.toml'}", f"--rootdir={folder}", *arguments, str(folder)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env={
            **os.environ,
            "NAMEPLATE_REQUIRE": required,
            "PYTHONPATH": str(ROOT / "tests"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


def test_a_missing_tool_skips_the_tests_that_need_it_and_says_why(tmp_path: Path) -> None:
    status, printed = run_sample(tmp_path, required="")
    assert status == 0
    assert "1 passed, 2 skipped" in printed
    assert "npm: " in printed.partition("short test summary info")[2]


def test_a_missing_tool_that_is_required_fails_the_run(tmp_path: Path) -> None:
    status, printed = run_sample(tmp_path, required="browser npm")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "NAMEPLATE_REQUIRE: 2 tests need npm" in printed


def test_a_tool_that_no_chosen_test_needs_may_be_missing(tmp_path: Path) -> None:
    status, printed = run_sample(tmp_path, "-k", "free", required="npm")
    assert status == 0
    assert "1 passed" in printed


def test_an_unknown_tool_cannot_be_required(tmp_path: Path) -> None:
    status, printed = run_sample(tmp_path, required="npn")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "unknown ['npn']" in printed
