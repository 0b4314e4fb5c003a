"""``nameplate demo --keep``: everything stays, can be used, and ends cleanly."""

import asyncio
import os
import signal
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from demo_process import Line, start_demo

from nameplate.testing.headless_user import HeadlessUser

REDIRECT_URI = "http://127.0.0.1:49152/callback"  # nobody listens there, and nobody needs to
PERSON = """\
import asyncio, sys
from nameplate.testing.headless_user import HeadlessUser

async def main(username: str, password: str, url: str) -> None:
    async with HeadlessUser(username, password) as user:
        await user.open(await user.authorize(url))

asyncio.run(main(*sys.argv[1:]))
"""
VERIFIER = "a-code-verifier-of-at-least-forty-three-characters"


def build_authorization_url(start: Line) -> str:
    challenge = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": start["client_document"],
        "redirect_uri": REDIRECT_URI,
        "state": "the-test's",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "resource": start["mcp_server"],
        "scope": "notes:read",
    }
    return f"{start['authorization_server']}/authorize?{urlencode(query)}"


async def redeem(start: Line, answer_url: str) -> str:
    """The access token that the code in the answer buys."""
    answer = parse_qs(urlsplit(answer_url).query)
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"][0],
        "redirect_uri": REDIRECT_URI,
        "client_id": start["client_document"],
        "code_verifier": VERIFIER,
        "resource": start["mcp_server"],
    }
    async with httpx2.AsyncClient(trust_env=False) as http:
        response = await http.post(f"{start['authorization_server']}/token", data=form)
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def call_tool(start: Line, access_token: str, tool: str) -> int:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.post(start["mcp_server"], json=message, headers=headers)).status_code


async def keep_and_use(directory: Path) -> None:
    async with start_demo(directory, "--keep") as demo:
        start = (await demo.read_until("start"))["details"]
        assert (await demo.read_until("proof"))["ok"] is True
        async with HeadlessUser(start["username"], start["password"]) as user:
            access_token = await redeem(start, await user.authorize(build_authorization_url(start)))
        assert await call_tool(start, access_token, "add_note") == 403
        assert await call_tool(start, "not-a-token", "add_note") == 401
        assert await demo.stop(signal.SIGINT) == 0
        messages = await demo.read_messages()
        for shown in (start["authorization_server"], start["mcp_server"], start["username"], start["password"]):
            assert shown in messages
        assert "Ctrl-C" in messages


def test_what_is_left_running_is_a_real_server_whose_account_was_printed(tmp_path: Path) -> None:
    asyncio.run(keep_and_use(tmp_path))
    assert list(tmp_path.iterdir()) == []


async def paste(directory: Path) -> tuple[int | None, str, str]:
    """How the line that calls a tool from another terminal ends: exit status, output, and standard error."""
    person = directory / "person.py"
    person.write_text(PERSON)
    async with start_demo(directory, "--keep") as demo:
        start = (await demo.read_until("start"))["details"]
        await demo.read_until("proof")
        assert demo.process.stderr is not None
        async for raw in demo.process.stderr:
            label, _, line = raw.decode().strip().partition("  ")
            if label == "use a client":
                break
        browser = f"{sys.executable} {person} {start['username']} {start['password']} %s"
        client = await asyncio.create_subprocess_shell(
            line.strip(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "BROWSER": browser},
        )
        output, errors = await client.communicate()
        return client.returncode, output.decode(), errors.decode()


def test_the_line_to_paste_calls_a_tool(tmp_path: Path) -> None:
    status, output, errors = asyncio.run(paste(tmp_path))
    assert (status, errors) == (0, "")
    assert output.splitlines()[1:] == ["Water the plants", "Buy bread", "Call grandmother"]


async def stop_after(directory: Path, step: str, number: signal.Signals, *flags: str) -> int:
    async with start_demo(directory, *flags) as demo:
        await demo.read_until(step)
        return await demo.stop(number)


def test_a_signal_to_terminate_ends_what_was_left_running_as_well(tmp_path: Path) -> None:
    assert asyncio.run(stop_after(tmp_path, "proof", signal.SIGTERM, "--keep")) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_is_interrupted_has_not_succeeded_and_leaves_nothing(tmp_path: Path) -> None:
    assert asyncio.run(stop_after(tmp_path, "authorization_request", signal.SIGINT, "--browser")) == 130
    assert list(tmp_path.iterdir()) == []
