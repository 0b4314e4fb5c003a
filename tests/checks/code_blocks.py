"""Runs the code blocks of a Markdown page, in the order in which a reader meets them. The conventions: CONTRIBUTING.md.

All blocks of a page share one scratch folder. A block that does not do what the page says raises ``BlockFailed``.

Pages name the ports that a reader expects. Here other programs may hold these, so each page gets free ports in their
place: in its blocks, and in the files that its commands write.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir
from dataclasses import dataclass, field
from pathlib import Path

from background import BackgroundFailed, run_in_background, stop_group

from nameplate.errors import ConfigurationError
from nameplate.testing.serving import open_listener

__all__ = ["Block", "BlockFailed", "parse_blocks", "run_page"]

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS = 60
PORTS = ("8000", "8080", "8443")
WRITTEN_FILES = ("*.json", "*.py", "*.toml")


class BlockFailed(Exception):
    """A block does not do what its page says; the message begins with the line on which it stands."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. ``title`` is the file that it shows, if any; ``status`` the exit status of its last command."""

    line: int
    language: str
    text: str
    title: str = ""
    appends: bool = False
    status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of a console block, and the output that the page shows for it."""

    line: int
    text: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Where a page's blocks run: the folder, the ports that stand in for those it names, its programs that stay."""

    folder: Path
    ports: Mapping[str, str]
    background: ExitStack = field(default_factory=ExitStack)

    def replace_ports(self, text: str) -> str:
        """The text with free ports in place of those that pages name."""
        return re.sub(rf"\b(?:{'|'.join(self.ports)})\b", lambda found: self.ports[found[0]], text)

    def replace_ports_in_files(self) -> None:
        """The same for files that a command wrote with the product's own defaults."""
        for path in (path for pattern in WRITTEN_FILES for path in self.folder.rglob(pattern)):
            text = path.read_text()
            if (replaced := self.replace_ports(text)) != text:
                path.write_text(replaced)


def parse_blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page (CommonMark §4.5)."""
    lines = iter(enumerate(page.splitlines(), 1))
    for number, line in lines:
        if not (fence := re.match(r"( *)(`{3,}|~{3,})(.*)", line)):
            continue
        indent, marks, info = fence.groups()
        content = []
        for _, inner in lines:
            if inner.strip().startswith(marks) and not inner.strip().strip(marks[0]):
                break
            content.append(inner.removeprefix(indent))
        else:
            raise BlockFailed(number, "the block does not end")
        yield _parse_block(number, info, "".join(f"{each}\n" for each in content))


def _parse_block(line: int, info: str, text: str) -> Block:
    language, *options = shlex.split(info) or [""]
    named = dict(option.partition("=")[::2] for option in options)
    block = Block(
        line=line,
        language=language,
        text=text,
        title=named.pop("title", ""),
        appends=named.pop("append", None) is not None,
        status=int(named.pop("status", "0")),
    )
    if named:
        raise BlockFailed(line, f"unknown option: {', '.join(named)}")
    return block


def run_page(page: str, folder: Path) -> None:
    """Run every block of a page in the scratch folder; programs in the background end with the page."""
    scratch = Scratch(folder=folder, ports=_find_free_ports())
    blocks = list(parse_blocks(scratch.replace_ports(page)))
    _check_that_programs_are_run(blocks)
    with scratch.background:
        for block in blocks:
            _run_block(block, scratch)
        try:
            scratch.background.close()
        except BackgroundFailed as error:
            raise BlockFailed(blocks[-1].line, str(error)) from error


def _find_free_ports() -> dict[str, str]:
    listeners = [open_listener() for _ in PORTS]  # all at once, so that no two get the same
    for listener, _ in listeners:
        listener.close()
    return {named: str(port) for named, (_, port) in zip(PORTS, listeners, strict=True)}


def _check_that_programs_are_run(blocks: list[Block]) -> None:
    running = "".join(block.text for block in blocks if block.language in ("console", "python"))
    for block in blocks:
        module = block.title.removesuffix(".py")
        uses = (block.title, f"{module}:", f"from {module} import")  # python a.py, uvicorn a:app, or by another one
        if block.language == "python" and block.title and not any(use in running for use in uses):
            raise BlockFailed(block.line, f"no console block runs {block.title}")


def _run_block(block: Block, scratch: Scratch) -> None:
    if block.title:
        with (scratch.folder / block.title).open("a" if block.appends else "w") as file:
            file.write(block.text)
    match block.language:
        case "python" if not block.title:
            _run_command(shlex.join([sys.executable, "-c", block.text]), scratch.folder, line=block.line)
        case "python" | "text" | "mermaid":
            pass
        case "toml":
            _check_toml(block, scratch.folder)
        case "json":
            _check_json(block)
        case "console":
            _run_console(block, scratch)
        case unknown:
            raise BlockFailed(block.line, f"a block in {unknown or 'no language'} is not run by anything")


def _check_toml(block: Block, folder: Path) -> None:
    try:
        tomllib.loads(block.text)
        if block.title == "nameplate.toml":
            from nameplate.server.settings import load_settings

            with chdir(folder):  # paths in it are relative to where it is used
                load_settings(Path(block.title))
    except (tomllib.TOMLDecodeError, ConfigurationError) as error:
        raise BlockFailed(block.line, str(error)) from error


def _check_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except json.JSONDecodeError as error:
        raise BlockFailed(block.line, str(error)) from error


def _run_console(block: Block, scratch: Scratch) -> None:
    commands = list(_parse_commands(block))
    for command in commands:
        scratch.replace_ports_in_files()
        status = block.status if command is commands[-1] else 0
        if shlex.split(command.text, comments=True)[:1] == ["make"]:
            # Run inside `make test` it would never end: the targets are looked up only.
            make = f"make --dry-run --directory {ROOT} {command.text.removeprefix('make')}"
            _run_command(make, scratch.folder, line=command.line)
        elif command.text.endswith("&"):
            _start_command(command, scratch)
        else:
            printed = _run_command(command.text, scratch.folder, line=command.line, status=status)
            if command.output and not re.fullmatch(build_pattern(command.output), printed):
                raise BlockFailed(command.line, f"$ {command.text}\nprinted\n{printed}\ninstead of\n{command.output}")


def _parse_commands(block: Block) -> Iterator[Command]:
    """The ``$`` lines (a trailing backslash continues one), each with what follows it."""
    text = block.text.replace("\\\n", "")
    first, *rest = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if first or not rest:
        raise BlockFailed(block.line, "a console block begins with a line of the form: $ command")
    for each in rest:
        command, _, output = each.partition("\n")
        yield Command(line=block.line, text=command.strip(), output=output.strip())


def build_pattern(expected: str) -> str:
    """The regular expression for output as a page shows it: ``…`` is anything in a line, alone in a line any lines."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r" *\n"
    return rf"\n*{pattern}\n*"


def _build_environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "CHECKOUT": str(ROOT),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _run_command(command: str, folder: Path, *, line: int, status: int = 0) -> str:
    """Run a command to its end; what it printed."""
    with subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=_build_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        encoding="utf-8",
    ) as process:
        try:
            printed, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise BlockFailed(line, f"not done after {COMMAND_SECONDS} s: {command}") from error
        finally:
            stop_group(process)
    if process.returncode != status:
        raise BlockFailed(line, f"exit status {process.returncode} instead of {status}: {command}\n{printed}")
    return printed


def _start_command(command: Command, scratch: Scratch) -> None:
    if not command.output:
        raise BlockFailed(command.line, "show what the program prints when it is ready")
    text, folder = command.text.removesuffix("&"), scratch.folder
    try:
        scratch.background.enter_context(
            run_in_background(text, folder, _build_environment(folder), ready=build_pattern(command.output))
        )
    except BackgroundFailed as error:
        raise BlockFailed(command.line, str(error)) from error
