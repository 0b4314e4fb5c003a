"""``nameplate demo`` from outside: what it prints, its exit status, and what it leaves behind."""

import asyncio
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from demo_process import COMMAND, Line, build_environment, run_to_end

from nameplate.demo.steps import STORY

# A code, a refresh token or a cookie of ours; or a JWT with its signature.
BEARER_VALUE = re.compile(r"\bnp[a-z]_[A-Za-z0-9_-]{16,}|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A demo that has ended. ``directory`` is where its temporary files lay."""

    status: int
    lines: list[Line]
    messages: str
    directory: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run for all tests that only look at what came out. Settings for the user's own server must not reach it."""
    directory = tmp_path_factory.mktemp("demo")
    status, lines, messages = asyncio.run(
        run_to_end(directory, NAMEPLATE_ISSUER="https://auth.example.com", NAMEPLATE_CIMD__ENABLED="false")
    )
    return Run(status=status, lines=lines, messages=messages, directory=directory)


def test_every_step_is_reported_in_order_as_one_json_object_and_nothing_else_is_printed(run: Run) -> None:
    assert [line["step"] for line in run.lines] == [step.name for step in STORY]
    assert all(set(line) == {"step", "title", "ok", "milliseconds", "details"} for line in run.lines)
    assert all(line["ok"] is True and line["milliseconds"] >= 0 for line in run.lines)
    assert run.messages == ""
    assert run.status == 0


def test_what_is_reported_hangs_together(run: Run) -> None:
    seen = {line["step"]: line["details"] for line in run.lines}
    start, claims = seen["start"], seen["token"]["token_claims"]
    assert seen["document"]["request"] == f"GET {start['client_document']}"
    assert seen["server_metadata"]["client_id_metadata_document_supported"] is True
    assert (claims["iss"], claims["aud"]) == (start["authorization_server"], start["mcp_server"])
    assert claims["client_id"] == start["client_document"] == seen["proof"]["client_id"]
    assert "notes:write" not in claims["scope"].split()
    assert "notes:write" in seen["step_up_token"]["token_claims"]["scope"].split()
    assert seen["tool_result"]["result"] == ["Water the plants", "Buy bread"]
    assert seen["refresh"]["result"] == ["Water the plants", "Buy bread", "Call grandmother"]
    assert seen["refresh"]["refresh_token_replaced"] is True
    assert seen["step_up_consent"]["document_fetches"] == 1
    assert seen["proof"]["key_fetches_by_mcp_server"] == 1
    assert len(seen["proof"]["verified_calls"]) == 3


def test_what_the_consent_page_said_is_reported(run: Run) -> None:
    seen = {line["step"]: line["details"] for line in run.lines}
    host = urlsplit(seen["start"]["client_document"]).netloc
    assert host in seen["consent"]["who_asks"]
    assert "Demo notebook" in seen["consent"]["who_asks"]
    assert "Demo notes" in seen["consent"]["question"]
    assert seen["consent"]["permissions"] == ["Read your notes notes:read"]
    assert seen["step_up_consent"]["permissions"] == ["Read your notes notes:read", "Write new notes notes:write"]


def test_nothing_is_left_behind_no_file_no_port_and_no_bearer_value_in_the_output(run: Run) -> None:
    assert list(run.directory.iterdir()) == []
    start = run.lines[0]["details"]
    for url in (start["client_document"], start["authorization_server"], start["mcp_server"]):
        socket.create_server(("127.0.0.1", urlsplit(url).port or 0)).close()
    assert BEARER_VALUE.findall(str(run.lines)) == []


def test_people_read_a_story_without_control_characters_where_the_output_is_no_terminal(tmp_path: Path) -> None:
    demo = subprocess.run(
        [COMMAND, "demo"], env=build_environment(tmp_path), capture_output=True, timeout=60, check=False
    )
    text = demo.stdout.decode()
    assert demo.returncode == 0, text
    assert demo.stderr == b""
    positions = [text.index(step.title) for step in STORY]
    assert positions == sorted(positions)
    assert "\x1b" not in text
    assert "It works" in text
    assert BEARER_VALUE.findall(text) == []


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_an_output_that_nobody_reads_any_more_ends_the_demo_without_a_word(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    with subprocess.Popen(
        [COMMAND, "demo", *flags], env=build_environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.readline()
        demo.stdout.close()
        assert demo.stderr.read() == b""
        assert demo.wait(60) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_an_output_that_cannot_be_written_is_one_line(flags: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        demo = subprocess.run(
            [COMMAND, "demo", *flags],
            env=build_environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert demo.returncode == 1
    assert demo.stderr == b"nameplate demo: the output cannot be written: No space left on device.\n"


@pytest.mark.parametrize("module", ["mcp", "trustme"])
def test_without_its_extra_the_demo_says_what_to_install(module: str) -> None:
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from nameplate.cli.demo import run_demo\n"
        "sys.exit(run_demo(browser=False, keep=False, json=False))"
    )
    demo = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert demo.returncode == 1
    assert demo.stdout == b""
    assert f"not installed: {module}" in demo.stderr.decode()
    assert "pip install 'nameplate[demo]'" in demo.stderr.decode()
