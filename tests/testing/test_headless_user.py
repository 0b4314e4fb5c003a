"""The person without a browser: reads pages, fills in forms, keeps cookies, stops where a server sends them away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from nameplate.testing.headless_user import HeadlessUser
from nameplate.testing.serving import open_listener, serve_app

pytestmark = pytest.mark.anyio

SIGN_IN = """<!doctype html><title>Sign &amp; in</title><input name="stray">
<form action="/sign-in"><input name="request" value="r&amp;1"><input name="username"><input name="password">
<input type="submit" name="go" value="1"></form><input name="late"><a href="/help">Help</a>"""
CONSENT = """<title>Consent</title><form action="consent">
<input type="hidden" name="request" value="r1"><button name="answer" value="allow">Yes</button>
<button name="answer" value="deny">No</button></form>the end"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def authorize(request: Request) -> Response:
    response = HTMLResponse(CONSENT if request.cookies.get("session") == "alice" else SIGN_IN)
    response.set_cookie("browser", "b1")
    return response


async def sign_in(request: Request) -> Response:
    form = await request.body()
    if form != b"request=r%261&username=alice&password=pw" or request.cookies.get("browser") != "b1":
        return HTMLResponse(SIGN_IN, 401)
    response = RedirectResponse("/authorize", 303)
    response.set_cookie("session", "alice")
    return response


async def consent(request: Request) -> Response:
    answer = (await request.body()).decode().partition("answer=")[2]
    return RedirectResponse(f"http://client.example:1/cb?answer={answer}", 303)


async def loop(request: Request) -> Response:
    return RedirectResponse("/loop", 302)


async def again(request: Request) -> Response:
    return RedirectResponse("/sign-in", 307)


@asynccontextmanager
async def run() -> AsyncIterator[str]:
    listener, port = open_listener()
    routes = [
        Route("/authorize", authorize),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/consent", consent, methods=["POST"]),
        Route("/loop", loop),
        Route("/again", again),
    ]
    async with serve_app(Starlette(routes=routes), listener):
        yield f"http://127.0.0.1:{port}"


async def test_a_page_is_read_into_title_links_forms_and_text() -> None:
    async with run() as url, HeadlessUser() as user:
        page = await user.open(f"{url}/authorize")
    assert (page.status, page.title, page.links, page.left_to) == (200, "Sign & in", ["/help"], None)
    (form,) = page.forms
    assert form.fields == {"request": "r&1", "username": "", "password": ""}
    assert form.buttons == [("go", "1")]
    assert page.form_with("password") is form
    assert page.text.endswith("Help")
    with pytest.raises(LookupError, match="no form with 'late'"):
        page.form_with("late")


@pytest.mark.parametrize("answer", ["allow", "deny"])
async def test_the_whole_way_leads_to_the_client(answer: str) -> None:
    async with run() as url, HeadlessUser("alice", "pw") as user:
        assert await user.authorize(f"{url}/authorize", answer) == f"http://client.example:1/cb?answer={answer}"
        page = await user.open(f"{url}/authorize")
        assert page.title == "Consent"
        assert page.text.endswith("the end")


async def test_a_wrong_password_leads_nowhere() -> None:
    async with run() as url, HeadlessUser("alice", "wrong") as user:
        with pytest.raises(LookupError, match="no form with 'answer'"):
            await user.authorize(f"{url}/authorize")


async def test_redirects_without_end_and_forms_sent_twice_are_noticed() -> None:
    async with run() as url, HeadlessUser() as user:
        assert (await user.open(f"{url}/loop")).status == 302
        with pytest.raises(LookupError, match="send its form again"):
            await user.open(f"{url}/again")
