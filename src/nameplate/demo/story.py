"""Keeps the demo to its story: each step once, in order, with the time that it took."""

import time
from collections.abc import Mapping

from nameplate.demo.report import Reporter
from nameplate.demo.steps import STORY, Detail, Step, StepEvent, StepName

__all__ = ["DemoFailed", "Story"]


class DemoFailed(Exception):
    """The demo cannot go on. ``problem`` says what happened, ``remedy`` what to do (the step's own where it is empty).
    ``details`` are facts worth showing.
    """

    def __init__(self, problem: str, remedy: str = "", details: Mapping[str, Detail] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.details = details or {}


class Story:
    """Where the demo stands. What comes out of order is a failure of the step that was due."""

    def __init__(self, reporter: Reporter, *, began_at: float | None = None, is_timed: bool = True) -> None:
        """``began_at`` is when the first step began, on ``time.perf_counter``; now, where it is not given.
        ``is_timed`` False: a person at a browser takes part, whose time is nobody's business.
        """
        self._is_timed = is_timed
        self._reporter = reporter
        self._told = 0
        self._began_at = time.perf_counter() if began_at is None else began_at
        self._last = self._began_at

    @property
    def told(self) -> int:
        """How many steps were told."""
        return self._told

    @property
    def seconds(self) -> float:
        """How long the steps that were told took together."""
        return self._last - self._began_at

    @property
    def is_complete(self) -> bool:
        """Whether every step was told."""
        return self._told == len(STORY)

    def expects(self, name: StepName) -> bool:
        """Whether this step is due now."""
        return not self.is_complete and STORY[self._told].name == name

    def tell(self, name: StepName, details: Mapping[str, Detail]) -> None:
        """Report that the step came about. Raises ``DemoFailed`` where another one was due."""
        if not self.expects(name):
            came = next(step.title for step in STORY if step.name == name)
            due = "the end" if self.is_complete else repr(STORY[self._told].title)
            raise DemoFailed(f"{came!r} came about when {due} was due.")
        self._report(STORY[self._told], ok=True, details=details)
        self._told += 1
        if not self.is_complete:
            self._reporter.wait_for(STORY[self._told])

    def fail(self, failure: DemoFailed) -> None:
        """Report that the step that is due did not come about."""
        step = STORY[min(self._told, len(STORY) - 1)]
        details = {"problem": failure.problem, **failure.details, "remedy": failure.remedy or step.remedy}
        self._report(step, ok=False, details=details)

    def _report(self, step: Step, *, ok: bool, details: Mapping[str, Detail]) -> None:
        now = time.perf_counter()
        is_timed = self._is_timed or not step.waits_for_person
        milliseconds = round((now - self._last) * 1000, 1) if is_timed else None
        self._last = now
        self._reporter.report(StepEvent(step=step, ok=ok, milliseconds=milliseconds, details=details))
