"""``python -m fuzz.run``: every target for its share of a time, or one input again. ``make fuzz`` calls it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from fuzz.catalog import NAMES, load_target

__all__ = ["main"]

_ROOT = Path(__file__).parents[1]
_PATIENCE_SECONDS = 120  # beyond its share, for a process that starts slowly or has just met a slow input
_PROGRESS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)", re.MULTILINE)
_ARTIFACT = re.compile(r"Test unit written to (\S+)")

app = App(name="python -m fuzz.run", help="Feed the parsers with hostile input.", version_flags=[])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one target: ``problem`` is empty, or all that its process printed; ``crash`` is the input's file."""

    name: str
    seconds: float
    progress: str
    problem: str = ""
    crash: Path | None = None


@app.default
def main(
    *targets: str,
    seconds: Annotated[float, Parameter(validator=Number(gt=0))] = 1200,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    again: Path | None = None,
) -> int:
    """Run the targets; 1 where one of them failed.

    Parameters
    ----------
    targets
        The parsers to feed, named as the modules in fuzz/targets; all of them where none is named.
    seconds
        How long all of it takes.
    jobs
        How many run at once; as many as there are processors, unless said otherwise.
    again
        Try this input alone, once, at the one target that is named. Needs no atheris.
    """
    if unknown := sorted(set(targets) - set(NAMES)):
        return _refuse(f"no target is called {unknown[0]}; there are: {', '.join(NAMES)}")
    if again is not None:
        return _try_again(targets, again)
    if find_spec("atheris") is None:
        return _refuse("atheris is not installed. It has wheels for Linux on x86-64; make fuzz installs them.")
    return _run_all(targets or NAMES, seconds, jobs or _count_processors())


def _refuse(problem: str) -> int:
    print(f"fuzz: {problem}", file=sys.stderr)
    return 2


def _try_again(targets: Sequence[str], file: Path) -> int:
    if len(targets) != 1:
        return _refuse("name the one target that the input is for")
    load_target(targets[0]).check(file.read_bytes())
    print(f"{targets[0]}: the invariant holds")
    return 0


def _count_processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _run_all(targets: Sequence[str], seconds: float, jobs: int) -> int:
    jobs = min(jobs, len(targets))
    share = seconds * jobs / len(targets)
    print(f"fuzz: {len(targets)} targets, {share:.0f} s each, {jobs} at once", flush=True)
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        for outcome in pool.map(lambda name: _run_one(name, share), targets):
            print(f"{outcome.name:18} {outcome.progress:45} {outcome.seconds:4.0f} s", flush=True)
            if outcome.problem:
                failed.append(outcome)
    for outcome in failed:
        _print_failure(outcome)
    return 1 if failed else 0


def _run_one(name: str, share: float) -> Outcome:
    started = time.monotonic()
    command = [sys.executable, "-m", "fuzz.drive", name, str(share)]
    try:
        ran = subprocess.run(
            command,
            cwd=_ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=share + _PATIENCE_SECONDS,
            check=False,
        )
        status, printed = ran.returncode, ran.stdout + ran.stderr
    except subprocess.TimeoutExpired as error:
        status, printed = 1, f"it did not end by itself\n{error.stderr or b''!r}"
    artifact = _ARTIFACT.search(printed)
    return Outcome(
        name=name,
        seconds=time.monotonic() - started,
        progress=_read_progress(printed),
        problem=printed if status else "",
        crash=Path(artifact[1]) if artifact else None,
    )


def _read_progress(printed: str) -> str:
    found = _PROGRESS.findall(printed)
    if not found:
        return "never started"
    inputs, branches, kept = found[-1]
    return f"{int(inputs):,} inputs, {branches} branches, {kept} kept"


def _print_failure(outcome: Outcome) -> None:
    lines = [
        line for line in outcome.problem.splitlines() if not line.startswith(("#", "INFO:", "\tNEW", "Dictionary"))
    ]
    print(f"\n== {outcome.name} failed", *lines[-40:], sep="\n")
    if outcome.crash is not None:
        print(f"\nOnce more:  {sys.executable} -m fuzz.run {outcome.name} --again {outcome.crash}")


if __name__ == "__main__":
    sys.exit(app())
