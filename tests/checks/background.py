"""Programs that a page leaves running while its reader goes on."""

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from os import killpg
from pathlib import Path

__all__ = ["BackgroundFailed", "run_in_background", "stop_group"]

READY_SECONDS = 30
STOP_SECONDS = 15


class BackgroundFailed(Exception):
    """The program did not get ready, or did not stop when asked to."""


@contextmanager
def run_in_background(command: str, folder: Path, environment: Mapping[str, str], *, ready: str) -> Iterator[None]:
    """Run a shell command until the block ends. It is ready when the pattern ``ready`` is found in what it prints."""
    log = folder / f"background-{len(list(folder.glob('background-*')))}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, log, ready)
        yield
        _stop(process, command)
    finally:
        stop_group(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, ready: str) -> None:
    for _ in range(READY_SECONDS * 10):
        if re.search(ready, log.read_text()):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            break
    if not re.search(ready, log.read_text()):
        raise BackgroundFailed(f"it did not print {ready!r}, but:\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes], command: str) -> None:
    """Ask it to stop, as Ctrl-C or a service manager would."""
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BackgroundFailed(f"still running {STOP_SECONDS} s after SIGTERM: {command}") from error


def stop_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process and its children; it leads a session of its own."""
    with suppress(ProcessLookupError):
        killpg(process.pid, signal.SIGKILL)
    process.wait()
