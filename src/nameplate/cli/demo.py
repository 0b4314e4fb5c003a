"""``nameplate demo``: everything working on this machine."""

import asyncio
import os
import sys
import time
from importlib.util import find_spec
from typing import TextIO

from rich.console import Console

from nameplate.demo.report import JsonReporter, Notice, Reporter, RichReporter

__all__ = ["run_demo"]

_WELCOME = Notice(
    title="nameplate demo",
    text="An MCP client that nobody registered signs in and calls two tools. All that makes it known is a document on "
    "an https host of its own. Every part is real: the official MCP SDK, TLS, HTTP over sockets.",
    waits_for="loading",
)


def run_demo(*, browser: bool, keep: bool, json: bool) -> int:
    """Play the demo; the exit status."""
    began_at = time.perf_counter()
    missing = [module for module in ("mcp", "trustme") if find_spec(module) is None]
    if missing:
        _tell_what_is_missing(missing)
        return 1
    for stream in (sys.stdout, sys.stderr):
        _print_whatever_it_can(stream)
    reporter: Reporter = JsonReporter(sys.stdout, sys.stderr) if json else RichReporter(sys.stdout)
    try:
        reporter.narrate(_WELCOME)
        from nameplate.demo.play import DemoOptions, play_demo  # takes most of a second, the SDK above all

        return asyncio.run(play_demo(DemoOptions(browser=browser, keep=keep), reporter, began_at=began_at))
    except OSError as error:
        # What fails in the demo is a step of it, and reported. What cannot be reported is what comes here.
        _give_output_up(error)
        return 1


def _give_output_up(error: OSError) -> None:
    """Let what is still buffered go nowhere, so that the interpreter does not stumble over it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    if not isinstance(error, BrokenPipeError):  # who closes a pipe early has seen enough
        print(f"nameplate demo: the output cannot be written: {error.strerror}.", file=sys.stderr)


def _tell_what_is_missing(modules: list[str]) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]nameplate demo:[/] not installed: {', '.join(modules)}. The demo needs its extra:")
    console.print("  pip install 'nameplate\\[demo]'")


def _print_whatever_it_can(stream: TextIO) -> None:
    """A terminal that lacks a character shows a question mark for it; no traceback."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
