"""What RFC 9700 and MCP's security practices ask of a whole server, where no other test is about it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest

from flow_world import DOCUMENT, PASSWORD, PASSWORD_HASH, World, build_settings
from nameplate.protocol.pkce import build_code_challenge, is_proof
from nameplate.testing.document_host import run_document_host
from nameplate.testing.serving import open_listener

pytestmark = pytest.mark.anyio


def read_field(page: httpx2.Response, name: str) -> str:
    """A hidden field of the page's form."""
    return page.text.split(f'name="{name}" value="')[1].split('"')[0]


@pytest.mark.proves("MCP-80", "MCP-82", "NAT-6")
async def test_a_browser_that_agreed_to_one_client_is_asked_about_the_next(world: World) -> None:
    """Confused deputy: what the browser keeps stands for the person, never for an answer."""
    other = world.host.publish("/other.json", {**DOCUMENT, "client_name": "Other"})
    async with world.user() as user:
        await user.authorize(world.authorize_url(world.attempt()))
        page = await user.open(world.authorize_url(world.attempt(client_id=other)))
        assert page.left_to is None
        assert page.asks_for("answer")
        assert "Other" in page.text


@pytest.mark.proves("O21-17", "BCP-8")
async def test_no_form_is_answered_by_a_redirect_that_sends_it_on(world: World) -> None:
    """After 307 the browser would post the password to wherever it is sent."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        page = await browser.get(world.authorize_url(world.attempt()))
        request = {"request": read_field(page, "request")}
        credentials = {"username": "alice", "password": PASSWORD}
        signed_out = await browser.post(f"{world.issuer}/sign-out", data=request)
        signed_in = await browser.post(f"{world.issuer}/sign-in", data={**request, **credentials})
        consent = await browser.get(urljoin(world.issuer, signed_in.headers["location"]))
        answer = {"subject": read_field(consent, "subject"), "answer": "allow"}
        answered = await browser.post(f"{world.issuer}/consent", data={**request, **answer})
    assert answered.headers["location"].startswith("http://127.0.0.1:51763/callback?code=")
    assert [response.status_code for response in (signed_out, signed_in, answered)] == [303, 303, 303]


@pytest.mark.proves("BCP-2")
@pytest.mark.parametrize("verifier", ["v" * 43, "", build_code_challenge("")])
def test_no_verifier_fits_a_challenge_that_is_not_there(verifier: str) -> None:
    """No code is issued without one (O21-1); should one ever lie in the store, it buys nothing."""
    assert not is_proof(verifier, "")


@asynccontextmanager
async def run_process(directory: Path, trusted_proxy: str) -> AsyncIterator[tuple[str, str]]:
    """``nameplate serve`` behind a proxy at that address: its issuer, and a client that it knows."""
    listener, port = open_listener()
    listener.close()
    issuer = f"http://127.0.0.1:{port}"
    async with run_document_host(directory) as host:
        settings = build_settings(issuer, "http://127.0.0.1:8000/mcp", directory, host, {})
        parts = settings.model_dump(mode="json", include={"issuer", "store", "resources", "fetch"}, exclude_unset=True)
        parts |= {"listen": f"127.0.0.1:{port}", "trusted_proxies": [trusted_proxy]}
        parts["accounts"] = [{"username": "alice", "password_hash": PASSWORD_HASH}]
        variables = {
            f"NAMEPLATE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in parts.items()
        }
        program = Path(sys.executable).with_name("nameplate")
        process = await asyncio.create_subprocess_exec(
            program, "serve", env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        try:
            async with asyncio.timeout(20):
                while b'"serving"' not in (line := await process.stderr.readline()):
                    assert line, "the server stopped"
            yield issuer, host.publish("/client.json", DOCUMENT)
        finally:
            process.kill()
            await process.communicate()


@pytest.mark.proves("BCP-7")
@pytest.mark.parametrize(("trusted_proxy", "sixth"), [("192.0.2.1", 429), ("127.0.0.1", 401)])
async def test_a_forwarded_address_counts_only_from_a_proxy_that_the_operator_named(
    tmp_path: Path, trusted_proxy: str, sixth: int
) -> None:
    """Whoever guesses passwords would be somebody else each time."""
    async with run_process(tmp_path, trusted_proxy) as (issuer, client_id), httpx2.AsyncClient(trust_env=False) as http:
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": "http://127.0.0.1:51763/callback",
            "code_challenge": build_code_challenge("v" * 43),
            "code_challenge_method": "S256",
        }
        page = await http.get(f"{issuer}/authorize", params=query)
        form = {"request": read_field(page, "request"), "username": "alice", "password": "a guess"}
        statuses = [
            (
                await http.post(f"{issuer}/sign-in", data=form, headers={"X-Forwarded-For": f"198.51.100.{n}"})
            ).status_code
            for n in range(6)
        ]
    assert statuses == [401, 401, 401, 401, 401, sixth]
