"""Runs ``nameplate demo`` as a user does: the installed command, in a process of its own."""

import asyncio
import json
import os
import signal
import sysconfig
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["COMMAND", "DemoProcess", "Line", "build_environment", "run_to_end", "start_demo"]

COMMAND = str(Path(sysconfig.get_path("scripts"), "nameplate"))
Line = dict[str, Any]

# A demo takes two or three seconds. Whoever waits longer than this waits for nothing.
LONGEST_SECONDS = 60


@dataclass(slots=True, kw_only=True)
class DemoProcess:
    """A demo that runs with ``--json``. ``lines`` are what it reported so far."""

    process: asyncio.subprocess.Process
    lines: list[Line] = field(default_factory=list)

    async def read_until(self, step: str) -> Line:
        """Read on until this step was reported."""
        while not self.lines or self.lines[-1]["step"] != step:
            await self._read_line()
        return self.lines[-1]

    async def read_to_end(self) -> int:
        """Read on to the end; the exit status."""
        while await self._read_line():
            pass
        return await self.process.wait()

    async def read_messages(self) -> str:
        """All that it said on standard error; to be asked when it has ended."""
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def stop(self, number: signal.Signals) -> int:
        """Send it a signal; its exit status."""
        self.process.send_signal(number)
        return await self.read_to_end()

    async def _read_line(self) -> bool:
        assert self.process.stdout is not None
        raw = await self.process.stdout.readline()
        if raw:
            self.lines.append(json.loads(raw))
        return bool(raw)


def build_environment(directory: Path, **more: str) -> Mapping[str, str]:
    """An environment in which temporary files lie in ``directory``."""
    return {**os.environ, "TMPDIR": str(directory), **more}


@asynccontextmanager
async def start_demo(directory: Path, *flags: str, **environment: str) -> AsyncIterator[DemoProcess]:
    """A running ``nameplate demo --json``. It does not outlive the block."""
    async with asyncio.timeout(LONGEST_SECONDS):
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            "demo",
            "--json",
            *flags,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=build_environment(directory, **environment),
        )
        try:
            yield DemoProcess(process=process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def run_to_end(directory: Path, *flags: str, **environment: str) -> tuple[int, list[Line], str]:
    """Exit status, reported steps, and what was said on standard error."""
    async with start_demo(directory, *flags, **environment) as demo:
        status = await demo.read_to_end()
        return status, demo.lines, await demo.read_messages()
