"""Servers in processes of their own, and what they use: CPU time and memory."""

import asyncio
import ctypes
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.driver import ask_once, build_request
from bench.failure import BenchFailed
from nameplate.testing.serving import open_listener

__all__ = [
    "ROOT",
    "ServerProcess",
    "find_free_port",
    "find_processes",
    "parse_cpu_time",
    "read_cpu_seconds",
    "read_memory_bytes",
    "run_server",
]

ROOT = Path(__file__).parents[1]
READY_SECONDS = 30
STOP_SECONDS = 15
LOOK_EVERY_SECONDS = 0.002

_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """A running server. ``start_seconds`` went by from its start to its first answer."""

    pid: int
    start_seconds: float


@asynccontextmanager
async def run_server(command: Sequence[str], *, ready_url: str, log_file: Path) -> AsyncIterator[ServerProcess]:
    """Run a server until the block ends. It is ready when ``ready_url`` answers. Raises ``BenchFailed``."""
    started = time.perf_counter()
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=_build_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        await _wait_for_first_answer(process, ready_url, log_file)
        yield ServerProcess(pid=process.pid, start_seconds=time.perf_counter() - started)
    finally:
        await _stop(process)


def find_free_port() -> int:
    """A port that nobody has at this moment."""
    listener, port = open_listener()
    listener.close()
    return port


def _build_environment() -> dict[str, str]:
    """Ours, without the settings of the user's own server, which would win over the file that we wrote."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("NAMEPLATE_")}


async def _wait_for_first_answer(process: asyncio.subprocess.Process, ready_url: str, log_file: Path) -> None:
    request = build_request("GET", ready_url)
    deadline = time.monotonic() + READY_SECONDS
    while process.returncode is None and time.monotonic() < deadline:
        with suppress(OSError):  # nobody listens yet
            await ask_once(ready_url, request)
            return
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    raise BenchFailed(f"the server at {ready_url} did not start:\n{_read_end(log_file)}")


def _read_end(log_file: Path) -> str:
    return log_file.read_text(errors="replace")[-2000:]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def read_cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far, in user and kernel mode, by all its threads.

    Linux counts it in nanoseconds (``clock_getcpuclockid(3)``), where /proc/PID/stat has only hundredths of a second.
    So has ``ps``, which is asked elsewhere: send more requests there.
    """
    if hasattr(_LIBC, "clock_getcpuclockid"):
        return time.clock_gettime(_find_cpu_clock(pid))
    return parse_cpu_time(_ask_ps("time", pid))


def find_processes(pid: int) -> list[int]:
    """A server's process and its workers, where it has any and the system lists them."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *map(int, children.read_text().split())] if children.exists() else [pid]


def read_memory_bytes(pid: int) -> int:
    """The memory that a process holds for itself alone.

    On Linux that leaves out mapped files (the interpreter, shared libraries), which the system can share and drop.
    Elsewhere it is the whole resident memory.
    """
    status = Path(f"/proc/{pid}/status")
    if status.exists() and (found := re.search(r"^RssAnon:\s+(\d+) kB", status.read_text(), re.MULTILINE)):
        return int(found[1]) * 1024
    return int(_ask_ps("rss", pid)) * 1024


def parse_cpu_time(text: str) -> float:
    """Seconds from what ``ps`` prints: ``[[DD-]HH:]MM:SS[.CC]``."""
    days, _, clock = text.strip().rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + int(days or 0) * 86400


def _find_cpu_clock(pid: int) -> int:
    clock = ctypes.c_int()
    if (code := _LIBC.clock_getcpuclockid(pid, ctypes.byref(clock))) != 0:
        raise BenchFailed(f"the CPU time of process {pid} cannot be read: {os.strerror(code)}")
    return clock.value


def _ask_ps(keyword: str, pid: int) -> str:
    asked = subprocess.run(["ps", "-o", f"{keyword}=", "-p", str(pid)], capture_output=True, text=True, check=False)
    if asked.returncode != 0 or not asked.stdout.strip():
        raise BenchFailed(f"ps knows no process {pid}")
    return asked.stdout
