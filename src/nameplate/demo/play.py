"""Plays the demo from beginning to end."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.shared.exceptions import MCPError

from nameplate.demo.commands import find_example_client, name_path, name_program
from nameplate.demo.logs import KeptLog, keep_log
from nameplate.demo.people import BrowserPerson, HeadlessPerson, Person
from nameplate.demo.person_watch import PersonWatch
from nameplate.demo.player import Player
from nameplate.demo.report import Notice, Reporter
from nameplate.demo.steps import Detail
from nameplate.demo.story import DemoFailed, Story
from nameplate.demo.tokens import prove_tokens
from nameplate.demo.world import DemoWorld, WorldOptions, open_world
from nameplate.errors import Error
from nameplate.testing.headless_user import HeadlessUser

__all__ = ["FAILED", "INTERRUPTED", "SUCCEEDED", "DemoOptions", "play_demo"]

SUCCEEDED, FAILED, INTERRUPTED = 0, 1, 130

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# What the parts and the SDK raise; its transport runs in a task group and so raises groups.
_FAILURES = (DemoFailed, Error, OAuthFlowError, MCPError, httpx2.HTTPError, OSError, RuntimeError, ExceptionGroup)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How the demo is played. ``answer`` (``allow`` or ``deny``) is what the person without a browser presses.
    ``patience_seconds`` is how long the one with a browser may take for each answer.
    """

    browser: bool = False
    keep: bool = False
    answer: str = "allow"
    patience_seconds: float = 300
    world: WorldOptions = field(default_factory=WorldOptions)


async def play_demo(options: DemoOptions, reporter: Reporter, *, began_at: float | None = None) -> int:
    """The exit status: ``SUCCEEDED`` where the tools' results came back through tokens that our server issued, else
    ``FAILED``.

    SIGINT, SIGTERM and SIGHUP end the demo at once, ``INTERRUPTED``, or ``SUCCEEDED`` where it was only left running.
    ``began_at`` is when the program began, on ``time.perf_counter``.
    """
    story = Story(reporter, began_at=began_at, is_timed=not options.browser)
    try:
        with _stop_on_signals(), keep_log() as log:
            try:
                await _play(options, story, reporter, log)
            except _FAILURES as error:
                story.fail(_explain(error, log))
                return FAILED
    except asyncio.CancelledError:
        reporter.say(Notice(title="Stopped. Nothing is left behind."))
        return SUCCEEDED if story.is_complete else INTERRUPTED
    finally:
        reporter.close()
    return SUCCEEDED


async def _play(options: DemoOptions, story: Story, reporter: Reporter, log: KeptLog) -> None:
    with TemporaryDirectory(prefix="nameplate-demo-") as directory:
        async with open_world(Path(directory), options.world) as world:
            story.tell("start", _describe_world(world))
            async with _meet_person(world, options, reporter) as person:
                PersonWatch(world, story)
                player = Player(world, story, person, patience_seconds=options.patience_seconds)
                used_tokens = await player.play()
            story.tell("proof", await prove_tokens(world, used_tokens))
            reporter.narrate(_sum_up(world, story, is_timed=not options.browser))
            if options.keep:
                reporter.say(_describe_kept(world))
                log.write_to(sys.stderr)
                await asyncio.Event().wait()  # until a signal comes


@asynccontextmanager
async def _meet_person(world: DemoWorld, options: DemoOptions, reporter: Reporter) -> AsyncIterator[Person]:
    if options.browser:
        async with BrowserPerson(world.account, reporter) as person:
            yield person
    else:
        async with HeadlessUser(world.account.username, world.account.password) as user:
            yield HeadlessPerson(user, answer=options.answer)


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    """A signal cancels the demo, which then puts everything away."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None:
        raise RuntimeError("the demo is played in a task")
    for number in _STOPPING:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)


def _explain(error: Exception, log: KeptLog) -> DemoFailed:
    """What happened, with what our parts logged about it."""
    cause = _find_cause(error)
    failure = cause if isinstance(cause, DemoFailed) else _describe_cause(cause)
    log_lines: Mapping[str, Detail] = {"log": tuple(log.lines)} if log.lines else {}
    return DemoFailed(failure.problem, failure.remedy, {**failure.details, **log_lines})


def _describe_cause(cause: Exception) -> DemoFailed:
    details: Mapping[str, Detail] = {}
    if isinstance(cause, httpx2.TransportError):
        details = {"request": f"{cause.request.method} {cause.request.url.copy_with(query=None)}"}
    return DemoFailed(f"{type(cause).__name__}: {cause}", details=details)


def _find_cause(error: Exception) -> Exception:
    """The failure of ours somewhere in nested groups, else the first there is."""
    if not isinstance(error, ExceptionGroup):
        return error
    causes = [_find_cause(each) for each in error.exceptions]
    return next((cause for cause in causes if isinstance(cause, DemoFailed)), causes[0])


def _describe_world(world: DemoWorld) -> Mapping[str, Detail]:
    return {
        "client_document": world.client_id,
        "authorization_server": world.issuer,
        "mcp_server": world.resource,
        "username": world.account.username,
        "password": world.account.password,
    }


def _sum_up(world: DemoWorld, story: Story, *, is_timed: bool) -> Notice:
    time = f" in {story.seconds:.1f} seconds" if is_timed else ""
    program = name_program()
    return Notice(
        title=f"It works: {story.told} steps{time}.",
        text=f"Nobody had registered the client. {world.issuer} knew it by its document, a person allowed it, and two "
        "tools let it in with tokens of that server.",
        facts={
            f"{program} demo --browser": "sign in and decide yourself, in your browser",
            f"{program} demo --keep": "look around in the servers afterwards",
            f"{program} init": "write a configuration of your own",
        },
    )


def _describe_kept(world: DemoWorld) -> Notice:
    client = find_example_client()
    words = f"--client-id {shlex.quote(world.client_id)} {shlex.quote(world.resource)} list_notes"
    use = {"use a client": f"{name_path(Path(sys.executable))} {name_path(client)} {words}"} if client else {}
    return Notice(
        title="Everything is still running. Stop it with Ctrl-C.",
        text="Any MCP client that has a metadata document can use the MCP server's URL. What the servers refuse is "
        "logged below.",
        facts={
            "MCP server": world.resource,
            "authorization server": world.issuer,
            "its metadata": f"{world.issuer}/.well-known/oauth-authorization-server",
            "its configuration": str(world.config_file),
            "client's document": world.client_id,
            "certificate authority": str(world.host.ca_file),
            "user name": world.account.username,
            "password": world.account.password,
            "see a challenge": f"curl -i {world.resource}",
            **use,
            "stop from elsewhere": f"kill {os.getpid()}",
        },
    )
