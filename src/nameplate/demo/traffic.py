"""Watches what goes over the wire to the demo's servers, from outside of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Exchange", "Traffic", "WatchedApp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer. ``page`` is the answer's body where that is HTML, ``location`` where it leads.

    A location may hold a code: it is looked at, never shown.
    """

    method: str
    path: str
    status: int
    milliseconds: float
    page: str
    location: str


@dataclass(slots=True)
class Traffic:
    """All exchanges with one server, and who wants to know of the next."""

    exchanges: list[Exchange] = field(default_factory=list)
    on_exchange: Callable[[Exchange], None] | None = None

    def record(self, exchange: Exchange) -> None:
        """Keep it, and tell whoever watches."""
        self.exchanges.append(exchange)
        if self.on_exchange is not None:
            self.on_exchange(exchange)

    def count(self, method: str, path: str) -> int:
        """How often this was asked for."""
        return sum((exchange.method, exchange.path) == (method, path) for exchange in self.exchanges)


class WatchedApp:
    """An ASGI application, unchanged, whose traffic is recorded: each exchange just before its answer is complete, so
    that whoever watches knows of it before the peer can go on.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        status, headers, body = 0, Headers(), bytearray()

        async def watch(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], Headers(raw=list(message["headers"]))
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b"") if _is_page(headers) else b"")
                if not message.get("more_body", False):
                    self._traffic.record(_build_exchange(scope, status, headers, body, started_at))
            await send(message)

        await self._app(scope, receive, watch)


def _build_exchange(scope: Scope, status: int, headers: Headers, body: bytearray, started_at: float) -> Exchange:
    return Exchange(
        method=scope["method"],
        path=scope["path"],
        status=status,
        milliseconds=round((time.perf_counter() - started_at) * 1000, 1),
        page=body.decode(errors="replace"),
        location=headers.get("location", ""),
    )


def _is_page(headers: Headers) -> bool:
    return headers.get("content-type", "").startswith("text/html")
