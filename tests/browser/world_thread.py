"""The flow tests' world, in a thread of its own: Playwright's synchronous interface owns the test's thread."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from flow_world import World, run_world

_T = TypeVar("_T")


class WorldThread:
    """A running world and the loop that it runs on."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something in the world's loop and wait for what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@contextmanager
def run_world_thread(directory: Path, **changes: Any) -> Iterator[WorldThread]:
    """Run a world until the block is left."""
    started: list[WorldThread] = []
    ready, stop = threading.Event(), threading.Event()

    async def live() -> None:
        async with run_world(directory, **changes) as world:
            started.append(WorldThread(world, asyncio.get_running_loop()))
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    try:
        assert ready.wait(30), "the world did not start"
        yield started[0]
    finally:
        stop.set()
        thread.join()
