"""One record, one line of JSON: nothing that a stranger sends can look like a second one."""

import io
import json
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.server.logs import JsonFormatter


def log(message: str, *arguments: object, **options: object) -> str:
    """What a logger with our formatter writes for this message."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("nameplate.test")
    logger.addHandler(handler)
    logger.warning(message, *arguments, **options)  # type: ignore[arg-type]  # exc_info and extra alike
    return output.getvalue()


def test_a_line_says_when_how_bad_who_and_what() -> None:
    entry = json.loads(log("refused %s", "them", extra={"reason": "client.unknown", "detail": "", "status": 400}))
    time = entry.pop("time")
    assert entry == {
        "level": "warning",
        "logger": "nameplate.test",
        "message": "refused them",
        "reason": "client.unknown",
        "status": 400,
    }
    assert time.endswith("+00:00")


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\ud800"]
)
def test_no_character_can_break_hide_or_turn_around_a_line(character: str) -> None:
    forged = f'x{character}{{"level": "info"}}'
    line = log("%s", forged, extra={"client_id": forged})
    assert line.count("\n") == 1
    assert line.removesuffix("\n").isascii()
    assert line.removesuffix("\n").isprintable()
    entry = json.loads(line)
    assert entry["message"] == entry["client_id"] == forged


@given(
    st.text(st.characters()), st.dictionaries(st.sampled_from(["a", "reason"]), st.text(st.characters(), min_size=1))
)
def test_whatever_is_logged_is_one_line_of_ascii_json(message: str, extra: dict[str, str]) -> None:
    line = log("%s", message, extra=extra)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    entry = json.loads(line)
    assert entry["message"] == message
    assert extra.items() <= entry.items()


def test_no_extra_replaces_what_every_line_has() -> None:
    entry = json.loads(log("x", extra={"level": "debug", "time": "never", "logger": "evil"}))
    assert (entry["level"], entry["logger"]) == ("warning", "nameplate.test")
    assert entry["time"] != "never"


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise ValueError('first\nsecond "quoted"')
    except ValueError:
        line = log("failed", exc_info=True)
    assert line.count("\n") == 1
    exception = json.loads(line)["exception"]
    assert "Traceback" in exception
    assert exception.endswith('ValueError: first\nsecond "quoted"')


def test_what_json_does_not_know_is_written_as_text() -> None:
    entry = json.loads(log("x", extra={"error": ValueError("v"), "values": {("a", "b"): 1, "c": {1}}}))
    assert entry["error"] == "v"
    assert entry["values"] == {"c": "{1}"}


def test_the_whole_process_logs_in_this_form_to_standard_error() -> None:
    program = (
        "import logging; from nameplate.server.logs import set_up_logs; set_up_logs(); set_up_logs();"
        "logging.getLogger('uvicorn.error').info('up', extra={'color_message': 'x'});"
        "logging.getLogger('httpx2').info('secret'); logging.getLogger('x').debug('no')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    entry = json.loads(line)
    assert (entry["logger"], entry["message"], entry["level"]) == ("uvicorn.error", "up", "info")
    assert "color_message" not in entry
