"""What administration commands print: tables and lines for people, one JSON object a line for programs.

Much of it was written by strangers: names of clients, identifiers, what somebody typed as a username. On a terminal
such a text could move the cursor, hide what stands before it or turn the line around. So people see ``exact_text`` of
it, in which nothing is invisible, and programs get ASCII.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nameplate.protocol.display import exact_text

__all__ = [
    "build_moment",
    "count",
    "format_time",
    "print_error",
    "print_facts",
    "print_json",
    "print_line",
    "print_table",
]

_PIPED_WIDTH = 10_000


def print_json(values: Mapping[str, object]) -> None:
    """One line of ASCII without control characters."""
    print(json.dumps(values).replace("\x7f", "\\u007f"), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
    """A table, or the sentence ``nothing`` where there are no rows. Cells may hold anything."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(Text(column, "bold"), overflow="fold")  # nothing is cut off: it is there to be copied
    for row in rows:
        table.add_row(*(Text(exact_text(cell)) for cell in row))
    _build_console().print(table if table.rows else Text(nothing))


def print_facts(facts: Mapping[str, object]) -> None:
    """What ``print_json`` would print as one object, for people: a line for each member that is not empty."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for member, value in facts.items():
        name = member.removesuffix("_at").replace("_", " ")
        for shown in [] if member.endswith("_time") else _read_shown(member, value):
            grid.add_row(Text(name, "bold"), Text(exact_text(shown)))
            name = ""
    _build_console().print(grid)


def _read_shown(member: str, value: object) -> list[str]:
    """The lines that a member takes."""
    match value:
        case None | "":
            return []
        case bool():
            return ["yes" if value else "no"]
        case int() if member.endswith("_at"):
            return [format_time(value)]
        case list() | tuple():
            return [str(each) for each in value]
        case _:
            return [str(value)]


def print_line(*parts: str | tuple[str, str]) -> None:
    """A line that is never wrapped: texts, or texts with a style. They may hold anything."""
    safe = [exact_text(part) if isinstance(part, str) else (exact_text(part[0]), part[1]) for part in parts]
    _build_console().print(Text.assemble(*safe), soft_wrap=True)


def print_error(*parts: str | tuple[str, str]) -> None:
    """What went wrong, on standard error: texts, or texts with a style. They may hold anything, and several lines."""
    # As Text, not as markup: a message may hold brackets, as in [[accounts]] or [::1]:8080.
    safe = [(_exact_lines(part), "") if isinstance(part, str) else (_exact_lines(part[0]), part[1]) for part in parts]
    message = Text.assemble(("nameplate: ", "bold red"), *safe)
    Console(stderr=True, highlight=False).print(message, soft_wrap=True)


def _exact_lines(text: str) -> str:
    return "\n".join(exact_text(line) for line in text.split("\n"))


def format_time(at: int | None) -> str:
    """An instant in the time zone of this machine; nothing for None, and the number where no calendar has it."""
    try:
        return "" if at is None else datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    except (ValueError, OverflowError, OSError):
        return str(at)


def count(number: int, thing: str) -> str:
    """As a sentence has it: 1 grant, 2 grants."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def build_moment(name: str, at: int | None) -> dict[str, object]:
    """An instant as programs get it: ``…_at`` in epoch seconds and ``…_time`` in ISO 8601, UTC; both may be null, and
    the second is for what is behind the year 9999.
    """
    prefix = f"{name}_" if name else ""
    try:
        iso = None if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        iso = None
    return {f"{prefix}at": at, f"{prefix}time": iso}


def _build_console() -> Console:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale that lacks a letter is no reason for a traceback
    # What goes to a file or to another program is never wrapped.
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
