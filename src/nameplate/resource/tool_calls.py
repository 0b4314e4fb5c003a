"""Finds which tools a JSON-RPC message calls, before the MCP server reads it.

Our reader and the server's must not understand one body in two ways. So whatever is ambiguous, or cannot be read, is
not judged at all (None), and the caller refuses it, unless no reader could find a call in it.
"""

from collections.abc import Mapping

from nameplate.jose import read_json

__all__ = ["find_called_tools", "find_opener", "may_open_message"]

_METHOD = "tools/call"  # MCP, "Calling Tools"
_PADDING = b" \t\r\n\x00\xff\xfe\xef\xbb\xbf"  # white space, UTF-16's empty bytes, byte order marks


def find_opener(data: bytes) -> bytes:
    """The first byte that means something in any encoding of Unicode; empty where there is none yet."""
    return data.lstrip(_PADDING)[:1]


def may_open_message(opener: bytes) -> bool:
    """Whether what begins with this byte may be a JSON-RPC message: an object or an array."""
    return opener in (b"", b"{", b"[")


def find_called_tools(body: bytes) -> frozenset[str] | None:
    """The names of the tools that a body calls, alone or in a batch; None where that cannot be told."""
    if not may_open_message(find_opener(body)) or not _may_hold_call(body):
        return frozenset()
    value = read_json(body)
    messages = value if isinstance(value, list) else [value]
    names = [_find_called_tool(message) for message in messages]
    return None if None in names else frozenset(name for name in names if name)


def _may_hold_call(body: bytes) -> bool:
    """Whether any reader could find the method's name: spelled out, with escapes, or in UTF-16 or UTF-32."""
    return _METHOD.encode() in body or b"\\" in body or b"\x00" in body


def _find_called_tool(message: object) -> str | None:
    """The tool's name, "" where the message calls none, None where that cannot be told."""
    if not isinstance(message, dict) or _is_ambiguous(message, "method", "params"):
        return None
    if message.get("method") != _METHOD:
        return ""
    params = message.get("params")
    if not isinstance(params, dict) or _is_ambiguous(params, "name"):
        return None
    name = params.get("name")
    return name if isinstance(name, str) and name else None


def _is_ambiguous(message: Mapping[str, object], *members: str) -> bool:
    """Whether a reader that ignores the case of members (Go's) would see another message than we do."""
    return any(member not in members and member.casefold() in members for member in message)
