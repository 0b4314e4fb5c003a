"""Keeps the logs of the demo's parts out of its display, and their warnings for whoever asks why it failed."""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from nameplate.server.logs import JsonFormatter

__all__ = ["KeptLog", "keep_log"]

_LINES = 8


class KeptLog(logging.Handler):
    """The last warnings of our own parts, one line each; written out as well from ``write_to`` on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=_LINES)
        self._output: IO[str] | None = None
        self.setFormatter(JsonFormatter())

    def write_to(self, output: IO[str]) -> None:
        """Write what comes from now on as structured lines, as ``nameplate serve`` does."""
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record, if it is ours: the SDK's and uvicorn's warnings are about what we report already."""
        if not record.name.startswith("nameplate."):
            return
        said = [str(record.__dict__[name]) for name in ("reason", "detail") if record.__dict__.get(name)]
        self.lines.append(": ".join([record.name, record.getMessage(), *said]))
        if self._output is not None:
            self._output.write(self.format(record) + "\n")
            self._output.flush()


@contextmanager
def keep_log() -> Iterator[KeptLog]:
    """Take over the root logger, and give it back at the end."""
    root, log = logging.getLogger(), KeptLog()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = [log]
    root.setLevel(logging.WARNING)
    try:
        yield log
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
