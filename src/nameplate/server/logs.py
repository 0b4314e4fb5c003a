"""Structured logs: one JSON object a line on standard error. Line breaks and controls cannot forge a line (HT-04)."""

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["JsonFormatter", "set_up_logs"]

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time, level, logger, message, then whatever was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, ASCII only."""
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
        return json.dumps(entry, default=str, skipkeys=True)


def set_up_logs(level: int = logging.INFO) -> None:
    """Send everything to standard error in this form."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level)
    # httpcore2 and the like log every step of every connection at DEBUG; what matters of a fetch is logged by us.
    for name in ("httpcore2", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
