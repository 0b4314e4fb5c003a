"""The files in examples/ run as they are; only their placeholder domains are replaced, by arguments and environment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import httpx2
import pytest

from flow_world import PASSWORD, PASSWORD_HASH
from nameplate.protocol.client_metadata import parse_client_metadata
from nameplate.server.settings import load_settings
from nameplate.testing.document_host import run_document_host
from nameplate.testing.serving import open_listener

EXAMPLES = Path(__file__).parents[2] / "examples"
READY_SECONDS = 30

PERSON = f"""\
import asyncio, sys
from nameplate.testing.headless_user import HeadlessUser

async def main(answer: str, url: str) -> None:
    async with HeadlessUser("ada", {PASSWORD!r}) as user:
        await user.open(await user.authorize(url, answer))

asyncio.run(main(*sys.argv[1:]))
"""


def find_free_port() -> int:
    listener, port = open_listener()
    listener.close()
    return port


@dataclass(kw_only=True)
class Place:
    """Everything that the examples name by a placeholder, on this machine."""

    directory: Path
    client_id: str
    document_port: int
    ca_file: Path
    issuer_port: int = field(default_factory=find_free_port)
    mcp_port: int = field(default_factory=find_free_port)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.issuer_port}"

    @property
    def resource(self) -> str:
        return f"http://127.0.0.1:{self.mcp_port}/mcp"

    def environment(self) -> dict[str, str]:
        """What docs/configuration.md says of the environment, for examples/nameplate.toml."""
        settings = load_settings(EXAMPLES / "nameplate.toml")
        resources = [each.model_dump() | {"identifier": self.resource} for each in settings.resources]
        accounts = [each.model_dump() | {"password_hash": PASSWORD_HASH} for each in settings.accounts]
        hosts = [{"host": "localhost", "network": "127.0.0.0/8", "ports": [self.document_port], "address": "127.0.0.1"}]
        return {
            **os.environ,
            "NAMEPLATE_ISSUER": self.issuer,
            "NAMEPLATE_LISTEN": f"127.0.0.1:{self.issuer_port}",
            "NAMEPLATE_STORE__URL": f"sqlite:///{self.directory / 'store.sqlite3'}",
            "NAMEPLATE_RESOURCES": json.dumps(resources),
            "NAMEPLATE_ACCOUNTS": json.dumps(accounts),
            "NAMEPLATE_FETCH__PRIVATE_HOSTS": json.dumps(hosts),
            "NAMEPLATE_FETCH__TRUSTED_CA_FILE": str(self.ca_file),
        }


@contextmanager
def run_program(command: list[str], *, answers_at: str, environment: Mapping[str, str]) -> Iterator[None]:
    """A program that serves, until the block is left; it answers when the block is entered, and stops on SIGTERM."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        wait_until_ready(process, answers_at)
        yield
        process.terminate()
        process.communicate(timeout=READY_SECONDS)
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(process: "subprocess.Popen[str]", url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx2.get(url, trust_env=False)
        except httpx2.ConnectError:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"{url} did not answer")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """The document lies on a host of its own; authorization server and MCP server run as their examples say."""
    async with run_document_host(tmp_path) as host:
        client_id = host.publish("/oauth/client.json", without_client_id(EXAMPLES / "client.json"))
        place = Place(directory=tmp_path, client_id=client_id, document_port=host.port, ca_file=host.ca_file)
        with ExitStack() as running:
            nameplate = str(Path(sys.executable).with_name("nameplate"))
            serve = [nameplate, "serve", "--config", str(EXAMPLES / "nameplate.toml")]
            server = [sys.executable, str(EXAMPLES / "protected_server.py"), "--url", place.resource]
            server += ["--issuer", place.issuer, "--listen", f"127.0.0.1:{place.mcp_port}"]
            for command, url, environment in (
                (serve, f"{place.issuer}/readyz", place.environment()),
                (server, place.resource, dict(os.environ)),
            ):
                await anyio.to_thread.run_sync(
                    running.enter_context, run_program(command, answers_at=url, environment=environment)
                )
            yield place


def without_client_id(document: Path) -> dict[str, object]:
    members = json.loads(document.read_text())
    return {name: value for name, value in members.items() if name != "client_id"}


async def run_client(place: Place, *arguments: str, answer: str = "allow") -> "subprocess.CompletedProcess[bytes]":
    """``sdk_client.py`` beside a person who answers without a browser: Python opens what ``BROWSER`` names."""
    person = place.directory / "person.py"
    person.write_text(PERSON)
    return await anyio.run_process(
        [sys.executable, str(EXAMPLES / "sdk_client.py"), "--client-id", place.client_id, place.resource, *arguments],
        env={**os.environ, "BROWSER": f"{sys.executable} {person} {answer} %s"},
        check=False,
    )


@pytest.mark.anyio
async def test_the_client_prints_the_tools_answer_or_that_the_person_declined(place: Place) -> None:
    allowed = await run_client(place, "add_note", "text=Buy bread")
    assert allowed.returncode == 0, allowed.stderr.decode()
    opened, result = allowed.stdout.decode().splitlines()
    assert f"{place.issuer}/authorize?" in opened
    assert result == "Noted: Buy bread"

    denied = await run_client(place, "list_notes", answer="deny")
    check_failure(denied, "No access: access_denied")

    unknown = await run_client(place, "no_such_tool")
    check_failure(unknown, "no_such_tool")


def check_failure(client: "subprocess.CompletedProcess[bytes]", said: str) -> None:
    """One line that a person can read."""
    (line,) = client.stderr.decode().splitlines()
    assert said in line
    assert client.returncode == 1


@pytest.mark.anyio
async def test_ctrl_c_ends_the_client_while_it_waits_for_the_browser(place: Place) -> None:
    command = [sys.executable, str(EXAMPLES / "sdk_client.py"), "--client-id", place.client_id, place.resource]
    # The browser stays open, as some do that a terminal starts: the program must not wait for it either.
    browser = place.directory / "browser.py"
    browser.write_text("import sys; sys.stdin.read()")
    environment = {**os.environ, "BROWSER": f"{sys.executable} {browser} %s"}
    with anyio.fail_after(READY_SECONDS):
        async with await anyio.open_process([*command, "list_notes"], env=environment, stdin=subprocess.PIPE) as client:
            assert client.stdout is not None
            assert client.stderr is not None
            assert b"/authorize?" in await client.stdout.receive()
            client.send_signal(signal.SIGINT)
            assert await client.wait() == 130
            assert client.stdin is not None
            await client.stdin.aclose()
            assert [part async for part in client.stderr] == []


@pytest.mark.anyio
async def test_the_client_says_in_one_line_that_the_server_trusts_another_issuer(place: Place) -> None:
    port = find_free_port()
    resource, issuer = f"http://127.0.0.1:{port}/mcp", place.issuer.replace("127.0.0.1", "localhost")
    command = [sys.executable, str(EXAMPLES / "protected_server.py"), "--url", resource, "--issuer", issuer]
    command += ["--listen", f"127.0.0.1:{port}"]
    with ExitStack() as running:
        await anyio.to_thread.run_sync(
            running.enter_context, run_program(command, answers_at=resource, environment=os.environ)
        )
        check_failure(await run_client(replace(place, mcp_port=port), "list_notes"), "issuer mismatch")


@pytest.mark.anyio
async def test_the_client_says_in_one_line_that_no_server_answers() -> None:
    client = await anyio.run_process(
        [sys.executable, str(EXAMPLES / "sdk_client.py"), f"http://127.0.0.1:{find_free_port()}/mcp", "list_notes"],
        check=False,
    )
    check_failure(client, "ConnectError")


@pytest.mark.parametrize("listen", [":8000", "8000", "127.0.0.1:", "127.0.0.1:http", ""])
def test_the_server_listens_nowhere_unless_an_address_is_named(listen: str) -> None:
    server = subprocess.run(
        [sys.executable, str(EXAMPLES / "protected_server.py"), "--listen", listen],
        capture_output=True,
        timeout=READY_SECONDS,
        check=False,
    )
    assert server.returncode == 2
    assert b"--listen: name an address and a port" in server.stderr


def test_the_document_is_one_that_is_accepted_at_the_url_that_it_names() -> None:
    body = (EXAMPLES / "client.json").read_bytes()
    client = parse_client_metadata("https://app.example.com/oauth/client.json", body)
    assert client.warnings == ()


def test_the_placeholders_fit_together() -> None:
    settings = load_settings(EXAMPLES / "nameplate.toml")
    (resource,) = settings.resources
    server, client = ((EXAMPLES / name).read_text() for name in ("protected_server.py", "sdk_client.py"))
    assert f'default="{settings.issuer}"' in server
    assert f'default="{resource.identifier}"' in server
    assert all(f'"{scope.name}"' in server for scope in resource.scopes)
    assert f'default="{json.loads((EXAMPLES / "client.json").read_text())["client_id"]}"' in client
