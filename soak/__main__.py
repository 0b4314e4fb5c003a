"""``python -m soak``: play for a while, kill processes meanwhile, then hold what was told against the audit trail."""

import asyncio
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import App, Parameter

from soak.play import Play, play_and_check

__all__ = ["main"]

app = App(name="python -m soak", help="Prove that nothing is won twice and nothing lost.", version_flags=[])


@app.default
def main(
    *,
    store: Annotated[str, Parameter(name="--store")] = "sqlite",
    seconds: float = 600,
    processes: int = 4,
    at_once: int = 12,
    seed: int | None = None,
) -> int:
    """Play, and print what was found. The exit status is 1 where something was won twice or lost.

    Parameters
    ----------
    store
        ``sqlite``, or the URL of a PostgreSQL database; its tables lie in a schema of the play's own, and are dropped.
    seconds
        How long to play.
    processes
        How many servers run.
    at_once
        How many acts are played at once.
    seed
        Decides which acts are played; a random one where none is given. (How they interleave is never the same.)
    """
    seed = random.randrange(2**32) if seed is None else seed
    print(f"{seconds:.0f} s, {processes} processes, seed {seed}")
    with TemporaryDirectory() as name:
        play = Play(directory=Path(name), store=store, seconds=seconds, processes=processes, at_once=at_once, seed=seed)
        started = time.perf_counter()
        outcome = asyncio.run(play_and_check(play, say=print))
    print(f"{outcome.summary} ({time.perf_counter() - started:.0f} s)")
    for contradiction in outcome.contradictions:
        print(f"WRONG: {contradiction}")
    return 1 if outcome.contradictions else 0


if __name__ == "__main__":
    sys.exit(app())
