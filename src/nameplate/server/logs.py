"""Structured logs: one JSON object a line on standard error. Line breaks and controls cannot forge a line (HT-04).

Workers share the stream. POSIX keeps one write of at most 4096 bytes to a pipe in one piece, so no line is longer.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Final

__all__ = ["MOST_BYTES", "JsonFormatter", "set_up_logs"]

MOST_BYTES: Final = 4096
"""How long a line may be, its end included."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
_CUT = " [cut] "
_LIMITS = (2048, 1024, 512, 256, 128, 64)
_BARE = ("time", "level", "logger", "message")


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time, level, logger, message, then whatever was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, ASCII only and shorter than ``MOST_BYTES``: long values lose their middle."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        for name, value in record.__dict__.items():
            if name not in _STANDARD and value != "":
                entry.setdefault(name, value)
        line = _dump(entry)
        for most in _LIMITS:
            if len(line) < MOST_BYTES:
                return line
            line = _dump({name: _shorten(value, most) for name, value in entry.items()})
        return line if len(line) < MOST_BYTES else _dump({name: _shorten(entry[name], most) for name in _BARE})


class _LineHandler(logging.Handler):
    """Writes each line to a descriptor at once."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode()
            while line:  # a pipe takes it whole, a file on a disk that is nearly full may not
                line = line[os.write(self._descriptor, line) :]
        except Exception:  # noqa: BLE001  (as every handler of logging: a log that fails must not end a request)
            self.handleError(record)


def set_up_logs(level: int = logging.INFO) -> None:
    """Send everything to standard error in this form."""
    output = _LineHandler(sys.stderr.fileno())
    output.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level)
    # httpcore2 and the like log every step of every connection at DEBUG; what matters of a fetch is logged by us.
    for name in ("httpcore2", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _dump(value: object) -> str:
    return json.dumps(value, default=str, skipkeys=True)


def _shorten(value: object, most: int) -> object:
    """The value, or a text of at most ``most`` bytes that has its beginning and its end."""
    if isinstance(value, bool | int | float | None):
        return value
    text = value if isinstance(value, str) else _dump(value)
    if len(text) <= most and len(_dump(text)) <= most:
        return value
    half = (most - len(_CUT)) // 2
    tail = _take(text[: -half - 1 : -1], half)[::-1]
    return f"{_take(text[:half], half)}{_CUT}{tail}"


def _take(text: str, most: int) -> str:
    """As much of the text as takes at most so many bytes in JSON, one character after the other."""
    for length, character in enumerate(text):
        most -= len(_dump(character)) - 2
        if most < 0:
            return text[:length]
    return text
