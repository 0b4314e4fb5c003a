"""Serving ASGI applications on this machine, inside a running event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from nameplate.server.http_limits import LimitedHttpProtocol
from nameplate.server.listener import open_listener as listen

__all__ = ["open_listener", "serve_app"]

_LOOK_EVERY_SECONDS = 0.005


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Several servers share one process: signals are their owner's business.
        yield

    async def main_loop(self) -> None:
        # uvicorn looks ten times a second whether it should stop: too slow for suites that start hundreds of servers.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), 1)

    def stop(self) -> None:
        """Finish what was begun, accept nothing more."""
        self.should_exit = True
        self.stopping.set()


def open_listener(port: int = 0) -> tuple[socket.socket, int]:
    """A socket that listens on 127.0.0.1, and its port: a free one for 0. So a URL is known before its server runs."""
    listener = listen("127.0.0.1", port)
    return listener, listener.getsockname()[1]


@asynccontextmanager
async def serve_app(
    app: ASGIApp,
    listener: socket.socket,
    *,
    certificate_file: Path | None = None,
    protocol: type[LimitedHttpProtocol] = LimitedHttpProtocol,
) -> AsyncIterator[None]:
    """Serve ``app`` on the listener until the block is left; over TLS where a PEM file with key and chain is given.

    A subclass as ``protocol`` sets other limits on what a peer may send.

    Raises ``RuntimeError`` where the application refuses to start.
    """
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="auto",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=certificate_file,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if running.done():
                raise RuntimeError("the application did not start") from running.exception()
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        yield
    finally:
        server.stop()
        await running
        listener.close()
