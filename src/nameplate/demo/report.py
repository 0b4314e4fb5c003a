"""How the demo is shown: as a story for people, or as one JSON object per step for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol

from rich.console import Console
from rich.status import Status
from rich.text import Text

from nameplate.demo.steps import Detail, Step, StepEvent

__all__ = ["JsonReporter", "Notice", "Reporter", "RichReporter"]

_INDENT = 12
_LABELS = {"iss": "iss", "pkce": "PKCE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something for the person beside the steps: a headline, sentences, and labelled values to look at or copy."""

    title: str
    sentences: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


class Reporter(Protocol):
    """Whoever shows the demo."""

    def wait_for(self, step: Step) -> None:
        """This step is what is waited for now."""
        ...

    def report(self, event: StepEvent) -> None:
        """A step came about, or did not."""
        ...

    def say(self, notice: Notice) -> None:
        """Tell the person something."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class RichReporter:
    """For people. On a terminal with colours and a sign of life; as plain lines where the output is a file or pipe."""

    def __init__(self, file: IO[str]) -> None:
        self._console = Console(file=file, highlight=False)
        self._plain_marks = self._console.options.ascii_only
        self._status: Status | None = None

    def wait_for(self, step: Step) -> None:
        """Show what is waited for, on a terminal."""
        self.close()
        if self._console.is_terminal:
            self._status = self._console.status(Text(f"{step.title} …", style="dim"), spinner_style="dim")
            self._status.start()

    def report(self, event: StepEvent) -> None:
        """The step in a few lines: mark, time and title; what it is for; what was seen."""
        step = event.step
        if step.chapter:
            self._print(Text(f"\n{step.chapter}", style="bold cyan"))
        head = Text.assemble(
            (f"{event.milliseconds:>8,.0f} ms ".replace(",", " "), "dim"), self._mark(event.ok), (f" {step.title}", "bold")
        )
        self._print(head)
        self._print_indented(Text(step.why, style="italic dim" if event.ok else ""))
        self._print_facts(event.details)

    def say(self, notice: Notice) -> None:
        """A headline with what belongs to it."""
        self.close()
        self._print(Text(f"\n{notice.title}", style="bold yellow"))
        for sentence in notice.sentences:
            self._print_indented(Text(sentence), indent=2)
        self._print_facts(notice.facts, indent=2)

    def close(self) -> None:
        """Take away the sign of life."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _mark(self, ok: bool) -> tuple[str, str]:
        if self._plain_marks:
            return ("ok", "green") if ok else ("FAILED", "bold red")
        return ("✓", "bold green") if ok else ("✗", "bold red")

    def _print_facts(self, facts: Mapping[str, Detail], *, indent: int = _INDENT) -> None:
        width = max((len(_label(name)) for name in facts), default=0)
        for name, value in facts.items():
            for number, line in enumerate(_lines(value)):
                label = "" if number else _label(name)
                self._print_indented(
                    Text(line, style="red" if name == "problem" else ""),
                    indent=indent,
                    label=Text(f"{label:<{width}}  ", style="cyan"),
                )

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
        """Programs wait by themselves."""

    def report(self, event: StepEvent) -> None:
        """One line, at once."""
        line = {
            "step": event.step.name,
            "title": event.step.title,
            "ok": event.ok,
            "milliseconds": event.milliseconds,
            "details": dict(event.details),
        }
        print(json.dumps(line), file=self._output, flush=True)

    def say(self, notice: Notice) -> None:
        """Beside the steps."""
        self._person.say(notice)

    def close(self) -> None:
        """Nothing is open."""


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " "))


def _lines(value: Detail) -> Iterable[str]:
    match value:
        case bool():
            return ["yes" if value else "no"]
        case str() | int():
            return [str(value)]
        case Mapping():
            width = max((len(name) for name in value), default=0)
            return [f"{name:<{width}}  {_flat(each)}" for name, each in value.items()]
        case _:
            return value


def _flat(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
