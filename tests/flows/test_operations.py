"""The server as a process: starting, health, restarting, stopping."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from flow_world import PASSWORD_HASH
from nameplate.testing.serving import open_listener

CONFIGURATION = """
issuer = "http://127.0.0.1:{port}"
listen = "127.0.0.1:{port}"

[store]
url = "sqlite:///{directory}/store.sqlite3"

[[accounts]]
username = "alice"
password_hash = "{password_hash}"

[[resources]]
identifier = "http://127.0.0.1:8000/mcp"
name = "Notes"
"""


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("nameplate")), *arguments]


@contextmanager
def run_serve(directory: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """``nameplate serve`` until the block is left; it answers when the block is entered."""
    config = directory / "nameplate.toml"
    config.write_text(CONFIGURATION.format(port=port, directory=directory, password_hash=PASSWORD_HASH))
    process = subprocess.Popen(command("serve", "--config", str(config)), stderr=subprocess.PIPE, text=True)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/healthz", process)
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx2.get(url, trust_env=False)
        except httpx2.ConnectError:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        else:
            return
    pytest.fail("the server did not answer")


def free_port() -> int:
    listener, port = open_listener()
    listener.close()
    return port


def test_serving_answers_health_logs_json_and_stops_cleanly_on_sigterm(tmp_path: Path) -> None:
    port = free_port()
    with run_serve(tmp_path, port) as process:
        for path in ("/healthz", "/readyz"):
            response = httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
            assert response.status_code == 200
            assert response.json() == {"status": "ok"}
        refused = httpx2.get(f"http://127.0.0.1:{port}/authorize?client_id=x%0d%0ay", trust_env=False)
        assert refused.status_code == 400
        process.send_signal(signal.SIGTERM)
        _out, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert lines
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    line = next(line for line in lines if line["message"] == "refused")
    assert line["reason"] == "client.unknown"
    assert line["reference"] in refused.text


def test_a_restart_keeps_the_signing_key(tmp_path: Path) -> None:
    port = free_port()
    keys = []
    for _ in range(2):
        with run_serve(tmp_path, port) as process:
            keys.append(httpx2.get(f"http://127.0.0.1:{port}/jwks", trust_env=False).json())
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
    assert keys[0] == keys[1]
    assert "d" not in keys[0]["keys"][0]


def test_the_store_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    with run_serve(tmp_path, free_port()):
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("store.sqlite3*")}
    assert modes
    assert set(modes.values()) == {0o600}


def test_a_store_that_cannot_be_opened_ends_the_start_with_one_readable_line(tmp_path: Path) -> None:
    config = tmp_path / "nameplate.toml"
    config.write_text(
        CONFIGURATION.format(port=free_port(), directory=tmp_path / "missing", password_hash=PASSWORD_HASH)
    )
    result = subprocess.run(command("serve", "--config", str(config)), capture_output=True, text=True, timeout=30)
    assert result.returncode == 1
    assert "missing" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_in_use_ends_the_start_with_a_readable_line(tmp_path: Path) -> None:
    listener, port = open_listener()
    config = tmp_path / "nameplate.toml"
    config.write_text(CONFIGURATION.format(port=port, directory=tmp_path, password_hash=PASSWORD_HASH))
    result = subprocess.run(command("serve", "--config", str(config)), capture_output=True, text=True, timeout=30)
    listener.close()
    assert result.returncode == 2
    assert "in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_environment_reaches_the_server_and_a_misspelt_variable_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "nameplate.toml"
    config.write_text(CONFIGURATION.format(port=free_port(), directory=tmp_path, password_hash=PASSWORD_HASH))
    result = subprocess.run(
        command("serve", "--config", str(config)),
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "NAMEPLATE_ISUER": "https://auth.example.com"},
    )
    assert result.returncode == 2
    assert "NAMEPLATE_ISUER" in result.stderr
