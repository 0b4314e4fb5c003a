"""Where the client waits for the answer: a loopback port of its own (RFC 8252 §7.3)."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

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
_NOT_AWAITED = NoticeView(
    title="Nobody waits for this",
    sentence="This answer does not belong to what the demo's client asked, or it came too late.",
    advice="Go back to the terminal, and open the address that it shows.",
)


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
        return _build_page(_FINISHED)


@asynccontextmanager
async def run_callback_listener() -> AsyncIterator[CallbackListener]:
    """Listen at a free port of 127.0.0.1."""
    listener, port = open_listener()
    callback = CallbackListener(f"http://127.0.0.1:{port}/callback")
    app = Starlette(routes=[Route("/callback", callback.receive), Route("/style.css", _show_stylesheet)])
    async with serve_app(app, listener):
        yield callback


def _build_page(view: NoticeView, *, status: int = 200) -> Response:
    return HTMLResponse(render_notice(view, stylesheet="/style.css"), status, page_headers(form_action="'none'"))


async def _show_stylesheet(_request: Request) -> Response:
    return Response(STYLESHEET, media_type="text/css")
