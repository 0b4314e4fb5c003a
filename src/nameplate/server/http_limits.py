"""HTTP/1.1 as uvicorn speaks it over httptools, with the limits that httptools leaves to its user (DO-04, HT-01).

Without them a peer can send headers, trailers or chunk extensions without end, pipeline requests by the thousand, or
send a byte now and then, and so hold memory or a connection for ever.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["LimitedHttpProtocol"]

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\ncontent-length: 31\r\n"
    b"connection: close\r\n\r\nThe request headers are too long"
)


class _LimitExceededError(Exception):
    """Stops the parser: raised in one of its callbacks, it becomes uvicorn's bad request."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which gives up on a peer that sends too much beside bodies, or that is too slow.

    Bodies themselves are for the application to limit. A subclass may set other limits.
    """

    max_head_bytes = 64 * 1024
    """Request line and headers; also all else that comes beside the body: trailers, the framing of chunks."""
    max_headers = 128
    max_pipelined = 8
    """How many requests may wait behind the one that is being answered."""
    head_seconds: float = 30
    """From connecting, or the last answer, to the first byte of a request, and from there to the end of its headers."""
    body_seconds: float = 60
    """From the end of the headers to the end of the body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._overhead_bytes = 0
        self._is_receiving = False
        self._is_in_head = False
        self._unanswered = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._start_timer(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_receiving:
            self._overhead_bytes = 0
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._is_receiving and self._overhead_bytes > self.max_head_bytes:
            self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_receiving = self._is_in_head = True
        self._start_timer(self.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        # uvicorn would add trailers to the headers: X-Forwarded-For would slip past the proxy that sets it (BCP-7).
        if self._is_in_head:
            super().on_header(name, value)
            self._check(len(self.headers) <= self.max_headers)

    def on_headers_complete(self) -> None:
        # A head that arrives as a whole was never seen growing.
        head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        self._check(head_bytes <= self.max_head_bytes and self._unanswered <= self.max_pipelined)
        self._is_in_head = False
        self._start_timer(self.body_seconds)
        super().on_headers_complete()
        self._unanswered += 1

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_receiving = False
        self._wait_for_peer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unanswered -= 1
        if not self._is_receiving:
            self._wait_for_peer()

    def pause_writing(self) -> None:
        # The peer reads slower than the answer comes: it gets its time, and no more of our memory after that.
        super().pause_writing()
        self._start_timer(self.body_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wait_for_peer()

    def _check(self, is_within_limits: bool) -> None:
        if not is_within_limits:
            self._refuse()
            raise _LimitExceededError

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        if not self._unanswered:  # never into the middle of another answer
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _wait_for_peer(self) -> None:
        """The timer runs while it is the peer's turn. uvicorn's own ends with any byte, even one of no request."""
        if self._unanswered:
            self._stop_timer()
        else:
            self._start_timer(self.head_seconds)

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        # abort, not close: a peer that reads nothing would keep a closing connection open.
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
