"""How the demo is shown: as a story for people, or as one JSON object per step for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol

from rich.console import Console
from rich.status import Status
from rich.text import Text

from nameplate.demo.steps import Detail, Step, StepEvent

__all__ = ["JsonReporter", "Notice", "Reporter", "RichReporter"]

_INDENT = 3
_FAILURE_LABELS = {"problem": "what happened", "remedy": "what to do", "log": "log"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something for the person beside the steps: a headline, a text, and labelled values. ``link`` is an address to
    open, shown so that it can be copied whole. ``waits_for`` is what the demo then waits for, or empty.
    """

    title: str
    text: str = ""
    facts: Mapping[str, Detail] = field(default_factory=dict)
    link: str = ""
    waits_for: str = ""


class Reporter(Protocol):
    """Whoever shows the demo."""

    def wait_for(self, step: Step) -> None:
        """This step is what comes next."""
        ...

    def report(self, event: StepEvent) -> None:
        """A step came about, or did not."""
        ...

    def narrate(self, notice: Notice) -> None:
        """Something for whoever reads along."""
        ...

    def say(self, notice: Notice) -> None:
        """Something that the person at the keyboard has to know."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class RichReporter:
    """For people. On a terminal with colours and a sign of life; as plain lines where the output is a file or pipe."""

    def __init__(self, file: IO[str]) -> None:
        self._console = Console(file=file, highlight=False)
        self._status: Status | None = None

    def wait_for(self, step: Step) -> None:
        """A sign of life, on a terminal."""
        self._show_life(f"next: {step.title}")

    def report(self, event: StepEvent) -> None:
        """The step in a few lines: mark, title and time; who talks to whom, and what for; what was seen."""
        step = event.step
        if step.chapter:
            self._print(Text(f"\n{step.chapter}", style="bold cyan"))
        time = "" if event.milliseconds is None else f"  {event.milliseconds:,.0f} ms".replace(",", " ")
        self._print(Text.assemble(" ", self._mark(event.ok), (f" {step.title}", "bold"), (time, "dim")))
        if event.ok:
            between = f"{step.between}: " if step.between else ""
            self._print_indented(Text.assemble((between, "dim"), (step.why, "italic")))
            self._print_facts(
                {label: event.details[name] for name, label in step.shows.items() if name in event.details}
            )
        else:
            self._print_facts({_label_failure(name): value for name, value in event.details.items()})

    def narrate(self, notice: Notice) -> None:
        """Whoever reads along is the person at the keyboard."""
        self.say(notice)

    def say(self, notice: Notice) -> None:
        """A headline with what belongs to it."""
        self._print(Text(f"\n{notice.title}", style="bold yellow"))
        if notice.text:
            self._print_indented(Text(notice.text), indent=2)
        self._print_facts(notice.facts, indent=2)
        if notice.link:
            self._print(Text(f"\n{notice.link}\n"))
        if notice.waits_for:
            self._show_life(notice.waits_for)
        else:
            self.close()

    def close(self) -> None:
        """Take away the sign of life."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _show_life(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status("", spinner="line" if self._console.options.ascii_only else "dots")
            self._status.start()
        self._status.update(Text(text, style="dim"))

    def _mark(self, ok: bool) -> tuple[str, str]:
        if self._console.options.ascii_only:
            return ("+", "bold green") if ok else ("x", "bold red")
        return ("✓", "bold green") if ok else ("✗", "bold red")

    def _print_facts(self, facts: Mapping[str, Detail], *, indent: int = _INDENT) -> None:
        width = max((len(label) for label in facts), default=0)
        for label, value in facts.items():
            for number, line in enumerate(_write_lines(value)):
                shown = "" if number else label
                self._print_indented(Text(line), indent=indent, label=Text(f"{shown:<{width}}  ", style="cyan"))

    def _print_indented(self, text: Text, *, indent: int = _INDENT, label: Text | None = None) -> None:
        """Text whose further lines stand below its first one. Where it is no terminal, nothing is wrapped."""
        before = Text(" " * indent) + (label or Text())
        room = self._console.width - len(before)
        lines = text.wrap(self._console, room, overflow="fold") if self._console.is_terminal and room > 20 else [text]
        for number, line in enumerate(lines):
            line.rstrip()
            self._print((before if number == 0 else Text(" " * len(before))) + line)

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


class JsonReporter:
    """For programs: one JSON object per step on ``output``. What is said to the person goes to ``messages``."""

    def __init__(self, output: IO[str], messages: IO[str]) -> None:
        self._output = output
        self._person = RichReporter(messages)

    def wait_for(self, step: Step) -> None:
        """Programs see no sign of life."""

    def report(self, event: StepEvent) -> None:
        """One line, at once."""
        line = {
            "step": event.step.name,
            "title": event.step.title,
            "ok": event.ok,
            "milliseconds": event.milliseconds,
            "details": dict(event.details),
        }
        self._output.write(json.dumps(line) + "\n")
        self._output.flush()

    def narrate(self, notice: Notice) -> None:
        """Nobody reads along."""

    def say(self, notice: Notice) -> None:
        """Beside the steps."""
        self._person.say(notice)

    def close(self) -> None:
        """Take away the sign of life, if a person saw one."""
        self._person.close()


def _label_failure(name: str) -> str:
    return _FAILURE_LABELS.get(name, name.replace("_", " "))


def _write_lines(value: Detail) -> Sequence[str]:
    match value:
        case bool():
            return ["yes" if value else "no"]
        case str() | int() | float():
            return [str(value)]
        case Mapping():
            width = max((len(name) for name in value), default=0)
            return [f"{name:<{width}}  {_write_flat(each)}" for name, each in value.items()]
        case _:
            return value


def _write_flat(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
