"""What the protected application's guard answers itself: refusals and metadata."""

import json
from collections.abc import Mapping, Sequence

from starlette.types import Receive, Scope, Send

__all__ = ["Headers", "build_json", "send_answer", "send_websocket_refusal"]

Headers = Sequence[tuple[bytes, bytes]]


def build_json(document: Mapping[str, object]) -> bytes:
    """The document as JSON, ASCII."""
    return json.dumps(document).encode()


async def send_answer(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    """One whole HTTP answer: a JSON body, or none at all."""
    await send({"type": "http.response.start", "status": status, "headers": [*_describe(body), *headers]})
    await send({"type": "http.response.body", "body": body})


async def send_websocket_refusal(
    scope: Scope, receive: Receive, send: Send, *, status: int, body: bytes, headers: Headers
) -> None:
    """Refuse a WebSocket before it opens: with the HTTP answer where the server can send one, else by closing it (the
    server makes that 403). 1008 is "policy violation" (RFC 6455 §7.4.1).
    """
    await receive()  # websocket.connect
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    start = {"type": "websocket.http.response.start", "status": status, "headers": [*_describe(body), *headers]}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})


def _describe(body: bytes) -> Headers:
    if not body:
        return ()
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
