"""Where the client waits for the answer: a loopback port of its own (RFC 8252 §7.3)."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from nameplate.server.pages.render import STYLESHEET, page_headers, render_notice
from nameplate.server.pages.views import NoticeView
from nameplate.testing.serving import open_listener, serve_app

__all__ = ["CallbackListener", "run_callback_listener"]

_FINISHED = NoticeView(
    title="Finished",
    sentence="The demo's client has its answer.",
    advice="You can close this window and go back to the terminal.",
)
_DECLINED = NoticeView(
    title="You declined",
    sentence="The demo's client was told so, and has no access.",
    advice="You can close this window and go back to the terminal.",
)
_REFUSED = NoticeView(
    title="No access",
    sentence="The authorization server sent the demo's client away with an error.",
    advice="Go back to the terminal: it says which.",
)
_NOT_AWAITED = NoticeView(
    title="Nobody waits for this",
    sentence="This answer does not belong to what the demo's client asked, or it came too late.",
    advice="Go back to the terminal, and open the address that it shows.",
)

# The listener may stop as soon as it has the answer, before a browser could come for a stylesheet: the page holds it.
_STYLESHEET_PATH = "/style.css"
_LINK = f'<link rel="stylesheet" href="{_STYLESHEET_PATH}">'.encode()
_STYLE = b"<style>" + STYLESHEET + b"</style>"
_STYLE_SOURCE = f"'sha256-{b64encode(sha256(STYLESHEET).digest()).decode()}'"


class CallbackListener:
    """Takes the one answer whose ``state`` is awaited; whatever else comes is told that nobody waits for it."""

    def __init__(self, redirect_uri: str) -> None:
        self.redirect_uri = redirect_uri
        self._state = ""
        self._answer: asyncio.Future[Mapping[str, str]] | None = None

    def expect(self, state: str) -> None:
        """From now on the answer to the request with this ``state`` is awaited."""
        self._state = state
        self._answer = asyncio.get_running_loop().create_future()

    def give_up(self, failure: Exception) -> None:
        """End the waiting: no answer can come any more."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(failure)

    async def wait(self, *, seconds: float) -> Mapping[str, str]:
        """The answer's parameters. Raises ``TimeoutError``, or what ``give_up`` was given."""
        if self._answer is None:
            raise RuntimeError("nothing was asked yet")
        return await asyncio.wait_for(self._answer, seconds)

    async def receive(self, request: Request) -> Response:
        """``GET /callback``."""
        state = request.query_params.get("state", "")
        if self._answer is None or not secrets.compare_digest(state.encode(), self._state.encode()):
            return _build_page(_NOT_AWAITED, status=400)
        if not self._answer.done():
            self._answer.set_result(dict(request.query_params))
        return _build_page(_choose_view(request.query_params.get("error", "")))


@asynccontextmanager
async def run_callback_listener() -> AsyncIterator[CallbackListener]:
    """Listen at a free port of 127.0.0.1."""
    listener, port = open_listener()
    callback = CallbackListener(f"http://127.0.0.1:{port}/callback")
    app = Starlette(routes=[Route("/callback", callback.receive)])
    async with serve_app(app, listener):
        yield callback


def _build_page(view: NoticeView, *, status: int = 200) -> Response:
    page = render_notice(view, stylesheet=_STYLESHEET_PATH).replace(_LINK, _STYLE)
    headers = page_headers(form_action="'none'")
    policy = headers["Content-Security-Policy"].replace("style-src 'self'", f"style-src {_STYLE_SOURCE}")
    return HTMLResponse(page, status, {**headers, "Content-Security-Policy": policy})


def _choose_view(error: str) -> NoticeView:
    """What the person is told about an answer with this ``error`` (RFC 6749 §4.1.2.1), empty where it has none."""
    if not error:
        return _FINISHED
    return _DECLINED if error == "access_denied" else _REFUSED
