"""The server as a process: starting, health, restarting, stopping; and commands beside a server that runs."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

from flow_world import PASSWORD, PASSWORD_HASH, World, read_answer
from nameplate.protocol.pkce import build_code_challenge
from nameplate.testing.headless_user import HeadlessUser
from nameplate.testing.serving import open_listener
from nameplate.vault import generate_encryption_key

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


def run_beside(world: World, directory: Path, *arguments: str) -> str:
    """A command, as a process of its own over the store that the world's server has open; what it printed."""
    config = directory / "nameplate.toml"
    config.write_text(CONFIGURATION.format(port=free_port(), directory=directory, password_hash=PASSWORD_HASH))
    result = subprocess.run(command(*arguments, "-c", str(config)), capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.anyio
async def test_an_operator_sees_and_ends_what_a_client_has_while_the_server_runs(world: World, tmp_path: Path) -> None:
    attempt = world.attempt()
    code = await world.obtain_code(attempt)
    tokens = (await world.redeem(attempt, code)).json()
    # The world's clock is not that of the commands: --all and --since 0 do not depend on it.
    (grant,) = map(json.loads, run_beside(world, tmp_path, "grants", "list", "--all", "--json").splitlines())
    assert (grant["client_id"], grant["client_name"], grant["username"]) == (world.client_id, "Notebook", "alice")
    assert run_beside(world, tmp_path, "grants", "revoke", grant["id"], "--yes") == f"Ended {grant['id']}.\n"
    refused = await world.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    shown = [
        run_beside(world, tmp_path, *arguments)
        for arguments in (
            ("audit", "--since", "0"),
            ("audit", "--since", "0", "--json"),
            ("grants", "show", grant["id"], "--json"),
            ("clients", "show", world.client_id, "--json"),
            ("accounts", "show", "alice", "--json"),
        )
    ]
    assert "grant.revoked_by_operator" in shown[0]
    for text in shown:
        for secret in (code, attempt.verifier, tokens["access_token"], tokens["refresh_token"], PASSWORD_HASH):
            assert secret not in text


@pytest.mark.anyio
async def test_an_operator_signs_a_person_out_while_the_server_runs(world: World, tmp_path: Path) -> None:
    async with world.user() as user:
        await world.obtain_code(world.attempt(), user)
        assert not (await user.open(world.authorize_url(world.attempt()))).asks_for("password")
        printed = run_beside(world, tmp_path, "accounts", "sign-out", "alice", "--yes")
        assert printed == "Ended 1 session and 0 grants of alice.\n"
        assert (await user.open(world.authorize_url(world.attempt()))).asks_for("password")


CALLBACK = "https://robot.example.com/callback"
RESOURCE = "http://127.0.0.1:8000/mcp"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shared_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that several processes may share, in the environment of the commands."""
    if request.param == "postgres":
        monkeypatch.setenv("NAMEPLATE_STORE__URL", request.getfixturevalue("postgres_store_url"))
        monkeypatch.setenv("NAMEPLATE_STORE__ENCRYPTION_KEYS", json.dumps([generate_encryption_key()]))


def register_client(directory: Path) -> str:
    """A public client that the operator registers beside the running server; its id."""
    metadata = {
        "client_name": "Robot",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    }
    (directory / "client.json").write_text(json.dumps(metadata))
    arguments = ("clients", "register", "client.json", "--json")
    result = subprocess.run(command(*arguments), cwd=directory, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    return str(json.loads(result.stdout)["client_id"])


@pytest.mark.anyio
@pytest.mark.proves("O21-4")
@pytest.mark.usefixtures("shared_store")
async def test_several_workers_over_one_store_are_one_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMEPLATE_WORKERS", "3")
    port, verifier = free_port(), secrets.token_urlsafe(48)
    issuer = f"http://127.0.0.1:{port}"
    with run_serve(tmp_path, port):
        client_id = register_client(tmp_path)
        request = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "resource": RESOURCE,
            "code_challenge": build_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        async with HeadlessUser("alice", PASSWORD) as user:
            answer = read_answer(await user.authorize(f"{issuer}/authorize?{urlencode(request)}"))

        async def post(form: dict[str, str]) -> httpx2.Response:
            async with httpx2.AsyncClient(trust_env=False, timeout=20) as http:  # a connection, and a worker, each
                return await http.post(f"{issuer}/token", data={"client_id": client_id, **form})

        redemption = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        responses = await asyncio.gather(*(post(redemption) for _ in range(9)))
        assert sorted(response.status_code for response in responses) == [200, *[400] * 8]
        (redeemed,) = [response for response in responses if response.status_code == 200]
        token = redeemed.json()["refresh_token"]
        refreshed = await asyncio.gather(
            *(post({"grant_type": "refresh_token", "refresh_token": token}) for _ in range(6))
        )
        assert {response.status_code for response in refreshed} == {200}
        assert len({response.json()["refresh_token"] for response in refreshed}) == 1
        published = {httpx2.get(f"{issuer}/jwks", trust_env=False).text for _ in range(12)}
        assert len(published) == 1
