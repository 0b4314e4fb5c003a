"""One record, one line of JSON: nothing that a stranger sends can look like a second one."""

import io
import json
import logging
import os
import select
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.server.logs import MOST_BYTES, JsonFormatter


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
    st.text(st.characters(), max_size=100),
    st.dictionaries(st.sampled_from(["a", "reason"]), st.text(st.characters(), min_size=1, max_size=100)),
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


@pytest.mark.parametrize("character", ["x", "\n", "\0", "\x7f", "é", "\U0001f600", "\ud800", '"'])
@pytest.mark.parametrize("size", [1000, 3900, 50_000])
def test_a_line_fits_into_one_write_whatever_is_logged(character: str, size: int) -> None:
    text = f"begin{character * size}end"
    for line in (
        log("%s", text),
        log("x", extra={"client_id": text, "detail": text, "deep": {"a": [text]}}),
        log("x", extra={f"name{number}": text[:1000] for number in range(100)}),
        log(text, exc_info=ValueError(text)),
    ):
        assert len(line.encode()) < MOST_BYTES == select.PIPE_BUF
        entry = json.loads(line)
        assert {"time", "level", "logger", "message"} <= entry.keys()
    assert entry["message"].startswith("begin")
    assert entry["message"].endswith("end")
    assert entry["exception"].endswith("end")


@given(st.lists(st.text(st.characters(), max_size=100), max_size=30), st.integers(1, 100))
def test_what_is_too_long_is_cut_and_still_one_line_of_json(texts: list[str], times: int) -> None:
    line = log("x", extra={f"extra{number}": text * times for number, text in enumerate(texts)})
    assert len(line) < MOST_BYTES
    assert json.loads(line)["message"] == "x"


def test_the_end_of_a_trace_is_kept_because_it_says_what_went_wrong() -> None:
    def fail(depth: int) -> None:
        if depth == 0:
            raise ValueError("the cause")
        (fail if depth % 2 else lambda depth: fail(depth))(depth - 1)  # noqa: PLW0108  (no two frames alike)

    try:
        fail(100)
    except ValueError:
        exception = json.loads(log("failed", exc_info=True))["exception"]
    assert exception.startswith("Traceback")
    assert exception.endswith("ValueError: the cause")
    assert " [cut] " in exception


WRITER = """
import logging, sys
from nameplate.server.logs import set_up_logs
set_up_logs()
sys.stdin.readline()
for number in range(300):
    logging.error("line", extra={"detail": sys.argv[1] * (9000 if number % 2 else 3000), "number": number})
"""


def test_lines_of_several_processes_on_one_pipe_stay_whole() -> None:
    reading, writing = os.pipe()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name], stdin=subprocess.PIPE, stderr=writing) for name in "abcd"
    ]
    os.close(writing)
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.close()
    with os.fdopen(reading) as pipe:
        entries = [json.loads(line) for line in pipe]
    for writer in writers:
        writer.wait()
    assert len(entries) == 4 * 300
    assert {entry["detail"][:50] for entry in entries} == {name * 50 for name in "abcd"}
    assert all(len(set(entry["detail"].replace(" [cut] ", ""))) == 1 for entry in entries)


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
