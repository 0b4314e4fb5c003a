"""``make fuzz`` finds what is wrong, keeps it, and says how to see it again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 120

BROKEN = '''
"""No input has the letter z."""

TOKENS = (b"zebra",)


def check(data: bytes) -> None:
    assert b"z" not in data, "a z"
'''
BROKEN_AT_ONCE = "1 / 0\n"


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the program of the ``fuzz`` package in a folder: its exit status, and all that it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "fuzz.run", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package in which a target ``broken`` fails, and another cannot even be imported."""
    shutil.copytree(ROOT / "fuzz", tmp_path / "fuzz", ignore=shutil.ignore_patterns("corpus", "crashes", "found"))
    for name, source in (("broken", BROKEN), ("broken_at_once", BROKEN_AT_ONCE)):
        (tmp_path / "fuzz" / "targets" / f"{name}.py").write_text(source)
        (tmp_path / "fuzz" / "corpus" / name).mkdir(parents=True)
        (tmp_path / "fuzz" / "corpus" / name / "a").write_text("a")
    shutil.copytree(ROOT / "fuzz" / "corpus" / "scope", tmp_path / "fuzz" / "corpus" / "scope")
    return tmp_path


@pytest.mark.fuzz
def test_targets_that_hold_end_well_within_their_time(copy: Path) -> None:
    status, printed = run(copy, "scope", "--seconds", "2")
    assert status == 0, printed
    assert "inputs" in printed
    assert not [path for path in (copy / "fuzz" / "crashes").rglob("*") if path.is_file()]


@pytest.mark.fuzz
def test_a_target_that_fails_fails_the_run_and_its_input_can_be_tried_again(copy: Path) -> None:
    status, printed = run(copy, "broken", "scope", "--seconds", "4")
    assert status == 1
    assert "== broken failed" in printed
    assert "AssertionError: a z" in printed
    [crash] = (copy / "fuzz" / "crashes" / "broken").iterdir()
    assert f"fuzz.run broken --again {crash}" in printed
    status, printed = run(copy, "broken", "--again", str(crash))
    assert status == 1
    assert "AssertionError: a z" in printed


@pytest.mark.fuzz
def test_a_target_that_never_starts_fails_the_run(copy: Path) -> None:
    status, printed = run(copy, "broken_at_once", "--seconds", "2")
    assert status == 1
    assert "never started" in printed
    assert "ZeroDivisionError" in printed


def test_an_input_is_tried_again_without_atheris() -> None:
    seed = ROOT / "fuzz" / "corpus" / "scope" / "plain"
    assert run(ROOT, "scope", "--again", str(seed)) == (0, "scope: the invariant holds\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("scoop",), "no target is called scoop; there are: access_token, "),
        (("--again", "pyproject.toml"), "name the one target that the input is for"),
        (("scope", "--seconds", "0"), "Must be > 0"),
    ],
)
def test_an_option_that_means_nothing_is_refused(arguments: tuple[str, ...], problem: str) -> None:
    status, printed = run(ROOT, *arguments)
    assert status != 0
    assert problem in printed
