"""Reads a request's body ahead and plays it back to the application."""

from dataclasses import dataclass

from starlette.types import Message, Receive

from nameplate.resource.tool_calls import find_opener, may_open_message

__all__ = ["Body", "Disconnected", "NotRead", "TooLarge", "build_replay", "read_body"]


@dataclass(frozen=True, slots=True)
class Body:
    """What was read. ``is_complete`` is False where more is to come that nobody needs to judge."""

    data: bytes
    is_complete: bool


@dataclass(frozen=True, slots=True)
class NotRead:
    """Nothing was read, as nothing in the body could matter."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The limit was exceeded; reading stopped there."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The client went away."""


async def read_body(receive: Receive, *, limit_bytes: int, reads_all: bool) -> Body | TooLarge | Disconnected:
    """The whole body, at most ``limit_bytes``; or its beginning, where that shows that it is no JSON-RPC message.

    ``reads_all`` reads on all the same. So an upload of any size streams through, and memory stays bounded.
    """
    data = bytearray()
    opener = b""
    more = True
    while more and (reads_all or may_open_message(opener)):
        message = await receive()
        if message["type"] != "http.request":
            return Disconnected()
        chunk: bytes = message.get("body", b"")
        opener = opener or find_opener(chunk)
        data += chunk
        more = message.get("more_body", False)
        if len(data) > limit_bytes and (reads_all or may_open_message(opener)):
            return TooLarge()
    return Body(bytes(data), is_complete=not more)


def build_replay(body: Body, receive: Receive) -> Receive:
    """A ``receive`` that gives what was read first and then goes on with the real one."""
    is_replayed = False

    async def replay() -> Message:
        nonlocal is_replayed
        if is_replayed:
            return await receive()
        is_replayed = True
        return {"type": "http.request", "body": body.data, "more_body": not body.is_complete}

    return replay
